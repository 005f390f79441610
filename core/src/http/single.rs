//! The server's side of a connection that has one request.

use super::{
    body::Length,
    config::{Config, Limits, Millis},
    error::{Error, SendError},
    event::{Event, RequestHead},
    head::{self, Kind, Request, Search, has_no_body},
    tail::Tail,
    view::is_same,
    write,
};
use crate::{Inbox, Instant, Machine, Outbox, Progress, decimal};

/// Room for `100 Continue` or for the answer to an error, whichever is larger.
const REPLY_ROOM: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The head comes.
    Head,
    /// The body comes, if there is one.
    Body,
    /// The request is complete, its answer is not begun.
    Owed,
    /// The answer has begun, or there will be none.
    Answered,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    /// So many bytes at the front of the inbox.
    Head(usize),
    Body(usize),
    End,
    Gone,
}

/// The server's side of a connection that has one request and one answer: 5 KB of flash less than an
/// [`Exchange`](super::Exchange).
///
/// Heads are read by the same rules, errors are the same and get the same status, and the [events](Event) mean the same. But each
/// answer says `connection: close`, and goes without a reason phrase (RFC 9112, 4); a body comes in one piece, if at all,
/// and must declare its length. What follows the request is dropped, unless the connection becomes something else.
///
/// ```text
/// Head ── Event::Head ──▶ Body ── Event::Body? ── Event::End ──▶ your turn
///                 respond, or begin and end: from Event::Head on ──▶ lingering ──▶ Closed
///                 peer's end before the answer's: Event::Gone ──────────────────▶ Closed
/// ```
///
/// A port for nothing but WebSockets:
///
/// ```
/// use stillwire::{Inbox, Instant, Link, Outbox, Want, http, ws};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut from_peer, mut to_peer) = ([0; 1024], [0; 1024]);
/// let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
/// let mut link = Link::new(http::Single::new(http::Config::TINY), inbox, outbox);
/// link.inbox.push(b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x80");
/// assert_eq!(link.want(Instant::EPOCH)?, Want::Deliver);
/// let Some((http::Event::Head(head), reply)) = link.turn() else { panic!() };
/// match ws::Accept::new(&head, &[], &ws::Config::TINY) {
///     Ok(accept) => accept.write(&[], reply.outbox)?,
///     Err(refusal) => reply.machine.respond(refusal.http_status(), refusal.headers(), &[], reply.outbox)?,
/// }
/// let link = link.switch(|_| ws::Connection::server(ws::Config::TINY)); // behind the head comes the first frame
/// assert_eq!(link.inbox.unread(), b"\x81\x80");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Single {
    limits: Limits,
    search: Search,
    tail: Tail,
    state: State,
    shown: Shown,
    request: Request,
    /// The most bytes of body that are wanted.
    wanted: usize,
    /// Whether a byte of the head has come.
    begun: bool,
    /// When the wait of this state ends; `MAX`: it has not begun, or has no end.
    due: Instant,
}

impl Single {
    /// A connection on which nothing has come yet. Of the configuration, the fields for a body's rate and what is drained of
    /// it, and those of clients, mean nothing here.
    #[must_use]
    #[cfg_attr(target_os = "none", inline(always))] // a configuration that is known leaves nothing to compute
    pub fn new(config: Config) -> Self {
        let limits = Limits::new(&config);
        Self {
            tail: Tail::new(true, &limits),
            limits,
            search: Search::default(),
            state: State::Head,
            shown: Shown::Nothing,
            request: Request::NONE,
            wanted: 0,
            begun: false,
            due: Instant::MAX,
        }
    }

    /// Asks for the body, at [`Event::Head`]: without it, a body is [`Error::TooLarge`] unless the head was answered.
    ///
    /// A body above `limit` bytes, or one that the inbox cannot hold, is [`Error::TooLarge`] (413), one in chunks
    /// [`Error::LengthRequired`] (411), and one that is not there in [`Config::body_within`] [`Error::TimedOut`] (408).
    pub fn collect(&mut self, limit: usize) {
        self.wanted = limit;
    }

