//! Long polling: messages over plain HTTP requests, each exactly once, in both directions.
//!
//! For clients that have nothing else: `fetch`, curl, a proxy that breaks everything newer. The whole protocol is four
//! requests below a base path that the application chooses.
//!
//! # The wire
//! | request | answer |
//! |---|---|
//! | `POST base/open` | 200 `{"sid":"<22 characters>","wait_ms":25000,"max_bytes":65536,"max_messages":64}` |
//! | `GET base/SID?after=N` | 200 `{"last":M,"messages":["text",{"b64":"AAEC"}]}`, or 204 when the wait ended with nothing |
//! | `POST base/SID` with `{"seq":S,"messages":["text",{"b64":"AAEC"}]}` | 200 `{"ack":T}` |
//! | `DELETE base/SID` | 204 |
//!
//! * **Numbers.** Each direction numbers its messages from 1. `last` is the number of the last message of a batch, `seq`
//!   that of the first; `after` and `ack` say: everything up to here has come.
//! * **Exactly once.** Whoever sends keeps a message until it is acknowledged. A `GET` with the same `after` brings the same
//!   messages again (and perhaps more behind them); of a `POST` that comes again, what was seen is dropped and `ack` says
//!   so. To try again is always right, whatever was lost.
//! * **The end.** A body may have `"closed":{"code":1000,"reason":"bye"}` behind its messages; codes are those of RFC 6455
//!   §7.4. The end has the next number and is acknowledged like a message. A client that received it sends `DELETE`, or a
//!   `GET` with its number. `DELETE` without that is an end with code 1000, at once; `reason` may be left out.
//! * **Limits.** A body has at most `max_bytes` bytes and `max_messages` messages, in both directions. What is larger is
//!   answered with 413, and nothing of it is taken. 413 with `Retry-After` and `"room"` in its body: within the limits,
//!   but the application is behind; try again later, perhaps with less.
//! * **Receivers.** One at a time: a second one takes over, and the first is answered with 204 at once. A client that got a
//!   204 sooner than expected must wait a moment before it asks again. A session that has had no receiver for 30 s ends.
//! * **Refusals** have a body such as `{"error":"out of step","oldest":7}`: 400 not what this page says; 404 no such session
//!   (any more); 405; 409 with `oldest` (the first number that a `GET` can still get: `after` was below `oldest - 1`, or is a
//!   number that was never sent) or with `expected` (the number that a `POST` must continue with).
//! * **JSON** is RFC 8259 in UTF-8, in any formatting. Unknown members of a body are skipped, unknown kinds of messages are
//!   refused. Text with half a surrogate pair gets U+FFFD in its place, as with `WebSocket.send`. Base64 is RFC 4648 §4, with
//!   padding.
//!
//! With curl: `curl -X POST $BASE/open`, `curl "$BASE/$SID?after=0"`, `curl -d '{"seq":1,"messages":["hi"]}' $BASE/$SID`.
//!
//! # The parts
//! ```text
//!                       server                                              client
//!  Request::parse        one Session per client         owner               Client
//!  GET  -> sit, serve -> [ up   pipe of records ] -> read -> inbox ┐      ┌ inbox  <- answered(Receive)
//!  POST -> post -------> [ down pipe of records ] <- write <- outbox       outbox -> next_request (Send)
//!  DELETE -> end             numbers, deadlines        Connection ┘      └ Connection
//!
//!   Connection:  Open -- send_close, error --> Leaving -- the other end knows, or close_within --> Closed
//!                  └──── the other end closed, or is gone --------------------------------------> Closed
//! ```
//! [`Connection`] is the machine, the same at both ends; one message is one line in its boxes, and runs of lines are the inside
//! of JSON arrays, so bodies are composed without a copy. [`Session`] is its socket on the server: it holds what is not
//! acknowledged, and needs neither a runtime nor an allocator. [`Client`] contains a connection and says which requests are
//! due. [`Desk`] is what is below a session, for other protocols that poll.
//!
//! # Serving
//! An adapter keeps a map from [`Sid`] to `Mutex<Session>`, and this is all that it does with a request:
//!
//! ```
//! use std::collections::HashMap;
//! use stillwire::{Entropy, Instant, polling::{Answer, Config, Refused, Request, Served, Session, Sid}};
//!
//! fn handle(
//!     sessions: &mut HashMap<Sid, Session<'static>>, method: &str, path: &str, query: Option<&str>, body: &[u8],
//!     entropy: &mut Entropy, now: Instant,
//! ) -> Result<Answer, Refused> {
//!     let request = Request::parse(method, path, query)?;
//!     if let Request::Open = request {
//!         let session = Session::new(Sid::new(entropy), &Config::default(), now);
//!         let answer = session.opened();
//!         sessions.insert(session.sid(), session); // and start its owner, over `session.connection()`
//!         return Ok(answer);
//!     }
//!     let session = request.sid().and_then(|sid| sessions.get_mut(&sid)).ok_or(Refused::NotFound)?;
//!     match request {
//!         Request::Send { .. } => Ok(session.post(body)?.answer()),
//!         Request::Close { .. } => session.end().map(|()| Answer::EMPTY),
//!         Request::Receive { after, .. } => {
//!             let seat = session.sit(after, now)?;
//!             match session.serve(seat, now) {
//!                 Served::Nothing { until: _ } => {} // wait until then, or until the owner wrote, and serve again
//!                 Served::Batch(batch) => drop(batch.to_vec()), // 200, with HEADERS; then `session.done(seat, now)`
//!                 Served::TimedOut | Served::Replaced | Served::Over => {}
//!             }
//!             Ok(Answer::EMPTY)
//!         }
//!         Request::Open => Err(Refused::NotFound),
//!     }
//! }
//! # let mut entropy = Entropy::insecure_seeded(1);
//! # let mut sessions = HashMap::new();
//! # let opened = handle(&mut sessions, "POST", "/open", None, b"", &mut entropy, Instant::EPOCH).unwrap();
//! # assert!(opened.body().starts_with(b"{\"sid\":\""));
//! ```
//! The owner is whoever holds the machine: it moves bytes between its boxes and [`Session::read`] and
//! [`Session::write`], calls [`Session::finish`] when its outbox is finished and empty, and [`Session::tick`] at
//! [`Session::deadline`]. A driver that uses [`Link`](crate::Link) sets its `stall` above `empty_within`: a client between
//! two requests is not stalled.

mod answer;
mod ask;
mod batch;
mod client;
mod config;
mod connection;
mod desk;
mod error;
mod event;
mod record;
mod request;
mod session;

pub use answer::{Answer, HEADERS};
pub use ask::{Ask, Path, What};
pub use batch::Batch;
pub use client::Client;
pub use config::Config;
pub use connection::Connection;
pub use desk::{Desk, Policy, Second, Ticket, Tray, Turned};
pub use error::Error;
pub use event::Event;
pub use request::{Refused, Request, Sid};
pub use session::{Ack, Served, Session};
