//! The driver for sockets that wait.
//!
//! ```
//! use core::time::Duration;
//! use stillwire::{Inbox, Instant, Outbox, ws};
//! use stillwire_embedded::blocking::Connection;
//! # struct Wire(&'static [u8], Vec<u8>);
//! # impl embedded_io::ErrorType for Wire { type Error = core::convert::Infallible; }
//! # impl embedded_io::Read for Wire {
//! #     fn read(&mut self, to: &mut [u8]) -> Result<usize, Self::Error> { embedded_io::Read::read(&mut self.0, to) }
//! # }
//! # impl embedded_io::Write for Wire {
//! #     fn write(&mut self, from: &[u8]) -> Result<usize, Self::Error> { self.1.extend_from_slice(from); Ok(from.len()) }
//! #     fn flush(&mut self) -> Result<(), Self::Error> { Ok(()) }
//! # }
//!
//! # let socket = Wire(b"\x81\x85\x00\x00\x00\x00hello", Vec::new());
//! # let millis = || 0;
//! let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]); // or statics: there is no other memory
//! let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//! let clock = || Instant::since_epoch(Duration::from_millis(millis()));
//! let machine = ws::Connection::server(ws::Config::TINY);
//! let mut peer = Connection::new(socket, clock, |_| (), machine, inbox, outbox);
//! while let Some((event, reply)) = peer.next()? {
//!     if let ws::Event::Text(text) = event {
//!         let _ = reply.machine.send_text(text, reply.outbox); // `text` is still a view of the inbox
//!     }
//! }
//! # assert_eq!(peer.socket.1, b"\x81\x05hello");
//! # Ok::<(), stillwire_embedded::Error<ws::Error, core::convert::Infallible>>(())
//! ```

use embedded_io::{ErrorKind, Read, Write};
use stillwire::{Inbox, Instant, Link, Machine, Outbox, Reply, Want};

use crate::{Error, log::log};

/// A machine over a socket whose reads and writes wait, driven by whoever calls [`next`](Self::next).
///
/// The traits of `embedded-io` know no timeouts. For deadlines to be kept (keep-alives, closing, slow peers) the
/// socket's own must be set, to something like 100 ms: an error of kind
/// [`TimedOut`](ErrorKind::TimedOut) or [`Interrupted`](ErrorKind::Interrupted) means that nothing came or went, and
/// the loop goes round.
#[derive(Debug)]
pub struct Connection<'s, M: Machine, S, C> {
    /// The machine and its boxes. Commands take effect at the next [`next`](Self::next).
    pub link: Link<'s, M>,
    /// Where the bytes come from and go to.
    pub socket: S,
    clock: C,
    finish: fn(&mut S),
    unflushed: bool,
    over: bool,
}

impl<'s, M: Machine, S: Read + Write, C: FnMut() -> Instant> Connection<'s, M, S, C> {
    /// A connection of `machine` over `socket`; the boxes lie in memory that the caller lends. `clock` says what time
    /// it is, since any epoch.
    ///
    /// `finish` shuts the write side down after the last byte, and the read side stays open; `|_| ()` where that
    /// cannot be done: the peer then sees the end when the socket is closed.
    pub fn new(
        socket: S,
        clock: C,
        finish: fn(&mut S),
        machine: M,
        inbox: Inbox<'s>,
        outbox: Outbox<'s>,
    ) -> Self {
        let link = Link::new(machine, inbox, outbox);
        Self { link, socket, clock, finish, unflushed: false, over: false }
    }

    /// Waits for the next event; returns it and the right to answer it while it is borrowed. `None`: the connection has
    /// ended; close the socket. It stays at that.
    ///
    /// # Errors
    /// The socket failed, the peer takes nothing, or it broke the protocol; then it was told before you are.
    /// [`Error::Deadlock`]: it is your turn, give the answer and call again.
    #[allow(clippy::should_implement_trait, clippy::type_complexity)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<(M::Event<'_>, Reply<'_, 's, M>)>, Error<M::Error, S::Error>> {
        while !self.over {
            let now = (self.clock)();
            let done = match self.link.want(now).map_err(Error::Protocol)? {
                Want::Deliver => return Ok(self.link.turn()),
                Want::Write { .. } => self.write(),
                Want::Read { .. } | Want::Wait { .. } | Want::Finish if self.unflushed => {
                    self.unflushed = false;
                    moved(self.socket.flush()).map(|_| ())
                }
                Want::Read { .. } => self.read(),
                Want::Wait { until: Some(_) } => {
                    core::hint::spin_loop();
                    Ok(())
                }
                Want::Wait { until: None } => return Err(Error::Deadlock),
                Want::Finish => {
                    (self.finish)(&mut self.socket);
                    self.link.shut();
                    Ok(())
                }
                Want::Close if !self.link.outbox.is_empty() => Err(Error::Stalled),
                Want::Close => {
                    log!(debug, "stillwire: ended");
                    self.over = true;
                    Ok(())
                }
            };
            // A socket that failed is used no more.
            self.over |= done.is_err();
            done?;
        }
        Ok(None)
    }

    /// Drives the connection to its end and ignores what the peer still says: what to do after a closing command, or
    /// the closing event, so that the peer gets the last bytes. The machine's deadlines bound it.
    pub fn end(mut self) -> S {
        // Each machine says one error of its own at most; behind any other nothing follows.
        while matches!(self.next(), Ok(Some(_)) | Err(Error::Protocol(_))) {}
        self.socket
    }

    /// Another machine takes the socket and the boxes over, as after an upgrade: no byte is lost.
    pub fn switch<N: Machine>(self, machine: impl FnOnce(M) -> N) -> Connection<'s, N, S, C> {
        let Self { link, socket, clock, finish, unflushed, over } = self;
        Connection { link: link.switch(machine), socket, clock, finish, unflushed, over }
    }

    fn read(&mut self) -> Result<(), Error<M::Error, S::Error>> {
        match moved(self.socket.read(self.link.inbox.spare()))? {
            None => {}
            Some(0) => self.link.inbox.finish(),
            Some(n) => {
                log!(trace, "stillwire: read {}", n);
                self.link.inbox.filled(n);
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error<M::Error, S::Error>> {
        match moved(self.socket.write(self.link.outbox.chunk()))? {
            None => {}
            Some(0) => return Err(Error::Stalled),
            Some(n) => {
                log!(trace, "stillwire: wrote {}", n);
                self.link.outbox.advance(n);
                self.unflushed = true;
            }
        }
        Ok(())
    }
}

/// `None`: nothing came or went within the socket's own time.
fn moved<N, P, S: embedded_io::Error>(result: Result<N, S>) -> Result<Option<N>, Error<P, S>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(Error::Socket(error)),
    }
}
