//! WebSocket (RFC 6455), client and server: messages in both directions over one connection.
//!
//! ```text
//!   handshake (http)          frames (Connection)
//!                                          send_close            peer's close frame
//!   Exchange ─ Accept ─┐              ┌───────────────▶ Closing ──────────────┐  Event::Closed
//!                      ├─▶ switch ─▶ Open                  │ close_within     ▼
//!   Fetch ──── Offer ──┘              │                    ▼             Lingering ─▶ Closed
//!                                     │              Err(TimedOut)            ▲ peer's end, or close_within
//!                                     ├── peer's close frame: Event::Closed ──┤
//!                                     ├── broken frame, limit: Err, told ─────┘
//!                                     ├── no pong: Err(TimedOut), told ──▶ Closed
//!                                     └── end without a close frame: Event::Closed 1006 ──▶ Closed
//! ```
//!
//! # Server
//! ```
//! use stillwire::{Inbox, Instant, Machine, Outbox, ws};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
//! let (mut inbox, mut outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//! let mut server = ws::Connection::server(ws::Config::TINY);
//!
//! inbox.push(b"\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d\x80\x82\x37\xfa\x21\x3d\x5b\x95"); // "Hel", "lo"
//! while let Some(event) = server.next(Instant::EPOCH, &mut inbox, &mut outbox)? {
//!     match event {
//!         ws::Event::Text(text) => server.send_text(text, &mut outbox)?, // not copied, not checked again
//!         ws::Event::Closed { code, .. } => println!("gone: {code}"),
//!         _ => {} // pings are answered already
//!     }
//! }
//! assert_eq!(outbox.chunk(), b"\x81\x05Hello");
//! # Ok(()) }
//! ```
//!
//! # The handshake
//! An HTTP request that [`Accept`] finds good turns the connection into a WebSocket; the boxes stay, and the first
//! frame may already be in the inbox. A client does the same with [`Offer`] and [`Fetch`](crate::http::Fetch).
//! ```
//! use stillwire::{Inbox, Instant, Link, Outbox, Want, http, ws};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (inbox, outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
//! let mut link = Link::new(http::Exchange::new(http::Config::default()), inbox, outbox);
//! link.inbox.push(
//!     b"GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\
//!       \x81\x80\x00\x00\x00\x00",
//! );
//! assert_eq!(link.want(Instant::EPOCH)?, Want::Deliver);
//! let (event, reply) = link.turn().expect("there is one");
//! let http::Event::Head(head) = event else { panic!() };
//! let config = ws::Config::default();
//! let accept = match ws::Accept::new(&head, &[], &config) {
//!     Ok(accept) => accept,
//!     Err(refusal) => {
//!         reply.machine.close_after();
//!         return Ok(reply.machine.respond(refusal.http_status(), refusal.headers(), b"", reply.outbox)?);
//!     }
//! };
//! accept.write(&[], reply.outbox)?;
//! let mut link = link.switch(|_| accept.connection(config));
//! assert_eq!(link.want(Instant::EPOCH)?, Want::Deliver);
//! assert!(matches!(link.turn(), Some((ws::Event::Text(text), _)) if text == ""));
//! # Ok(()) }
//! ```
//!
//! # Memory
//! A connection is at most 256 bytes and owns no buffer. A message is assembled in the inbox: fragments are joined in place,
//! with control frames between them, so the largest message is the smaller of
//! [`max_message`](Config::max_message) and the inbox's capacity less 139 bytes, however it is fragmented and however
//! it arrives. Nothing is allocated because a header says so. The outbox needs 139 bytes at least: a frame is read
//! only while there is room for its answer and for a close frame behind it.
//!
//! # The end
//! One last word, then [`Progress::Closed`](crate::Progress::Closed): [`Event::Closed`], or the [`Error`] that ended
//! it. A server ends its side of the TCP connection as soon as both close frames are exchanged; a client leaves that
//! to the server, and does it itself after [`close_within`](Config::close_within) (§7.1.1). An input that ends
//! without a close frame is `Closed` with code 1006, in the middle of a message as well: the part is not shown.
//!
//! # Larger messages
//! With [`Config::piece`], a message that is larger than that comes in pieces as it arrives, and the inbox need not hold
//! it. The other way, [`send_fragment`](Connection::send_fragment) sends a message of which the end is not known yet.
//!
//! # Compression
//! With the feature `deflate` and `Config::deflate`, permessage-deflate (RFC 7692) is offered and accepted. Messages are
//! inflated in the inbox, up to the same limit, and nothing changes for who reads or sends them. Without it RSV1 is refused.

mod accept;
mod assembly;
mod close;
mod command;
#[cfg(feature = "deflate")]
mod compress;
mod config;
mod connection;
#[cfg(feature = "deflate")]
mod deflate;
mod error;
mod event;
#[cfg(feature = "deflate")]
mod extension;
mod header;
#[cfg(feature = "deflate")]
mod inflate;
mod mask;
mod masked;
mod offer;
#[cfg(feature = "deflate")]
mod params;
mod receive;
mod sha1;
#[cfg(feature = "alloc")]
mod shared;
mod state;
mod upgrade;

pub use accept::{Accept, is_same_origin};
pub use close::is_close_code;
pub use config::Config;
#[cfg(feature = "deflate")]
pub use deflate::{Compress, Deflate};
pub use error::Error;
pub use event::Event;
pub use header::{Head, Header, Opcode};
pub use mask::apply_mask;
pub use offer::{Agreement, Offer};
#[cfg(feature = "alloc")]
pub use shared::encode;
pub use state::Connection;
pub use upgrade::UpgradeError;

const _: () = assert!(size_of::<Connection>() <= 256);
