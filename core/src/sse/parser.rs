//! The parser: lines and fields (HTML 9.2.5 and 9.2.6), resumable behind every byte.

use core::{ops::Range, time::Duration};

use memchr::{memchr, memchr2, memchr3};

use super::{
    config::Config,
    draft::Draft,
    error::Error,
    field::{Field, MARK, Place},
    quick::{self, View},
    utf8,
};
use crate::{Inbox, text::is_utf8};

/// Everything that lives longer than a call.
#[derive(Debug)]
pub(super) struct Parser {
    pub(super) config: Config,
    place: Place,
    /// The last line ended with CR: an LF belongs to it.
    after_cr: bool,
    /// The block is too large and its rest is passed over.
    discarding: bool,
    /// A block is complete, and `view` is shown.
    pub(super) shown: bool,
    pub(super) view: View,
    /// The length of the event ID in force, which lies at the front of the inbox.
    pub(super) id_len: usize,
    /// Where the bytes begin that are not parsed.
    pub(super) raw: usize,
    /// How many of them are the beginning of a character, in which there is no line end.
    partial: usize,
    /// How many of them are the beginning of a line, in which there is no line end.
    searched: usize,
    /// The block that is being received, when a value of it was there.
    pub(super) draft: Option<Draft>,
    /// The number on a `retry` line.
    number: Option<u64>,
    pub(super) retry: Option<Duration>,
    pub(super) dropped: u64,
}

/// What became of a line.
enum Seen {
    /// Nothing: it is an unusual one, or a long one and not all there.
    Nothing,
    /// A short beginning: its end is waited for.
    Begun,
    Line,
    Event,
}

/// Room that is never lent to a block: the beginning of the next character, once decoded, and some bytes to read.
const MARGIN: usize = 16;
/// So much of a line is waited with until its end comes; more is taken as it comes.
const SHORT: usize = 64 << 10;

