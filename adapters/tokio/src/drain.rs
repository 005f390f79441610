//! Around the driver: waiting for the outbox alone, and changing what is connected.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use stillwire::Machine;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Connection, clock::now};

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Connection<S, M> {
    /// Writes what waits in the outbox, and reads nothing meanwhile.
    ///
    /// # Errors
    /// The stream failed, or the peer took nothing for [`Link::stall`](stillwire::Link::stall).
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
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

    /// Writes once, waiting until the stream takes something, but no longer than [`Link::stall`](stillwire::Link::stall).
    ///
    /// # Errors
    /// The stream failed, or it took nothing for so long ([`io::ErrorKind::TimedOut`]).
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let now = now();
            let until = self.link.stall_deadline(now);
            // First of all it is tried: the time may have passed while nobody did.
            if let Poll::Ready(wrote) = self.poll_write(cx) {
                return Poll::Ready(wrote);
            }
            if until.is_some_and(|at| now >= at) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(self.rest.timer.poll(until, now, cx));
        }
    }

    /// Waits until there is room for an answer, as [`Link::headroom`](stillwire::Link::headroom) has it. Sends what waits if
    /// it is much.
    pub(crate) fn poll_headroom(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_mark(cx);
        while self.link.outbox.room() < self.link.headroom {
            ready!(self.poll_drain(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Another machine takes over, as after an upgrade: boxes and stream stay, no byte is lost.
    pub fn switch<N: Machine>(self, machine: impl FnOnce(M) -> N) -> Connection<S, N> {
        Connection { link: self.link.switch(machine), stream: self.stream, rest: self.rest }
    }

    /// The same connection over another type of stream: wrapped, or put into an enum.
    pub fn map_stream<T>(self, wrap: impl FnOnce(S) -> T) -> Connection<T, M> {
        Connection { link: self.link, stream: wrap(self.stream), rest: self.rest }
    }
}
