//! A WebSocket whose messages belong to you.

use core::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use stillwire::{Kind, SendError, Transport, ws};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Connection, Error, MaybeTls, Message, Reader, Writer,
    protocol::SHARE_FROM,
    split::{Whole, split, stream_and_sink},
    wakers::Waiting,
};

/// A WebSocket over any stream: what [`connect`](crate::connect) gives. Either end of it.
///
/// The wire moves while a task waits in [`recv`](Self::recv): pings are answered, keepalives sent and deadlines kept there
/// ([`ws::Config`] has them all, on by default). [`send`](Self::send) writes at once; many messages go faster with
/// [`feed`](Self::feed) and one [`flush`](Self::flush). At most [`Connect::outbox`](crate::Connect::outbox) bytes wait here;
/// then `send` and `feed` wait for the peer. All futures may be dropped at any time: no message is lost or cut, and one
/// whose `send` was dropped was not queued.
///
/// ```
/// use stillwire::ws;
/// use stillwire_tokio::{Connection, Message, WebSocket, entropy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (near, far) = tokio::io::duplex(4096);
/// let client = ws::Connection::client(ws::Config::default(), entropy());
/// let mut client = WebSocket::new(Connection::new(near, client, 1 << 20, 1 << 20));
/// let server = ws::Connection::server(ws::Config::default());
/// let mut server = WebSocket::new(Connection::new(far, server, 1 << 20, 1 << 20));
/// for n in 0..100 {
///     client.feed(format!("message {n}")).await?;
/// }
/// client.flush().await?; // one write
/// assert_eq!(server.recv().await?, Some(Message::from("message 0")));
/// # Ok(()) }
/// ```
///
/// Pings, pongs and pieces ([`ws::Config::piece`]) are no messages: [`into_connection`](Self::into_connection) shows them.
pub struct WebSocket<S = MaybeTls> {
    connection: Connection<S, ws::Connection>,
    waiting: Waiting,
    subprotocol: Option<Box<str>>,
    closed: Option<(u16, Box<str>)>,
    over: bool,
}

impl<S: fmt::Debug> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut socket = f.debug_struct("WebSocket");
        socket.field("stream", &self.connection.stream).field("subprotocol", &self.subprotocol);
        socket.field("closed", &self.closed).field("over", &self.over).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A WebSocket on a connection whose handshake is done: [`Opening::open`](crate::Opening::open), or a server of yours.
    #[must_use]
    pub fn new(connection: Connection<S, ws::Connection>) -> Self {
        Self { connection, waiting: Waiting::default(), subprotocol: None, closed: None, over: false }
    }

    pub(crate) fn speaking(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(Box::from), ..self }
    }

    /// The subprotocol that the server chose, if [`Connect`](crate::Connect) opened it.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// How the peer ended it, once [`recv`](Self::recv) has said `None`: its code (1005: none, 1006: without a goodbye) and
    /// its reason.
    #[must_use]
    pub fn closed(&self) -> Option<(u16, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, &**reason))
    }

    /// What it runs on.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.connection.stream
    }

    /// The connection below, to see events as they are, without a copy.
    #[must_use]
    pub fn into_connection(self) -> Connection<S, ws::Connection> {
        self.connection
    }

    /// The next message. `None`: it has ended, for ever.
    ///
    /// # Errors
    /// The connection broke, or the peer broke the protocol. `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error<ws::Error>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for room, queues a message and writes what the stream takes at once.
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued; [`SendError::NotOpen`] when the connection is closing, closed or broken,
    /// or when the peer took nothing for [`Link::stall`](stillwire::Link::stall).
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_send(cx, |socket| socket.queue(kind, &payload))).await
    }

    /// Waits for room and queues a message: feed many, then [`flush`](Self::flush) once. What was fed leaves by itself when
    /// 16 KiB wait, and in [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_feed(kind, &payload, cx)).await
    }

    /// Waits until all that was queued has been handed to the stream.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: the connection broke or stalled.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| Whole::poll_flush(self, cx)).await
    }

    /// Says goodbye with code 1000 and waits for the end, no longer than [`ws::Config::close_within`]; messages that still
    /// come are dropped.
    ///
    /// # Errors
    /// The connection broke, or the peer did not say goodbye in time.
    pub async fn close(&mut self, reason: &str) -> Result<(), Error<ws::Error>> {
        self.end(reason);
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// Two halves, for a task that receives and others that send.
    #[must_use]
    pub fn split(mut self) -> (Reader<Self>, Writer<Self>) {
        self.waiting.together();
        split(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Whole for WebSocket<S> {
    type Error = Error<ws::Error>;

    fn waiting(&mut self) -> &mut Waiting {
        &mut self.waiting
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error<ws::Error>>> {
        while !self.over {
            match ready!(self.connection.poll_event(cx)) {
                Ok(true) => match self.connection.link.turn() {
                    Some((ws::Event::Text(text), _)) => {
                        return Poll::Ready(Ok(Some(Message::Text(text.as_str().to_owned()))));
                    }
                    Some((ws::Event::Binary(bytes), _)) => {
                        return Poll::Ready(Ok(Some(Message::Binary(Bytes::copy_from_slice(bytes)))));
                    }
                    Some((ws::Event::Closed { code, reason }, _)) => {
                        self.closed = Some((code, reason.as_str().into()));
                    }
                    _ => {}
                },
                ended => {
                    self.abandon();
                    return Poll::Ready(ended.map(|_| None));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError> {
        if self.over {
            return Err(SendError::NotOpen);
        }
        let link = &mut self.connection.link;
        if payload.len() >= SHARE_FROM {
            link.machine.send_bytes(kind, payload, &mut link.outbox)
        } else {
            link.machine.send(kind, &[payload], &mut link.outbox)
        }
    }

    fn queued(&self) -> usize {
        self.connection.queued()
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let drained = self.connection.poll_drain(cx);
        self.or_broken(drained)
    }

    fn drain_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let flushed = self.connection.poll_flush(cx);
        self.or_broken(flushed)
    }

    fn make_headroom(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let made = self.connection.poll_headroom(cx);
        self.or_broken(made)
    }

    fn nudge(&mut self, cx: &mut Context<'_>) {
        // What the stream does not take now leaves later; a failure is told by `recv`.
        let _ = self.connection.poll_write(cx);
    }

    fn end(&mut self, reason: &str) {
        let link = &mut self.connection.link;
        link.machine.close(reason, &mut link.outbox);
        self.waiting.wake(); // it has a deadline
    }

    fn abandon(&mut self) {
        self.over = true;
        self.waiting.wake();
    }
}

stream_and_sink!([S: AsyncRead + AsyncWrite + Unpin] WebSocket<S>, Error<ws::Error>);
