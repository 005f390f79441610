//! stillwire behind hyper 1 and axum 0.8: WebSocket over HTTP/1.1 and HTTP/2, Server-Sent Events and long polling, each an
//! answer to a request of the router that you have.
//!
//! * [`Mount`] is all three, into the rooms of one [`Server`](stillwire_tokio::Server): the same peers, broadcasts and
//!   shutdown as with a port of its own.
//! * [`Accepting`] is the WebSocket handshake alone, [`events()`] one event stream alone: no rooms, no server.
//! * The feature `axum` has extractors.
//!
//! ```
//! use stillwire_hyper::Mount;
//! use stillwire_tokio::{Config, Message};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (server, mount) = Mount::new(Config::default());
//! let rooms = mount.handle();
//! tokio::spawn(server.serve(move |mut peer| {
//!     let rooms = rooms.clone();
//!     async move {
//!         peer.join("chat");
//!         while let Ok(Some(Message::Text(text))) = peer.recv().await {
//!             rooms.broadcast("chat", text.as_str(), None); // WebSocket, event stream, polling: all hear it
//!         }
//!     }
//! }));
//! let request = http::Request::post("/poll/open").body(String::new())?; // of hyper's, or of a router's
//! let response = mount.serve(request).await.expect("it is one of the three");
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! ```
//!
//! # What the stack must do
//! * HTTP/1.1: serve connections *with upgrades* (`serve_connection_with_upgrades`).
//! * HTTP/2: `enable_connect_protocol()`, or browsers fall back to HTTP/1.1 for WebSockets. TLS offers both by ALPN.
//! * Routers: a route for WebSockets takes GET and CONNECT (`axum::routing::any`).
//! * Compression: leave event streams out, as tower-http's default predicate does, or use one that flushes when its input
//!   pauses, as tower-http's does. WebSockets compress by themselves ([`ws::Config`](stillwire::ws::Config)).
//! * Time limits for answers (`TimeoutLayer`) must not hold for event streams and for waiting polls.

#![forbid(unsafe_code)]

mod answer;
#[cfg(feature = "axum")]
pub mod axum;
mod body;
mod events;
mod mount;
mod pipe;
mod upgrade;
mod view;

pub use answer::Refusal;
pub use body::Body;
pub use events::{EventStream, events};
pub use mount::Mount;
pub use pipe::Pipe;
pub use upgrade::{Accepting, Origin, OriginCheck, Upgrading, WebSocket};
pub use view::{Address, View};
