//! The receiving side: the machine that parses a stream (HTML 9.2.5 and 9.2.6).

use core::{ops::Range, time::Duration};

use memchr::{memchr2, memchr3};

use super::{
    config::Config,
    draft::Draft,
    error::Error,
    event::Event,
    field::{Field, MARK, Place},
    utf8,
};
use crate::{Inbox, Instant, Machine, Outbox, Progress, SendError, Text, text::is_utf8};

/// Parses the body of one `text/event-stream` response. It writes nothing and has no deadline.
///
/// The inbox holds the body and nothing else (behind an HTTP head, or after decoding chunks). Bytes that are no
/// UTF-8 become U+FFFD and never an error; a block that the end of the input cuts off is dropped. When it says
/// [`Progress::Closed`] the input has ended: ask for the [`retry`](Self::retry) time and the
/// [`last_event_id`](Self::last_event_id), connect again, and go on with [`resume`](Self::resume).
///
/// The event ID in force lives in the inbox, in front of everything else.
#[derive(Debug)]
pub struct Stream {
    config: Config,
    place: Place,
    /// The last line ended with CR: an LF belongs to it.
    after_cr: bool,
    /// The block is too large and its rest is passed over.
    discarding: bool,
    shown: bool,
    closed: bool,
    /// The length of the event ID in force, which lies at the front of the inbox.
    id_len: usize,
    /// Where the bytes begin that are not parsed.
    raw: usize,
    /// How many of them are the beginning of a character, in which there is no line end.
    partial: usize,
    /// The block, when a value of it was there.
    draft: Option<Draft>,
    /// The number on a `retry` line.
    number: Option<u64>,
    retry: Option<Duration>,
    dropped: u64,
}

/// Room that is never lent to a block: the beginning of the next character, once decoded, and some bytes to read.
const MARGIN: usize = 16;

