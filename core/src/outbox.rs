//! The outbox: bytes that wait to be sent to the peer.
//!
//! A machine claims room and writes, all of it or nothing; a driver sends [`chunk`](Outbox::chunk) and says how
//! much of it left. Storage is a slice that the caller lends or a buffer that grows up to a limit (feature
//! `alloc`), which can also hold frames that many connections share.
//!
//! ```
//! use stillwire::{Full, Outbox};
//!
//! let mut storage = [0; 8];
//! let mut outbox = Outbox::new(&mut storage);
//! outbox.put(&[b"he", b"llo"])?;
//! assert_eq!(outbox.put(&[b"world"]), Err(Full { needed: 5 })); // nothing was written
//! assert_eq!(outbox.chunk(), b"hello");
//! outbox.advance(4);                       // the driver sent four bytes
//! outbox.claim(2)?.copy_from_slice(b"!?");
//! assert_eq!(outbox.chunk(), b"o!?");
//! # Ok::<(), Full>(())
//! ```

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
#[cfg(feature = "alloc")]
use bytes::Bytes;

#[cfg(feature = "alloc")]
use queue::{Queue, Segment};

#[cfg(feature = "alloc")]
mod queue;

/// The outbox lacks room; nothing was written. Send some of it and try again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the outbox lacks room for {needed} bytes")]
pub struct Full {
    /// The bytes that were asked for. More than [`Outbox::capacity`] will never fit.
    pub needed: usize,
}

/// Bytes for the peer, in order.
pub struct Outbox<'s> {
    storage: Storage<'s>,
    sent: u64,
    finished: bool,
    /// The memory is not ours to free.
    #[cfg(feature = "alloc")]
    lent: bool,
}

enum Storage<'s> {
    Borrowed {
        bytes: &'s mut [u8],
        head: usize,
        tail: usize,
    },
    #[cfg(feature = "alloc")]
    Owned(Queue),
}

/// Sharing a smaller frame costs more than copying it.
#[cfg(feature = "alloc")]
const SHARE_FROM: usize = 512;

/// Sizes only: what is said to peers does not belong into logs.
impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outbox = f.debug_struct("Outbox");
        outbox.field("waiting", &(self.capacity() - self.room())).field("capacity", &self.capacity());
        outbox.field("sent", &self.sent).field("finished", &self.finished).finish_non_exhaustive()
    }
}

impl<'s> Outbox<'s> {
    /// An outbox over a slice that the caller lends: its length is the limit, nothing is allocated.
    pub fn new(storage: &'s mut [u8]) -> Self {
        Self::over(Storage::Borrowed { bytes: storage, head: 0, tail: 0 })
    }

    const fn over(storage: Storage<'s>) -> Self {
        Self {
            storage,
            sent: 0,
            finished: false,
            #[cfg(feature = "alloc")]
            lent: false,
        }
    }

    // --- the machine's side ---

