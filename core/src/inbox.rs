//! The inbox: bytes that came from the peer and are not used up yet.
//!
//! A driver appends to it, a machine reads it, rewrites it in place and consumes it. Storage is either a slice
//! that the caller lends (no allocator needed) or a buffer that grows up to a limit (feature `alloc`).
//!
//! ```
//! use stillwire::Inbox;
//!
//! let mut storage = [0; 8];
//! let mut inbox = Inbox::new(&mut storage);
//! let spare = inbox.spare();               // the driver reads into this …
//! spare[..5].copy_from_slice(b"hello");
//! inbox.filled(5);                         // … and says how much came
//! assert_eq!(inbox.unread(), b"hello");
//! inbox.consume(4);                        // the machine is done with four bytes
//! assert_eq!(inbox.push(b"1234567890"), 7); // one byte held, seven free: full is back-pressure, no error
//! assert_eq!(inbox.unread(), b"o1234567");
//! ```

use core::{fmt, ops::Range};

use crate::slide::slide;

/// Bytes from the peer, in order. Offsets are relative to the first unread byte, so they survive compaction.
///
/// Between two calls of a machine the unread bytes change only by growing at the end.
pub struct Inbox<'s> {
    storage: Storage<'s>,
    head: usize,
    tail: usize,
    /// What `spare` leaves to the machine.
    kept: usize,
    finished: bool,
    #[cfg(feature = "count-work")]
    work: Work,
}

enum Storage<'s> {
    Borrowed(&'s mut [u8]),
    #[cfg(feature = "alloc")]
    Owned {
        bytes: alloc::vec::Vec<u8>,
        limit: usize,
    },
}

/// Sizes only: what peers say does not belong into logs.
impl fmt::Debug for Inbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut inbox = f.debug_struct("Inbox");
        inbox.field("unread", &(self.tail - self.head)).field("capacity", &self.capacity());
        inbox.field("finished", &self.finished).finish_non_exhaustive()
    }
}

/// What machines did to an inbox, for the law of amortised work.
#[cfg(feature = "count-work")]
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub received: u64,
    pub scanned: u64,
    pub moved: u64,
}

impl Storage<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Owned { bytes, .. } => bytes,
        }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            #[cfg(feature = "alloc")]
            Self::Owned { bytes, .. } => bytes,
        }
    }
}

impl<'s> Inbox<'s> {
    /// An inbox over a slice that the caller lends: its length is the limit, nothing is allocated.
    pub fn new(storage: &'s mut [u8]) -> Self {
        Self::over(Storage::Borrowed(storage))
    }

    fn over(storage: Storage<'s>) -> Self {
        Self {
            storage,
            head: 0,
            tail: 0,
            kept: 0,
            finished: false,
            #[cfg(feature = "count-work")]
            work: Work::default(),
        }
    }

    // --- the driver's side ---

