//! An outbox that grows: copied bytes in one buffer, and shared frames between them.

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

/// One open buffer, and the shared frames that lie between runs of it.
pub(super) struct Queue {
    /// Copied bytes wait from `head` to `tail`. What is before and behind was written once and may be written over, so
    /// that nothing has to be filled with zeros again and again.
    pub(super) open: Vec<u8>,
    pub(super) head: usize,
    pub(super) tail: usize,
    /// Where the run begins that no segment has yet: it is the last one.
    sealed: usize,
    pub(super) segments: VecDeque<Segment>,
    pub(super) queued: usize,
    pub(super) limit: usize,
}

/// So many bytes of the open buffer, and a shared frame behind them.
pub(super) struct Segment {
    pub(super) copied: usize,
    pub(super) shared: Bytes,
}

/// A drained outbox keeps this much memory at most.
pub(super) const KEPT: usize = 32 * 1024;
/// Short heads are written as whole words, over what is behind them.
const SLACK: usize = 16;
/// What was never written is filled and then written in pieces of this, while they are in the first cache.
const PIECE: usize = 4096;

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let (open, segments) = (Vec::new(), VecDeque::new());
        Self { open, head: 0, tail: 0, sealed: 0, segments, queued: 0, limit }
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.queued)
    }

    /// The copied bytes that wait.
    pub(super) fn copied(&self) -> &[u8] {
        self.open.get(self.head..self.tail).unwrap_or_default()
    }

    /// `n` new bytes.
    #[inline]
    pub(super) fn claim(&mut self, n: usize) -> &mut [u8] {
        if self.open.len() - self.tail < n {
            self.fill(n);
        }
        let start = self.tail;
        self.tail += n;
        self.queued += n;
        self.open.get_mut(start..start + n).unwrap_or_default()
    }

    #[cold]
    #[inline(never)]
    fn fill(&mut self, n: usize) {
        self.make_room(n);
        if self.open.len() - self.tail < n {
            self.open.resize(self.tail + n, 0);
            self.clear_ahead();
        }
    }

    /// What is small and follows finds memory at hand.
    fn clear_ahead(&mut self) {
        let ahead = self.open.len().saturating_add(PIECE);
        self.open.resize(ahead.min(self.open.capacity()), 0);
    }

    /// Copies `part` behind what waits.
    #[inline]
    pub(super) fn put(&mut self, part: &[u8]) {
        let n = part.len();
        if let Some(room) = self.open.get_mut(self.tail..).and_then(|room| room.get_mut(..n)) {
            room.copy_from_slice(part);
        } else {
            self.make_room(n);
            self.open.truncate(self.tail);
            self.open.extend_from_slice(part);
            self.clear_ahead();
        }
        self.tail += n;
        self.queued += n;
    }

    /// `n` new bytes, which `write` gets from the first to the last, all at once or in pieces of 4 KiB.
    #[inline]
    pub(super) fn write(&mut self, n: usize, mut write: impl FnMut(&mut [u8])) {
        self.make_room(n);
        let mut left = n;
        while left > 0 {
            let clear = self.open.len() - self.tail;
            let now = if clear >= left { left } else { left.min(clear.max(PIECE)) };
            write(self.claim(now));
            left -= now;
        }
    }

    /// Makes the buffer large enough for `n` more bytes.
    #[inline]
    fn make_room(&mut self, n: usize) {
        if self.open.capacity() - self.tail < n {
            self.grow(n);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: usize) {
        let waiting = self.tail - self.head;
        // The bytes that have left pay for the move of those that have not.
        if self.head >= waiting {
            self.open.copy_within(self.head..self.tail, 0);
            self.sealed = self.sealed.saturating_sub(self.head);
            (self.head, self.tail) = (0, waiting);
        }
        if self.open.capacity() - self.tail < n {
            self.open.truncate(self.tail);
            self.open.reserve(n.saturating_add(SLACK));
        }
    }

    /// True: nothing waits any more.
    pub(super) fn advance(&mut self, n: usize) -> bool {
        debug_assert!(n <= self.queued, "more was sent than there was");
        let mut left = n.min(self.queued);
        self.queued -= left;
        if self.queued == 0 {
            self.segments.clear();
            (self.head, self.tail, self.sealed) = (0, 0, 0);
            return true;
        }
        while let Some(segment) = self.segments.front_mut() {
            let copied = left.min(segment.copied);
            segment.copied -= copied;
            self.head += copied;
            let shared = (left - copied).min(segment.shared.len());
            bytes::Buf::advance(&mut segment.shared, shared);
            left -= copied + shared;
            if segment.copied > 0 || !segment.shared.is_empty() {
                return false;
            }
            self.segments.pop_front();
        }
        self.head += left;
        false
    }

    /// Nothing waits: memory for more than a usual burst is freed. What is kept stays until [`rest`](Self::rest): to
    /// allocate it again for each burst costs more than to fill it.
    pub(super) fn shrink(&mut self) {
        if self.open.capacity() > KEPT {
            self.open = Vec::new();
        }
        if self.segments.capacity() > 8 {
            self.segments = VecDeque::new();
        }
    }

    /// Takes the last bytes back, as far as they are in the last run.
    pub(super) fn unclaim(&mut self, n: usize) {
        let n = n.min(self.tail - self.sealed.max(self.head));
        self.tail -= n;
        self.queued -= n;
    }

    /// Queues a shared frame; there is room for it.
    pub(super) fn share(&mut self, shared: Bytes) {
        let copied = self.tail - self.sealed.max(self.head);
        self.sealed = self.tail;
        self.queued += shared.len();
        self.segments.push_back(Segment { copied, shared });
    }

    /// Nothing waits: the memory is freed.
    pub(super) fn rest(&mut self) {
        (self.open, self.segments) = (Vec::new(), VecDeque::new());
        (self.head, self.tail, self.sealed) = (0, 0, 0);
    }

    /// Nothing waits: goes on with another buffer, and gives its own.
    pub(super) fn lend(&mut self, buffer: &mut Vec<u8>) {
        core::mem::swap(&mut self.open, buffer);
        (self.head, self.tail, self.sealed) = (0, 0, 0);
    }

    /// Takes what waits into memory of its own, and gives the buffer.
    pub(super) fn settle(&mut self) -> Vec<u8> {
        let own = self.copied().to_vec();
        self.sealed = self.sealed.saturating_sub(self.head);
        (self.head, self.tail) = (0, own.len());
        core::mem::replace(&mut self.open, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outbox;

    /// Two outboxes take turns with one buffer, and one of them is slow: the same bytes in the same order.
    #[test]
    fn outboxes_take_turns_with_one_buffer() {
        let big = Bytes::from(alloc::vec![b's'; 600]);
        let mut shared = Vec::with_capacity(4096);
        let mut outboxes = [Outbox::with_limit(4096), Outbox::with_limit(4096)];
        let (mut put, mut got) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for turn in 0..400_usize {
            let (outbox, put, got) = (&mut outboxes[turn % 2], &mut put[turn % 2], &mut got[turn % 2]);
            outbox.lend(&mut shared);
            for part in [&[turn as u8; 90][..], &[7; 10]] {
                if outbox.room() >= 700 {
                    outbox.put(&[part]).unwrap();
                    put.extend_from_slice(part);
                    if turn % 3 == 0 {
                        outbox.push_shared(&big).unwrap();
                        put.extend_from_slice(&big);
                    }
                }
            }
            let mut left = if turn % 2 == 0 { usize::MAX } else { 75 };
            while left > 0 && !outbox.is_empty() {
                let n = outbox.chunk().len().min(left);
                got.extend_from_slice(&outbox.chunk()[..n]);
                outbox.advance(n);
                left -= n;
            }
            let waiting = outbox.capacity() - outbox.room();
            outbox.settle(&mut shared);
            assert_eq!(outbox.chunks().map(<[u8]>::len).sum::<usize>(), waiting);
            assert!(shared.capacity() >= 4096, "the buffer came back");
            assert!(outbox.allocated() <= waiting);
        }
        for (outbox, (put, got)) in outboxes.iter().zip(put.iter().zip(&mut got)) {
            outbox.chunks().for_each(|chunk| got.extend_from_slice(chunk));
            assert!(put == got);
        }
    }

    /// An outbox that was emptied by taking back what was left begins anew, with whatever memory.
    #[test]
    fn taken_back_to_nothing() {
        for part in [&[b'x'; 20][..], &[b'x'; 700]] {
            let mut outbox = Outbox::with_limit(4096);
            for turn in 0..3 {
                outbox.put(&[b"hello"]).unwrap();
                outbox.advance(3);
                outbox.unclaim(2);
                assert!(outbox.is_empty() && outbox.chunk().is_empty());
                let mut shared = alloc::vec![b'?'; 10];
                match turn {
                    0 => outbox.rest(),
                    1 => outbox.lend(&mut shared),
                    _ => {}
                }
                outbox.put(&[part]).unwrap();
                outbox.claim(5).unwrap().copy_from_slice(b"world");
                assert_eq!(outbox.chunk(), [part, b"world"].concat());
                outbox.settle(&mut shared);
                assert_eq!(outbox.chunk(), [part, b"world"].concat());
                outbox.advance(part.len() + 5);
                assert!(outbox.is_empty());
            }
        }
    }
}
