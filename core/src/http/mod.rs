//! HTTP/1.1 (RFC 9110, RFC 9112), as much of it as the protocols above need: one machine for each side of one
//! connection.
//!
//! ```text
//! Exchange     ┌────────────────────────── both done, connection kept ─────────────────────────┐
//!              ▼                                                                               │
//!  request    Head ── Event::Head ──▶ Body ── Event::Body* ── Event::End ──▶ Done ─────────────┤
//!                          │                                                                   │
//!  answer     (none)       └─▶ Owed ──respond──────────────────────────────▶ Done ─────────────┤
//!                               └────begin──▶ Chunks | UntilClose ──end────▶ Done              │
//!                                                                                              ▼
//!             request done, answer not: your turn            connection not kept, or an error: lingering ──▶ Closed
//!             peer's end before the answer's: Event::Gone ─────────────────────────────────────────────────▶ Closed
//!
//! Fetch       Idle ──request──▶ Head ── Answer::Head ──▶ Body ── Answer::Body* ── Answer::End ──▶ Idle | Closed
//!                                └── 101, or a tunnel ──▶ `Link::switch`
//! ```
//!
//! A server that says hello, and remembers nothing:
//!
//! ```
//! use stillwire::{Inbox, Instant, Machine, Outbox, http};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut from_peer, mut to_peer) = ([0; 1024], [0; 1024]);
//! let (mut inbox, mut outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//! let mut server = http::Exchange::new(http::Config::default());
//!
//! inbox.push(b"GET /hello?name=you HTTP/1.1\r\nHost: a.example\r\n\r\n");
//! while let Some(event) = server.next(Instant::EPOCH, &mut inbox, &mut outbox)? {
//!     use stillwire::http::RequestView;
//!     if let http::Event::Head(head) = event {
//!         match (head.path(), head.query("name")) {
//!             ("/hello", Some(name)) => server.respond(200, &[], name.as_bytes(), &mut outbox)?,
//!             _ => server.respond(404, &[], b"", &mut outbox)?,
//!         }
//!     }
//! }
//! assert_eq!(outbox.chunk(), b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyou");
//! # Ok(()) }
//! ```
//!
//! Where flash is counted in kilobytes and a connection has one request, there is [`Single`]: the same heads and events, one answer,
//! `connection: close`.
//!
//! Heads are views of the inbox and bodies are decoded where they lie: neither is copied out or stored. The two
//! machines read by the same rules, and these are strict, because what two readers take for different things is
//! how requests are smuggled: lines end with CR LF and nothing else, nothing is folded, there is one plain
//! `Content-Length` or one `Transfer-Encoding: chunked` or neither, and so on; each [`Error`] names its rule.
//! Accepted although it is sloppy: one empty line in front of a request, white space in front of a chunk
//! extension, methods that nobody knows, and a POST without a length (its body is empty).
//!
//! An upgrade: at [`Event::Head`] (or [`Answer::Head`] with status 101) write the answer, then hand the connection to
//! the next machine with [`Link::switch`](crate::Link::switch); exactly the head is used up, all later bytes stay.
//!
//! Not here: compression, ranges, caching, cookies, pipelining by the client, `CONNECT` for servers, trailers (they are
//! checked and dropped), the `Date` header (there is no clock: RFC 9110, 6.6.1 wants none then).

mod body;
#[cfg(feature = "alloc")]
mod client;
mod config;
#[cfg(feature = "alloc")]
pub(crate) mod date;
mod error;
mod event;
mod exchange;
mod fetch;
mod head;
#[cfg(feature = "http")]
mod interop;
#[cfg(feature = "alloc")]
mod route;
mod single;
mod tail;
mod url;
mod view;
mod wait;
mod write;

pub(crate) use body::is_token;
#[cfg(feature = "alloc")]
pub use client::{RedirectError, Redirects, alternate_families, basic_credentials, is_credential, redirect};
pub use config::Config;
pub use error::{Error, SendError};
pub use event::{Answer, Event, RequestHead, ResponseHead};
pub use exchange::{Exchange, Framing};
pub use fetch::Fetch;
#[cfg(feature = "alloc")]
pub use route::{Proxy, Step, Waits};
pub use single::Single;
pub use tail::Tail;
pub use url::{Url, UrlError};
pub use view::{RequestView, ResponseView};
pub use write::check_headers;
pub(crate) use write::head_and_body;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server keeps one per connection.
    #[test]
    fn machines_are_small() {
        assert!(size_of::<Exchange>() <= 200, "{}", size_of::<Exchange>());
        assert!(size_of::<Fetch>() <= 200, "{}", size_of::<Fetch>());
    }
}