    /// Room for new bytes: read into it, then say [`filled`](Self::filled).
    ///
    /// Empty when the inbox is full (back-pressure, not an error) or finished; what the machine
    /// [keeps](Self::keep) for itself is left out. A growing inbox grows here, by doubling, never past its limit:
    /// when it is full, and, up to 32 KiB, when the last read filled it.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.finished {
            return &mut [];
        }
        let size = self.storage.bytes().len();
        // The last read took all there was room for: there is more to come, and larger reads are cheaper.
        #[cfg(feature = "alloc")]
        let brimful = self.tail == size && size < LARGE_READ;
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        }
        let unread = self.tail - self.head;
        // A move is paid for by the bytes that were used up before it, or forced by a full buffer.
        let crowded = self.head >= unread && size - self.tail < size / 2;
        if self.head > 0 && (crowded || self.tail == size) {
            let (head, tail) = (self.head, self.tail);
            slide(self.storage.bytes_mut(), head..tail, 0);
            (self.head, self.tail) = (0, unread);
            self.count_moved(unread);
        }
        #[cfg(feature = "alloc")]
        if let Storage::Owned { bytes, limit } = &mut self.storage
            && (brimful || self.tail == bytes.len())
            && bytes.len() < *limit
        {
            let grown = (bytes.len() * 2).clamp(SMALLEST.min(*limit), *limit);
            bytes.resize(grown, 0);
        }
        let tail = self.tail;
        let free = (self.capacity() - (tail - self.head)).saturating_sub(self.kept);
        let end = tail.saturating_add(free).min(self.storage.bytes().len());
        self.storage.bytes_mut().get_mut(tail..end).unwrap_or_default()
    }

    /// `n` bytes were read into [`spare`](Self::spare).
    pub fn filled(&mut self, n: usize) {
        let room = self.storage.bytes().len() - self.tail;
        debug_assert!(n <= room, "more was filled than there was room for");
        self.tail += n.min(room);
        #[cfg(feature = "count-work")]
        {
            self.work.received += n as u64;
        }
    }

    /// The peer will send no more (a read returned nothing, or the connection broke).
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Copies as much of `bytes` as there is room for and returns how much that was; for tests, and for bodies
    /// that another HTTP stack hands over.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = self.spare();
            let n = spare.len().min(rest.len());
            if n == 0 {
                break;
            }
            let (now, later) = rest.split_at(n);
            if let Some(room) = spare.get_mut(..n) {
                room.copy_from_slice(now);
            }
            self.filled(n);
            rest = later;
        }
        bytes.len() - rest.len()
    }

    /// Whether a read makes sense: there is room, and the peer may send more. Allocates nothing.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.room() > 0
    }

    /// The most bytes that a read may bring now: what [`spare`](Self::spare) leads to once a growing inbox has
    /// grown. Allocates nothing.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.finished {
            return 0;
        }
        self.capacity().saturating_sub((self.tail - self.head).saturating_add(self.kept))
    }

    /// Forgets all there is, the end of the input, too: for the next connection in the same memory. See
    /// [`Link::renew`](crate::Link::renew).
    pub fn clear(&mut self) {
        (self.head, self.tail, self.kept, self.finished) = (0, 0, 0, false);
        self.rest();
    }

    /// Gives the memory of an empty growing inbox back, until bytes arrive again: an idle connection keeps no
    /// buffer. Nothing happens while bytes are unread, or over a borrowed slice.
    pub fn rest(&mut self) {
        #[cfg(feature = "alloc")]
        if let (Storage::Owned { bytes, .. }, true) = (&mut self.storage, self.head == self.tail) {
            *bytes = alloc::vec::Vec::new();
            (self.head, self.tail) = (0, 0);
        }
    }

    /// Reads go into `shared` from now on, the one buffer of many connections that a thread drives in turn:
    /// [`settle`](Self::settle) gives it back before the next one's turn. So bytes are parsed where they arrived, and
    /// only a message that is not complete yet is ever copied into memory of the inbox's own.
    ///
    /// Nothing happens while bytes are unread (they are in its own memory, and what follows joins them there), or over
    /// a borrowed slice. A message that does not fit makes `shared` grow, up to the limit of the inbox.
    ///
    /// ```
    /// use stillwire::Inbox;
    ///
    /// let mut shared = vec![0; 64 * 1024];
    /// let mut inbox = Inbox::with_limit(4096);
    /// inbox.lend(&mut shared);
    /// inbox.spare()[..5].copy_from_slice(b"hello");
    /// inbox.filled(5);
    /// inbox.consume(4);
    /// inbox.settle(&mut shared);
    /// assert_eq!((inbox.unread(), inbox.allocated(), shared.len()), (&b"o"[..], 1, 64 * 1024));
    /// ```
    #[cfg(feature = "alloc")]
    pub fn lend(&mut self, shared: &mut alloc::vec::Vec<u8>) {
        self.rest();
        if let (Storage::Owned { bytes, .. }, true) = (&mut self.storage, self.head == self.tail) {
            core::mem::swap(bytes, shared);
        }
    }

    /// Gives back what was [lent](Self::lend), if it was, and rests: what is unread moves into memory of the inbox's
    /// own, just as much as it needs.
    #[cfg(feature = "alloc")]
    pub fn settle(&mut self, shared: &mut alloc::vec::Vec<u8>) {
        // What was lent left an empty vector behind.
        if shared.is_empty() {
            let own = self.unread().to_vec();
            self.count_moved(own.len());
            if let Storage::Owned { bytes, .. } = &mut self.storage {
                (self.head, self.tail) = (0, own.len());
                *shared = core::mem::replace(bytes, own);
            }
        }
        self.rest();
    }

    /// The bytes of memory it holds now: the slice's length, or what a growing inbox has grown to.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.storage.bytes().len()
    }

    // --- the machine's side ---

    /// All bytes that came and are not consumed.
    #[inline]
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.storage.bytes().get(self.head..self.tail).unwrap_or_default()
    }

    /// The unread bytes, to rewrite in place.
    #[inline]
    pub fn unread_mut(&mut self) -> &mut [u8] {
        let (head, tail) = (self.head, self.tail);
        self.storage.bytes_mut().get_mut(head..tail).unwrap_or_default()
    }

    /// Searches the unread bytes from `from` on: `find` gets them and returns where it found what it looked for.
    /// The answer is counted from the first unread byte, too.
    ///
    /// The bytes that were looked at are counted as work (up to and with the place found), so that a machine
    /// that searches the same bytes again and again breaks a law instead of a server: remember how far you came.
    #[inline]
    pub fn search(&mut self, from: usize, find: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
        let bytes = self.unread().get(from..).unwrap_or_default();
        let found = find(bytes);
        #[cfg(feature = "count-work")]
        {
            self.work.scanned += found.map_or(bytes.len(), |at| at + 1) as u64;
        }
        found.map(|at| from + at)
    }

    /// Uses up the first `n` unread bytes (all of them when there are fewer).
    #[inline]
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.tail - self.head, "more was consumed than there is");
        self.head = self.tail.min(self.head + n);
    }

    /// Drops bytes from the middle: what lies behind `gap` moves forward. Worth it when room is needed, or when
    /// what moves is small.
    pub fn close_gap(&mut self, gap: Range<usize>) {
        let len = self.tail - self.head;
        if gap.start < gap.end && gap.end <= len {
            slide(self.unread_mut(), gap.end..len, gap.start);
            self.tail -= gap.len();
            self.count_moved(len - gap.end);
        }
    }

    /// Puts `n` bytes of arbitrary content in front of the unread byte `at`: what lies behind moves on, and the
    /// storage grows where it can. For decoders whose output may be longer than their input.
    ///
    /// `false`, and nothing happened, when they do not fit or `at` lies behind the end. What
    /// [`keep`](Self::keep) kept from the driver may be used.
    pub fn open_gap(&mut self, at: usize, n: usize) -> bool {
        let len = self.tail - self.head;
        if at > len || n > self.capacity() - len {
            return false;
        }
        #[cfg(feature = "alloc")]
        if let Storage::Owned { bytes, limit } = &mut self.storage
            && bytes.len() < len + n
        {
            let grown = (bytes.len() * 2).max(len + n).clamp(SMALLEST.min(*limit), *limit);
            bytes.resize(grown, 0);
        }
        let (head, tail) = (self.head, self.tail);
        if self.storage.bytes().len() - tail < n {
            // The bytes that were used up make the room.
            let bytes = self.storage.bytes_mut();
            slide(bytes, head..tail, 0);
            (self.head, self.tail) = (0, len);
            self.count_moved(len);
        }
        self.tail += n;
        self.unread_mut().copy_within(at..len, at + n);
        self.count_moved(len - at);
        true
    }

    /// Widens a gap of bytes that are not needed any more, to `wanted` bytes if it can; gives where it ends now. Used-up
    /// bytes in front are won back first; then what lies behind moves to the end of the storage, once for each read.
    pub fn widen_gap(&mut self, gap: Range<usize>, wanted: usize) -> usize {
        let (mut end, len) = (gap.end, self.tail - self.head);
        if gap.start > end || end > len {
            return end;
        }
        if self.head > 0 && gap.start <= self.head {
            let won = core::mem::take(&mut self.head);
            self.storage.bytes_mut().copy_within(won..won + gap.start, 0);
            self.count_moved(gap.start);
            end += won;
        }
        if end - gap.start >= wanted {
            return end;
        }
        #[cfg(feature = "alloc")]
        if let Storage::Owned { bytes, limit } = &mut self.storage
            && bytes.len() - self.tail < wanted
            && bytes.len() < *limit
        {
            let grown = (bytes.len() * 2).clamp(SMALLEST.min(*limit), *limit);
            bytes.resize(grown, 0);
        }
        let free = self.storage.bytes().len() - self.tail;
        let (from, to) = (self.head + end, self.tail);
        if free == 0 {
            return end;
        }
        self.storage.bytes_mut().copy_within(from..to, from + free);
        self.tail += free;
        self.count_moved(to - from);
        end + free
    }

    /// From now on, [`spare`](Self::spare) leaves this many bytes of the capacity free: room for a machine whose
    /// decoded bytes may need more of it than they came with. Without it, whether a legal message fits would depend
    /// on how much of the next one has already arrived.
    pub fn keep(&mut self, room: usize) {
        self.kept = room;
    }

    /// Moves a few bytes forward, to `to`, over ones that are not needed any more. What lies behind stays where
    /// it is: [`close_gap`](Self::close_gap) ends the gap when there are many such moves behind it.
    #[inline]
    pub fn move_down(&mut self, from: Range<usize>, to: usize) {
        if to < from.start && from.start < from.end && from.end <= self.tail - self.head {
            self.count_moved(from.len());
            slide(self.unread_mut(), from, to);
        }
    }

    /// The most unread bytes that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.storage {
            Storage::Borrowed(bytes) => bytes.len(),
            #[cfg(feature = "alloc")]
            Storage::Owned { limit, .. } => *limit,
        }
    }

    /// Whether the peer has ended its side. Unread bytes may still be there.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Counts `n` bytes as moved in place.
    #[inline]
    pub(crate) fn count_moved(&mut self, _n: usize) {
        #[cfg(feature = "count-work")]
        {
            self.work.moved += _n as u64;
        }
    }

    #[inline]
    pub(crate) fn count_scanned(&mut self, _n: usize) {
        #[cfg(feature = "count-work")]
        {
            self.work.scanned += _n as u64;
        }
    }

    /// What was done so far.
    #[cfg(feature = "count-work")]
    #[doc(hidden)]
    pub fn work(&self) -> Work {
        self.work
    }
}

