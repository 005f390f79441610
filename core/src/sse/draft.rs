//! The block that is being received, kept in the inbox as it will be shown.
//!
//! In front of it lies the event ID in force, behind it what was not parsed yet, and there may be gaps between them:
//!
//! ```text
//!   | id | gap | value LF value LF value CR value … | gap | raw … |
//!   0    floor ^ start                          end ^
//! ```
//!
//! Each value has one byte behind it: LF for data, CR for an event type or an event ID, bytes that no value contains.
//! So data lines that follow each other are joined as they come, and others can still be told apart.

use core::ops::Range;

use super::{field::Field, quick::View, utf8};
use crate::{Inbox, text::is_utf8};

/// What there is of the block that comes, or has come.
#[derive(Debug)]
pub(super) enum Block {
    /// Nothing yet that counts.
    None,
    /// A value, at least the beginning of one.
    Draft(Draft),
    /// All of it, and it is shown: an event of type `message`, with nothing but data.
    Data(Range<usize>),
    /// All of it, and it is shown.
    Event(View),
}

impl Block {
    pub(super) fn draft(&self) -> Option<&Draft> {
        if let Self::Draft(draft) = self { Some(draft) } else { None }
    }

    pub(super) fn draft_mut(&mut self) -> Option<&mut Draft> {
        if let Self::Draft(draft) = self { Some(draft) } else { None }
    }

    /// There is a draft from now on; it begins at `at` if there was none.
    pub(super) fn begin_draft(&mut self, at: usize) {
        if self.draft().is_none() {
            *self = Self::Draft(Draft::new(at));
        }
    }

    /// The event ID of an event that is shown, if it names one.
    pub(super) fn id(&self) -> Option<Range<usize>> {
        if let Self::Event(view) = self { view.id.clone() } else { None }
    }
}

/// Where things are in the inbox, from its first unread byte.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The block: all of it but the byte behind its last value may be shown.
    start: usize,
    end: usize,
    /// The value that is being received goes from here to `end`.
    value: usize,
    /// The last event type, empty when there was none.
    pub(super) event: Range<usize>,
    /// The last event ID of this block.
    pub(super) id: Option<Range<usize>>,
    /// All data lines; when `split`, other values lie between them.
    pub(super) data: Option<Range<usize>>,
    split: bool,
}

