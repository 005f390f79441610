//! The parser: lines and fields (HTML 9.2.5 and 9.2.6), resumable behind every byte.

use core::{ops::Range, time::Duration};

use memchr::{memchr, memchr3};

use super::{
    config::Config,
    draft::{Block, Draft},
    error::Error,
    field::{Field, MARK, Place, is_end, line_end},
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
    /// The length of the event ID in force, which lies at the front of the inbox.
    pub(super) id_len: usize,
    /// Where the bytes begin that are not parsed.
    pub(super) raw: usize,
    /// How many of them are the beginning of a character, in which there is no line end.
    partial: usize,
    /// How many of them are the beginning of a line, in which there is no line end.
    searched: usize,
    /// As many, if all of those are printable ASCII, or none.
    plain: usize,
    pub(super) block: Block,
    /// The number on a `retry` line, when there was a digit.
    number: u64,
    is_number: bool,
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
            id_len: 0,
            raw: 0,
            partial: 0,
            searched: 0,
            plain: 0,
            block: Block::None,
            number: 0,
            is_number: false,
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

    /// Shows the block that comes next where it lies, if it is a common one and all there. What was looked at in vain is
    /// not looked at again.
    #[inline]
    pub(super) fn parse_quickly(&mut self, inbox: &mut Inbox<'_>) -> bool {
        if let Block::Event(_) = self.block {
            self.forget_event(inbox);
        }
        let is_inside = matches!(self.block, Block::Draft(_)) || self.discarding || self.after_cr;
        if is_inside || self.searched != self.plain || self.place != Place::Line {
            return false;
        }
        let rest = inbox.unread().get(self.raw..).unwrap_or_default();
        let Some(value) = rest.strip_prefix(b"data: ") else { return self.parse_fields(inbox) };
        let start = rest.len() - value.len();
        let from = self.plain.max(start);
        let end = match quick::special(rest.get(from..).unwrap_or_default()) {
            Some(at) => from + at,
            None => rest.len(),
        };
        let used = match rest.get(end..) {
            Some([b'\n', b'\n', ..]) => end + 2,
            Some([b'\r', b'\n', b'\r', b'\n', ..]) => end + 4,
            _ => 0,
        };
        let is_open = end == rest.len();
        // Without the name of the field, a quarter of an inbox is within any limit that the inbox sets.
        let is_within = end <= self.config.max_event.min(inbox.capacity() / 4);
        inbox.count_scanned(end - self.plain);
        if used == 0 || !is_within {
            (self.searched, self.plain) = (end, end);
            return !is_open && self.parse_fields(inbox);
        }
        self.block = Block::Data(self.raw + start..self.raw + end);
        self.raw += used;
        (self.searched, self.plain) = (0, 0);
        true
    }

    /// As above, for blocks with other fields: one line of each at most.
    #[inline(never)]
    fn parse_fields(&mut self, inbox: &mut Inbox<'_>) -> bool {
        let (max_event, max_id) = (self.max_event(inbox), self.max_id(inbox));
        let rest = inbox.unread().get(self.raw..).unwrap_or_default();
        match quick::lines(rest, self.searched, self.raw, max_event, max_id) {
            Ok((used, view)) => {
                inbox.count_scanned(used.saturating_sub(self.searched));
                self.block = Block::Event(view);
                self.raw += used;
                (self.searched, self.plain) = (0, 0);
                true
            }
            Err(vain) => {
                inbox.count_scanned(vain.looked_at.saturating_sub(self.searched));
                if vain.is_open {
                    (self.searched, self.plain) = (vain.looked_at, vain.looked_at);
                }
                false
            }
        }
    }

    /// Parses as far as the next event, or to the end of what is there, whatever it is.
    #[inline(never)]
    pub(super) fn parse(&mut self, inbox: &mut Inbox<'_>) -> Result<bool, Error> {
        // There is the beginning of a line, and it was looked at already.
        let is_searched = self.searched > 0 && self.raw + self.searched == inbox.unread().len();
        if is_searched && let Seen::Begun = self.begun(self.plain > 0, inbox) {
            return Ok(false);
        }
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
                    self.end_whole_line(self.raw, inbox);
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
        let searched = core::mem::take(&mut self.searched);
        let was_plain = core::mem::take(&mut self.plain) == searched;
        let Some(stop) = inbox.search(self.raw + searched, quick::special) else {
            return self.begun(was_plain, inbox);
        };
        let at_end = inbox.unread().get(stop).is_some_and(|byte| is_end(*byte));
        let is_plain = was_plain && at_end;
        let end = if at_end { Some(stop) } else { inbox.search(stop, line_end) };
        let Some(end) = end else { return self.begun(false, inbox) };
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
        let used = self.block.draft().map_or(0, Draft::len);
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
        if blank > 0 && field == Field::Data && self.block.draft().is_none() {
            self.block = Block::Data(value);
            self.raw = end + blank;
            return Seen::Event;
        }
        self.block.begin_draft(value.start);
        if let Some(draft) = self.block.draft_mut() {
            draft.open();
            draft.append(value, inbox);
        }
        // Its end is looked at before a mark may take its place.
        let seen = self.end_whole_line(end, inbox);
        if let Some(draft) = self.block.draft_mut() {
            draft.close(field, inbox);
        }
        seen
    }

    /// The end of the line has not come. It is waited for where that can change no verdict, whatever the line will be:
    /// no limit is near, even if each byte of it becomes three, and there is room for more.
    fn begun(&mut self, is_plain: bool, inbox: &Inbox<'_>) -> Seen {
        let unread = inbox.unread();
        let line = unread.get(self.raw..).unwrap_or_default();
        let used = self.block.draft().map_or(0, Draft::len);
        let mut room = self.max_event(inbox).saturating_sub(used);
        if line.first() == Some(&b'i') {
            room = room.min(self.max_id(inbox));
        }
        if line.len() > SHORT.min(room / 3) || unread.len() > inbox.capacity() / 4 {
            return Seen::Nothing;
        }
        (self.searched, self.plain) = (line.len(), if is_plain { line.len() } else { 0 });
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
            Field::Retry => (self.number, self.is_number) = (0, false),
            _ => {
                // The space that may follow is no part of it; with nothing before it, it begins in its place.
                self.block.begin_draft(self.raw);
                if let Some(draft) = self.block.draft_mut() {
                    draft.open();
                }
            }
        }
    }

    /// A byte of a `retry` line: anything but digits makes the line one to ignore.
    fn digit(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                self.number = self.number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                self.is_number = true;
                self.raw += 1;
            }
            _ if is_end(byte) => {
                if self.is_number {
                    self.retry = Some(Duration::from_millis(self.number));
                }
                self.end_line(byte);
            }
            _ => self.place = Place::Ignored,
        }
    }

    /// More of a value that is kept, perhaps its end.
    fn value(&mut self, field: Field, inbox: &mut Inbox<'_>) -> Result<(), Error> {
        let (max_event, max_id, floor) = (self.max_event(inbox), self.max_id(inbox), self.id_len);
        let Some(draft) = self.block.draft_mut() else { return Ok(()) };
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
        self.block = Block::None;
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
        let Some(draft) = self.block.draft_mut() else { return false };
        let id = draft.id.take();
        if draft.data.is_none() {
            self.block = Block::None;
            self.enforce(id, inbox);
            return false;
        }
        draft.id = id;
        draft.assemble(inbox);
        self.block = Block::Event(View {
            event: draft.event.clone(),
            id: draft.id.take(),
            data: draft.data.take().unwrap_or_default(),
        });
        true
    }

    /// The event that was shown, if one was, is done with.
    #[inline]
    pub(super) fn forget_event(&mut self, inbox: &mut Inbox<'_>) {
        match &mut self.block {
            Block::None | Block::Draft(_) => return,
            Block::Data(_) => {}
            Block::Event(view) => {
                let id = view.id.take();
                self.enforce(id, inbox);
            }
        }
        self.block = Block::None;
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
        self.block = Block::None;
        (self.raw, self.partial) = (inbox.unread().len(), 0);
        (self.searched, self.plain) = (0, 0);
    }

    /// Another body begins: what is left of this one is nothing, and the ID stays.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self, inbox: &mut Inbox<'_>) {
        self.forget_event(inbox);
        self.end(inbox);
        self.tidy(inbox);
        (self.place, self.after_cr, self.discarding) = (Place::Mark(0), false, false);
    }

    /// All was parsed: closes the gaps, so that the inbox holds the ID, the block and the beginning of a character or of
    /// a short line, which moves once at most.
    pub(super) fn tidy(&mut self, inbox: &mut Inbox<'_>) {
        let end = self.block.draft().map_or(self.id_len, Draft::end);
        if end == 0 {
            inbox.consume(self.raw);
        } else {
            inbox.close_gap(end..self.raw);
        }
        self.raw = end;
        let Some(draft) = self.block.draft_mut() else { return };
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
