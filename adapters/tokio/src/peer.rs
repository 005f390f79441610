//! What the application holds: one remote party, whatever carries it.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream as FutureStream;
use futures_sink::Sink;
use stillwire::{Incoming, Kind, Outbox, SendError, Transport, hub::Shared, sse};

use crate::{
    Carrier, Connection, Error, Message, ProtocolError, Reader, Request, Writer,
    post::Post,
    protocol::Protocol,
    server::Inner,
    split::{Whole, split},
    stream::Stream,
    traffic::Meter,
    wakers::Waiting,
};

/// One remote party: a WebSocket, an event stream or a polling session. The task that holds it drives it.
///
/// The wire moves while the task waits in [`recv`](Self::recv), and only then: pings are answered, keepalives and
/// broadcasts sent there, and only there it shows that the peer is gone. [`send`](Self::send) sends: its message, and
/// behind it what was broadcast meanwhile. A handler that works for long should do so in another task; one that mostly
/// sends waits in `recv` besides (`tokio::select!`). Both futures may be dropped at any time; no message is lost or cut.
///
/// Dropping a peer closes its connection without a goodbye; [`end`](Self::end) says one.
#[derive(Debug)]
pub struct Peer {
    id: u64,
    connection: Connection<Stream, Protocol>,
    request: Box<Request>,
    post: Arc<Post>,
    waiting: Waiting,
    rooms: Vec<String>,
    server: Arc<Inner>,
    meter: Arc<Meter>,
    on_drop: Option<stillwire::polling::Sid>,
    dismissed: bool,
    over: bool,
}

impl Peer {
    pub(crate) fn new(
        (id, post): (u64, Arc<Post>),
        server: Arc<Inner>,
        connection: Connection<Stream, Protocol>,
        request: Request,
        on_drop: Option<stillwire::polling::Sid>,
    ) -> Self {
        let meter = server.meter(connection.link.machine.carrier());
        let (request, rooms) = (Box::new(request), Vec::new());
        let (waiting, dismissed, over) = (Waiting::default(), false, false);
        Self { id, connection, request, post, waiting, rooms, server, meter, on_drop, dismissed, over }
    }