impl Parser {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            place: Place::Mark(0),
            after_cr: false,
            discarding: false,
            shown: false,
            view: View::default(),
            id_len: 0,
            raw: 0,
            partial: 0,
            searched: 0,
            draft: None,
            number: None,
            retry: None,
            dropped: 0,
        }
    }

    pub(super) fn max_event(&self, inbox: &Inbox<'_>) -> usize {
        let room = inbox.capacity().saturating_sub(2 * self.max_id(inbox) + MARGIN);
        self.config.max_event.min(room)
    }

    pub(super) fn max_id(&self, inbox: &Inbox<'_>) -> usize {
        self.config.max_id.min(inbox.capacity() / 8)
    }

    /// Parses as far as the next event, or to the end of what is there.
    #[inline]
    pub(super) fn parse(&mut self, inbox: &mut Inbox<'_>) -> Result<bool, Error> {
        let afresh = self.place == Place::Line && self.searched == 0 && self.draft.is_none();
        if afresh && !self.discarding && self.whole_block(inbox) {
            return Ok(true);
        }
        self.parse_lines(inbox)
    }

    /// A whole block of plain text at once, shown where it lies.
    #[inline]
    fn whole_block(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let (max_event, max_id) = (self.max_event(inbox), self.max_id(inbox));
        let mut rest = inbox.unread().get(self.raw..).unwrap_or_default();
        if self.after_cr
            && let Some(behind) = rest.strip_prefix(b"\n")
        {
            (self.after_cr, self.raw, rest) = (false, self.raw + 1, behind);
        }
        let used = match quick::whole_block(rest, self.raw, max_event, max_id, &mut self.view) {
            Ok(used) => used,
            Err(quick::Vain { looked_at, is_open }) => {
                self.searched = if is_open { looked_at } else { 0 };
                inbox.count_scanned(looked_at);
                return false;
            }
        };
        inbox.count_scanned(used);
        (self.after_cr, self.shown) = (false, true);
        self.raw += used;
        true
    }

    fn parse_lines(&mut self, inbox: &mut Inbox<'_>) -> Result<bool, Error> {
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
                    if !self.discarding {
                        match self.whole_line(inbox) {
                            Seen::Event => return Ok(true),
                            Seen::Line => continue,
                            Seen::Begun => return Ok(false),
                            Seen::Nothing => {}
                        }
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

    /// The fast path: a whole line at once. And a whole block, if it is `data:`, one line, an empty line: that is shown
    /// where it lies. Whatever is special about a line is left to the slow path, which begins with it anew.
    #[inline]
    fn whole_line(&mut self, inbox: &mut Inbox<'_>) -> Seen {
        // Most text is plain, and where it is, the end of the line is the first byte that is not.
        let from = self.raw + core::mem::take(&mut self.searched);
        let Some(stop) = inbox.search(from, quick::special) else { return self.begun(inbox) };
        let is_plain = from == self.raw && inbox.unread().get(stop).is_some_and(|byte| is_end(*byte));
        let Some(end) = inbox.search(stop, line_end) else { return self.begun(inbox) };
        let rest = inbox.unread().get(self.raw..).unwrap_or_default();
        let (line, ends) = rest.split_at_checked(end - self.raw).unwrap_or_default();
        let (field, rest) = match line {
            [b'd', b'a', b't', b'a', rest @ ..] => (Field::Data, rest),
            [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Field::Event, rest),
            [b'i', b'd', rest @ ..] => (Field::Id, rest),
            [b'r', b'e', b't', b'r', b'y', ..] => return Seen::Nothing,
            _ => return self.end_whole_line(end, inbox),
        };
        let value = match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => rest,
            _ => return self.end_whole_line(end, inbox),
        };
        let used = self.draft.as_ref().map_or(0, Draft::len);
        let most = match (self.max_event(inbox).checked_sub(used), field) {
            (Some(room), Field::Id) if memchr(0, value).is_none() => room.min(self.max_id(inbox)),
            (Some(room), Field::Data | Field::Event) => room,
            _ => return Seen::Nothing,
        };
        if value.len() > most || !(is_plain || is_utf8(value)) {
            return Seen::Nothing;
        }
        let value = end - value.len()..end;
        let blank = match ends {
            [b'\n', b'\n', ..] => 2,
            [b'\r', b'\n', b'\r', b'\n', ..] => 4,
            _ => 0,
        };
        if blank > 0 && field == Field::Data && self.draft.is_none() {
            self.view = View { data: value, ..View::default() };
            self.raw = end + blank;
            self.shown = true;
            return Seen::Event;
        }
        let draft = self.draft.get_or_insert_with(|| Draft::new(value.start));
        draft.open();
        draft.append(value, inbox);
        let seen = self.end_whole_line(end, inbox);
        if let Some(draft) = &mut self.draft {
            draft.close(field, inbox);
        }
        seen
    }

    /// The end of the line has not come. It is waited for where that can change no verdict, whatever the line will be:
    /// no limit is near, even if each byte of it becomes three, and there is room for more.
    fn begun(&mut self, inbox: &Inbox<'_>) -> Seen {
        let unread = inbox.unread();
        let line = unread.get(self.raw..).unwrap_or_default();
        let used = self.draft.as_ref().map_or(0, Draft::len);
        let mut room = self.max_event(inbox).saturating_sub(used);
        if line.first() == Some(&b'i') {
            room = room.min(self.max_id(inbox));
        }
        if line.len() > SHORT.min(room / 3) || unread.len() > inbox.capacity() / 4 {
            return Seen::Nothing;
        }
        self.searched = line.len();
        Seen::Begun
    }

    /// Uses up the line that ends at `end`.
    #[inline]
    fn end_whole_line(&mut self, end: usize, inbox: &Inbox<'_>) -> Seen {
        let is_cr = |byte: &u8| *byte == b'\r';
        let mut ends = inbox.unread().get(end..).unwrap_or_default().iter();
        self.after_cr = ends.next().is_some_and(is_cr);
        self.raw = end + 1;
        if self.after_cr && ends.next() == Some(&b'\n') {
            self.after_cr = false;
            self.raw += 1;
        }
        Seen::Line
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
        let (max_event, max_id, floor) = (self.max_event(inbox), self.max_id(inbox), self.id_len);
        let Some(draft) = &mut self.draft else { return Ok(()) };
        if draft.len() == 0 {
            *draft = Draft::new(self.raw);
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
        let room = max_event.checked_sub(draft.len());
        let room_of_id = max_id.saturating_sub(draft.value_len());
        let most = match field {
            Field::Id => room.map(|room| room.min(room_of_id)),
            _ => room,
        };
        let taken = most.and_then(|most| draft.take(inbox, self.raw..end, most, floor));
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
        let id = draft.id.take();
        if draft.data.is_none() {
            self.draft = None;
            self.enforce(id, inbox);
            return false;
        }
        draft.id = id;
        draft.assemble(inbox);
        self.view = View {
            event: draft.event.clone(),
            id: draft.id.take(),
            data: draft.data.take().unwrap_or_default(),
        };
        (self.draft, self.shown) = (None, true);
        true
    }

    /// The event that was shown is done with.
    #[inline]
    pub(super) fn forget_event(&mut self, inbox: &mut Inbox<'_>) {
        self.shown = false;
        let id = self.view.id.take();
        if id.is_some() {
            self.enforce(id, inbox);
        }
    }

    /// The block is over; an event ID in it is in force from now on.
    fn enforce(&mut self, id: Option<Range<usize>>, inbox: &mut Inbox<'_>) {
        if let Some(id) = id {
            inbox.consume(id.start);
            self.raw = self.raw.saturating_sub(id.start);
            self.id_len = id.len();
        }
    }

    /// The input has ended: a line or a block without its end is nothing.
    pub(super) fn end(&mut self, inbox: &Inbox<'_>) {
        self.draft = None;
        (self.raw, self.partial, self.searched) = (inbox.unread().len(), 0, 0);
    }

    /// Another body begins: what is left of this one is nothing, and the ID stays.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self, inbox: &mut Inbox<'_>) {
        if self.shown {
            self.forget_event(inbox);
        }
        self.end(inbox);
        self.tidy(inbox);
        (self.place, self.after_cr, self.discarding) = (Place::Mark(0), false, false);
    }

    /// All was parsed: closes the gaps, so that the inbox holds the ID, the block and the beginning of a character or of
    /// a short line, which moves once at most.
    pub(super) fn tidy(&mut self, inbox: &mut Inbox<'_>) {
        let end = self.draft.as_ref().map_or(self.id_len, Draft::end);
        if end == 0 {
            inbox.consume(self.raw);
        } else {
            inbox.close_gap(end..self.raw);
        }
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
