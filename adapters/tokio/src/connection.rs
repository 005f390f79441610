//! The driver: one machine over one stream.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use stillwire::{Inbox, Instant, Link, Machine, Outbox, Reply, Want};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Error, clock::now, timer::Timer};

/// A machine over a stream: TCP, TLS, a Unix socket, one end of `tokio::io::duplex`.
///
/// Everything it knows is in the struct, so a future of [`next`](Self::next) may be dropped at any time and called
/// again: no byte is lost. Nothing happens while nobody waits in it; pongs and deadlines wait, too.
#[derive(Debug)]
pub struct Connection<S, M: Machine> {
    /// The machine and its boxes. Commands take effect at the next [`next`](Self::next) or [`flush`](Self::flush).
    pub link: Link<'static, M>,
    /// Where the bytes come from and go to.
    pub stream: S,
    pub(crate) rest: Rest,
}

/// What the driver itself remembers.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) timer: Timer,
    /// Bytes were written that the stream may hold back.
    pub(crate) unflushed: bool,
    /// When a shutdown is given up that the stream does not complete.
    give_up: Option<Instant>,
    /// The moment of the last event, while more of them may have come with it.
    read: Option<Instant>,
    /// The inbox has borrowed its memory.
    pub(crate) lent: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Connection<S, M> {
    /// A connection with boxes that grow up to `inbox` and `outbox` bytes and take no memory while idle.
    pub fn new(stream: S, machine: M, inbox: usize, outbox: usize) -> Self {
        let link = Link::new(machine, Inbox::with_limit(inbox), Outbox::with_limit(outbox));
        Self { link, stream, rest: Rest::default() }
    }

    /// The next event, and the right to answer it while it is borrowed. `None`: the connection has ended.
    ///
    /// # Errors
    /// The stream failed, or the peer broke the protocol; it was told before you are.
    pub async fn next(&mut self) -> Result<Option<(M::Event<'_>, Reply<'_, 'static, M>)>, Error<M::Error>> {
        Ok(if poll_fn(|cx| self.poll_event(cx)).await? { self.link.turn() } else { None })
    }

    /// As [`next`](Self::next), for hand-written futures. True: `link.turn()` has an event. False: the end.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error<M::Error>>> {
        if self.next_read().map_err(Error::Protocol)? {
            self.poll_flush_mark(cx);
            return Poll::Ready(Ok(true));
        }
        let mut now = now();
        self.catch_up(now, cx)?;
        let mut dry = false;
        loop {
            match self.link.want(now).map_err(Error::Protocol)? {
                Want::Deliver => {
                    self.rest.read = Some(now);
                    self.poll_flush_mark(cx);
                    return Poll::Ready(Ok(true));
                }
                // Something is left to say, and the peer took nothing of it for `Link::stall`.
                Want::Close if !self.link.outbox.is_empty() => {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut).into()));
                }
                Want::Close => return Poll::Ready(Ok(false)),
                Want::Finish => {
                    ready!(self.poll_shutdown(now, cx))?;
                    self.link.shut();
                }
                want @ (Want::Write { until } | Want::Read { until } | Want::Wait { until }) => {
                    // Both ways at once: neither side can starve the other. But a machine that waits for room uses
                    // little up, and reading on into a crowded inbox would move its backlog for every few bytes.
                    let inbox = &self.link.inbox;
                    let crowded = inbox.unread().len() > inbox.capacity() / 2;
                    let takes = inbox.wants() && !(crowded && matches!(want, Want::Write { .. }));
                    let wrote = self.poll_write(cx)?.is_ready();
                    // A stream that had nothing wakes this task when it has: it is asked once.
                    let read = takes && !dry && self.poll_read(cx)?.is_ready();
                    dry |= takes && !read;
                    if !wrote && self.rest.unflushed {
                        self.rest.unflushed = Pin::new(&mut self.stream).poll_flush(cx)?.is_pending();
                    }
                    if !wrote && !read {
                        ready!(self.rest.timer.poll(until, now, cx));
                        now = crate::clock::now();
                    }
                }
            }
        }
    }

    /// The next of the events that were read together, if there is one. They came at the same moment: a look at the clock
    /// costs as much as a small message.
    pub(crate) fn next_read(&mut self) -> Result<bool, M::Error> {
        let Some(read) = self.rest.read.take() else { return Ok(false) };
        let is_there = self.link.want(read)? == Want::Deliver;
        self.rest.read = is_there.then_some(read);
        Ok(is_there)
    }

    /// A task that was away may find a deadline past that its peer has kept: before the machine, or the link, acts on
    /// it, the stream is looked at once.
    fn catch_up(&mut self, now: Instant, cx: &mut Context<'_>) -> io::Result<()> {
        let deadlines = [self.link.machine.deadline(), self.link.stall_deadline(now)];
        if deadlines.into_iter().flatten().any(|at| now >= at) {
            let _ = self.poll_write(cx)?;
            let _ = self.poll_read(cx)?;
        }
        Ok(())
    }

    /// A stream that never completes this (TLS, to a peer that takes nothing) is given up like a stalled one.
    fn poll_shutdown(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = *self.rest.give_up.get_or_insert(now + self.link.stall);
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending if now < until => loop {
                // A timer that was set for something else may fire early.
                ready!(self.rest.timer.poll(Some(until), now, cx));
                if crate::clock::now() >= until {
                    return Poll::Ready(Ok(()));
                }
            },
            Poll::Pending => Poll::Ready(Ok(())),
            shut => shut,
        }
    }
}
