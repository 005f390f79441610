//! The driver: one thread, one connection.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, TcpStream};

use stillwire::{Inbox, Instant, Link, Machine, Outbox, Reply, Want};

use crate::error::stalled;
use crate::socket::{Timeout, moved};
use crate::{Error, Socket, now};

/// A machine and its boxes on a blocking socket, driven by the thread that calls [`next`](Self::next).
///
/// Nothing happens between the calls: pings are answered and time passes for the machine while the thread is in
/// [`next`](Self::next). It has to be called until it returns `Ok(None)`, or [`end`](Self::end) has: only then has
/// the connection ended in order, with the last bytes written and the peer's end awaited.
#[derive(Debug)]
pub struct Connection<'s, M: Machine, S = TcpStream> {
    /// The machine and its boxes. Commands write into the outbox, and the next call of [`next`](Self::next) or
    /// [`flush`](Self::flush) sends it: `connection.link.machine.send_text("hi", &mut connection.link.outbox)`.
    pub link: Link<'s, M>,
    pub(crate) socket: S,
    pub(crate) reading: Timeout,
    pub(crate) writing: Timeout,
    pub(crate) over: bool,
}

impl<'s, M: Machine, S: Socket> Connection<'s, M, S> {
    /// A connection of `machine` over `socket`, which must be in blocking mode.
    pub fn new(socket: S, machine: M, inbox: Inbox<'s>, outbox: Outbox<'s>) -> Self {
        let link = Link::new(machine, inbox, outbox);
        Self { link, socket, reading: Timeout::default(), writing: Timeout::default(), over: false }
    }

    /// Waits for the next event; returns it and the right to answer it while it is borrowed.
    ///
    /// `Ok(None)`: the connection has ended; drop it. It stays at that.
    ///
    /// # Errors
    /// [`Error::Protocol`]: the peer has been told, and had time to read it. [`Error::Io`]: the socket is of no more use, unless the kind is
    /// [`Deadlock`](io::ErrorKind::Deadlock): it is the application's turn, and there is nothing to wait for.
    #[allow(clippy::should_implement_trait, clippy::type_complexity)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<(M::Event<'_>, Reply<'_, 's, M>)>, Error<M::Error>> {
        self.catch_up()?;
        while !self.over {
            let now = now();
            let done = match self.link.want(now).map_err(Error::Protocol)? {
                _ if self.reading.is_over(now) => Err(ErrorKind::TimedOut.into()),
                Want::Deliver => return Ok(self.link.turn()),
                Want::Write { until } => self.write(until, now),
                Want::Read { until } => self.read(until, now),
                Want::Wait { until: Some(until) } => {
                    std::thread::sleep(until.saturating_since(now));
                    Ok(())
                }
                Want::Wait { until: None } => return Err(io::Error::from(ErrorKind::Deadlock).into()),
                Want::Finish => {
                    // To a peer that has reset the connection there is nothing more to say.
                    let _ = self.socket.shutdown(Shutdown::Write);
                    self.link.shut();
                    Ok(())
                }
                Want::Close if !self.link.outbox.is_empty() => Err(stalled()),
                Want::Close => {
                    self.over = true;
                    Ok(())
                }
            };
            self.checked(done)?;
        }
        Ok(None)
    }

    /// A thread that was away may find a deadline past that its peer has kept: before the machine, or the link, acts on
    /// it, the socket is looked at once.
    fn catch_up(&mut self) -> io::Result<()> {
        let now = now();
        let deadlines = [self.link.machine.deadline(), self.link.stall_deadline(now)];
        if !self.over && deadlines.into_iter().flatten().any(|at| now >= at) {
            let wrote = if self.link.outbox.is_empty() { Ok(()) } else { self.write(Some(now), now) };
            let read = if self.link.inbox.wants() { self.read(Some(now), now) } else { Ok(()) };
            self.checked(wrote.and(read))?;
        }
        Ok(())
    }

    fn read(&mut self, until: Option<Instant>, now: Instant) -> io::Result<()> {
        if let Some(timeout) = self.reading.change(until, now) {
            self.socket.set_read_timeout(timeout)?;
        }
        match moved(self.socket.read(self.link.inbox.spare()))? {
            None => {}
            Some(0) => self.link.inbox.finish(),
            Some(n) => self.link.inbox.filled(n),
        }
        Ok(())
    }

    fn write(&mut self, until: Option<Instant>, now: Instant) -> io::Result<()> {
        if let Some(timeout) = self.writing.change(until, now) {
            self.socket.set_write_timeout(timeout)?;
        }
        let (mut slices, mut n) = ([IoSlice::new(&[]); 16], 0);
        for (slice, chunk) in slices.iter_mut().zip(self.link.outbox.chunks()) {
            (*slice, n) = (IoSlice::new(chunk), n + 1);
        }
        match moved(self.socket.write(slices.get(..n).unwrap_or_default()))? {
            None => {}
            Some(0) => return Err(ErrorKind::WriteZero.into()),
            Some(n) => self.link.outbox.advance(n),
        }
        Ok(())
    }

    /// A socket that failed is used no more.
    fn checked(&mut self, result: io::Result<()>) -> io::Result<()> {
        self.over |= result.is_err();
        result
    }

    /// Writes all that waits in the outbox, and nothing else: no event, no reading.
    ///
    /// # Errors
    /// The socket's, and [`TimedOut`](io::ErrorKind::TimedOut) when the peer took nothing for
    /// [`Link::stall`](stillwire::Link::stall).
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.link.outbox.is_empty() {
            if self.over {
                return Err(ErrorKind::NotConnected.into());
            }
            let now = now();
            let done = match self.link.stall_deadline(now) {
                Some(until) if now >= until => Err(stalled()),
                until => self.write(until, now),
            };
            self.checked(done)?;
        }
        Ok(())
    }

    /// Drives the connection to its end and ignores what the peer still says: what to do after a closing command,
    /// the closing event, so that the peer gets the last bytes. The machine's deadlines bound it.
    pub fn end(mut self) {
        // Each machine says one error at most; one of the socket ends the loop.
        while !matches!(self.next(), Ok(None) | Err(Error::Io(_))) {}
    }
}
