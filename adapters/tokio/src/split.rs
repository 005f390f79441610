//! Two halves, for tasks of their own.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use stillwire::{Kind, SendError};

use crate::{Message, rooms::lock};

/// What has two halves: a [`WebSocket`](crate::WebSocket) and a [`Peer`](crate::Peer).
#[allow(unreachable_pub)] // sealed: it stands in bounds, and nobody else can name it
pub trait Whole {
    type Error;
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>>;
    /// Waits for room, and queues.
    fn poll_feed(&mut self, kind: Kind, payload: &Bytes, cx: &mut Context<'_>)
    -> Poll<Result<(), SendError>>;
    /// Writes what is taken at once, and looks after what else waits.
    fn poll_nudge(&mut self, cx: &mut Context<'_>);
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>>;
    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError>;
    fn end(&mut self, reason: &str);
    /// Nobody drives it any more.
    fn abandon(&mut self);
}

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
        poll_fn(|cx| {
            let mut whole = lock(&self.0);
            let fed = whole.poll_feed(kind, &payload, cx);
            if fed.is_ready() {
                whole.poll_nudge(cx);
            }
            fed
        })
        .await
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
        lock(&self.0).poll_ready(cx)
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
