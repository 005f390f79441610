//! An outbox that grows: copied bytes in one buffer, and shared frames between them.

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

/// One open buffer, and the shared frames that lie between runs of it.
pub(super) struct Queue {
    /// Copied bytes; those before `head` have left.
    pub(super) open: Vec<u8>,
    pub(super) head: usize,
    /// Where the run begins that no segment has yet: it is the last one.
    pub(super) sealed: usize,
    pub(super) segments: VecDeque<Segment>,
    pub(super) queued: usize,
    pub(super) limit: usize,
    /// The open buffer is not ours to free.
    pub(super) lent: bool,
}

/// So many bytes of the open buffer, and a shared frame behind them.
pub(super) struct Segment {
    pub(super) copied: usize,
    pub(super) shared: Bytes,
}

/// A drained outbox keeps this much memory at most.
pub(super) const KEPT: usize = 32 * 1024;
/// Heads are written as a whole and then cut.
const SLACK: usize = 16;

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let (open, segments) = (Vec::new(), VecDeque::new());
        Self { open, head: 0, sealed: 0, segments, queued: 0, limit, lent: false }
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.queued)
    }

    /// Counts `n` new bytes in; returns where in the open buffer they go.
    #[inline]
    pub(super) fn make_room(&mut self, n: usize) -> usize {
        if self.open.capacity() - self.open.len() < n {
            self.grow(n);
        }
        self.queued += n;
        self.open.len()
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: usize) {
        let waiting = self.open.len() - self.head;
        // The bytes that have left pay for the move of those that have not.
        if self.head >= waiting {
            self.open.copy_within(self.head.., 0);
            self.open.truncate(waiting);
            self.sealed = self.sealed.saturating_sub(self.head);
            self.head = 0;
        }
        self.open.reserve(n.saturating_add(SLACK));
    }

    pub(super) fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.queued, "more was sent than there was");
        let mut left = n.min(self.queued);
        self.queued -= left;
        if self.queued == 0 {
            return self.drained();
        }
        while let Some(segment) = self.segments.front_mut() {
            let copied = left.min(segment.copied);
            segment.copied -= copied;
            self.head += copied;
            let shared = (left - copied).min(segment.shared.len());
            bytes::Buf::advance(&mut segment.shared, shared);
            left -= copied + shared;
            if segment.copied > 0 || !segment.shared.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        self.head += left;
    }

    /// A buffer for a usual burst stays until [`rest`](Self::rest): to allocate it again for each costs more than to fill it.
    fn drained(&mut self) {
        if self.open.capacity() > KEPT && !self.lent {
            self.open = Vec::new();
        } else {
            self.open.clear();
        }
        if self.segments.capacity() > 8 {
            self.segments = VecDeque::new();
        } else {
            self.segments.clear();
        }
        (self.head, self.sealed) = (0, 0);
    }

    /// Takes the last bytes back, as far as they are in the last run.
    pub(super) fn unclaim(&mut self, n: usize) {
        let n = n.min(self.open.len() - self.sealed.max(self.head));
        self.open.truncate(self.open.len() - n);
        self.queued -= n;
    }

    /// Queues a shared frame; there is room for it.
    pub(super) fn share(&mut self, shared: Bytes) {
        let copied = self.open.len() - self.sealed.max(self.head);
        self.sealed = self.open.len();
        self.queued += shared.len();
        self.segments.push_back(Segment { copied, shared });
    }

    pub(super) fn rest(&mut self) {
        if self.queued == 0 && !self.lent {
            (self.open, self.segments) = (Vec::new(), VecDeque::new());
            (self.head, self.sealed) = (0, 0);
        }
    }

    pub(super) fn lend(&mut self, shared: &mut Vec<u8>) {
        if self.queued == 0 && !self.lent {
            shared.clear();
            core::mem::swap(&mut self.open, shared);
            self.lent = true;
        }
    }

    pub(super) fn settle(&mut self, shared: &mut Vec<u8>) {
        if self.lent {
            let own = self.open.get(self.head..).unwrap_or_default().to_vec();
            *shared = core::mem::replace(&mut self.open, own);
            shared.clear();
            self.sealed = self.sealed.saturating_sub(self.head);
            (self.head, self.lent) = (0, false);
        }
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
            assert!(shared.capacity() >= 4096 && shared.is_empty(), "the buffer came back");
            assert!(outbox.allocated() <= waiting);
        }
        for (outbox, (put, got)) in outboxes.iter().zip(put.iter().zip(&mut got)) {
            outbox.chunks().for_each(|chunk| got.extend_from_slice(chunk));
            assert!(put == got);
        }
    }
}
