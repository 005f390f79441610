//! The body of every answer that is given here.

use core::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use stillwire_tokio::stack::Seat;

use crate::pipe::Outlet;

/// Nothing, some bytes, or an event stream. hyper sends it, and axum takes it into its own responses.
///
/// A frame of an event stream is whole events, and behind it the body is pending: that is when a stack flushes. What
/// stands between (a compressor) must flush then, too.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    /// A polling batch; the seat is left when it was taken, and the exchange counts as aborted when it was not.
    Batch(Bytes, Option<Seat>),
    Events(Outlet),
}

impl Body {
    /// No body, as behind an upgrade.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Whole(Bytes::new()))
    }

    pub(crate) fn batch(bytes: Vec<u8>, seat: Seat) -> Self {
        Self(Kind::Batch(bytes.into(), Some(seat)))
    }

    pub(crate) fn events(outlet: Outlet) -> Self {
        Self(Kind::Events(outlet))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.get_mut().0 {
            Kind::Whole(bytes) => core::mem::take(bytes),
            Kind::Batch(bytes, seat) => {
                seat.take().into_iter().for_each(Seat::done);
                core::mem::take(bytes)
            }
            Kind::Events(outlet) => match outlet.poll(cx) {
                Poll::Ready(bytes) => bytes.unwrap_or_default(),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) | Kind::Batch(bytes, _) => bytes.is_empty(),
            Kind::Events(outlet) => outlet.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) | Kind::Batch(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}