impl Stream {
    /// A stream from its beginning: no event ID, no retry time.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            place: Place::Mark(0),
            after_cr: false,
            discarding: false,
            shown: false,
            closed: false,
            id_len: 0,
            raw: 0,
            partial: 0,
            draft: None,
            number: None,
            retry: None,
            dropped: 0,
        }
    }

    /// The stream of the next connection, which begins with the event ID of the one before (as browsers do it: the ID
    /// stays in force until the server names another). The ID is written into the inbox of the new connection, in
    /// front of what may have come already.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] when the ID is above the limit ([`max_id`](Self::max_id)), [`SendError::Unsuitable`] when
    /// it contains CR, LF or NUL, as no ID of a stream does.
    pub fn resume(
        config: Config,
        last_event_id: &str,
        retry: Option<Duration>,
        inbox: &mut Inbox<'_>,
    ) -> Result<Self, SendError> {
        let mut stream = Self { retry, ..Self::new(config) };
        let limit = stream.max_id(inbox);
        let id = last_event_id.as_bytes();
        if memchr3(0, b'\r', b'\n', id).is_some() {
            return Err(SendError::Unsuitable);
        }
        if id.len() > limit || !inbox.open_gap(0, id.len()) {
            return Err(SendError::TooLarge { limit });
        }
        if let Some(front) = inbox.unread_mut().get_mut(..id.len()) {
            front.copy_from_slice(id);
        }
        (stream.id_len, stream.raw) = (id.len(), id.len());
        Ok(stream)
    }

    /// The event ID in force: what the `Last-Event-ID` header of the next request says, which is left out when this
    /// is empty (HTML 9.2.4). An ID takes effect at the end of its block, also of one without data.
    ///
    /// `inbox` is the one that this stream was advanced with, since its last call.
    #[must_use]
    pub fn last_event_id<'i>(&self, inbox: &'i Inbox<'_>) -> Text<'i> {
        let new = self.draft.as_ref().filter(|_| self.shown).and_then(|draft| draft.id.clone());
        text(inbox, new.unwrap_or(0..self.id_len))
    }

    /// The reconnection time in force: how long to wait before the next request. `None` until the server has named one.
    ///
    /// A `retry` line takes effect at once. Its number is taken as it is, up to `u64::MAX` milliseconds: bound it before
    /// you wait for it.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// How many blocks were dropped because they were too large; always 0 without [`Config::resync`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The most bytes of a block over this inbox: [`Config::max_event`], or the inbox's capacity less twice
    /// [`max_id`](Self::max_id) and 16.
    #[must_use]
    pub fn max_event(&self, inbox: &Inbox<'_>) -> usize {
        let room = inbox.capacity().saturating_sub(2 * self.max_id(inbox) + MARGIN);
        self.config.max_event.min(room)
    }

    /// The most bytes of an event ID over this inbox: [`Config::max_id`], or an eighth of its capacity.
    #[must_use]
    pub fn max_id(&self, inbox: &Inbox<'_>) -> usize {
        self.config.max_id.min(inbox.capacity() / 8)
    }

    /// Parses as far as the next event, or to the end of what is there.
    fn parse(&mut self, inbox: &mut Inbox<'_>) -> Result<bool, Error> {
        while let Some(&byte) = inbox.unread().get(self.raw + self.partial) {
            if core::mem::take(&mut self.after_cr) && byte == b'\n' {
                self.raw += 1;
                continue;
            }
            match self.place {
                Place::Mark(n) => match (MARK.get(usize::from(n)) == Some(&byte), n) {
                    (true, 2) => self.go_on(1, Place::Line),
                    (true, _) => self.go_on(1, Place::Mark(n + 1)),
                    (false, 0) => self.place = Place::Line,
                    // Half a mark is U+FFFD: no field begins with it.
                    (false, _) => self.place = Place::Ignored,
                },
                Place::Line if is_end(byte) => {
                    self.end_line(byte);
                    if self.end_block(inbox) {
                        return Ok(true);
                    }
                }
                Place::Line => {
                    if self.draft.is_none() && !self.discarding && self.whole(inbox) {
                        return Ok(true);
                    }
                    let field = Field::by_initial(byte).filter(|_| !self.discarding);
                    self.place = field.map_or(Place::Ignored, |field| Place::Name(field, 0));
                }
                Place::Name(field, n) => self.name(field, usize::from(n), inbox),
                Place::Colon(field) => self.go_on(usize::from(byte == b' '), Place::Value(field)),
                Place::Value(Field::Retry) => self.digit(byte),
                Place::Value(field) => self.value(field, inbox)?,
                Place::Ignored => {
                    let end = inbox.search(self.raw, line_end);
                    self.raw = end.unwrap_or(inbox.unread().len());
                    if let (Some(_), Some(&byte)) = (end, inbox.unread().get(self.raw)) {
                        self.end_line(byte);
                    }
                }
            }
        }
        Ok(false)
    }

    /// The fast path, at the beginning of a block: `data:`, one line, an empty line. It is shown where it lies.
    #[inline]
    fn whole(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let start = match inbox.unread().get(self.raw..).unwrap_or_default() {
            [b'd', b'a', b't', b'a', b':', b' ', ..] => self.raw + 6,
            [b'd', b'a', b't', b'a', b':', ..] => self.raw + 5,
            _ => return false,
        };
        let Some(end) = inbox.search(start, line_end) else { return false };
        let ends = match inbox.unread().get(end..).unwrap_or_default() {
            [b'\n', b'\n', ..] => 2,
            [b'\r', b'\n', b'\r', b'\n', ..] => 4,
            _ => return false,
        };
        let data = inbox.unread().get(start..end).unwrap_or_default();
        if data.len() > self.max_event(inbox) || !is_utf8(data) {
            return false;
        }
        self.draft = Some(Draft::of_data(start..end));
        self.raw = end + ends;
        self.shown = true;
        true
    }

    /// The rest of a name, or as much of it as is there.
    fn name(&mut self, field: Field, n: usize, inbox: &Inbox<'_>) {
        let wanted = field.name().get(n..).unwrap_or_default();
        let rest = inbox.unread().get(self.raw..).unwrap_or_default();
        let same = wanted.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let place = match rest.get(same) {
            // A name is never longer than five bytes.
            None => Place::Name(field, u8::try_from(n + same).unwrap_or(u8::MAX)),
            Some(_) if same < wanted.len() => Place::Ignored,
            Some(b':') => return self.open(same + 1, field, Place::Colon(field)),
            // No colon: the line is the name, the value is empty.
            Some(&byte) if is_end(byte) => return self.open(same, field, Place::Value(field)),
            Some(_) => Place::Ignored,
        };
        self.go_on(same, place);
    }

    /// A value begins `n` bytes on.
    fn open(&mut self, n: usize, field: Field, place: Place) {
        self.go_on(n, place);
        match field {
            Field::Retry => self.number = None,
            _ => {
                // The space that may follow is no part of it; with nothing before it, it begins in its place.
                let at = self.raw;
                self.draft.get_or_insert_with(|| Draft::new(at)).open();
            }
        }
    }

    /// A byte of a `retry` line: anything but digits makes the line one to ignore.
    fn digit(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                let number = self.number.unwrap_or(0).saturating_mul(10);
                self.number = Some(number.saturating_add(u64::from(byte - b'0')));
                self.raw += 1;
            }
            _ if is_end(byte) => {
                self.retry = self.number.map(Duration::from_millis).or(self.retry);
                self.end_line(byte);
            }
            _ => self.place = Place::Ignored,
        }
    }

    /// More of a value that is kept, perhaps its end.
    fn value(&mut self, field: Field, inbox: &mut Inbox<'_>) -> Result<(), Error> {
        let Some(mut draft) = self.draft.take() else { return Ok(()) };
        if draft.len() == 0 {
            draft = Draft::new(self.raw);
        }
        let begun = self.raw + self.partial;
        let stop = match field {
            Field::Id => inbox.search(begun, |rest| memchr3(b'\n', b'\r', 0, rest)),
            _ => inbox.search(begun, line_end),
        };
        let mut end = stop.unwrap_or(inbox.unread().len());
        self.partial = 0;
        if stop.is_none() {
            self.partial = utf8::incomplete(inbox.unread().get(self.raw..end).unwrap_or_default());
            end -= self.partial;
        }
        let (max_event, max_id) = (self.max_event(inbox), self.max_id(inbox));
        let room = max_event.checked_sub(draft.len());
        let room_of_id = max_id.saturating_sub(draft.value_len());
        let most = match field {
            Field::Id => room.map(|room| room.min(room_of_id)),
            _ => room,
        };
        let taken = most.and_then(|most| draft.take(inbox, self.raw..end, most, self.id_len));
        let Some(raw) = taken else {
            self.raw = end;
            let of_id = field == Field::Id && room.is_some_and(|room| room > room_of_id);
            return self.too_large(if of_id {
                Error::IdTooLarge { limit: max_id }
            } else {
                Error::TooLarge { limit: max_event }
            });
        };
        self.raw = raw;
        match stop.and_then(|_| inbox.unread().get(raw).copied()) {
            None => {}
            // An ID with NUL in it is ignored.
            Some(0) => {
                draft.abandon();
                self.place = Place::Ignored;
            }
            Some(byte) => {
                draft.close(field, inbox);
                self.end_line(byte);
            }
        }
        self.draft = Some(draft);
        Ok(())
    }

    /// The block is above a limit, and the raw bytes go on within its last line.
    fn too_large(&mut self, error: Error) -> Result<(), Error> {
        self.draft = None;
        self.partial = 0;
        if !self.config.resync {
            return Err(error);
        }
        self.dropped = self.dropped.saturating_add(1);
        self.discarding = true;
        self.place = Place::Ignored;
        Ok(())
    }

    fn go_on(&mut self, n: usize, place: Place) {
        self.raw += n;
        self.place = place;
    }

    /// The line ends with the next raw byte, which is `byte`.
    fn end_line(&mut self, byte: u8) {
        self.after_cr = byte == b'\r';
        self.go_on(1, Place::Line);
    }

    /// An empty line was there. Whether it made an event.
    fn end_block(&mut self, inbox: &mut Inbox<'_>) -> bool {
        self.discarding = false;
        let Some(draft) = &mut self.draft else { return false };
        if draft.data.is_some() {
            draft.assemble(inbox);
            self.shown = true;
        } else {
            self.forget_block(inbox);
        }
        self.shown
    }

    /// The block is done with; an event ID in it is in force from now on.
    fn forget_block(&mut self, inbox: &mut Inbox<'_>) {
        self.shown = false;
        if let Some(id) = self.draft.take().and_then(|draft| draft.id) {
            inbox.consume(id.start);
            self.raw = self.raw.saturating_sub(id.start);
            self.id_len = id.len();
        }
    }

    /// All was parsed: closes the gaps, so that the inbox holds the ID, the block and the beginning of a character. What
    /// moves is less than four bytes, or has been paid for by the bytes of the gap.
    fn tidy(&mut self, inbox: &mut Inbox<'_>) {
        let end = self.draft.as_ref().map_or(self.id_len, Draft::end);
        inbox.close_gap(end..self.raw);
        self.raw = end;
        let Some(draft) = &mut self.draft else { return };
        let gap = draft.start() - self.id_len;
        if gap > 0 && gap >= self.id_len {
            inbox.unread_mut().copy_within(..self.id_len, gap);
            inbox.count_moved(self.id_len);
            inbox.consume(gap);
            draft.shift_down(gap);
            self.raw -= gap;
        }
    }

    /// Lets the driver read no more than can be decoded in place, whatever it will be: each byte may become three,
    /// and a block grows by two thirds of its limit at most.
    fn keep(&self, inbox: &mut Inbox<'_>) {
        let len = inbox.unread().len();
        let free = inbox.capacity() - len;
        // The ID may be replaced by one as long as it can be, with a gap behind it that is as long.
        let front = self.draft.as_ref().map_or(self.id_len, Draft::start);
        let front = (2 * self.max_id(inbox)).saturating_sub(front);
        let raw = len.saturating_sub(self.raw);
        let third = free.saturating_sub(front + 2 * raw) / 3;
        let most = free.saturating_sub(front + 2 * (self.max_event(inbox) / 3 + 2));
        // Between events it may be nothing; else the margin has room for one byte.
        let least = usize::from(!self.shown);
        inbox.keep(free - third.max(most).max(least).min(free));
    }
}

