//! Server-Sent Events: `text/event-stream`, both sides (WHATWG HTML, section 9.2).
//!
//! A stream is the body of an HTTP answer that does not end: blocks of lines, each ended by an empty line.
//!
//! ```text
//!   server                                         client
//!   http::Exchange                                 http::Fetch, or any HTTP client
//!     │ Head: GET, accept: text/event-stream         │ Head: 200, text/event-stream
//!     │ Feed::begin                                  │
//!     ▼                                              ▼
//!   Feed ──── "data: hello\n\n" ──────────────▶  Stream ──▶ Event { event, data, last_event_id }
//!     │  ──── ":\n\n" when it was silent ─────▶    │
//!     │                                            │
//!     ├─ end: the connection closes ──────────▶    ├─ Closed: connect again after `retry`,
//!     └─ Gone ◀────────────── the client left      └─ with `last_event_id`: Stream::resume
//! ```
//!
//! [`Stream`] parses: values are decoded and data lines are joined in place, in the inbox, and events are views of it.
//! The common block (`data: …`, an empty line) is shown where it lies.
//!
//! ```
//! use stillwire::{Inbox, Instant, Machine, Outbox, sse};
//!
//! let (mut body, mut nothing) = ([0; 256], [0; 0]);
//! let (mut inbox, mut outbox) = (Inbox::new(&mut body), Outbox::new(&mut nothing));
//! let mut stream = sse::Stream::new(sse::Config::default());
//! inbox.push(b": hello\n\nevent: add\nid: 7\ndata: 73857293\ndata: 2153\n\ndata: cut off");
//! while let Some(sse::Event { event, data, last_event_id }) = stream.next(Instant::EPOCH, &mut inbox, &mut outbox)? {
//!     assert_eq!((event.as_str(), data.as_str(), last_event_id.as_str()), ("add", "73857293\n2153", "7"));
//! }
//! assert_eq!(stream.last_event_id(&inbox), "7"); // for the header of the next request
//! # Ok::<(), sse::Error>(())
//! ```
//!
//! [`Feed`] writes [`Block`]s to a subscriber, keeps the connection alive, and tells when the subscriber has left:
//!
//! ```
//! use stillwire::{Inbox, Instant, Link, Outbox, Transport, Want, http, sse};
//!
//! let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
//! let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//! let mut link = Link::new(http::Exchange::new(http::Config::default()), inbox, outbox);
//! link.inbox.push(b"GET /events HTTP/1.1\r\nhost: a.example\r\nlast-event-id: 6\r\n\r\n");
//! assert_eq!(link.want(Instant::EPOCH)?, Want::Deliver);
//! if let Some((http::Event::Head(head), reply)) = link.turn() {
//!     assert_eq!(sse::Feed::last_event_id(&head), Some(&b"6"[..])); // replay what came after it
//!     sse::Feed::begin(reply.machine, &[], reply.outbox)?;
//! }
//! let mut link = link.switch(|exchange| sse::Feed::over(exchange, sse::FeedConfig::default()));
//! let block = sse::Block { id: Some("7"), data: Some(&[b"hello\n", b"world"]), ..Default::default() };
//! link.machine.send_block(&block, &mut link.outbox)?;
//! assert!(link.outbox.chunk().ends_with(b"\r\n\r\nid: 7\ndata: hello\ndata: world\n\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `EventSource` (tier `alloc`) is the whole client: a stream over as many connections as it takes, with redirects, waits
//! and the ID that the next request names. It opens no connection, and tells where to and when.

#[cfg(feature = "alloc")]
mod answer;
#[cfg(feature = "alloc")]
mod ask;
mod block;
mod config;
mod draft;
mod error;
mod event;
mod feed;
mod field;
mod parser;
mod quick;
#[cfg(feature = "alloc")]
mod source;
mod stream;
mod utf8;

#[cfg(feature = "alloc")]
pub use ask::Ask;
pub use block::{Block, Parts};
#[cfg(feature = "alloc")]
pub use config::SourceConfig;
pub use config::{Config, FeedConfig};
#[cfg(feature = "alloc")]
pub use error::SourceError;
pub use error::{BlockError, Error};
pub use event::{Event, Gone};
#[cfg(feature = "alloc")]
pub use event::{Lost, OwnedEvent, SourceEvent};
pub use feed::Feed;
#[cfg(feature = "alloc")]
pub use source::EventSource;
pub use stream::Stream;
