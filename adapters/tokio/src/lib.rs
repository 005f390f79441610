//! stillwire on tokio: connections over any stream, and a server that speaks WebSocket, Server-Sent Events and polling
//! on one port.
//!
//! * [`Server`] is what most programs want: it recognises what each client speaks and hands you a [`Peer`].
//! * [`stack`] lets hyper, axum and others in to the same server.
//! * [`connect`] opens a [`WebSocket`] by its URL, also over TLS and through a proxy; [`Connect`] is the long form.
//! * Both are a `Stream` and a `Sink` of [`Message`]s and can be split: a [`Reader`] for one task, [`Writer`]s for others.
//! * [`PollClient`] is a client of the same kind over plain HTTP requests, and [`Source`] follows an event stream; both make
//!   as many connections as it takes, by a [`Route`].
//! * [`Connection`] drives one machine over one stream, for everything else; its events are views, nothing is copied.
//!
//! Features, none of them on by default: `deflate` for `ws::Config::deflate`; `tls` for `wss:` and `https:` on both sides, by rustls and ring; `webpki-roots` or
//! `native-roots` say whom clients trust, the list of Mozilla or that of the platform.
//!
//! ```
//! use stillwire_tokio::{Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let (server, handle) = Server::new(listener, Config::default());
//! # handle.shut_down(std::time::Duration::ZERO, std::time::Duration::ZERO).await;
//! server.serve(move |mut peer| {
//!     let handle = handle.clone();
//!     async move {
//!         peer.join("chat");
//!         while let Ok(Some(stillwire_tokio::Message::Text(text))) = peer.recv().await {
//!             handle.broadcast("chat", text.as_str(), None); // to every carrier, encoded once for each
//!         }
//!     }
//! }).await;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod client;
mod clock;
mod config;
mod connection;
mod dial;
mod drain;
mod error;
mod exchange;
mod maybe_tls;
mod message;
mod peer;
mod poll_client;
mod pool;
mod post;
mod protocol;
mod request;
mod rooms;
mod route;
mod serve;
mod server;
mod session;
mod source;
mod split;
pub mod stack;
mod stream;
mod timer;
#[cfg(feature = "tls")]
pub mod tls;
mod traffic;
mod transfer;
mod wakers;
mod websocket;

pub use client::{Connect, ConnectError, Opening, connect};
pub use clock::{entropy, now};
pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use maybe_tls::MaybeTls;
pub use message::Message;
pub use peer::Peer;
pub use poll_client::{Notice, PollClient};
pub use protocol::ProtocolError;
pub use request::{Headers, Request, Response};
pub use route::Route;
pub use server::{Handle, Server};
pub use source::{Source, Wire};
pub use split::{Reader, Writer};
pub use stillwire::http::{Proxy, Step, Waits};
pub use traffic::{Carrier, Traffic};
pub use websocket::WebSocket;

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
