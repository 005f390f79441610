//! `stillwire` on microcontrollers: no heap, no allocator, no threads.
//!
//! The protocols are machines in the crate `stillwire`; this crate moves bytes between them and a socket, and knows nothing
//! about any of them. All memory is the caller's: the boxes are slices, and nothing else is stored.
//!
//! * [`Connection`]: over `embedded-io-async` 0.7: embassy-net, edge-nal, embedded-tls, and through
//!   `embedded-io-adapters` tokio and futures. [`Timer`] is its clock; with feature `embassy-time` there is an `EmbassyTimer`.
//! * [`blocking::Connection`]: over `embedded-io` 0.7: embedded-tls, esp-idf, a serial line.
//! * Polled sockets, such as smoltcp's, need no driver at all; see [below](#polled-sockets).
//!
//! Feature `defmt`: logs of how connections end. Nothing in here formats by `core::fmt`.
//!
//! # A WebSocket server
//! One task per connection, any number of sockets. It answers one request, and then says everything back:
//!
//! ```
//! use embedded_io_async::{Read, Write};
//! use stillwire::{Inbox, Outbox, http, ws};
//! use stillwire_embedded::{Connection, Error, Timer};
//!
//! async fn echo<S: Read + Write>(socket: S, timer: impl Timer) -> Result<(), S::Error> {
//!     let (mut from_peer, mut to_peer) = ([0; 1024], [0; 1024]);
//!     let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//!     let exchange = http::Exchange::new(http::Config::TINY);
//!     let mut peer = Connection::new(socket, timer, |_| (), exchange, inbox, outbox);
//!     let mut upgraded = false;
//!     while let (false, Ok(Some((event, reply)))) = (upgraded, peer.next().await) {
//!         let http::Event::Head(head) = event else { continue };
//!         match ws::Accept::new(&head, &[], &ws::Config::TINY) {
//!             Ok(accept) => upgraded = accept.write(&[], reply.outbox).is_ok(),
//!             Err(refusal) => {
//!                 reply.machine.close_after();
//!                 let _ = reply.machine.respond(refusal.http_status(), refusal.headers(), b"", reply.outbox);
//!             }
//!         }
//!     }
//!     if !upgraded { return Ok(()) }
//!     let mut peer = peer.switch(|_| ws::Connection::server(ws::Config::TINY));
//!     loop {
//!         match peer.next().await {
//!             Ok(Some((ws::Event::Text(text), reply))) => { let _ = reply.machine.send_text(text, reply.outbox); }
//!             Ok(Some(_)) | Err(Error::Protocol(_)) => {}
//!             Err(Error::Socket(error)) => return Err(error),
//!             Ok(None) | Err(_) => return Ok(()),
//!         }
//!     }
//! }
//! ```
//!
//! # Polled sockets
//! Without futures, a socket is asked each time round the main loop. With smoltcp's `tcp::Socket` this is all of it (`room`
//! stands for `send_capacity() - send_queue()`, `more` for `may_recv()`, `close` and `abort` for themselves):
//!
//! ```
//! use stillwire::{Instant, Link, Machine, Reply, Want};
//! # pub trait Socket { fn recv_slice(&mut self, to: &mut [u8]) -> usize; fn send_slice(&mut self, from: &[u8]) -> usize;
//! #     fn more(&self) -> bool; fn close(&mut self); fn abort(&mut self); }
//!
//! /// One turn of a connection. `true`: it is over, the socket may listen again.
//! pub fn turn<M: Machine>(
//!     now: Instant, link: &mut Link<'_, M>, socket: &mut impl Socket, mut answer: impl FnMut(M::Event<'_>, Reply<'_, '_, M>),
//! ) -> bool {
//!     loop {
//!         match link.want(now) {
//!             Ok(Want::Deliver) => if let Some((event, reply)) = link.turn() { answer(event, reply) },
//!             Ok(Want::Write { .. }) => match socket.send_slice(link.outbox.chunk()) {
//!                 0 => return false,
//!                 n => link.outbox.advance(n),
//!             },
//!             Ok(Want::Read { .. }) => match socket.recv_slice(link.inbox.spare()) {
//!                 0 if socket.more() => return false,
//!                 0 => link.inbox.finish(),
//!                 n => link.inbox.filled(n),
//!             },
//!             Ok(Want::Wait { .. }) => return false,
//!             Ok(Want::Finish) => { socket.close(); link.shut() }
//!             Ok(Want::Close) | Err(_) => { socket.abort(); return true }
//!         }
//!     }
//! }
//! ```
//! `examples/board` is a whole firmware around it: a page, a WebSocket echo and telemetry over three transports, in 64 KiB of
//! RAM. `examples/embassy` is the other way, with tasks.
#![no_std]
#![forbid(unsafe_code)]

mod connection;
mod error;
mod log;
mod timer;

pub mod blocking;

pub use connection::Connection;
pub use error::Error;
#[cfg(feature = "embassy-time")]
pub use timer::EmbassyTimer;
pub use timer::Timer;
