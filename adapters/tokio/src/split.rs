//! Two halves, for tasks of their own.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use stillwire::{Kind, SendError};

use crate::{Message, rooms::lock, transfer::FLUSH, wakers::Waiting};

/// What owns a connection, and has two halves: a [`WebSocket`](crate::WebSocket), a [`Peer`](crate::Peer) and a
/// [`PollClient`](crate::PollClient). Each says how to do one thing; what callers wait for is made of that here.
#[allow(unreachable_pub)] // sealed: it stands in bounds, and nobody else can name it
pub trait Whole: Sized {
    type Error;

    /// Who waits.
    fn waiting(&mut self) -> &mut Waiting;
    /// The next message.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>>;
    /// Queues a message if there is room for it now.
    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError>;
    /// Bytes that wait to be sent.
    fn queued(&self) -> usize;
    /// Waits until something of that has left.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;
    /// Waits until all of it has.
    fn drain_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;
    /// Waits until there is room for a message of the usual size.
    fn make_headroom(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;
    /// Writes what is taken at once, and looks after what else waits.
    fn nudge(&mut self, cx: &mut Context<'_>);
    /// Begins an orderly end.
    fn end(&mut self, reason: &str);
    /// Nobody drives it any more.
    fn abandon(&mut self);

    /// Asks with the waker of all who wait.
    fn together<T>(&mut self, cx: &mut Context<'_>, ask: impl FnOnce(&mut Self, &mut Context<'_>) -> T) -> T {
        match self.waiting().enter(cx) {
            None => ask(self, cx),
            Some(waker) => ask(self, &mut Context::from_waker(&waker)),
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>> {
        self.together(cx, Self::receive)
    }

    /// Waits for room, and queues.
    fn poll_queue(
        &mut self,
        cx: &mut Context<'_>,
        mut queue: impl FnMut(&mut Self) -> Result<(), SendError>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            match queue(self) {
                Err(SendError::Full(_)) if self.queued() > 0 => ready!(self.together(cx, Self::drain))?,
                queued => return Poll::Ready(queued),
            }
        }
    }

    /// Waits for room and queues; much of it leaves at once.
    fn poll_feed(
        &mut self,
        kind: Kind,
        payload: &Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let queued = ready!(self.poll_queue(cx, |whole| whole.queue(kind, payload)));
        if self.queued() >= FLUSH {
            self.together(cx, Self::nudge);
        }
        Poll::Ready(queued)
    }

    /// Waits for room, queues, and writes what is taken at once.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnMut(&mut Self) -> Result<(), SendError>,
    ) -> Poll<Result<(), SendError>> {
        let queued = ready!(self.poll_queue(cx, queue));
        self.together(cx, Self::nudge);
        Poll::Ready(queued)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.together(cx, Self::drain_all)
    }

    /// What became of a write: who cannot write has broken.
    fn or_broken(&mut self, wrote: Poll<io::Result<()>>) -> Poll<Result<(), SendError>> {
        wrote.map_err(|_| {
            self.abandon();
            SendError::NotOpen
        })
    }
}

/// The `Stream` and the `Sink` of a [`Whole`]. Its two ends may be polled by two tasks.
macro_rules! stream_and_sink {
    ([$($generics:tt)*] $whole:ty, $error:ty) => {
        /// As `recv`.
        impl<$($generics)*> futures_core::Stream for $whole {
            type Item = Result<Message, $error>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_recv(cx).map(Result::transpose)
            }
        }

        /// Feed many, flush once: who is ready has room for about one more message of the usual size. Closing says goodbye
        /// and waits for the end; messages that still come are dropped.
        impl<$($generics)*> futures_sink::Sink<Message> for $whole {
            type Error = SendError;

            fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
                let whole = self.get_mut();
                whole.waiting().together();
                Whole::together(whole, cx, Whole::make_headroom)
            }

            fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
                let (kind, payload) = message.into_parts();
                self.get_mut().queue(kind, &payload)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
                let whole = self.get_mut();
                whole.waiting().together();
                Whole::poll_flush(whole, cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
                let whole = self.get_mut();
                whole.waiting().together();
                Whole::end(whole, "");
                while core::task::ready!(whole.poll_recv(cx)).map_err(|_| SendError::NotOpen)?.is_some() {}
                Poll::Ready(Ok(()))
            }
        }
    };
}
pub(crate) use stream_and_sink;

/// The half that receives: it drives the connection, so pings are answered and time passes while a task waits in
/// [`recv`](Self::recv). Dropping it ends the connection.
#[derive(Debug)]
pub struct Reader<W>(Arc<Mutex<W>>, Option<fn(&mut W)>);

/// A half that sends. Clones send over the same connection; nobody waits for a lock longer than for a copy.
///
/// All futures may be dropped at any time: then the message was not queued.
#[derive(Debug)]
pub struct Writer<W>(Arc<Mutex<W>>);

impl<W> Clone for Writer<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

pub(crate) fn split<W: Whole>(whole: W) -> (Reader<W>, Writer<W>) {
    let whole = Arc::new(Mutex::new(whole));
    (Reader(whole.clone(), Some(W::abandon)), Writer(whole))
}

impl<W> Drop for Reader<W> {
    fn drop(&mut self) {
        if let Some(abandon) = self.1.take() {
            abandon(&mut lock(&self.0));
        }
    }
}

impl<W: Whole> Reader<W> {
    /// The next message. `None`: it has ended, for ever. The future may be dropped at any time.
    ///
    /// # Errors
    /// The connection broke, or the peer broke the protocol. `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message>, W::Error> {
        poll_fn(|cx| lock(&self.0).poll_recv(cx)).await
    }

    /// Another half that sends.
    #[must_use]
    pub fn writer(&self) -> Writer<W> {
        Writer(self.0.clone())
    }

    /// Looks at the whole: at the close code of a WebSocket, the number of a peer.
    pub fn with<T>(&self, look: impl FnOnce(&W) -> T) -> T {
        look(&lock(&self.0))
    }
}

impl<W: Whole> Writer<W> {
    /// Waits for room, queues a message, and writes what the stream takes at once.
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| lock(&self.0).poll_send(cx, |whole| whole.queue(kind, &payload))).await
    }

    /// Waits for room and queues a message: feed many, then [`flush`](Self::flush) once.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| lock(&self.0).poll_feed(kind, &payload, cx)).await
    }

    /// Waits until all that was queued has been handed to the stream.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: the connection broke or stalled.
    pub async fn flush(&self) -> Result<(), SendError> {
        poll_fn(|cx| lock(&self.0).poll_flush(cx)).await
    }

    /// Begins an orderly end and flushes; the reader meets the end.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(&self, reason: &str) -> Result<(), SendError> {
        lock(&self.0).end(reason);
        self.flush().await
    }
}

/// As [`recv`](Reader::recv).
impl<W: Whole> Stream for Reader<W> {
    type Item = Result<Message, W::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        lock(&self.0).poll_recv(cx).map(Result::transpose)
    }
}

/// Closing it begins the orderly end and flushes.
impl<W: Whole> Sink<Message> for Writer<W> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        lock(&self.0).together(cx, W::make_headroom)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        let (kind, payload) = message.into_parts();
        lock(&self.0).queue(kind, &payload)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        lock(&self.0).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut whole = lock(&self.0);
        whole.end("");
        whole.poll_flush(cx)
    }
}
