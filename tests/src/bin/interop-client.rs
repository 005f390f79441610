//! Our WebSocket client as a program, for servers that nobody here wrote.
//!
//! Received messages are printed as one JSON object a line; lines of standard input are sent.

use core::time::Duration;
use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Parser, Subcommand};
use serde_json::json;
use stillwire::ws;
use stillwire_tokio::{Connect, Connection, Error, MaybeTls, Proxy, tls};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A client whose every step can be told and seen.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Opens a WebSocket, prints what comes, sends what standard input says: lines as text,
    /// `\binary BASE64`, `\ping TEXT`, `\close CODE REASON`.
    Ws(Talk),
    /// Opens a WebSocket and sends every message back until the server closes.
    Echo {
        /// ws://HOST:PORT/TARGET, or wss://…
        url: String,
        /// Offer permessage-deflate.
        #[arg(long)]
        deflate: bool,
    },
}

#[derive(clap::Args)]
struct Talk {
    /// ws://HOST:PORT/TARGET, or wss://…
    url: String,
    /// The certificate to trust, as PEM in a file.
    #[arg(long)]
    trust: Option<std::path::PathBuf>,
    /// The proxy whose tunnel to use: http://HOST:PORT
    #[arg(long)]
    proxy: Option<String>,
    /// Name and password for the proxy: NAME:PASSWORD
    #[arg(long)]
    proxy_user: Option<String>,
    /// How many redirections are followed.
    #[arg(long, default_value_t = 0)]
    redirects: u8,
    /// Subprotocols to offer, best first.
    #[arg(long)]
    protocol: Vec<String>,
    /// How long the server may take to answer, in milliseconds.
    #[arg(long)]
    open_within: Option<u64>,
    /// How long the server may take to close, in milliseconds.
    #[arg(long)]
    close_within: Option<u64>,
    /// The largest message to take, in bytes.
    #[arg(long, default_value_t = 16 << 20)]
    max_message: usize,
    /// Offer permessage-deflate.
    #[arg(long)]
    deflate: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Standard input may still be waited for, in a thread that cannot be stopped: leave without it.
    let result = match Args::parse().command {
        Command::Echo { url, deflate } => echo(&url, deflate).await,
        Command::Ws(talk) => run(talk).await,
    };
    let failed = match result {
        Ok((code, reason)) => {
            eprintln!("closed {code} {reason}");
            code == 1006 // there was no closing handshake
        }
        Err(error) => {
            eprintln!("{error}");
            true
        }
    };
    std::process::exit(i32::from(failed));
}

type Failure = Box<dyn std::error::Error>;

/// Sends everything back. The end is the server's; a server that breaks the protocol is told, and waited for.
async fn echo(url: &str, deflate: bool) -> Result<(u16, String), Failure> {
    let mut connect = Connect::new(url);
    connect.config.max_message = 16 << 20;
    connect.config.max_fragments = 1 << 20;
    connect.config.deflate = deflate.then(ws::Deflate::default);
    // One message in, one message out: both boxes must hold the largest.
    (connect.inbox, connect.outbox) = (17 << 20, 34 << 20);
    let mut connection = connect.open().await?.into_connection();
    let mut end = Err("the connection ended without a word".into());
    loop {
        match connection.next().await {
            Ok(None) => return end,
            Ok(Some((event, reply))) => match event {
                ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox)?,
                ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox)?,
                ws::Event::Closed { code, reason } => end = Ok((code, reason.as_str().to_owned())),
                _ => {}
            },
            Err(error @ Error::Protocol(_)) => end = Err(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn run(talk: Talk) -> Result<(u16, String), Failure> {
    let subprotocols: Vec<&str> = talk.protocol.iter().map(String::as_str).collect();
    let mut connect = Connect::new(&talk.url);
    connect.subprotocols = &subprotocols;
    connect.config.max_message = talk.max_message;
    connect.config.deflate = talk.deflate.then(ws::Deflate::default);
    (connect.inbox, connect.outbox) = (talk.max_message + (64 << 10), 2 * talk.max_message + 1024);
    let millis = |value: Option<u64>, default| value.map_or(default, Duration::from_millis);
    connect.route.waits.answer = millis(talk.open_within, connect.route.waits.answer);
    connect.config.close_within = millis(talk.close_within, connect.config.close_within);
    connect.redirects = talk.redirects;
    if let Some(file) = &talk.trust {
        connect.route.tls = Some(tls::client_trusting(&std::fs::read(file)?)?);
    }
    let basic = talk.proxy_user.as_deref().and_then(|user| user.split_once(':'));
    connect.route.proxy = match (talk.proxy.as_deref().map(Proxy::new), basic) {
        (Some(proxy), Some((user, password))) => Some(proxy.basic(user, password)?),
        (proxy, _) => proxy,
    };
    let socket = connect.open().await?;
    say("open", &json!(socket.subprotocol().unwrap_or_default()))?;
    let mut connection = socket.into_connection();

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut asking, mut end) = (true, None);
    loop {
        tokio::select! {
            event = connection.next() => match event? {
                None => return end.ok_or_else(|| "the connection ended without a word".into()),
                Some((event, _)) => match event {
                    ws::Event::Text(text) => say("text", &json!(text.as_str()))?,
                    ws::Event::Binary(bytes) => say("binary", &json!(STANDARD.encode(bytes)))?,
                    ws::Event::Ping(bytes) => say("ping", &json!(String::from_utf8_lossy(bytes)))?,
                    ws::Event::Pong(bytes) => say("pong", &json!(String::from_utf8_lossy(bytes)))?,
                    ws::Event::Closed { code, reason } => end = Some((code, reason.as_str().to_owned())),
                    _ => {}
                }
            },
            line = lines.next_line(), if asking => {
                let line = line?;
                asking = line.is_some();
                obey(&mut connection, line.as_deref().unwrap_or("\\close 1000 "))?;
            }
        }
    }
}

fn say(kind: &str, data: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!({ "kind": kind, "data": data }))?;
    out.flush()
}

fn obey(connection: &mut Connection<MaybeTls, ws::Connection>, line: &str) -> Result<(), Failure> {
    let (machine, outbox) = (&mut connection.link.machine, &mut connection.link.outbox);
    if !machine.is_open() {
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "\\binary" => machine.send_binary(&STANDARD.decode(rest)?, outbox)?,
        "\\ping" => machine.send_ping(rest.as_bytes(), outbox)?,
        "\\close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            machine.send_close(code.parse()?, reason, outbox)?;
        }
        _ => machine.send_text(line, outbox)?,
    }
    Ok(())
}