    /// The request is complete and its answer has not begun: nothing but you, or the peer's end, moves the connection on.
    #[must_use]
    pub fn is_your_turn(&self) -> bool {
        self.state == State::Owed
    }

    /// The whole answer, its body `parts` one behind the other; `content-length` and `connection: close` are written for you. To
    /// HEAD, the body is left out and its length is told. May be called from [`Event::Head`] on.
    ///
    /// # Errors
    /// [`SendError`], as of [`Exchange::respond`](super::Exchange::respond): nothing was written.
    pub fn respond(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        parts: &[&[u8]],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        let length = parts.iter().map(|part| part.len()).sum();
        self.check(status, headers, length > 0)?;
        let length = (!has_no_body(status)).then_some(length);
        put_answer(status, headers, length, if self.request.is_head { &[] } else { parts }, outbox)?;
        self.state = State::Answered;
        self.tail.end(outbox);
        Ok(())
    }

    /// The head of an answer that comes in pieces and ends with the connection: [`chunk`](Self::chunk) sends them,
    /// [`end`](Self::end) ends it; or a [`Tail`] takes the connection over.
    ///
    /// # Errors
    /// [`SendError`], as of [`Exchange::begin`](super::Exchange::begin): nothing was written.
    pub fn begin(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.check(status, headers, true)?;
        put_answer(status, headers, None, &[], outbox)?;
        self.state = State::Answered;
        if self.request.is_head {
            self.tail.end(outbox);
        }
        Ok(())
    }

    /// A piece of the answer, `parts` one behind the other, as they stand.
    ///
    /// # Errors
    /// [`SendError::NotYourTurn`] before [`begin`](Self::begin), behind the end, to HEAD, and when the peer is gone;
    /// [`SendError::Full`].
    pub fn chunk(&mut self, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        if self.state != State::Answered || !self.tail.is_open() {
            return Err(SendError::NotYourTurn);
        }
        Ok(outbox.put(parts)?)
    }

    /// The answer is complete. Nothing happens when there is none, or when it is complete already.
    pub fn end(&mut self, outbox: &mut Outbox<'_>) {
        if self.state == State::Answered {
            self.tail.end(outbox);
        }
    }

    fn check(&self, status: u16, headers: &[(&str, &str)], has_body: bool) -> Result<(), SendError> {
        if !matches!(self.state, State::Body | State::Owed) || self.shown == Shown::Gone {
            return Err(SendError::NotYourTurn);
        }
        write::check_response(status, headers, has_body)
    }

    fn step(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        if self.state != State::Owed && outbox.room() < REPLY_ROOM.min(outbox.capacity()) {
            return Ok(Progress::NeedRoom);
        }
        if self.state == State::Head {
            let Some(length) = self.search.run(Kind::Request, 0, &self.limits, inbox)? else {
                return self.await_head(now, inbox, outbox);
            };
            self.request = head::parse_request(inbox.unread().get(..length).unwrap_or_default())?;
            (self.state, self.due) = (State::Body, Instant::MAX);
            return Ok(self.show(Shown::Head(length)));
        }
        if self.state == State::Body {
            return self.read_body(now, inbox, outbox);
        }
        if inbox.is_finished() && !self.limits.half_close {
            return Ok(self.show(Shown::Gone));
        }
        Ok(Progress::NeedInput)
    }

    fn read_body(
        &mut self,
        now: Instant,
        inbox: &Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        let Length::Exactly(length) = self.request.length else { return Err(Error::LengthRequired) };
        if length == 0 {
            self.state = State::Owed;
            return Ok(self.show(Shown::End));
        }
        let limit = self.wanted.min(inbox.capacity());
        let length = usize::try_from(length).ok().filter(|length| *length <= limit);
        let length = length.ok_or(Error::TooLarge { limit })?;
        if core::mem::take(&mut self.request.expects) {
            // RFC 9110, 10.1.1. It is said even if the body is here already: how the bytes were cut must not show.
            let _ = outbox.put(&[b"HTTP/1.1 100 Continue\r\n\r\n"]); // `step` saw to the room
        }
        if inbox.unread().len() >= length {
            self.request.length = Length::Exactly(0);
            return Ok(self.show(Shown::Body(length)));
        }
        if inbox.is_finished() {
            return Ok(self.show(Shown::Gone));
        }
        self.wait(now, self.limits.body_within)
    }

