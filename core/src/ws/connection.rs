//! The machine: frames in, events out, and the end.

use core::ops::Range;

use super::{
    Config, Error, Event, Header, Opcode,
    assembly::{Frame, Message},
    close, mask,
};
use crate::{Entropy, Inbox, Instant, Kind, Machine, Outbox, Progress, Text, text::is_utf8};

/// The largest control frame.
pub(super) const CONTROL_ROOM: usize = 2 + 4 + close::MAX_CONTROL;
/// A frame is read only when so much room is left: for the pong that it may ask for, and for a close frame with a
/// code behind it.
const REPLY_ROOM: usize = CONTROL_ROOM + 2 + 4 + 2;
/// What may lie behind a message in the inbox: one header and one control frame.
const OVERHEAD: usize = Header::MAX + close::MAX_CONTROL;

/// One WebSocket connection after its handshake, client or server (RFC 6455).
///
/// Commands write at once and whole, or fail and change nothing. The outbox needs at least 139 bytes, or nothing is
/// ever read; see [`Config`] for what fits into an inbox.
#[derive(Debug)]
pub struct Connection {
    /// Open, no message and no ping under way: the fast path may run.
    ready: bool,
    /// We are the server: the peer masks, we do not.
    pub(super) server: bool,
    shown: Shown,
    pub(super) state: State,
    /// `send_fragment` is in the middle of a message.
    pub(super) sending: bool,
    started: bool,
    at: Range<usize>,
    /// The unread inbox is `[held: payload of the message under way | gap: used up | raw: not parsed yet]`.
    held: usize,
    /// Where `raw` begins.
    raw: usize,
    limit: usize,
    heard: Instant,
    /// When a ping was sent that nothing was heard after.
    pinged: Option<Instant>,
    /// When closing or lingering ends; the first `advance` of that state sets it.
    until: Option<Instant>,
    message: Option<Message>,
    frame: Option<Frame>,
    /// A client has it: mask keys must be unpredictable (§10.3).
    pub(super) entropy: Option<Entropy>,
    config: Config,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    /// We sent a close frame and wait for the peer's.
    Closing,
    /// All is said. We read to the peer's end, so that no reset destroys our last bytes on their way.
    Lingering,
    Closed,
}

/// What `event` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    Text,
    Binary,
    Ping,
    Pong,
    Closed(u16),
}

/// What one step of the slow path led to.
enum Step {
    Event,
    /// Something was used up; go on.
    Again,
    NeedInput,
}

impl Connection {
    /// The server's side of a connection, right after the answer to the handshake was written.
    #[must_use]
    pub const fn server(config: Config) -> Self {
        Self::new(config, None)
    }

    /// The client's side of a connection, right after the server's answer to the handshake was found good.
    /// Mask keys come from `entropy`.
    #[must_use]
    pub const fn client(config: Config, entropy: Entropy) -> Self {
        Self::new(config, Some(entropy))
    }

    const fn new(config: Config, entropy: Option<Entropy>) -> Self {
        Self {
            ready: false,
            server: entropy.is_none(),
            shown: Shown::Nothing,
            state: State::Open,
            sending: false,
            started: false,
            at: 0..0,
            held: 0,
            raw: 0,
            limit: 0,
            heard: Instant::EPOCH,
            pinged: None,
            until: None,
            message: None,
            frame: None,
            entropy,
            config,
        }
    }

