//! One chat room, three transports, and a page that shows them side by side.

use core::time::Duration;
use std::io::{self, Write};

use stillwire::ws;
use stillwire_tokio::{Carrier, Config, Handle, Message, Peer, Request, Response, Server, Traffic};
use tokio::net::TcpListener;

/// Where to listen.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on
    #[arg(long, default_value = HOST)]
    host: String,
    /// The port to listen on; 0 takes any free one
    #[arg(long, short, default_value_t = PORT)]
    port: u16,
}

const HOST: &str = "127.0.0.1";
const PORT: u16 = 3000;

impl Default for Args {
    fn default() -> Self {
        Self { host: HOST.to_owned(), port: PORT }
    }
}

pub(crate) const ENDPOINTS: &str = "\
What is served, all of it one chat room:
  GET /             the page
  GET /ws           WebSocket: each text message goes to everybody
  GET /events       Server-Sent Events: what everybody says
  POST /say         says the body of the request (for the event stream, which goes one way)
  POST /poll/open   long polling: opens a session SID
  GET /poll/SID?after=N, POST /poll/SID, DELETE /poll/SID
  GET /stats        bytes, messages and requests of each transport so far, as JSON

Try it in two terminals:
  curl -N http://127.0.0.1:3000/events
  curl -d 'hello' http://127.0.0.1:3000/say

Ctrl-C ends it in order: everybody is told, and when to come back.";

/// The most bytes of a message.
const MOST: usize = 16 << 10;
const ROOM: &str = "chat";

/// What a file of the page is served as.
const PAGE: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("../page/app.js")),
];

pub(crate) async fn run(args: &Args) -> Result<(), String> {
    let Args { host, port } = args;
    let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} on {host} is taken by another program; try --port {}, or --port 0 for any free one", port.saturating_add(1))
        }
        io::ErrorKind::PermissionDenied => format!("port {port} needs more rights than you have; try --port {PORT}"),
        _ => format!("cannot listen on {host}, port {port}: {error}"),
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (server, handle) = Server::new(listener, config());
    println!("stillwire: http://{address}  (Ctrl-C ends it)");
    let _ = io::stdout().flush();
    let rooms = handle.clone();
    let serving = tokio::spawn(server.serve(move |peer| chat(peer, rooms.clone())));
    told_to_stop().await;
    eprintln!("stillwire: {} peers are told to go", handle.peers());
    let left = handle.shut_down(Duration::from_secs(3), Duration::from_secs(1)).await;
    if left > 0 {
        eprintln!("stillwire: {left} did not go in time");
        serving.abort();
    }
    Ok(())
}

fn config() -> Config {
    let mut config = Config::default();
    config.websocket.max_message = MOST;
    // Nothing is kept between messages: an idle page costs no memory for it.
    config.websocket.deflate = Some(ws::Deflate::LEND);
    config.max_body = MOST;
    (config.inbox, config.outbox) = (64 << 10, 1 << 20);
    config
        .gate(|_, request| {
            // Another site's page must not listen in.
            if ws::is_same_origin(request) { Ok(()) } else { Err(Response::new(403)) }
        })
        .on_request(|request, handle| async move { answer(&request, &handle) })
}

/// A member of the room: what it says goes to everybody, itself included.
async fn chat(mut peer: Peer, handle: Handle) {
    peer.join(ROOM);
    while let Ok(Some(message)) = peer.recv().await {
        if let Message::Text(text) = message {
            handle.broadcast(ROOM, text.as_str(), None);
        }
    }
}

fn answer(request: &Request, handle: &Handle) -> Response {
    let path = request.target.split('?').next().unwrap_or_default();
    if let Some((_, kind, text)) = PAGE.iter().find(|(name, ..)| *name == path) {
        return match request.method.as_str() {
            "GET" | "HEAD" => Response::with(200, kind, *text).header("cache-control", "no-cache"),
            _ => Response::new(405).header("allow", "GET, HEAD"),
        };
    }
    match (request.method.as_str(), path) {
        ("GET", "/stats") => {
            Response::with(200, "application/json", stats(handle)).header("cache-control", "no-store")
        }
        ("POST", "/say") if !ws::is_same_origin(request) => Response::new(403),
        ("POST", "/say") => match core::str::from_utf8(&request.body) {
            Ok(text) => {
                handle.broadcast(ROOM, text, None);
                Response::new(204).counted_for(Carrier::Events)
            }
            Err(_) => Response::with(400, "text/plain; charset=utf-8", "A message is UTF-8.\n"),
        },
        (_, "/stats") => Response::new(405).header("allow", "GET"),
        (_, "/say") => Response::new(405).header("allow", "POST"),
        _ => Response::with(404, "text/plain; charset=utf-8", "There is nothing here; the page is at /.\n"),
    }
}

fn stats(handle: &Handle) -> String {
    let names =
        [(Carrier::Polling, "polling"), (Carrier::Events, "events"), (Carrier::WebSocket, "websocket")];
    let counts = names.map(|(carrier, name)| {
        let Traffic { bytes, messages, requests } = handle.traffic(carrier);
        format!("\"{name}\":{{\"bytes\":{bytes},\"messages\":{messages},\"requests\":{requests}}}")
    });
    format!("{{{}}}", counts.join(","))
}

/// Ctrl-C, or what a service manager sends.
async fn told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