    /// A number that no other peer of this server has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What carries it.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.connection.link.machine.carrier()
    }

    /// The request that opened it: path, query, cookies, `Last-Event-ID`, address.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The next message. `None`: it has ended, for ever. An event stream has no messages, only an end.
    ///
    /// # Errors
    /// The connection broke, or the peer broke the protocol. `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error<ProtocolError>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Queues a message, whole or not at all, without waiting. The bytes leave in the next
    /// [`recv`](Self::recv), [`send`](Self::send) or [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn try_send(&mut self, message: &Message) -> Result<(), SendError> {
        match message {
            Message::Binary(bytes) => self.queue(Kind::Binary, bytes),
            Message::Text(text) => {
                self.queue_with(|machine, outbox| machine.send(Kind::Text, &[text.as_bytes()], outbox))
            }
        }
    }

    fn queue_with(
        &mut self,
        send: impl FnOnce(&mut Protocol, &mut Outbox<'static>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        if self.over {
            return Err(SendError::NotOpen);
        }
        let link = &mut self.connection.link;
        send(&mut link.machine, &mut link.outbox)?;
        self.meter.message();
        Ok(())
    }

    /// Waits for room, queues a message and writes what the socket takes at once.
    ///
    /// Reads nothing meanwhile, and waits no longer than [`Config::stall`](crate::Config::stall) for a peer that
    /// takes nothing.
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued; [`SendError::NotOpen`] when the connection broke or stalled, when the
    /// peer has left, and when it was dismissed, as by [`Handle::shut_down`](crate::Handle::shut_down).
    /// [`SendError::Full`] means that it is larger than [`Config::outbox`](crate::Config::outbox) allows.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_send(cx, |peer| peer.queue(kind, &payload))).await
    }

    /// [`send`](Self::send), but the message may stay here: feed many, then [`flush`](Self::flush) once. It leaves by
    /// itself when 16 KiB wait, and in [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_feed(kind, &payload, cx)).await
    }

    /// [`send`](Self::send) for an event stream: one event with its type, id and `retry`.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`SendError::Unsuitable`] for another carrier, or fields with a line break in them.
    pub async fn send_event(&mut self, event: &sse::Block<'_>) -> Result<(), SendError> {
        poll_fn(|cx| {
            self.poll_send(cx, |peer| {
                peer.queue_with(|machine, outbox| match machine {
                    Protocol::Events(feed) => feed.send_block(event, outbox),
                    _ => Err(SendError::Unsuitable),
                })
            })
        })
        .await
    }

    /// Writes everything that was queued.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: the connection broke or stalled.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| Whole::poll_flush(self, cx)).await
    }

    /// Two halves, for a task that receives and others that send. The peer is gone when all halves are.
    #[must_use]
    pub fn split(mut self) -> (Reader<Self>, Writer<Self>) {
        self.waiting.together();
        split(self)
    }

    /// Begins an orderly end: a close frame, a last batch, the end of the stream. Go on with [`recv`](Self::recv)
    /// until it says `None`, or the goodbye stays here.
    pub fn end(&mut self, reason: &str) {
        let link = &mut self.connection.link;
        link.machine.close(reason, &mut link.outbox);
        self.waiting.wake(); // it has a deadline
    }

    /// Joins a room, for [`Handle::broadcast`](crate::Handle::broadcast). False: it is there already.
    pub fn join(&mut self, room: &str) -> bool {
        let joined = self.server.rooms.join(room, self.id, self.post.clone());
        if joined {
            self.rooms.push(room.to_owned());
        }
        joined
    }

    /// Leaves a room. False: it was not there.
    pub fn leave(&mut self, room: &str) -> bool {
        self.rooms.retain(|joined| joined != room);
        self.server.rooms.leave(room, self.id)
    }

    /// Asks with the waker of all who wait.
    fn together<T>(&mut self, cx: &mut Context<'_>, ask: impl FnOnce(&mut Self, &mut Context<'_>) -> T) -> T {
        match self.waiting.enter(cx) {
            None => ask(self, cx),
            Some(waker) => ask(self, &mut Context::from_waker(&waker)),
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error<ProtocolError>>> {
        while !self.over {
            let waiting = self.empty_mailbox(cx);
            match self.connection.poll_event(cx) {
                // The outbox drained, and more was posted than fitted into it.
                Poll::Pending if waiting && self.connection.link.outbox.is_empty() => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {
                    let message = match self.connection.link.turn() {
                        Some((Incoming::Text(text), _)) => Message::Text(text.as_str().to_owned()),
                        Some((Incoming::Binary(bytes), _)) => Message::Binary(Bytes::copy_from_slice(bytes)),
                        _ => continue,
                    };
                    self.meter.message();
                    return Poll::Ready(Ok(Some(message)));
                }
                Poll::Ready(ended) => {
                    self.abandon();
                    return Poll::Ready(ended.map(|_| None));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// What other tasks posted goes to the outbox while there is room. True: something is left.
    fn empty_mailbox(&mut self, cx: &Context<'_>) -> bool {
        let (link, meter) = (&mut self.connection.link, &self.meter);
        let (left, dismissed) = self.post.empty(cx, |message: &Shared| {
            match link.machine.send_shared(message, &mut link.outbox) {
                // Too large for an empty outbox is too large for ever.
                Err(SendError::Full(_)) if !link.outbox.is_empty() => return false,
                Err(_) => {}
                Ok(()) => meter.message(),
            }
            true
        });
        if let (Some(after), false) = (dismissed, self.dismissed) {
            match link.machine.dismiss(after, &mut link.outbox) {
                // A goodbye waits for room, as a message does.
                Err(SendError::Full(_)) if !link.outbox.is_empty() => return true,
                Err(SendError::Full(_)) => link.machine.close("", &mut link.outbox),
                _ => {}
            }
            self.dismissed = true;
        }
        left
    }

    /// Waits for room.
    fn make_room(
        &mut self,
        cx: &mut Context<'_>,
        mut queue: impl FnMut(&mut Self) -> Result<(), SendError>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            match queue(self) {
                Err(SendError::Full(_)) if !self.connection.link.outbox.is_empty() => {
                    if ready!(self.connection.poll_drain(cx)).is_err() {
                        self.abandon();
                        return Poll::Ready(Err(SendError::NotOpen));
                    }
                }
                queued => return Poll::Ready(queued),
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnMut(&mut Self) -> Result<(), SendError>,
    ) -> Poll<Result<(), SendError>> {
        let queued = ready!(self.together(cx, |peer, cx| peer.make_room(cx, queue)));
        self.poll_nudge(cx);
        Poll::Ready(queued)
    }
}

impl Whole for Peer {
    type Error = Error<ProtocolError>;

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>> {
        self.together(cx, Self::receive)
    }

    fn poll_feed(
        &mut self,
        kind: Kind,
        payload: &Bytes,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.together(cx, |peer, cx| {
            let queued = ready!(peer.make_room(cx, |peer| peer.queue(kind, payload)));
            peer.connection.poll_flush_mark(cx);
            Poll::Ready(queued)
        })
    }

    fn poll_nudge(&mut self, cx: &mut Context<'_>) {
        self.together(cx, |peer, cx| {
            // Broadcasts, and a dismissal, do not wait for a handler that only sends to come to `recv`.
            peer.empty_mailbox(cx);
            // What the socket does not take now leaves later; a failure is told by `recv`.
            let _ = peer.connection.poll_write(cx);
        });
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let flushed = self.together(cx, |peer, cx| peer.connection.poll_flush(cx));
        flushed.map_err(|_| {
            self.abandon();
            SendError::NotOpen
        })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.waiting.together();
        self.together(cx, |peer, cx| peer.connection.poll_headroom(cx)).map_err(|_| {
            self.abandon();
            SendError::NotOpen
        })
    }

    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError> {
        self.queue_with(|machine, outbox| machine.send_owned(kind, payload, outbox))
    }

    fn end(&mut self, reason: &str) {
        Self::end(self, reason);
    }

    fn abandon(&mut self) {
        self.over = true;
        self.waiting.wake();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.post.close();
        for room in &self.rooms {
            self.server.rooms.leave(room, self.id);
        }
        self.server.forget(self.id, self.on_drop);
    }
}

/// As [`recv`](Peer::recv).
impl FutureStream for Peer {
    type Item = Result<Message, Error<ProtocolError>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx).map(Result::transpose)
    }
}

/// Feed many, flush once: a ready peer has room in its outbox for about one more message of the usual size.
impl Sink<Message> for Peer {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Whole::poll_ready(self.get_mut(), cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        let (kind, payload) = message.into_parts();
        self.get_mut().queue(kind, &payload)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let peer = self.get_mut();
        peer.waiting.together();
        Whole::poll_flush(peer, cx)
    }

    /// Says goodbye and waits for the end; messages that still come are dropped.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let peer = self.get_mut();
        peer.waiting.together();
        peer.end("");
        while ready!(peer.poll_recv(cx)).map_err(|_| SendError::NotOpen)?.is_some() {}
        Poll::Ready(Ok(()))
    }
}
