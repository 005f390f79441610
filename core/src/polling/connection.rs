//! The machine: records in, records out. The same for both ends.

use core::{ops::Range, time::Duration};

use super::{
    Config, Error, Event,
    batch::AROUND,
    record::{self, Content, GOODBYE},
};
use crate::{
    Full, Inbox, Incoming, Instant, Kind, Machine, Outbox, Progress, SendError, Text, Transport, find::memchr,
};

/// One end of a polling connection: whole messages over boxes that hold records.
///
/// On a server its boxes are moved by a [`Session`](super::Session), as a socket would move them; on a client by a
/// [`Client`](super::Client), which contains it.
///
/// An outbox holds records until the other end has acknowledged them, in the worst case. It must have room for the
/// largest message, and it always keeps 38 bytes for the close record.
#[derive(Debug)]
pub struct Connection {
    max_line: usize,
    max_record: usize,
    close_within: Duration,
    state: State,
    /// What `event` shows.
    shown: Option<Content>,
    /// Bytes of it, given back before the next one.
    used: usize,
    /// So far no line break was found.
    searched: usize,
    /// When the other end must have seen our close.
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// We have said our last word: input is dropped until the other end is done, then the end is shown, with this
    /// code. `None`: it is known already.
    Leaving(Option<u16>),
    Closed,
}

impl Connection {
    /// A connection that is open. On a server, [`Session::connection`](super::Session::connection) makes one that
    /// fits the session.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let max_bytes = config.max_bytes.max(128);
        Self {
            max_line: max_bytes,
            max_record: max_bytes - AROUND,
            close_within: config.close_within,
            state: State::Open,
            shown: None,
            used: 0,
            searched: 0,
            deadline: None,
        }
    }

    /// The other end takes bodies of at most so many bytes.
    pub(super) fn limit(&mut self, max_bytes: usize) {
        self.max_record = self.max_record.min(max_bytes.saturating_sub(AROUND));
    }

    /// Whether messages can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written. The limit counts the bytes on the wire, quotes and escapes included.
    pub fn send_text<'t>(
        &mut self,
        text: impl Into<Text<'t>>,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.send(Kind::Text, &[text.into().as_bytes()], outbox)
    }

    /// Sends a binary message. It takes 4 bytes on the wire for 3.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written. The limit counts the bytes on the wire.
    pub fn send_binary(&mut self, bytes: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send(Kind::Binary, &[bytes], outbox)
    }

    /// Ends the connection, behind all messages. What comes from the other end from now on is dropped, until it has
    /// acknowledged the end; then [`Event::Closed`] says `code` again.
    ///
    /// `code` has the meaning of RFC 6455 §7.4; `reason` is at most 123 bytes, as there.
    ///
    /// # Errors
    /// [`SendError::Unsuitable`]: a code that may not be sent, or a reason that is too long; or as
    /// [`send_text`](Self::send_text).
    pub fn send_close(&mut self, code: u16, reason: &str, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::NotOpen);
        }
        if !record::is_close_code(code) || reason.len() > MAX_REASON {
            return Err(SendError::Unsuitable);
        }
        let len = record::closed_len(reason);
        self.fits(len)?;
        record::write_closed(code, reason, outbox.claim(len)?);
        self.leave(Some(code), outbox);
        Ok(())
    }

    fn fits(&self, record: usize) -> Result<(), SendError> {
        if record > self.max_record {
            return Err(SendError::TooLarge { limit: self.max_record });
        }
        Ok(())
    }

    fn leave(&mut self, code: Option<u16>, outbox: &mut Outbox<'_>) {
        self.state = State::Leaving(code);
        outbox.finish();
    }

    /// The other end is told, as far as there is room.
    fn fail(&mut self, error: Error, outbox: &mut Outbox<'_>) -> Error {
        if let (Ok(room), true) = (outbox.claim(GOODBYE), record::is_close_code(error.close_code())) {
            record::write_closed(error.close_code(), "", room);
        }
        self.leave(None, outbox);
        error
    }

    /// Ends it without a word to the other end: the client found the server gone.
    pub(super) fn abandon(&mut self, outbox: &mut Outbox<'_>) {
        self.leave(None, outbox);
    }

    /// The next record, decoded. `None`: it is not whole yet.
    fn receive(&mut self, inbox: &mut Inbox<'_>) -> Result<Option<Content>, Error> {
        let limit = self.max_line.min(inbox.capacity());
        let from = self.searched;
        let Some(end) = inbox.search(from, |bytes| memchr(b'\n', bytes)) else {
            self.searched = inbox.unread().len();
            return if self.searched >= limit { Err(Error::TooLarge { limit }) } else { Ok(None) };
        };
        let end = end + 1;
        self.searched = 0;
        if end > limit {
            return Err(Error::TooLarge { limit });
        }
        let content = record::parse(inbox.unread_mut().get_mut(..end).unwrap_or_default())?;
        self.used = end;
        Ok(Some(content))
    }

    fn show(&mut self, content: Content) -> Progress {
        self.shown = Some(content);
        Progress::Event
    }

    fn close(&mut self, code: u16) -> Progress {
        self.state = State::Closed;
        self.show(Content::Closed { code, reason: 0..0 })
    }

    fn leaving(&mut self, code: Option<u16>, now: Instant, inbox: &mut Inbox<'_>) -> Progress {
        inbox.consume(inbox.unread().len());
        let at = *self.deadline.get_or_insert(now + self.close_within);
        if !inbox.is_finished() && now < at {
            return Progress::NeedInput;
        }
        self.deadline = None;
        match code {
            Some(code) => self.close(if inbox.is_finished() { code } else { LOST }),
            None => {
                self.state = State::Closed;
                Progress::Closed
            }
        }
    }
}