/// The first size of a growing inbox.
#[cfg(feature = "alloc")]
const SMALLEST: usize = 1024;
/// A growing inbox grows to this size for large reads (which stay in the first level cache), above it only for large messages.
#[cfg(feature = "alloc")]
const LARGE_READ: usize = 32 * 1024;

#[cfg(feature = "alloc")]
impl Inbox<'static> {
    /// An inbox that starts with no memory at all and grows as bytes arrive, never past `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::over(Storage::Owned { bytes: alloc::vec::Vec::new(), limit })
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Two inboxes take turns with one buffer; whatever is read and used up, the bytes are the same in the same order,
    /// and between the turns an inbox holds what is unread, or what its own reads grew it to, and nothing once it is empty.
    #[test]
    fn inboxes_take_turns_with_one_buffer() {
        for (read, used) in [(1, 1), (7, 3), (64, 64), (40, 39), (100, 1), (256, 200)] {
            let mut shared = alloc::vec![0; 128];
            let mut inboxes = [Inbox::with_limit(1000), Inbox::with_limit(1000)];
            let mut got = [Vec::new(), Vec::new()];
            let mut put = [0_u8; 2];
            for turn in 0..500_usize {
                let (inbox, got, put) = (&mut inboxes[turn % 2], &mut got[turn % 2], &mut put[turn % 2]);
                inbox.lend(&mut shared);
                let spare = inbox.spare();
                let n = read.min(spare.len());
                spare[..n].iter_mut().for_each(|byte| (*byte, *put) = (*put, put.wrapping_add(1)));
                inbox.filled(n);
                let n = if turn % 9 < 2 { inbox.unread().len() } else { used.min(inbox.unread().len()) };
                got.extend_from_slice(&inbox.unread()[..n]);
                inbox.consume(n);
                let before = inbox.unread().to_vec();
                inbox.settle(&mut shared);
                assert_eq!(inbox.unread(), before);
                assert!(shared.len() >= 128, "the buffer came back");
                assert!(!before.is_empty() || inbox.allocated() == 0);
            }
            for got in got {
                assert!(got.len() > 200);
                assert!(got.iter().enumerate().all(|(i, byte)| *byte == i as u8), "read {read}, used {used}");
            }
        }
    }

    #[test]
    fn a_borrowed_slice_is_never_swapped() {
        let (mut storage, mut shared) = ([0; 8], alloc::vec![0; 16]);
        let mut inbox = Inbox::new(&mut storage);
        inbox.lend(&mut shared);
        inbox.push(b"hello");
        inbox.settle(&mut shared);
        assert_eq!((inbox.unread(), inbox.allocated(), shared.len()), (&b"hello"[..], 8, 16));
    }
}