    fn await_head(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        // The first half of an empty line in front looks like the beginning of a head.
        let begun = self.search.has_begun();
        if begun != self.begun {
            (self.begun, self.due) = (begun, Instant::MAX);
        }
        if inbox.is_finished() && self.begun {
            return Err(Error::Truncated);
        }
        let within = if self.begun { self.limits.head_within } else { self.limits.idle_within };
        let waited = self.wait(now, within);
        if self.begun || (waited.is_ok() && !inbox.is_finished()) {
            return waited;
        }
        // Nobody asked for anything.
        self.state = State::Answered;
        self.tail.end(outbox);
        Ok(self.tail.advance(now, inbox, outbox))
    }

    fn wait(&mut self, now: Instant, within: Millis) -> Result<Progress, Error> {
        if self.due == Instant::MAX {
            self.due = now.after(within);
        }
        let is_over = now >= self.due && self.due < Instant::MAX;
        if is_over { Err(Error::TimedOut) } else { Ok(Progress::NeedInput) }
    }

    fn show(&mut self, what: Shown) -> Progress {
        self.shown = what;
        Progress::Event
    }
}

/// An answer, or the head of one without a length.
fn put_answer(
    status: u16,
    headers: &[(&str, &str)],
    length: Option<usize>,
    parts: &[&[u8]],
    outbox: &mut Outbox<'_>,
) -> Result<(), SendError> {
    let (mut code, mut digits) = ([0; 20], [0; 20]);
    let code = decimal::write_word(status.into(), &mut code);
    let (length_is, length): (&[u8], &[u8]) = match length {
        Some(length) => (b"\r\ncontent-length: ", decimal::write_word(length, &mut digits)),
        None => (b"", b""),
    };
    // RFC 9110, 7.8: who sends Upgrade says so in Connection.
    let upgrade = headers.iter().any(|(name, _)| is_same(name.as_bytes(), "upgrade"));
    let connection: &[u8] = if upgrade { b"upgrade, close" } else { b"close" };
    let last = [length_is, length, b"\r\nconnection: ", connection, b"\r\n\r\n"];
    Ok(write::head_and_body(&[b"HTTP/1.1 ", code, b" "], headers, &last, parts, outbox)?)
}

impl From<Single> for Tail {
    fn from(single: Single) -> Self {
        single.tail
    }
}

impl Machine for Single {
    type Event<'i> = Event<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.release(inbox);
        if self.state == State::Answered {
            let progress = self.tail.advance(now, inbox, outbox);
            if progress == Progress::Event {
                self.shown = Shown::Gone;
            }
            return Ok(progress);
        }
        let result = self.step(now, inbox, outbox);
        if let Err(error) = result {
            self.state = State::Answered;
            // It fails only in an outbox that is smaller than this answer.
            let _ = put_answer(error.http_status(), &[], Some(0), &[], outbox);
            self.tail.end(outbox);
        }
        result
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let front = |length| inbox.unread().get(..length).unwrap_or_default();
        match self.shown {
            Shown::Nothing => None,
            Shown::Head(length) => Some(Event::Head(RequestHead::new(front(length)))),
            Shown::Body(length) => Some(Event::Body(front(length))),
            Shown::End => Some(Event::End),
            Shown::Gone => Some(Event::Gone),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Answered => self.tail.deadline(),
            State::Owed => None,
            _ => Some(self.due).filter(|due| *due < Instant::MAX),
        }
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        match core::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Head(length) | Shown::Body(length) => inbox.consume(length),
            Shown::Gone if self.state != State::Answered => {
                self.state = State::Answered;
                self.tail.depart();
            }
            _ => {}
        }
    }
}
