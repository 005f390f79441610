//! stillwire on tokio: connections over any stream, and a server that speaks WebSocket, Server-Sent Events and polling
//! on one port.
//!
//! * [`Server`] is what most programs want: it recognises what each client speaks and hands you a [`Peer`].
//! * [`stack`] lets hyper, axum and others in to the same server.
//! * [`Connection`] drives one machine over one stream, for everything else.
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
mod drain;
mod error;
mod peer;
mod post;
mod protocol;
mod request;
mod rooms;
mod serve;
mod server;
mod session;
mod source;
pub mod stack;
mod stream;
mod timer;
mod traffic;
mod transfer;

pub use client::{OpenError, Opening};
pub use clock::{entropy, now};
pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use peer::{Message, Peer};
pub use protocol::ProtocolError;
pub use request::{Request, Response};
pub use server::{Handle, Server};
pub use source::{Source, Wire};
pub use traffic::{Carrier, Traffic};

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
