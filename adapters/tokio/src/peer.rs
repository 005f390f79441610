//! What the application holds: one remote party, whatever carries it.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use bytes::Bytes;
use stillwire::{Incoming, Kind, Outbox, SendError, Transport, hub::Shared, sse};

use crate::{
    Carrier, Connection, Error, Message, ProtocolError, Reader, Request, Writer,
    post::Post,
    protocol::Protocol,
    server::Inner,
    split::{Whole, split, stream_and_sink},
    stream::Stream,
    traffic::Meter,
    transfer::FLUSH,
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
pub struct Peer(
    /// It lies where it is when the peer moves, from task to task and into futures.
    Box<Body>,
);

#[derive(Debug)]
struct Body {
    id: u64,
    connection: Connection<Stream, Protocol>,
    request: Request,
    post: Arc<Post>,
    waiting: Waiting,
    rooms: Vec<String>,
    server: Arc<Inner>,
    meter: Arc<Meter>,
    /// Messages that the meter has not heard of.
    counted: u64,
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
        Self(Box::new(Body {
            id,
            connection,
            request,
            post,
            waiting: Waiting::default(),
            rooms: Vec::new(),
            server,
            meter,
            counted: 0,
            on_drop,
            dismissed: false,
            over: false,
        }))
    }

    /// A number that no other peer of this server has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What carries it.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.0.connection.link.machine.carrier()
    }

    /// The request that opened it: path, query, cookies, `Last-Event-ID`, address.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.0.request
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
        if self.0.over {
            return Err(SendError::NotOpen);
        }
        let link = &mut self.0.connection.link;
        send(&mut link.machine, &mut link.outbox)?;
        self.0.counted += 1;
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
        self.0.waiting.together();
        split(self)
    }

    /// Begins an orderly end: a close frame, a last batch, the end of the stream. Go on with [`recv`](Self::recv)
    /// until it says `None`, or the goodbye stays here.
    pub fn end(&mut self, reason: &str) {
        let link = &mut self.0.connection.link;
        link.machine.close(reason, &mut link.outbox);
        self.0.waiting.wake(); // it has a deadline
    }

    /// Joins a room, for [`Handle::broadcast`](crate::Handle::broadcast). False: it is there already.
    pub fn join(&mut self, room: &str) -> bool {
        let joined = self.0.server.rooms.join(room, self.0.id, self.0.post.clone());
        if joined {
            self.0.rooms.push(room.to_owned());
        }
        joined
    }

    /// Leaves a room. False: it was not there.
    pub fn leave(&mut self, room: &str) -> bool {
        self.0.rooms.retain(|joined| joined != room);
        self.0.server.rooms.leave(room, self.0.id)
    }

    /// The message that the connection has come to, if it is one.
    fn message(&mut self) -> Option<Message> {
        let message = match self.0.connection.link.turn()?.0 {
            Incoming::Text(text) => Message::Text(text.as_str().to_owned()),
            Incoming::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(bytes)),
            _ => return None,
        };
        self.0.counted += 1;
        Some(message)
    }

    /// The server's figures hear of the messages so far; not of each, as all peers count there.
    fn charge(&mut self) {
        self.0.meter.messages(core::mem::take(&mut self.0.counted));
    }

    /// What other tasks posted goes to the outbox while there is room. True: something is left.
    fn empty_mailbox(&mut self, cx: &Context<'_>) -> bool {
        let (link, mut counted) = (&mut self.0.connection.link, 0);
        let (left, dismissed) = self.0.post.empty(cx, |message: &Shared| {
            match link.machine.send_shared(message, &mut link.outbox) {
                // Too large for an empty outbox is too large for ever.
                Err(SendError::Full(_)) if !link.outbox.is_empty() => return false,
                Err(_) => {}
                Ok(()) => counted += 1,
            }
            true
        });
        self.0.meter.messages(core::mem::take(&mut self.0.counted) + counted);
        if let (Some(after), false) = (dismissed, self.0.dismissed) {
            match link.machine.dismiss(after, &mut link.outbox) {
                // A goodbye waits for room, as a message does.
                Err(SendError::Full(_)) if !link.outbox.is_empty() => return true,
                Err(SendError::Full(_)) => link.machine.close("", &mut link.outbox),
                _ => {}
            }
            self.0.dismissed = true;
        }
        left
    }
}

impl Whole for Peer {
    type Error = Error<ProtocolError>;

    fn waiting(&mut self) -> &mut Waiting {
        &mut self.0.waiting
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>> {
        // Nobody waits for anything while there are messages of those that were read together.
        while self.0.post.is_quiet() && self.0.connection.queued() < FLUSH {
            match self.0.connection.next_read() {
                Ok(true) => {
                    if let Some(message) = self.message() {
                        return Poll::Ready(Ok(Some(message)));
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    self.abandon();
                    return Poll::Ready(Err(Error::Protocol(error)));
                }
            }
        }
        self.together(cx, Self::receive)
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error<ProtocolError>>> {
        while !self.0.over {
            let waiting = self.empty_mailbox(cx);
            match self.0.connection.poll_event(cx) {
                // The outbox drained, and more was posted than fitted into it.
                Poll::Pending if waiting && self.0.connection.link.outbox.is_empty() => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {
                    if let Some(message) = self.message() {
                        return Poll::Ready(Ok(Some(message)));
                    }
                }
                Poll::Ready(ended) => {
                    self.abandon();
                    return Poll::Ready(ended.map(|_| None));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError> {
        self.queue_with(|machine, outbox| machine.send_owned(kind, payload, outbox))
    }

    fn queued(&self) -> usize {
        self.0.connection.queued()
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let drained = self.0.connection.poll_drain(cx);
        self.or_broken(drained)
    }

    fn drain_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.charge();
        let flushed = self.0.connection.poll_flush(cx);
        self.or_broken(flushed)
    }

    fn make_headroom(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let made = self.0.connection.poll_headroom(cx);
        self.or_broken(made)
    }

    fn nudge(&mut self, cx: &mut Context<'_>) {
        // Broadcasts, and a dismissal, do not wait for a handler that only sends to come to `recv`.
        self.empty_mailbox(cx);
        // What the socket does not take now leaves later; a failure is told by `recv`.
        let _ = self.0.connection.poll_write(cx);
    }

    fn end(&mut self, reason: &str) {
        Self::end(self, reason);
    }

    fn abandon(&mut self) {
        self.0.over = true;
        self.0.waiting.wake();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.charge();
        self.0.post.close();
        for room in &self.0.rooms {
            self.0.server.rooms.leave(room, self.0.id);
        }
        self.0.server.forget(self.0.id, self.0.on_drop);
    }
}

stream_and_sink!([] Peer, Error<ProtocolError>);
