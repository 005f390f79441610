//! `stillwire poll URL`: talks over plain HTTP requests.

use core::time::Duration;

use stillwire::polling::{Config, What};
use stillwire_tokio::{Notice, PollClient};

use crate::{net::Net, talk::Talk};

pub(crate) const HELP: &str = "\
Talks to a server of stillwire's long-polling protocol: every message once and in order, over plain HTTP requests, whatever happens to
connections. Each line of standard input is a text message. Each message that comes is a line of standard output; a binary one is
`binary` and its base64. With --json, one object a line:
  {\"kind\":\"text\",\"text\":\"…\",\"time\":1700000000.123}
  {\"kind\":\"binary\",\"base64\":\"…\",\"time\":…}     {\"kind\":\"closed\",\"code\":1000,\"reason\":\"\",\"time\":…}
Requests that fail, and are made again, are told on standard error. When standard input has ended, the server has everything, and
nothing has come for a second (--wait), it says goodbye.

Exit status:
  0  it ended in order: by you, or by the server with code 1000, 1001 or none
  1  refused, failed too often, or ended by the server with another code, or before --count
  2  the command line is wrong

Examples:
  stillwire poll http://127.0.0.1:3000/poll                        type, and read; Ctrl-D or Ctrl-C ends it
  echo hello | stillwire poll http://127.0.0.1:3000/poll           one message, and what comes of it
  stillwire poll --listen --json http://127.0.0.1:3000/poll | jq -r .text
  stillwire poll --retries 2 -H 'cookie: session=…' https://chat.example/poll
The same by hand:
  curl -X POST $BASE/open;  curl \"$BASE/$SID?after=0\";  curl -d '{\"seq\":1,\"messages\":[\"hi\"]}' $BASE/$SID";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The base of the requests: http://HOST:PORT/BASE or https://…
    url: String,
    /// Give up when more requests than this have failed in a row
    #[arg(long, value_name = "N", default_value_t = 8)]
    retries: u32,
    /// The first wait after a failed request; it doubles each time
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500)]
    retry: u64,
    #[command(flatten)]
    talk: Talk,
    #[command(flatten)]
    net: Net,
}

pub(crate) async fn run(args: &Args) -> Result<(), String> {
    let at = |error: &dyn core::fmt::Display| format!("{}: {error}", args.url);
    let mut config = Config::default();
    (config.retries, config.retry_min) = (args.retries, Duration::from_millis(args.retry));
    config.answer_within = args.net.waits().answer;
    let mut client = PollClient::with(&args.url, &config, args.net.route()?).map_err(|error| at(&error))?;
    for (name, value) in &args.net.headers {
        client.header(name, value).map_err(|error| format!("--header {name}: {error}"))?;
    }
    let url = args.url.clone();
    client.watch(move |notice| match notice {
        Notice::Opened => eprintln!("stillwire: open: {url}"),
        Notice::Failed { what, why } => eprintln!("stillwire: {} failed: {why}", name(what)),
        _ => {}
    });
    let (reader, writer) = client.split();
    let talked = args.talk.talk(reader, writer).await.map_err(|error| at(&error))?;
    talked.reader.with(|client| talked.tell(&args.talk, client.closed()))
}

fn name(what: What) -> &'static str {
    match what {
        What::Open => "to open a session",
        What::Receive => "to receive",
        What::Send => "to send",
        What::Close => "to say goodbye",
    }
}