impl Draft {
    /// An empty block at `at`.
    pub(super) fn new(at: usize) -> Self {
        Self { start: at, end: at, value: at, event: at..at, ..Self::default() }
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The bytes of the block so far: what the limit is for.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The bytes of the value so far.
    pub(super) fn value_len(&self) -> usize {
        self.end - self.value
    }

    /// A value begins.
    pub(super) fn open(&mut self) {
        self.value = self.end;
    }

    /// Forgets the value.
    pub(super) fn abandon(&mut self) {
        self.end = self.value;
    }

    /// Decodes `piece` of the raw bytes and appends it to the value, if that makes it at most `most` bytes longer.
    /// Returns where the raw bytes go on, or `None` when it does not fit.
    pub(super) fn take(
        &mut self,
        inbox: &mut Inbox<'_>,
        piece: Range<usize>,
        most: usize,
        floor: usize,
    ) -> Option<usize> {
        let bytes = inbox.unread().get(piece.clone())?;
        if !is_utf8(bytes) {
            return self.take_invalid(inbox, piece, most, floor);
        }
        if piece.len() > most {
            return None;
        }
        let end = piece.end;
        self.append(piece, inbox);
        Some(end)
    }

    /// Appends text to the value as it is.
    #[inline]
    pub(super) fn append(&mut self, piece: Range<usize>, inbox: &mut Inbox<'_>) {
        inbox.move_down(piece.clone(), self.end);
        self.end += piece.len();
    }

    /// What is no UTF-8 may become longer. The room is looked for in the gap behind the block, then in the one in front
    /// of it (once for each block), then behind the raw bytes (once for each time that the inbox was filled).
    #[cold]
    fn take_invalid(
        &mut self,
        inbox: &mut Inbox<'_>,
        mut piece: Range<usize>,
        most: usize,
        floor: usize,
    ) -> Option<usize> {
        let len = utf8::decoded_len(inbox.unread().get(piece.clone())?);
        if len > most {
            return None;
        }
        if len > piece.end - self.end {
            self.move_to(floor, inbox);
        }
        let room = piece.end - self.end;
        if len > room {
            let raw = inbox.unread().len() - piece.start;
            let free = inbox.capacity() - inbox.unread().len();
            // Each raw byte that is left needs two more at most.
            let grown = (len - room).max(free.min(2 * raw));
            if !inbox.open_gap(piece.start, grown) {
                return None;
            }
            piece = piece.start + grown..piece.end + grown;
        }
        inbox.count_moved(piece.len());
        self.end = utf8::decode(inbox.unread_mut(), piece.clone(), self.end);
        Some(piece.end)
    }

    /// The value is complete. There must be a used-up byte behind it: the end of its line.
    pub(super) fn close(&mut self, field: Field, inbox: &mut Inbox<'_>) {
        let value = self.value..self.end;
        let mark = match (field, &mut self.data) {
            (Field::Event, _) => {
                self.event = value;
                b'\r'
            }
            (Field::Id, _) => {
                self.id = Some(value);
                b'\r'
            }
            (_, None) => {
                self.data = Some(value);
                b'\n'
            }
            (_, Some(data)) => {
                self.split |= data.end + 1 != value.start;
                data.end = value.end;
                b'\n'
            }
        };
        if let Some(byte) = inbox.unread_mut().get_mut(self.end) {
            *byte = mark;
        }
        self.end += 1;
    }

    /// The block is complete: brings data together that has other values in between. Each byte is moved twice at most.
    pub(super) fn assemble(&mut self, inbox: &mut Inbox<'_>) {
        let (Some(data), true) = (&mut self.data, self.split) else { return };
        let mut none = 0..0;
        let (mut first, mut second) = (&mut self.event, self.id.as_mut().unwrap_or(&mut none));
        for value in [&mut *first, &mut *second] {
            if value.start == value.end {
                *value = self.start..self.start; // nothing to move, wherever it was
            }
        }
        if first.start > second.start {
            core::mem::swap(&mut first, &mut second);
        }
        let Some(block) = inbox.unread_mut().get_mut(..self.end) else { return };
        // The values that count go to the front: the second one behind the first, then both.
        let mut moved = 0;
        for (range, value) in [
            (first.end..second.end, second.len()),
            (self.start..first.end + second.len(), first.len() + second.len()),
        ] {
            if let Some(turned) = block.get_mut(range).filter(|_| value > 0) {
                turned.rotate_right(value);
                moved += turned.len();
            }
        }
        *first = self.start..self.start + first.len();
        *second = first.end..first.end + second.len();
        // Then the data; what else was there is passed over.
        let start = second.end;
        let (mut end, mut at) = (start, start);
        while let Some(len) = memchr::memchr2(b'\n', b'\r', block.get(at..).unwrap_or_default()) {
            let next = at + len + 1;
            if block.get(next - 1) == Some(&b'\n') {
                if at > end {
                    block.copy_within(at..next, end);
                    moved += next - at;
                }
                end += next - at;
            }
            at = next;
        }
        *data = start..end.saturating_sub(1).max(start);
        inbox.count_moved(moved);
    }

    /// Moves the block down to `to`.
    fn move_to(&mut self, to: usize, inbox: &mut Inbox<'_>) {
        let by = self.start.saturating_sub(to);
        if by == 0 {
            return;
        }
        inbox.move_down(self.start..self.end, to);
        self.shift_down(by);
    }

    /// All of it is `by` bytes nearer to the first unread byte now.
    pub(super) fn shift_down(&mut self, by: usize) {
        let ends = [&mut self.start, &mut self.end, &mut self.value];
        let event = [&mut self.event.start, &mut self.event.end];
        let id = self.id.iter_mut().flat_map(|id| [&mut id.start, &mut id.end]);
        let data = self.data.iter_mut().flat_map(|data| [&mut data.start, &mut data.end]);
        ends.into_iter().chain(event).chain(id).chain(data).for_each(|at| *at = at.saturating_sub(by));
    }
}