/// As in a WebSocket close frame (RFC 6455 §5.5).
const MAX_REASON: usize = 123;
/// Nobody closed it (RFC 6455 §7.4.1).
const LOST: u16 = 1006;

impl Machine for Connection {
    type Event<'i> = Event<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.release(inbox);
        match self.state {
            State::Closed => return Ok(Progress::Closed),
            State::Leaving(code) => return Ok(self.leaving(code, now, inbox)),
            State::Open => {}
        }
        // An error must be able to say goodbye.
        if !inbox.unread().is_empty() && outbox.room() < GOODBYE.min(outbox.capacity()) {
            return Ok(Progress::NeedRoom);
        }
        match self.receive(inbox) {
            Ok(Some(content)) => {
                if let Content::Closed { .. } = content {
                    self.state = State::Closed;
                    outbox.finish();
                }
                Ok(self.show(content))
            }
            Ok(None) if inbox.is_finished() => {
                outbox.finish();
                Ok(self.close(LOST))
            }
            Ok(None) => Ok(Progress::NeedInput),
            Err(error) => {
                let error = self.fail(error, outbox);
                // Sets the deadline: nothing more is read.
                let _ = self.leaving(None, now, inbox);
                Err(error)
            }
        }
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let bytes = |range: &Range<usize>| inbox.unread().get(range.clone()).unwrap_or_default();
        Some(match self.shown.as_ref()? {
            Content::Text(range) => Event::Text(Text::checked(bytes(range))),
            Content::Binary(range) => Event::Binary(bytes(range)),
            Content::Closed { code, reason } => {
                Event::Closed { code: *code, reason: Text::checked(bytes(reason)) }
            }
        })
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        inbox.consume(core::mem::take(&mut self.used));
        self.shown = None;
    }
}

impl Transport for Connection {
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        self.event(inbox).map(|event| match event {
            Event::Text(text) => Incoming::Text(text),
            Event::Binary(bytes) => Incoming::Binary(bytes),
            Event::Closed { .. } => Incoming::Closed,
        })
    }

    fn send(&mut self, kind: Kind, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::NotOpen);
        }
        let len = match kind {
            Kind::Text => record::text_len(parts),
            Kind::Binary => record::binary_len(parts),
        };
        self.fits(len)?;
        // The last bytes are for the close record.
        if outbox.room() < len + GOODBYE {
            return Err(Full { needed: len + GOODBYE }.into());
        }
        let room = outbox.claim(len)?;
        match kind {
            Kind::Text => record::write_text(parts, room),
            Kind::Binary => record::write_binary(parts, room),
        }
        Ok(())
    }

    fn close(&mut self, reason: &str, outbox: &mut Outbox<'_>) {
        let mut cut = reason.len().min(MAX_REASON);
        while !reason.is_char_boundary(cut) {
            cut -= 1;
        }
        let reason = reason.get(..cut).unwrap_or_default();
        // Without its reason it fits for certain, unless others filled the outbox; then it ends without a word.
        if self.send_close(1000, reason, outbox).is_err()
            && self.send_close(1000, "", outbox).is_err()
            && self.is_open()
        {
            self.abandon(outbox);
        }
    }
}
