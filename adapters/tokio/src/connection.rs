//! The driver: one machine over one stream.

use core::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use stillwire::{Inbox, Instant, Link, Machine, Outbox, Reply, Want};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
    unflushed: bool,
    /// When a shutdown is given up that the stream does not complete.
    give_up: Option<Instant>,
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
        let mut now = now();
        self.catch_up(now, cx)?;
        loop {
            match self.link.want(now).map_err(Error::Protocol)? {
                Want::Deliver => return Poll::Ready(Ok(true)),
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
                    let wrote = self.poll_write(cx)?.is_ready();
                    let read =
                        !(crowded && matches!(want, Want::Write { .. })) && self.poll_read(cx)?.is_ready();
                    if !wrote && self.rest.unflushed {
                        self.rest.unflushed = Pin::new(&mut self.stream).poll_flush(cx)?.is_pending();
                    }
                    if !wrote && !read && self.rest.timer.poll(until, now, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
            now = crate::clock::now();
        }
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

    /// Writes once. Pending: the stream takes nothing now, or there is nothing to write.
    ///
    /// # Errors
    /// The stream failed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut slices = [io::IoSlice::new(&[]); 16];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.link.outbox.chunks()) {
            *slice = io::IoSlice::new(chunk);
            count += 1;
        }
        let stream = Pin::new(&mut self.stream);
        let n = match &slices[..count] {
            [] => return Poll::Pending,
            [one] => ready!(stream.poll_write(cx, one))?,
            many => ready!(stream.poll_write_vectored(cx, many))?,
        };
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.link.outbox.advance(n);
        self.rest.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// Writes all that waits in the outbox and flushes the stream. [`flush`](Self::flush), for hand-written futures.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.link.outbox.is_empty() {
            ready!(self.poll_drain(cx))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.rest.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inbox = &mut self.link.inbox;
        if !inbox.wants() {
            return Poll::Pending;
        }
        let stream = Pin::new(&mut self.stream);
        if inbox.allocated() == 0 {
            // Idle so far: the first bytes come by way of the stack, and only then is memory taken.
            let mut scratch = [MaybeUninit::uninit(); 2048];
            let most = scratch.len().min(inbox.room());
            let mut buffer = ReadBuf::uninit(&mut scratch[..most]);
            ready!(stream.poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                inbox.finish();
            }
            inbox.push(buffer.filled());
            return Poll::Ready(Ok(()));
        }
        let mut buffer = ReadBuf::new(inbox.spare());
        match stream.poll_read(cx, &mut buffer)? {
            Poll::Pending => {
                inbox.rest();
                return Poll::Pending;
            }
            Poll::Ready(()) => match buffer.filled().len() {
                0 => inbox.finish(),
                n => inbox.filled(n),
            },
        }
        Poll::Ready(Ok(()))
    }
}
