//! What a connection costs in memory: the machines by themselves, and connections that echoed one message and are idle.
//!
//! Each kind of connection is held by a process of its own, which looks at its resident memory before and after.

use std::process::{Command, ExitCode};
use std::rc::Rc;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use stillwire::{Inbox, Instant, Link, Outbox, Want, http, polling, sse, ws};
use tokio_websockets::ServerBuilder;

use crate::pipe::Pipe;

const KINDS: [&str; 6] = [
    "stillwire",
    "stillwire, 1 KiB boxes",
    "tungstenite",
    "tungstenite, 4 KiB buffer",
    "fastwebsockets",
    "tokio-websockets",
];

pub fn show(quick: bool) -> ExitCode {
    println!("sizes of the machines, without boxes{:>18}", "bytes");
    for (name, size) in [
        ("ws::Connection", size_of::<ws::Connection>()),
        ("sse::Stream", size_of::<sse::Stream>()),
        ("sse::Feed", size_of::<sse::Feed>()),
        ("polling::Connection", size_of::<polling::Connection>()),
        ("polling::Session", size_of::<polling::Session<'_>>()),
        ("polling::Client", size_of::<polling::Client>()),
        ("http::Exchange", size_of::<http::Exchange>()),
        ("http::Fetch", size_of::<http::Fetch>()),
        ("Inbox", size_of::<Inbox<'_>>()),
        ("Outbox", size_of::<Outbox<'_>>()),
        ("Link<ws::Connection>", size_of::<Link<'_, ws::Connection>>()),
        ("Link<sse::Stream>", size_of::<Link<'_, sse::Stream>>()),
        ("Link<sse::Feed>", size_of::<Link<'_, sse::Feed>>()),
        ("Link<http::Exchange>", size_of::<Link<'_, http::Exchange>>()),
    ] {
        println!("  {name:<42} {size:>10}");
    }
    println!("\nan idle WebSocket (server) after one echo{:>13}", "bytes");
    let count = if quick { "2000" } else { "20000" };
    for who in KINDS {
        let told =
            std::env::current_exe().and_then(|me| Command::new(me).args(["hold", who, count]).output());
        match told {
            Ok(told) if told.status.success() => {
                println!("  {who:<42} {:>10}", String::from_utf8_lossy(&told.stdout).trim());
            }
            _ => {
                eprintln!("compare: the process for {who} failed");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Holds `count` connections of a kind, and prints what each of them costs.
pub fn hold(who: &str, count: usize) -> ExitCode {
    let wire: Rc<[u8]> = b"\x82\x90\x00\x00\x00\x00sixteen bytes...".as_slice().into();
    // The pipe is the socket, and no part of the connection: what it reads and writes is shared by all.
    let pipe = || Pipe::small(&wire);
    match who {
        "stillwire" => {
            each(count, || Box::new(echo(Inbox::with_limit(1 << 20), Outbox::with_limit(1 << 16))))
        }
        "stillwire, 1 KiB boxes" => each(count, || {
            let (inbox, outbox) = (vec![1; 1024].leak(), vec![1; 1024].leak());
            Box::new(echo(Inbox::new(inbox), Outbox::new(outbox)))
        }),
        "tungstenite" | "tungstenite, 4 KiB buffer" => each(count, || {
            let role = tungstenite::protocol::Role::Server;
            let mut config = tungstenite::protocol::WebSocketConfig::default();
            if who != "tungstenite" {
                config.read_buffer_size = 4 << 10;
            }
            let mut socket = tungstenite::WebSocket::from_raw_socket(pipe(), role, Some(config));
            let message = socket.read().unwrap();
            socket.send(message).unwrap();
            Box::new(socket)
        }),
        "fastwebsockets" => each(count, || {
            let mut socket = fastwebsockets::WebSocket::after_handshake(pipe(), fastwebsockets::Role::Server);
            let echo = async {
                let frame = socket.read_frame().await.unwrap();
                socket.write_frame(frame).await.unwrap();
            };
            echo.now_or_never().unwrap();
            Box::new(socket)
        }),
        "tokio-websockets" => each(count, || {
            let mut socket = ServerBuilder::new().serve(pipe());
            let echo = async {
                let message = socket.next().await.unwrap().unwrap();
                socket.send(message).await.unwrap();
            };
            echo.now_or_never().unwrap();
            Box::new(socket)
        }),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

fn each(count: usize, connection: impl Fn() -> Box<dyn std::any::Any>) {
    let mut held = Vec::with_capacity(count);
    // The first ones pay for what is there once.
    held.extend((0..10).map(|_| connection()));
    let before = resident();
    held.extend((10..count).map(|_| connection()));
    let bytes = resident() - before;
    println!("{}", bytes / (count - 10));
}

/// Memory of this process that is really there.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// One echo, as a driver does it.
fn echo(inbox: Inbox<'static>, outbox: Outbox<'static>) -> Link<'static, ws::Connection> {
    let mut link = Link::new(ws::Connection::server(ws::Config::default()), inbox, outbox);
    let mut echoed = false;
    loop {
        match link.want(Instant::EPOCH).unwrap() {
            Want::Deliver => {
                let Some((ws::Event::Binary(bytes), reply)) = link.turn() else { unreachable!() };
                reply.machine.send_binary(bytes, reply.outbox).unwrap();
            }
            Want::Write { .. } => {
                let n = link.outbox.chunk().len();
                link.outbox.advance(n);
                echoed = true;
            }
            Want::Read { .. } if echoed => {
                // What the tokio driver does before it waits.
                link.inbox.rest();
                return link;
            }
            Want::Read { .. } => {
                assert_eq!(link.inbox.push(b"\x82\x90\x00\x00\x00\x00sixteen bytes..."), 22);
            }
            _ => unreachable!(),
        }
    }
}
