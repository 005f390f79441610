//! `stillwire ws URL`: talks over a WebSocket.

use stillwire::ws;
use stillwire_tokio::Connect;

use crate::{net::Net, talk::Talk};

pub(crate) const HELP: &str = "\
Each line of standard input is a text message. Each message that comes is a line of standard output; a binary one is `binary` and
its base64. With --json, one object a line:
  {\"kind\":\"text\",\"text\":\"…\",\"time\":1700000000.123}
  {\"kind\":\"binary\",\"base64\":\"…\",\"time\":…}     {\"kind\":\"closed\",\"code\":1000,\"reason\":\"\",\"time\":…}
What else happens is told on standard error. When standard input has ended and nothing has come for a second (--wait), it says
goodbye.

Exit status:
  0  it ended in order: by you, or by the server with code 1000, 1001 or none
  1  refused, failed, or ended by the server with another code, or before --count
  2  the command line is wrong

Examples:
  stillwire ws ws://127.0.0.1:3000/ws                            type, and read; Ctrl-D or Ctrl-C ends it
  echo hello | stillwire ws wss://echo.example/                  one message, and what comes of it
  stillwire ws --count 1 -m '{\"op\":\"ping\"}' --listen URL          ask, print one answer, end
  stillwire ws --listen --json URL | jq -r 'select(.kind==\"text\").text'
  stillwire ws -H 'authorization: Bearer …' --subprotocol graphql-transport-ws URL
  stillwire ws --proxy http://127.0.0.1:3128 --cacert ca.pem wss://127.0.0.1:8443/";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to: ws://HOST:PORT/PATH or wss://…
    url: String,
    /// Offer this subprotocol; the best one first
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Offer compression (permessage-deflate)
    #[arg(long)]
    deflate: bool,
    /// Follow so many redirections
    #[arg(long, value_name = "N", default_value_t = 0)]
    redirects: u8,
    /// The largest message that may come, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message: usize,
    #[command(flatten)]
    talk: Talk,
    #[command(flatten)]
    net: Net,
}

pub(crate) async fn run(args: &Args) -> Result<(), String> {
    let at = |error: &dyn core::fmt::Display| format!("{}: {error}", args.url);
    let headers: Vec<(&str, &str)> =
        args.net.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let subprotocols: Vec<&str> = args.subprotocol.iter().map(String::as_str).collect();
    let mut connect = Connect::new(&args.url);
    (connect.headers, connect.subprotocols, connect.redirects) = (&headers, &subprotocols, args.redirects);
    connect.route = args.net.route()?;
    (connect.config.max_message, connect.inbox) =
        (args.max_message, args.max_message.saturating_add(4 << 10));
    connect.config.deflate = args.deflate.then(ws::Deflate::default);
    let socket = connect.open().await.map_err(|error| at(&error))?;
    match socket.subprotocol() {
        Some(name) => eprintln!("stillwire: open: {}, subprotocol {name}", args.url),
        None => eprintln!("stillwire: open: {}", args.url),
    }
    let (reader, writer) = socket.split();
    let talked = args.talk.talk(reader, writer).await.map_err(|error| at(&error))?;
    talked.reader.with(|socket| talked.tell(&args.talk, socket.closed()))
}