    /// How many bytes can be claimed now.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.storage {
            Storage::Borrowed { bytes, head, tail } => bytes.len() - (tail - head),
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => queue.room(),
        }
    }

    /// The most bytes that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.storage {
            Storage::Borrowed { bytes, .. } => bytes.len(),
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => queue.limit,
        }
    }

    /// `n` bytes to write into, behind what waits already: all of them or none. Their content is arbitrary, so
    /// write every one.
    ///
    /// # Errors
    /// [`Full`] when there is less room.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn claim(&mut self, n: usize) -> Result<&mut [u8], Full> {
        if n > self.room() {
            return Err(Full { needed: n });
        }
        match &mut self.storage {
            Storage::Borrowed { bytes, head, tail } => {
                if bytes.len() - *tail < n {
                    crate::slide::slide(bytes, *head..*tail, 0);
                    (*head, *tail) = (0, *tail - *head);
                }
                let start = *tail;
                *tail += n;
                bytes.get_mut(start..start + n).ok_or(Full { needed: n })
            }
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => Ok(queue.claim(n)),
        }
    }

    /// As [`claim`](Self::claim), when it is easy: `keep` bytes stay free, and the memory is at hand, with `over` bytes more
    /// behind, which are nobody's yet and may be written, too (a short head is written as one word).
    #[inline(always)]
    pub(crate) fn claim_at_hand(&mut self, n: usize, over: usize, keep: usize) -> Option<&mut [u8]> {
        match &mut self.storage {
            Storage::Borrowed { bytes, head, tail } => {
                if bytes.len() - (*tail - *head) < n + keep {
                    return None;
                }
                let room = bytes.get_mut(*tail..)?.get_mut(..n + over)?;
                *tail += n;
                Some(room)
            }
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => {
                if queue.room() < n + keep {
                    return None;
                }
                let room = queue.open.get_mut(queue.tail..)?.get_mut(..n + over)?;
                queue.tail += n;
                queue.queued += n;
                Some(room)
            }
        }
    }

    /// Gives the last `n` claimed bytes back: a writer that could only bound its length claims the bound.
    pub fn unclaim(&mut self, n: usize) {
        match &mut self.storage {
            Storage::Borrowed { head, tail, .. } => *tail = (*tail).saturating_sub(n).max(*head),
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => queue.unclaim(n),
        }
    }

    /// Writes `parts` one behind the other: all of them or none.
    ///
    /// # Errors
    /// [`Full`] when there is less room.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn put(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        let n = parts.iter().map(|part| part.len()).sum();
        #[cfg(feature = "alloc")]
        if let Storage::Owned(queue) = &mut self.storage {
            if n > queue.room() {
                return Err(Full { needed: n });
            }
            parts.iter().for_each(|part| queue.put(part));
            return Ok(());
        }
        let mut room = self.claim(n)?;
        for part in parts {
            let Some((now, later)) = room.split_at_mut_checked(part.len()) else { break };
            now.copy_from_slice(part);
            room = later;
        }
        Ok(())
    }

    /// Writes `n` bytes, which `write` gets from the first to the last, all at once or in pieces of 4 KiB: memory that was never
    /// written is filled with zeros first, while it is in the first cache.
    ///
    /// # Errors
    /// [`Full`] when there is less room.
    #[inline]
    pub(crate) fn put_with(&mut self, n: usize, write: impl FnMut(&mut [u8])) -> Result<(), Full> {
        #[cfg(feature = "alloc")]
        if let Storage::Owned(queue) = &mut self.storage {
            if n > queue.room() {
                return Err(Full { needed: n });
            }
            queue.write(n, write);
            return Ok(());
        }
        self.claim(n).map(write)
    }

    /// Nothing more will be written: after the last byte, the driver shuts its write side down.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    // --- the driver's side ---

    /// The bytes to send next; empty when nothing waits. More may follow behind them ([`chunks`](Self::chunks)).
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        self.chunks().next().unwrap_or_default()
    }

    /// All the bytes that wait, in order and in as few slices as possible, for vectored writes. No slice is
    /// empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        match &self.storage {
            Storage::Borrowed { bytes, head, tail } => Chunks {
                rest: bytes.get(*head..*tail).unwrap_or_default(),
                #[cfg(feature = "alloc")]
                shared: &[],
                #[cfg(feature = "alloc")]
                segments: None,
            },
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => {
                Chunks { rest: queue.copied(), shared: &[], segments: Some(queue.segments.iter()) }
            }
        }
    }

    /// The first `n` bytes left for the peer.
    pub fn advance(&mut self, n: usize) {
        self.sent = self.sent.wrapping_add(n as u64);
        match &mut self.storage {
            Storage::Borrowed { head, tail, .. } => {
                debug_assert!(n <= *tail - *head, "more was sent than there was");
                *head = (*tail).min(*head + n);
                if head == tail {
                    (*head, *tail) = (0, 0);
                }
            }
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => {
                if queue.advance(n) && !self.lent {
                    queue.shrink();
                }
            }
        }
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.storage {
            Storage::Borrowed { head, tail, .. } => head == tail,
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => queue.queued == 0,
        }
    }

    /// Whether the machine has said its last byte: shut the write side down once the outbox is empty.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The bytes sent since the beginning: what tells a slow peer from a stalled one.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Forgets all there is, the end, too: for the next connection in the same memory. See
    /// [`Link::renew`](crate::Link::renew).
    pub fn clear(&mut self) {
        self.advance(self.capacity() - self.room());
        (self.sent, self.finished) = (0, false);
        self.rest();
    }

    /// Gives the memory of an empty growing outbox back, until something is written again: it keeps up to 32 KiB
    /// otherwise. Nothing happens while bytes wait, or over a borrowed slice.
    pub fn rest(&mut self) {
        #[cfg(feature = "alloc")]
        let idle = self.is_empty() && !self.lent;
        #[cfg(feature = "alloc")]
        if let (Storage::Owned(queue), true) = (&mut self.storage, idle) {
            queue.rest();
        }
    }

    /// The bytes of memory it holds now, shared frames not counted.
    #[must_use]
    pub fn allocated(&self) -> usize {
        match &self.storage {
            Storage::Borrowed { bytes, .. } => bytes.len(),
            #[cfg(feature = "alloc")]
            Storage::Owned(queue) => queue.open.capacity(),
        }
    }
}

#[cfg(feature = "alloc")]
impl Outbox<'static> {
    /// An outbox that starts with no memory and grows as bytes are written; at most `limit` bytes wait in it.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::over(Storage::Owned(Queue::new(limit)))
    }
}

