//! `stillwire` on blocking sockets: a thread per connection.
//!
//! The protocols are machines in the crate `stillwire`; this crate reads, writes, waits and tells the time, and knows
//! nothing about any of them.
//!
//! * [`connect`] and [`Connect`]: to a WebSocket by its URL, also over TLS and through a proxy; [`Accept`]: the other side.
//! * [`Subscribe`]: to an event stream, once; [`Source`]: over as many connections as it takes.
//! * [`PollClient`]: messages over plain HTTP requests.
//! * [`Connection`]: one thread drives a machine on a socket.
//! * [`Connection::split`]: one thread reads, others write meanwhile.
//! * [`Socket`]: what it runs on: TCP, Unix sockets, TLS, or yours.
//! * [`now`] and [`entropy`]: the clock and the random numbers of the system.
//!
//! Features, none of them on by default: `deflate` for `ws::Config::deflate`; `tls` for `wss:` and `https:` and for servers with a certificate, by rustls and
//! ring; `webpki-roots` or `native-roots` say whom clients trust, the list of Mozilla or that of the platform.
//!
//! A server of one connection that says everything twice, and a client:
//!
//! ```
//! use stillwire::ws;
//! use stillwire_std::{Accept, connect};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//! let server = std::thread::spawn(move || {
//!     let (socket, _) = listener.accept().unwrap();
//!     let mut peer = Accept::default().accept(socket, |_request| Ok(())).unwrap().connection;
//!     while let Ok(Some((event, reply))) = peer.next() {
//!         if let ws::Event::Text(text) = event {
//!             let _ = reply.machine.send_text(text, reply.outbox); // `text` is still a view of the inbox
//!             let _ = reply.machine.send_text(text, reply.outbox);
//!         }
//!     }
//! });
//!
//! let mut client = connect(&url)?;
//! client.link.machine.send_text("hello", &mut client.link.outbox)?;
//! for _ in 0..2 {
//!     assert!(matches!(client.next()?, Some((ws::Event::Text(text), _)) if text == "hello"));
//! }
//! client.link.machine.send_close(1000, "", &mut client.link.outbox)?;
//! client.end(); // to the end of the closing handshake
//! server.join().unwrap();
//! # Ok(()) }
//! ```
//!
//! A thread that writes does not read, so two peers that send each other more than the system's buffers hold, both before
//! reading, wait until [`Link::stall`](stillwire::Link::stall) ends it. Whoever sends much without being asked
//! uses two [halves](Connection::split).

// This crate is std.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

use std::sync::OnceLock;

mod client;
mod connection;
mod dial;
mod error;
mod parts;
mod poll_client;
mod route;
mod server;
mod shared;
mod socket;
mod source;
mod split;
mod subscribe;
#[cfg(feature = "tls")]
pub mod tls;

pub use client::{Connect, ConnectError, Opening, WebSocket, connect};
pub use connection::Connection;
pub use dial::MaybeTls;
pub use error::{Error, WriteError};
pub use poll_client::PollClient;
pub use route::Route;
pub use server::{Accept, AcceptError, Accepted};
pub use socket::Socket;
pub use source::Source;
pub use split::{Reader, Writer};
pub use stillwire::http::{Proxy, Step, Waits};
pub use subscribe::{Events, Subscribe, SubscribeError};

/// The moment it is, for machines: since the first call in this process.
#[must_use]
pub fn now() -> stillwire::Instant {
    static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();
    stillwire::Instant::since_epoch(EPOCH.get_or_init(std::time::Instant::now).elapsed())
}

/// Unpredictable bytes from the system.
///
/// # Panics
/// Not this, but the machine that uses it, when the system has no random bytes to give: going on with predictable
/// ones would be worse.
#[must_use]
pub fn entropy() -> stillwire::Entropy {
    stillwire::Entropy::from_fn(|bytes| {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the system has no random bytes: {error}");
        }
    })
}
