//! The machine: frames in, events out, and the end.

use super::{
    Connection, Error, Event, Opcode, close, mask,
    state::{REPLY_ROOM, Shown, State, Step},
};
use crate::{Inbox, Instant, Machine, Outbox, Progress, Text, text::is_utf8, time::Millis};

impl Connection {
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
        let ascii = match (self.server, text) {
            (false, _) => false,
            (true, false) => {
                mask::apply_mask(*head.last_chunk::<4>()?, body);
                false
            }
            (true, true) => mask::unmask_text(*head.last_chunk::<4>()?, body),
        };
        let good = !text || ascii || is_utf8(body);
        self.at = size..size + len;
        self.raw = size + len;
        self.shown = if text { Shown::Text } else { Shown::Binary };
        Some(good)
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
        self.limits(inbox);
        loop {
            match self.state {
                State::Open => {}
                State::Closing => {
                    // Looked at before the input: frames that keep coming do not put it off.
                    if self.is_late(now) {
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
                    (self.heard, self.pinged) = (now, false);
                    if matches!(step, Step::Event) {
                        self.keep_room(inbox);
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
        self.keep_room(inbox);
        self.keep_alive(now, outbox)?;
        self.ready = self.is_open() && self.message.is_none() && !self.pinged;
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

    /// What a message inflates to needs room, however much of what follows it has arrived.
    fn keep_room(&self, _inbox: &mut Inbox<'_>) {
        #[cfg(feature = "deflate")]
        if self.extension.is_some() {
            _inbox.keep(self.most().saturating_sub(self.held));
        }
    }

    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox<'_>) -> Result<(), Error> {
        if self.is_open() && self.patience().is_some_and(|until| now >= until) {
            if self.pinged {
                return Err(self.fail(Error::TimedOut, outbox));
            }
            // There is room: `REPLY_ROOM` was there, and nothing was written since.
            if self.write(Opcode::Ping, &[], outbox).is_ok() {
                (self.heard, self.pinged) = (now, true);
            }
        }
        Ok(())
    }

    /// How long silence is borne: until a ping is due, or the end.
    fn patience(&self) -> Option<Instant> {
        let within = if self.pinged { self.config.pong_within } else { self.config.ping_every };
        (self.config.ping_every != Millis::NEVER).then(|| self.heard.after(within))
    }

    /// Whether closing or lingering, which begins now if it has not begun, has taken too long.
    fn is_late(&mut self, now: Instant) -> bool {
        if self.until == Instant::MAX {
            self.until = now.after(self.config.close_within);
        }
        now >= self.until && self.until < Instant::MAX
    }

    fn linger(&mut self, now: Instant, inbox: &mut Inbox<'_>, outbox: &mut Outbox<'_>) -> Progress {
        inbox.consume(inbox.unread().len());
        (self.held, self.raw) = (0, 0);
        if !self.is_late(now) && !inbox.is_finished() {
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
        (self.ready, self.shown, self.until) = (false, Shown::Nothing, Instant::MAX);
        error
    }

    #[cold]
    #[inline(never)]
    fn rare<'i>(&self, bytes: &'i [u8]) -> Option<Event<'i>> {
        Some(match self.shown {
            Shown::Piece { kind, first, last } => Event::Piece { kind, bytes, first, last },
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
        // The slow path does the same; where flash is counted in kilobytes it does so alone.
        if cfg!(not(target_os = "none")) && self.ready && outbox.room() >= REPLY_ROOM {
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
            State::Closing | State::Lingering => Some(self.until).filter(|until| *until < Instant::MAX),
            State::Open if !self.started => None,
            State::Open => self.patience(),
        }
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        if let (Shown::Piece { last: false, .. }, Some(message)) = (self.shown, &mut self.message) {
            let n = self.at.end;
            inbox.consume(n);
            (self.held, self.raw) = (self.held.saturating_sub(n), self.raw.saturating_sub(n));
            message.checked = message.checked.saturating_sub(n);
        }
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
