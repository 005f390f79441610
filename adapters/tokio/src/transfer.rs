//! Moving bytes once, in either direction.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use stillwire::Machine;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Connection, pool};

/// From so many bytes on that wait they are sent before more are made: a buffer of that size stays in the first cache.
pub(crate) const FLUSH: usize = 16 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Connection<S, M> {
    /// Bytes that wait to be sent.
    pub(crate) fn queued(&self) -> usize {
        self.link.outbox.capacity() - self.link.outbox.room()
    }

    /// Sends what waits if it is much, as far as the stream takes it at once. It says nothing of failures: the next one
    /// who waits meets them.
    pub(crate) fn poll_flush_mark(&mut self, cx: &mut Context<'_>) {
        if self.queued() >= FLUSH {
            let _ = self.poll_write(cx);
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

    /// Reads once. Pending: nothing has come, or the inbox takes nothing.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inbox = &mut self.link.inbox;
        if !inbox.wants() {
            return Poll::Pending;
        }
        // Idle so far: a buffer is borrowed for as long as there is something in it.
        if inbox.allocated() == 0 {
            self.rest.lent = pool::lend(inbox);
            pool::lend_out(&mut self.link.outbox);
        }
        let stream = Pin::new(&mut self.stream);
        let mut buffer = ReadBuf::new(inbox.spare());
        match stream.poll_read(cx, &mut buffer)? {
            Poll::Pending => {
                if core::mem::take(&mut self.rest.lent) {
                    pool::settle(inbox);
                }
                inbox.rest();
                pool::settle_out(&mut self.link.outbox);
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
