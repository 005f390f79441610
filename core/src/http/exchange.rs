//! The server's side of one connection.

use super::{
    body::{Body, Length, Step, Window},
    config::{Config, Limits},
    error::{Error, SendError},
    event::{Event, RequestHead},
    head::{self, Kind, Search, has_no_body},
    tail::Tail,
    wait::{For, Wait},
    write::{self, Ending},
};
use crate::{Inbox, Instant, Machine, Outbox, Progress};

/// Room for `100 Continue` or for the answer to an error, whichever is larger.
const REPLY_ROOM: usize = 96;

/// How the end of an answer is told that is sent in pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// By the last chunk (RFC 9112, 7.1); for a client that speaks HTTP/1.0 as [`UntilClose`](Self::UntilClose).
    Chunks,
    /// By closing the connection. The bytes are the same for every peer, so many connections can share them, as
    /// event streams do.
    UntilClose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Request {
    Head,
    Body,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Response {
    Owed,
    Chunks,
    UntilClose,
    /// Complete, or there is no request yet.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// All is said; what still comes is dropped, so that the answer is not lost to a reset.
    Lingering,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    Head,
    Body,
    End,
    Gone,
}

/// The server's side of one HTTP/1.1 connection: requests one after the other, one answer each.
///
/// See the [module](super) for the states and an example. Pipelined requests wait in the inbox until the one
/// before was answered. The peer's end while no request is under way is [`Progress::Closed`], no error.
#[derive(Debug)]
pub struct Exchange {
    limits: Limits,
    search: Search,
    window: Window,
    body: Body,
    wait: Wait,
    phase: Phase,
    request: Request,
    response: Response,
    shown: Shown,
    /// Nothing speaks against another request on this connection.
    keep: bool,
    minor: u8,
    is_head: bool,
    expects: bool,
    declares: bool,
    /// The application insists on a declared length, and there is none.
    lacks_length: bool,
}

impl Exchange {
    /// A connection on which nothing has come yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            limits: Limits::new(&config),
            search: Search::default(),
            window: Window::default(),
            body: Body::new(Length::Exactly(0)),
            wait: Wait::new(),
            phase: Phase::Open,
            request: Request::Head,
            response: Response::Done,
            shown: Shown::Nothing,
            keep: true,
            minor: 1,
            is_head: false,
            expects: false,
            declares: false,
            lacks_length: false,
        }
    }

    /// The request is complete and its answer is not. Nothing but you, or the peer's end, moves the connection
    /// on: there is no deadline, and nothing is read.
    #[must_use]
    pub fn is_your_turn(&self) -> bool {
        self.request == Request::Done && self.response != Response::Done
    }

    /// Asks for the body in one piece; call it at [`Event::Head`], or before the first piece was seen.
    ///
    /// A body above `limit` bytes, or one that the inbox cannot hold, is [`Error::TooLarge`] (413) as soon as its
    /// length is declared. A chunked body needs room for one line of its framing besides.
    ///
    /// A request with neither a length nor chunks has an empty body (RFC 9112, 6.3), whatever its method: `curl -X
    /// POST` is such a one. Whoever wants it declared says [`require_length`](Self::require_length).
    pub fn collect(&mut self, limit: usize) {
        self.body.collect(limit);
    }

    /// Insists on a body whose end is declared; call it at [`Event::Head`]. A request with neither a length nor
    /// chunks is then [`Error::LengthRequired`] (411).
    pub fn require_length(&mut self) {
        self.lacks_length = self.shown == Shown::Head && !self.declares;
    }

    /// The whole answer. `content-length` and `connection` are written for you (`connection: upgrade` if there is
    /// an `upgrade` header). To HEAD, the body is left out and its length is told.
    ///
    /// May be called from [`Event::Head`] on. A body that is still to come is then read and dropped, or the
    /// connection closes: always if the peer waits for `100 Continue`, else if more than
    /// [`Config::drain`] bytes may follow.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written.
    pub fn respond(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.check_owed()?;
        write::check_response(status, headers, !body.is_empty())?;
        let is_small = self.body.rest().is_some_and(|rest| rest <= self.limits.drain());
        let keep = self.keep && (self.request == Request::Done || (is_small && !self.expects));
        let length = (!has_no_body(status)).then_some(body.len());
        let ending = Ending { length, chunked: false, keep, old: self.minor == 0 };
        write::response(status, headers, ending, if self.is_head { &[] } else { body }, outbox)?;
        (self.response, self.keep) = (Response::Done, keep);
        Ok(())
    }

    /// The head of an answer that comes in pieces: [`chunk`](Self::chunk) sends them, [`end`](Self::end) ends it.
    ///
    /// If the request is not complete, its events go on, and the connection closes after the answer.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written. A status without a body is [`SendError::Unsuitable`].
    pub fn begin(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        framing: Framing,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.check_owed()?;
        write::check_response(status, headers, true)?;
        let chunked = framing == Framing::Chunks && self.minor > 0;
        let is_complete = self.request == Request::Done || self.body.is_complete();
        let keep = self.keep && chunked && is_complete;
        let ending = Ending { length: None, chunked, keep, old: self.minor == 0 };
        write::response(status, headers, ending, &[], outbox)?;
        self.response = if chunked { Response::Chunks } else { Response::UntilClose };
        self.keep = keep;
        Ok(())
    }

    /// A piece of the answer, `parts` one behind the other. To HEAD, and without a byte, nothing is written.
    ///
    /// # Errors
    /// [`SendError::NotYourTurn`] before [`begin`](Self::begin) or when the peer is gone; [`SendError::Full`].
    pub fn chunk(&mut self, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_begun()?;
        if self.is_head || parts.iter().all(|part| part.is_empty()) {
            return Ok(());
        }
        if self.response == Response::Chunks {
            write::chunk(parts, outbox)?;
        } else {
            outbox.put(parts)?;
        }
        Ok(())
    }

    /// The answer is complete.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn end(&mut self, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_begun()?;
        if self.response == Response::Chunks && !self.is_head {
            outbox.put(&[b"0\r\n\r\n"])?;
        }
        self.response = Response::Done;
        Ok(())
    }

    /// No further request on this connection: it closes after the answer that is owed or under way, at once if
    /// there is none. An answer that begins later says so (`connection: close`).
    pub fn close_after(&mut self) {
        self.keep = false;
    }

    fn check_owed(&self) -> Result<(), SendError> {
        if self.response == Response::Owed { Ok(()) } else { Err(SendError::NotYourTurn) }
    }

    fn check_begun(&self) -> Result<(), SendError> {
        let is_begun = matches!(self.response, Response::Chunks | Response::UntilClose);
        if is_begun { Ok(()) } else { Err(SendError::NotYourTurn) }
    }

    /// One step; `None` to go on.
    fn step(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Progress>, Error> {
        if self.response == Response::Done && !self.keep {
            self.linger(outbox);
            return Ok(None);
        }
        let answers_errors = self.request == Request::Head || self.response == Response::Owed;
        if answers_errors && !self.is_your_turn() && outbox.room() < REPLY_ROOM.min(outbox.capacity()) {
            return Ok(Some(Progress::NeedRoom));
        }
        match self.request {
            Request::Head => self.read_head(now, inbox, outbox),
            Request::Body => self.read_body(now, inbox, outbox),
            Request::Done if self.response == Response::Done => {
                self.request = Request::Head;
                self.search = Search::default();
                Ok(None)
            }
            Request::Done => Ok(Some(self.await_answer(inbox))),
        }
    }

    fn read_head(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Progress>, Error> {
        let start = self.window.raw();
        let Some(length) = self.search.run(Kind::Request, start, &self.limits, inbox)? else {
            self.window.make_room(inbox);
            let has_begun = self.search.has_begun();
            if inbox.is_finished() {
                if has_begun {
                    return Err(Error::Truncated);
                }
                self.linger(outbox);
                return Ok(None);
            }
            if has_begun && self.wait.is_over(For::Head, now, self.limits.head_within) {
                return Err(Error::TimedOut);
            }
            if !has_begun && self.wait.is_over(For::Request, now, self.limits.idle_within) {
                self.linger(outbox);
                return Ok(None);
            }
            return Ok(Some(Progress::NeedInput));
        };
        let bytes = inbox.unread().get(start..start + length).unwrap_or_default();
        let request = head::parse_request(bytes)?;
        self.window.hold(length, inbox);
        self.keep &= request.keep;
        (self.minor, self.is_head, self.expects) = (request.minor, request.is_head, request.expects);
        self.declares = request.declares;
        self.body = Body::new(request.length);
        self.wait.begin_body(self.limits.body_within);
        (self.request, self.response) = (Request::Body, Response::Owed);
        Ok(Some(self.show(Shown::Head)))
    }

    fn read_body(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Progress>, Error> {
        let is_answered = self.response == Response::Done;
        if is_answered {
            self.window.release();
        }
        if core::mem::take(&mut self.lacks_length) && self.response == Response::Owed {
            return Err(Error::LengthRequired);
        }
        if core::mem::take(&mut self.expects) && self.response == Response::Owed {
            // The application reads on, so it wants the body (RFC 9110, 10.1.1). It is said even if the body is
            // here already: how the bytes were cut must not show.
            self.body.check_declared(inbox)?;
            let _ = outbox.put(&[b"HTTP/1.1 100 Continue\r\n\r\n"]); // `step` saw to the room
        }
        match self.body.step(is_answered, &mut self.window, inbox)? {
            Step::Data(n) => {
                self.wait.body_came(now, n, self.limits.body_rate, self.limits.body_within);
                if is_answered || self.body.is_collected() {
                    return Ok(None);
                }
                Ok(Some(self.show(Shown::Body)))
            }
            Step::Complete if !self.window.held().is_empty() => Ok(Some(self.show(Shown::Body))),
            Step::Complete => {
                self.request = Request::Done;
                Ok((!is_answered).then(|| self.show(Shown::End)))
            }
            Step::Starved => {
                self.body.make_room(&mut self.window, inbox)?;
                if inbox.is_finished() {
                    return Ok(self.lose_peer(outbox));
                }
                if self.wait.is_body_over(now) {
                    return Err(Error::TimedOut);
                }
                Ok(Some(Progress::NeedInput))
            }
        }
    }

    fn await_answer(&mut self, inbox: &Inbox<'_>) -> Progress {
        self.wait.stop();
        if inbox.is_finished() && !self.limits.half_close {
            return self.show(Shown::Gone);
        }
        Progress::NeedInput
    }

    /// The peer ended in the middle of a body.
    fn lose_peer(&mut self, outbox: &mut Outbox<'_>) -> Option<Progress> {
        if self.response == Response::Done {
            self.linger(outbox);
            return None;
        }
        Some(self.show(Shown::Gone))
    }

    fn show(&mut self, what: Shown) -> Progress {
        if what == Shown::Gone {
            (self.response, self.keep) = (Response::Done, false);
        }
        self.shown = what;
        Progress::Event
    }

    fn linger(&mut self, outbox: &mut Outbox<'_>) {
        outbox.finish();
        self.wait.stop();
        self.phase = Phase::Lingering;
        (self.request, self.response, self.keep) = (Request::Done, Response::Done, false);
        self.window.release();
    }

    /// Answers an error, if that can still be done, and ends.
    fn refuse(&mut self, error: Error, outbox: &mut Outbox<'_>) -> Error {
        if self.request == Request::Head || self.response == Response::Owed {
            let ending = Ending { length: Some(0), chunked: false, keep: false, old: false };
            // It fails only in an outbox that is smaller than this answer.
            let _ = write::response(error.http_status(), &[], ending, &[], outbox);
        }
        self.linger(outbox);
        error
    }

    /// Drops what comes, until the peer's end or until it took too long.
    fn await_end(&mut self, now: Instant, inbox: &mut Inbox<'_>, outbox: &Outbox<'_>) -> Progress {
        inbox.consume(inbox.unread().len());
        self.window = Window::default();
        if self.wait.is_over(For::End, now, self.limits.close_within) {
            self.wait.stop();
            // What takes long to send is not lost for that: `Link` cuts off a peer that takes nothing.
            if outbox.is_empty() || self.wait.is_over(For::End, now, self.limits.close_within) {
                self.phase = Phase::Closed;
            }
        }
        if inbox.is_finished() {
            self.phase = Phase::Closed;
        }
        Progress::NeedInput
    }

    fn see(&mut self) {
        match core::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Head | Shown::Body => self.window.release(),
            Shown::Gone => self.phase = Phase::Closed,
            Shown::End | Shown::Nothing => {}
        }
    }
}

/// What is written is the rest of an answer that was begun with [`Framing::UntilClose`] and is not one to HEAD; any other
/// connection is at its end.
impl From<Exchange> for Tail {
    fn from(exchange: Exchange) -> Self {
        Self::new(exchange.response == Response::UntilClose && !exchange.is_head, &exchange.limits)
    }
}

impl Machine for Exchange {
    type Event<'i> = Event<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.see();
        self.window.give_back(false, inbox);
        loop {
            match self.phase {
                Phase::Closed => {
                    self.wait.stop();
                    outbox.finish();
                    return Ok(Progress::Closed);
                }
                Phase::Lingering => {
                    let progress = self.await_end(now, inbox, outbox);
                    if self.phase == Phase::Lingering {
                        return Ok(progress);
                    }
                }
                Phase::Open => match self.step(now, inbox, outbox) {
                    Ok(Some(progress)) => return Ok(progress),
                    Ok(None) => {}
                    Err(error) => return Err(self.refuse(error, outbox)),
                },
            }
        }
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let held = || inbox.unread().get(self.window.held()).unwrap_or_default();
        match self.shown {
            Shown::Nothing => None,
            Shown::Head => Some(Event::Head(RequestHead::new(held()))),
            Shown::Body => Some(Event::Body(held())),
            Shown::End => Some(Event::End),
            Shown::Gone => Some(Event::Gone),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.wait.deadline()
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.see();
        self.window.give_back(true, inbox);
    }
}
