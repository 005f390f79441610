//! Moving bytes once, in either direction.

use core::{
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use stillwire::Machine;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Connection;

impl<S: AsyncRead + AsyncWrite + Unpin, M: Machine> Connection<S, M> {
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
