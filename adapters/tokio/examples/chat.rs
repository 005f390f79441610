//! A chat with rooms over WebSocket, Server-Sent Events and polling, on one port.
//!
//! `cargo run -p stillwire-tokio --example chat`, then, each in a terminal of its own:
//!
//! * `websocat ws://127.0.0.1:3000/ws?room=tea`, and type
//! * `curl -N http://127.0.0.1:3000/events?room=tea`, and read
//! * `curl -d 'hello' http://127.0.0.1:3000/say?room=tea`
//! * `curl -X POST http://127.0.0.1:3000/poll/open?room=tea`, then `curl http://127.0.0.1:3000/poll/SID?after=0`

use core::time::Duration;

use stillwire::{http::RequestView, ws};
use stillwire_tokio::{Config, Handle, Message, Peer, Response, Server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let config = Config::default()
        .gate(|_, request| {
            // Browsers let any page come here: only our own may.
            if ws::is_same_origin(request) { Ok(()) } else { Err(Response::new(403)) }
        })
        .on_request(say);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/", listener.local_addr()?);
    let (server, handle) = Server::new(listener, config);
    let serving = tokio::spawn(server.serve({
        let handle = handle.clone();
        move |peer| chat(peer, handle.clone())
    }));
    tokio::signal::ctrl_c().await?;
    // Everybody is told, and when to come back: not all at once.
    let left = handle.shut_down(Duration::from_secs(5), Duration::from_secs(2)).await;
    println!("{left} did not leave");
    serving.abort();
    Ok(())
}

/// One of these for each peer, whatever carries it.
async fn chat(mut peer: Peer, handle: Handle) {
    let room = peer.request().query("room").unwrap_or("lobby").to_owned();
    peer.join(&room);
    let (name, others) = (format!("{:?} {}", peer.carrier(), peer.id()), handle.members(&room).len() - 1);
    if peer.send(format!("You are {name}, with {others} others in {room}.")).await.is_err() {
        return;
    }
    while let Ok(Some(message)) = peer.recv().await {
        match message {
            Message::Text(text) => drop(handle.broadcast(&room, format!("{name}: {text}").as_str(), None)),
            Message::Binary(_) => peer.end("text only, please"), // `recv` says `None` when that has arrived
        }
    }
}

/// The other direction for those who can only listen.
async fn say(request: stillwire_tokio::Request, handle: Handle) -> Response {
    match (request.method(), request.path(), core::str::from_utf8(&request.body)) {
        ("POST", "/say", Ok(text)) => {
            let heard = handle.broadcast(request.query("room").unwrap_or("lobby"), text, None);
            Response::with(200, "text/plain; charset=utf-8", format!("{heard} heard it\n"))
        }
        ("POST", "/say", Err(_)) => Response::new(400),
        _ => Response::new(404),
    }
}
