//! A WebSocket echo on embassy-net. Spawn [`serve`] as often as there shall be connections at once:
//!
//! ```ignore
//! #[embassy_executor::task(pool_size = 4)]
//! async fn echo(stack: embassy_net::Stack<'static>) { with_embassy::serve(stack).await }
//! ```
#![no_std]

use embassy_net::{Stack, tcp::TcpSocket};
use stillwire::{Inbox, Outbox, http, ws};
use stillwire_embedded::{Connection, EmbassyTimer, Error};

type Failed<P> = Error<P, embassy_net::tcp::Error>;

/// One connection after the other, for ever. All its memory is in the future: 6 KiB.
pub async fn serve(stack: Stack<'_>) -> ! {
    let (mut receive, mut send) = ([0; 1024], [0; 1024]);
    let (mut from_peer, mut to_peer) = ([0; 2048], [0; 2048]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        if socket.accept(80).await.is_err() {
            continue;
        }
        let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
        let mut peer = Connection::new(
            socket,
            EmbassyTimer,
            |socket: &mut TcpSocket<'_>| socket.close(),
            http::Exchange::new(http::Config::TINY),
            inbox,
            outbox,
        );
        // embassy-net sends by itself; its `flush` waits for the peer's acknowledgement.
        peer.flushes = false;
        let upgraded = upgrade(&mut peer).await.unwrap_or(false);
        let mut socket = if upgraded {
            let mut peer = peer.switch(|_| ws::Connection::server(ws::Config::TINY));
            while let Ok(true) | Err(Error::Protocol(_)) = echo(&mut peer).await {}
            peer.end().await
        } else {
            peer.end().await
        };
        socket.abort();
        let _ = socket.flush().await;
    }
}

type Peer<'b, M> = Connection<'b, M, TcpSocket<'b>, EmbassyTimer>;

/// Until a request was a handshake (true), or the connection has ended.
async fn upgrade(peer: &mut Peer<'_, http::Exchange>) -> Result<bool, Failed<http::Error>> {
    while let Some((event, reply)) = peer.next().await? {
        let http::Event::Head(head) = event else { continue };
        match ws::Accept::new(&head, &[], &ws::Config::TINY) {
            Ok(accept) => return Ok(accept.write(&[], reply.outbox).is_ok()),
            Err(refusal) => {
                reply.machine.close_after();
                let _ = reply.machine.respond(refusal.http_status(), refusal.headers(), b"", reply.outbox);
            }
        }
    }
    Ok(false)
}

/// One event; whether there may be more.
async fn echo(peer: &mut Peer<'_, ws::Connection>) -> Result<bool, Failed<ws::Error>> {
    let Some((event, reply)) = peer.next().await? else { return Ok(false) };
    let _ = match event {
        ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox),
        ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox),
        _ => Ok(()),
    };
    Ok(true)
}