#[cfg(feature = "alloc")]
impl Outbox<'_> {
    /// Bytes are written into `shared` from now on, the one buffer of many connections that a thread drives in turn:
    /// [`settle`](Self::settle) gives it back before the next one's turn. So a burst of answers allocates nothing, and what
    /// has left takes no memory. What the buffer has in it is written over.
    ///
    /// Nothing happens while bytes wait, or over a borrowed slice.
    ///
    /// ```
    /// use stillwire::Outbox;
    ///
    /// let mut shared = Vec::with_capacity(64 * 1024);
    /// let mut outbox = Outbox::with_limit(4096);
    /// outbox.lend(&mut shared);
    /// outbox.put(&[b"hello"])?;
    /// outbox.advance(5);
    /// outbox.settle(&mut shared);
    /// assert_eq!((outbox.allocated(), shared.capacity()), (0, 64 * 1024));
    /// # Ok::<(), stillwire::Full>(())
    /// ```
    pub fn lend(&mut self, shared: &mut Vec<u8>) {
        let idle = self.is_empty() && !self.lent;
        if let (Storage::Owned(queue), true) = (&mut self.storage, idle) {
            queue.lend(shared);
            self.lent = true;
        }
    }

    /// Gives back what was [lent](Self::lend), if it was. Where bytes wait, they move into memory of the outbox's own, just
    /// as much as they need.
    pub fn settle(&mut self, shared: &mut Vec<u8>) {
        if let (Storage::Owned(queue), true) = (&mut self.storage, self.lent) {
            *shared = queue.settle();
            self.lent = false;
        }
    }

    /// Queues bytes that many outboxes share, such as one frame of a broadcast: not copied from 512 bytes on
    /// where the outbox grows, copied into a borrowed slice.
    ///
    /// # Errors
    /// [`Full`] when there is less room; shared bytes count towards the limit like copied ones.
    pub fn push_shared(&mut self, shared: &Bytes) -> Result<(), Full> {
        match &mut self.storage {
            Storage::Owned(queue) if shared.len() >= SHARE_FROM => {
                if shared.len() > queue.room() {
                    return Err(Full { needed: shared.len() });
                }
                queue.share(shared.clone());
                Ok(())
            }
            _ => self.put(&[shared]),
        }
    }
}

struct Chunks<'a> {
    /// The copied bytes that were not shown yet.
    rest: &'a [u8],
    /// The shared frame behind the run that was shown last.
    #[cfg(feature = "alloc")]
    shared: &'a [u8],
    #[cfg(feature = "alloc")]
    segments: Option<alloc::collections::vec_deque::Iter<'a, Segment>>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        #[cfg(feature = "alloc")]
        {
            if !self.shared.is_empty() {
                return Some(core::mem::take(&mut self.shared));
            }
            if let Some(segment) = self.segments.as_mut().and_then(Iterator::next) {
                if segment.copied == 0 {
                    return Some(&segment.shared);
                }
                let (now, later) = self.rest.split_at(segment.copied.min(self.rest.len()));
                (self.rest, self.shared) = (later, &segment.shared);
                return Some(now);
            }
        }
        let now = core::mem::take(&mut self.rest);
        (!now.is_empty()).then_some(now)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    /// Copied and shared bytes in turn, sent in steps of every size: the same bytes in the same order.
    #[test]
    fn copied_and_shared_bytes_keep_their_order() {
        let big = Bytes::from(alloc::vec![b's'; 600]);
        for step in 1..700 {
            let mut outbox = Outbox::with_limit(4096);
            let (mut put, mut got) = (Vec::new(), Vec::new());
            for n in 0..40_u8 {
                let copied = [n; 7];
                if outbox.room() >= 1300 {
                    outbox.put(&[&copied]).unwrap();
                    outbox.push_shared(&big).unwrap();
                    outbox.claim(3).unwrap().fill(n);
                    outbox.push_shared(&Bytes::from_static(b"small")).unwrap();
                    outbox.claim(9).unwrap().fill(b'x');
                    outbox.unclaim(9);
                    put.extend_from_slice(&copied);
                    put.extend_from_slice(&big);
                    put.extend_from_slice(&[n; 3]);
                    put.extend_from_slice(b"small");
                }
                let waiting: usize = outbox.chunks().map(<[u8]>::len).sum();
                assert_eq!(waiting, outbox.capacity() - outbox.room());
                let n = step.min(outbox.chunk().len());
                got.extend_from_slice(&outbox.chunk()[..n]);
                outbox.advance(n);
            }
            while !outbox.is_empty() {
                let n = step.min(outbox.chunk().len());
                got.extend_from_slice(&outbox.chunk()[..n]);
                outbox.advance(n);
            }
            assert!(got == put, "step {step}");
            assert!(outbox.allocated() <= queue::KEPT && outbox.chunk().is_empty());
            outbox.rest();
            assert_eq!(outbox.allocated(), 0);
            assert_eq!(outbox.sent(), put.len() as u64);
        }
    }

    /// A stream that is never drained keeps a bounded buffer.
    #[test]
    fn a_buffer_that_never_empties_stays_bounded() {
        let mut outbox = Outbox::with_limit(1000);
        outbox.put(&[&[0; 900]]).unwrap();
        for _ in 0..10_000 {
            outbox.advance(50);
            outbox.put(&[&[1; 50]]).unwrap();
        }
        assert!(outbox.allocated() <= 4000, "{}", outbox.allocated());
        assert_eq!(outbox.put(&[&[0; 101]]), Err(Full { needed: 101 }));
    }
}