impl Machine for Stream {
    type Event<'i> = Event<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        _now: Instant,
        inbox: &mut Inbox<'_>,
        _outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        if self.shown {
            self.forget_block(inbox);
        }
        if self.closed {
            return Ok(Progress::Closed);
        }
        match self.parse(inbox) {
            Ok(true) => {
                self.keep(inbox);
                Ok(Progress::Event)
            }
            Ok(false) => {
                self.closed = inbox.is_finished();
                if self.closed {
                    self.draft = None;
                }
                self.tidy(inbox);
                self.keep(inbox);
                Ok(if self.closed { Progress::Closed } else { Progress::NeedInput })
            }
            Err(error) => {
                self.closed = true;
                Err(error)
            }
        }
    }

    #[inline]
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let draft = self.draft.as_ref().filter(|_| self.shown)?;
        Some(Event {
            event: if draft.event.is_empty() {
                Text::from("message")
            } else {
                text(inbox, draft.event.clone())
            },
            data: text(inbox, draft.data.clone()?),
            last_event_id: self.last_event_id(inbox),
        })
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        if self.shown {
            self.forget_block(inbox);
        }
        // Without an ID nothing has to stay.
        if self.id_len == 0 && self.draft.is_none() {
            inbox.consume(self.raw);
            self.raw = 0;
        }
    }
}

/// Where the line ends: CR, LF or CR LF.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', bytes)
}

#[inline]
fn is_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn text<'i>(inbox: &'i Inbox<'_>, range: Range<usize>) -> Text<'i> {
    Text::checked(inbox.unread().get(range).unwrap_or_default())
}