    /// Whether messages can be sent: neither side has closed, nothing went wrong.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// One whole, unfragmented data frame: the first thing to try. `None` is for the slow path; `Some(false)` is a
    /// text that is not UTF-8.
    ///
    /// No message is under way, so giving the last event back is using up all of `raw`.
    #[inline(always)]
    fn fast(&mut self, inbox: &mut Inbox<'_>) -> Option<bool> {
        inbox.consume(core::mem::take(&mut self.raw));
        self.shown = Shown::Nothing;
        let raw = inbox.unread_mut();
        let (&[first, second], rest) = raw.split_first_chunk::<2>()?;
        let text = first == 0x81;
        if !(text || first == 0x82) || (second & 0x80 != 0) != self.server {
            return None;
        }
        let (wide, len) = match second & 0x7f {
            126 => (2, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
            short => (0, usize::from(short)),
        };
        if len > self.limit || (wide == 2 && len < 126) || (wide == 8 && len < 1 << 16) {
            return None;
        }
        let size = 2 + wide + if self.server { 4 } else { 0 };
        let (head, body) = raw.get_mut(..size + len)?.split_at_mut_checked(size)?;
        if self.server {
            mask::apply_mask(*head.last_chunk::<4>()?, body);
        }
        self.at = size..size + len;
        self.raw = size + len;
        self.shown = if text { Shown::Text } else { Shown::Binary };
        Some(!text || is_utf8(body))
    }

    #[cold]
    #[inline(never)]
    fn slow(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.release(inbox);
        self.ready = false;
        if !self.started {
            (self.started, self.heard) = (true, now);
        }
        self.limit = self.config.max_message.min(inbox.capacity().saturating_sub(OVERHEAD));
        loop {
            match self.state {
                State::Open => {}
                State::Closing => {
                    // Looked at before the input: frames that keep coming do not put it off.
                    if now >= *self.until.get_or_insert(now + self.config.close_within) {
                        return Err(self.fail(Error::TimedOut, outbox));
                    }
                }
                State::Lingering => return Ok(self.linger(now, inbox, outbox)),
                State::Closed => return Ok(Progress::Closed),
            }
            if outbox.room() < REPLY_ROOM {
                return Ok(Progress::NeedRoom);
            }
            match self.step(inbox, outbox) {
                Ok(Step::NeedInput) => break,
                Ok(step) => {
                    (self.heard, self.pinged) = (now, None);
                    if matches!(step, Step::Event) {
                        self.ready = self.is_open() && self.message.is_none();
                        return Ok(Progress::Event);
                    }
                }
                Err(error) => return Err(self.fail(error, outbox)),
            }
        }
        if inbox.is_finished() {
            // §7.1.5: no close frame.
            outbox.finish();
            self.state = State::Closed;
            (self.shown, self.at) = (Shown::Closed(close::ABNORMAL), 0..0);
            return Ok(Progress::Event);
        }
        self.close_gap(inbox);
        self.keep_alive(now, outbox)?;
        self.ready = self.is_open() && self.message.is_none() && self.pinged.is_none();
        Ok(Progress::NeedInput)
    }

    /// Drops the gap when what moves was paid for by what was used up, or when there is no other room.
    fn close_gap(&mut self, inbox: &mut Inbox<'_>) {
        let unread = inbox.unread().len();
        if unread - self.raw <= self.raw - self.held || unread == inbox.capacity() {
            inbox.close_gap(self.held..self.raw);
            self.raw = self.held;
        }
    }

    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox<'_>) -> Result<(), Error> {
        let (State::Open, Some(every)) = (self.state, self.config.ping_every) else { return Ok(()) };
        match self.pinged {
            None if now >= self.heard + every => {
                // There is room: `REPLY_ROOM` was there, and nothing was written since.
                if self.write(Opcode::Ping, &[], outbox).is_ok() {
                    self.pinged = Some(now);
                }
                Ok(())
            }
            Some(since) if now >= since + self.config.pong_within => Err(self.fail(Error::TimedOut, outbox)),
            _ => Ok(()),
        }
    }

    fn linger(&mut self, now: Instant, inbox: &mut Inbox<'_>, outbox: &mut Outbox<'_>) -> Progress {
        inbox.consume(inbox.unread().len());
        (self.held, self.raw) = (0, 0);
        let until = *self.until.get_or_insert(now + self.config.close_within);
        if now < until && !inbox.is_finished() {
            return Progress::NeedInput;
        }
        // A client gets here without having finished: the server should be the first (§7.1.1).
        outbox.finish();
        self.state = State::Closed;
        Progress::Closed
    }

    /// §7.1.7, fail the connection: a close frame if none was sent, then nothing more.
    #[cold]
    fn fail(&mut self, error: Error, outbox: &mut Outbox<'_>) -> Error {
        if self.is_open() {
            // There is room for it, unless somebody else filled the outbox; then the end must do.
            let _ = self.write(Opcode::Close, &[&error.close_code().to_be_bytes()], outbox);
        }
        outbox.finish();
        // Who is silent needs no time to read.
        self.state = if error == Error::TimedOut { State::Closed } else { State::Lingering };
        (self.ready, self.shown, self.until) = (false, Shown::Nothing, None);
        error
    }

    fn step(&mut self, inbox: &mut Inbox<'_>, outbox: &mut Outbox<'_>) -> Result<Step, Error> {
        if let (Some(frame), Some(message)) = (self.frame, self.message) {
            return self.payload(frame, message, inbox);
        }
        let raw = inbox.unread().get(self.raw..).unwrap_or_default();
        match Header::parse(raw, self.server)? {
            None => Ok(Step::NeedInput),
            Some(header) if header.opcode.is_control() => self.control(header, inbox, outbox),
            Some(header) => self.data(header, inbox),
        }
    }

