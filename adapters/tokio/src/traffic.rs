//! What went over the wire, counted by carrier.

use core::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};
use std::{io, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What carries a peer's messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// A WebSocket.
    WebSocket,
    /// An event stream, with requests beside it for the other direction.
    Events,
    /// Long polling.
    Polling,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Events, Self::Polling];
}

/// What one carrier has cost since the server began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Bytes read from and written to the sockets, HTTP heads included, TLS taken off.
    pub bytes: u64,
    /// Messages in both directions, as applications count them.
    pub messages: u64,
    /// HTTP requests; an upgrade is one.
    pub requests: u64,
}

/// The counters behind [`Traffic`].
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    messages: AtomicU64,
    requests: AtomicU64,
}

impl Meter {
    pub(crate) fn read(&self) -> Traffic {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Traffic { bytes: get(&self.bytes), messages: get(&self.messages), requests: get(&self.requests) }
    }

    pub(crate) fn messages(&self, n: u64) {
        self.messages.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Ordering::Relaxed);
    }
}

/// A stream whose bytes are counted for one carrier at a time. What it carries is known only when a head has been
/// read; the bytes until then are charged afterwards.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Option<Arc<Meter>>,
    uncharged: u64,
    /// Counts the open connections.
    _guard: Arc<()>,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, guard: Arc<()>) -> Self {
        Self { stream, meter: None, uncharged: 0, _guard: guard }
    }

    /// The bytes since the last call belong to `meter`, and so do those to come.
    pub(crate) fn charge(&mut self, meter: Option<Arc<Meter>>) {
        let bytes = core::mem::take(&mut self.uncharged);
        if let Some(meter) = meter.as_ref().or(self.meter.as_ref()) {
            meter.bytes(bytes);
        }
        self.meter = meter;
    }

    fn count(&mut self, n: usize) {
        match &self.meter {
            Some(meter) => meter.bytes(n as u64),
            None => self.uncharged += n as u64,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = polled {
            self.count(n);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(n)) = polled {
            self.count(n);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
