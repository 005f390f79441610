//! Where a peer's bytes come from and go to.

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{MaybeTls, session::SessionStream, stack::Foreign, traffic::Metered};

/// A socket, a stream that an HTTP stack has handed over, or a polling session in their place.
#[derive(Debug)]
pub(crate) enum Stream {
    Socket(Metered<MaybeTls>),
    Foreign(Metered<Foreign>),
    Session(SessionStream),
}

macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Stream::Socket($stream) => $do,
            Stream::Foreign($stream) => $do,
            Stream::Session($stream) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