    /// The header of a data frame: all that it declares is judged here, before anything is waited for.
    fn data(&mut self, header: Header, inbox: &mut Inbox<'_>) -> Result<Step, Error> {
        let mut message = match (header.opcode, self.message) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Text, None) => Message::new(Kind::Text),
            (Opcode::Binary, None) => Message::new(Kind::Binary),
            _ => return Err(Error::Sequence),
        };
        message.fragments = message.fragments.saturating_add(1);
        // What comes after our close frame is dropped, so its size does not matter.
        let left = if self.is_open() {
            if message.fragments > self.config.max_fragments.max(1) {
                return Err(Error::TooManyFragments { limit: self.config.max_fragments });
            }
            let too_large = Error::TooLarge { limit: self.limit };
            let left = usize::try_from(header.len).map_err(|_| too_large)?;
            if left > self.limit.saturating_sub(self.held) {
                return Err(too_large);
            }
            left as u64
        } else {
            header.len
        };
        self.raw += header.size();
        if self.held == 0 {
            // The payload stays where it is.
            inbox.consume(core::mem::take(&mut self.raw));
        }
        self.message = Some(message);
        self.frame = Some(Frame { fin: header.fin, left, key: header.key.unwrap_or_default() });
        Ok(Step::Again)
    }

    /// Payload of a data frame joins what is held as it arrives.
    fn payload(&mut self, frame: Frame, message: Message, inbox: &mut Inbox<'_>) -> Result<Step, Error> {
        let (mut frame, mut message) = (frame, message);
        let here = inbox.unread().len().saturating_sub(self.raw);
        let n = usize::try_from(frame.left).unwrap_or(usize::MAX).min(here);
        if n == 0 && frame.left > 0 {
            return Ok(Step::NeedInput);
        }
        frame.left -= n as u64;
        let ended = frame.left == 0 && frame.fin;
        self.frame = (frame.left > 0).then_some(Frame { key: mask::rotated(frame.key, n), ..frame });
        if !self.is_open() {
            inbox.consume(self.raw + n);
            self.raw = 0;
            self.message = (!ended).then_some(message);
            return Ok(Step::Again);
        }
        if self.server {
            mask::unmask_to(frame.key, inbox.unread_mut(), self.raw..self.raw + n, self.held);
        } else if self.held < self.raw {
            inbox.unread_mut().copy_within(self.raw..self.raw + n, self.held);
        }
        self.held += n;
        self.raw += n;
        message.check(inbox.unread().get(..self.held).unwrap_or_default(), ended)?;
        if !ended {
            self.message = Some(message);
            return Ok(Step::Again);
        }
        self.message = None;
        self.at = 0..core::mem::take(&mut self.held);
        self.shown = if message.kind == Kind::Text { Shown::Text } else { Shown::Binary };
        Ok(Step::Event)
    }

    /// A control frame, once all of it is there (at most 131 bytes).
    fn control(
        &mut self,
        header: Header,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Step, Error> {
        let start = self.raw + header.size();
        let at = start..start + usize::try_from(header.len).unwrap_or(close::MAX_CONTROL);
        let Some(payload) = inbox.unread_mut().get_mut(at.clone()) else { return Ok(Step::NeedInput) };
        if let Some(key) = header.key {
            mask::apply_mask(key, payload);
        }
        self.raw = at.end;
        self.at = at;
        match header.opcode {
            Opcode::Ping => {
                // §5.5.2; also after our close frame, as long as the peer's has not come.
                let _ = self.write(Opcode::Pong, &[payload], outbox);
                self.shown = Shown::Ping;
            }
            Opcode::Close => {
                let code = close::parse(payload)?;
                if self.is_open() {
                    // §5.5.1: our close frame says the same code.
                    let echo = payload.get(..2).unwrap_or_default();
                    let _ = self.write(Opcode::Close, &[echo], outbox);
                }
                if self.server {
                    outbox.finish();
                }
                self.at.start = self.at.end.min(self.at.start + 2);
                self.shown = Shown::Closed(code);
                (self.state, self.until) = (State::Lingering, None);
            }
            _ => self.shown = Shown::Pong,
        }
        Ok(Step::Event)
    }

    #[cold]
    #[inline(never)]
    fn rare<'i>(&self, bytes: &'i [u8]) -> Option<Event<'i>> {
        Some(match self.shown {
            Shown::Ping => Event::Ping(bytes),
            Shown::Pong => Event::Pong(bytes),
            Shown::Closed(code) => Event::Closed { code, reason: Text::checked(bytes) },
            _ => return None,
        })
    }
}

impl Machine for Connection {
    type Event<'i> = Event<'i>;
    type Error = Error;

    #[inline]
    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        if self.ready && outbox.room() >= REPLY_ROOM {
            match self.fast(inbox) {
                Some(true) => {
                    self.heard = now;
                    return Ok(Progress::Event);
                }
                Some(false) => return Err(self.fail(Error::NotUtf8, outbox)),
                None => {}
            }
        }
        self.slow(now, inbox, outbox)
    }

    #[inline]
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let bytes = inbox.unread().get(self.at.clone())?;
        if self.shown == Shown::Binary {
            return Some(Event::Binary(bytes));
        }
        if self.shown == Shown::Text {
            return Some(Event::Text(Text::checked(bytes)));
        }
        self.rare(bytes)
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Closing | State::Lingering => self.until,
            State::Open if !self.started => None,
            State::Open => {
                let every = self.config.ping_every?;
                Some(self.pinged.map_or(self.heard + every, |since| since + self.config.pong_within))
            }
        }
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.shown = Shown::Nothing;
        if self.state != State::Open {
            // What was held of a message will not be shown.
            self.held = 0;
        }
        if self.held == 0 {
            inbox.consume(core::mem::take(&mut self.raw));
        }
    }
}

impl Connection {
    /// The state after our close frame.
    pub(super) fn closing(&mut self) {
        (self.state, self.ready, self.until) = (State::Closing, false, None);
    }
}
