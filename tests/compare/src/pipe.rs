//! The two ends of a connection that is not there: bytes that come round and round, and a place where bytes go.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that one read returns, as a busy socket does it.
const READ: usize = 64 << 10;
/// The sink's size: bytes that leave are copied as they are into a kernel, and stay in the second level cache.
const RING: usize = 256 << 10;

/// Bytes from a peer that repeats itself, and bytes to it.
pub struct Pipe {
    bytes: Rc<[u8]>,
    at: usize,
    ring: Vec<u8>,
    to: usize,
    kept: Kept,
}

/// What a pipe's owner, who may show it to nobody, wrote into it; kept only while it is asked for.
#[derive(Clone, Default)]
pub struct Kept(Rc<(Cell<bool>, RefCell<Vec<u8>>)>);

impl Kept {
    pub fn during(&self, write: impl FnOnce()) -> Vec<u8> {
        self.0.0.set(true);
        write();
        self.0.0.set(false);
        self.0.1.take()
    }
}

impl Pipe {
    /// `bytes` is a whole number of frames.
    pub fn new(bytes: &Rc<[u8]>) -> Self {
        Self { ring: vec![1; RING], ..Self::over(bytes) }
    }

    fn over(bytes: &Rc<[u8]>) -> Self {
        Self { bytes: Rc::clone(bytes), at: 0, ring: Vec::new(), to: 0, kept: Kept::default() }
    }

    /// One without a sink of its own, for those who have thousands.
    pub fn small(bytes: &Rc<[u8]>) -> Self {
        Self { ring: Vec::new(), ..Self::over(bytes) }
    }

    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// The bytes that the next read of at most `room` bytes gets.
    fn take(&mut self, room: usize) -> &[u8] {
        let rest = &self.bytes[self.at..];
        let now = &rest[..rest.len().min(room).min(READ)];
        self.at += now.len();
        if self.at == self.bytes.len() {
            self.at = 0;
        }
        now
    }

    #[inline]
    pub fn pull(&mut self, into: &mut [u8]) -> usize {
        let now = self.take(into.len());
        into[..now.len()].copy_from_slice(now);
        now.len()
    }

    /// Behind what is there, where there is room already.
    pub fn pull_into(&mut self, into: &mut bytes::BytesMut) {
        let room = into.capacity() - into.len();
        into.extend_from_slice(self.take(room));
    }

    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.kept.0.0.get() {
            self.kept.0.1.borrow_mut().extend_from_slice(bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() && !self.ring.is_empty() {
            let room = &mut self.ring[self.to..];
            let n = rest.len().min(room.len());
            room[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            self.to = if self.to + n == RING { 0 } else { self.to + n };
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.pull(into))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().for_each(|slice| self.push(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = self.get_mut().take(into.remaining());
        into.put_slice(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.get_mut().write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.get_mut().write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
