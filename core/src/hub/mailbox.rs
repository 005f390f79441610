//! What others have posted for one connection.
//!
//! ```
//! use stillwire::hub::{Bounds, Mailbox, Posted, Slow};
//!
//! let bounds = Bounds { bytes: 10, messages: 100 };
//! let mut mailbox = Mailbox::new(bounds, Slow::DropOld);
//! assert_eq!(mailbox.post("first", 5), Posted::Queued { wake: true });
//! assert_eq!(mailbox.post("second", 5), Posted::Queued { wake: false }); // the owner is awake already
//! assert_eq!(mailbox.post("third", 5), Posted::Queued { wake: false });  // the first one had to go
//! assert_eq!(mailbox.pop(), Some("second"));
//! assert_eq!((mailbox.len(), mailbox.bytes(), mailbox.dropped()), (1, 5, 1));
//! ```

use alloc::collections::VecDeque;
use core::time::Duration;

/// How much may wait in a [`Mailbox`]. Both hold at every moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The most bytes, as the posts declare them. Default: 256 KiB.
    pub bytes: usize,
    /// The most messages, because an empty one takes memory, too. Default: 4096.
    pub messages: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 256 * 1024, messages: 4096 }
    }
}

/// What happens to a mailbox whose owner is too slow to empty it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Slow {
    /// The new message is dropped: for what may be missed.
    DropNew,
    /// The oldest ones are dropped to make room: for what is soon out of date (positions, prices).
    DropOld,
    /// The owner is sent away and may come back: for what must not have holes. The default.
    #[default]
    Dismiss,
}

/// What became of a posted message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Posted {
    /// It waits for the owner.
    Queued {
        /// The mailbox was empty, so the owner may sleep: wake it. A burst wakes it once.
        wake: bool,
    },
    /// It was dropped: the mailbox is full ([`Slow::DropNew`]), dismissed or closed, or the message alone is above
    /// the bound of bytes. (That says nothing about the owner, so it is no reason to dismiss it.)
    Dropped,
    /// It did not fit, and the owner is dismissed for it ([`Slow::Dismiss`]): wake it. What waited is dropped as
    /// well, so that the memory is free before a slow peer has gone. Said once.
    Overrun,
}

/// Messages that wait for one owner, bounded in bytes and in number; `T` is [`Shared`](super::Shared) or
/// whatever a server posts.
///
/// Put it behind a lock that is never held for long: every operation is O(1) (amortised where [`Slow::DropOld`]
/// makes room), except the end, which frees what waits. An empty mailbox keeps no buffer.
#[derive(Clone, Debug)]
pub struct Mailbox<T> {
    queue: VecDeque<(T, usize)>,
    bytes: usize,
    bounds: Bounds,
    slow: Slow,
    dismissed: Option<Duration>,
    closed: bool,
    dropped: u64,
}

impl<T> Mailbox<T> {
    /// An empty mailbox.
    #[must_use]
    pub const fn new(bounds: Bounds, slow: Slow) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, bounds, slow, dismissed: None, closed: false, dropped: 0 }
    }

    /// Puts a message of `len` bytes behind the others, if it may.
    pub fn post(&mut self, message: T, len: usize) -> Posted {
        let never = len > self.bounds.bytes || self.bounds.messages == 0;
        if never || self.closed || self.dismissed.is_some() {
            self.dropped += 1;
            return Posted::Dropped;
        }
        let wake = self.queue.is_empty();
        while len > self.bounds.bytes - self.bytes || self.queue.len() >= self.bounds.messages {
            match self.slow {
                Slow::DropNew => {
                    self.dropped += 1;
                    return Posted::Dropped;
                }
                Slow::DropOld => {
                    self.dropped += 1;
                    // It is not empty: an empty one would have had the room.
                    let (_, old) = self.queue.pop_front().unzip();
                    self.bytes -= old.unwrap_or(self.bytes);
                }
                Slow::Dismiss => {
                    self.dropped += 1;
                    self.clear();
                    self.dismissed = Some(Duration::ZERO);
                    return Posted::Overrun;
                }
            }
        }
        self.bytes += len;
        self.queue.push_back((message, len));
        Posted::Queued { wake }
    }

    /// The message that is next, to be looked at before there is room to send it.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.queue.front().map(|(message, _)| message)
    }

    /// Takes the next message out. The memory of an empty mailbox is freed.
    pub fn pop(&mut self) -> Option<T> {
        let (message, len) = self.queue.pop_front()?;
        self.bytes -= len;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(message)
    }

    /// Tells the owner to go and to come back after `retry_after`. Nothing more is taken; what waits can still be
    /// popped, and the owner says goodbye behind it. Returns whether this is news: then wake the owner. Of two
    /// hints the longer one counts.
    pub fn dismiss(&mut self, retry_after: Duration) -> bool {
        let before = self.dismissed;
        self.dismissed = Some(before.unwrap_or_default().max(retry_after));
        before.is_none() && !self.closed
    }

    /// Whether the owner is to go, and after what time it may come back. Zero: at once.
    #[must_use]
    pub const fn dismissed(&self) -> Option<Duration> {
        self.dismissed
    }

    /// The owner has gone: nothing more is taken, what waits is dropped.
    pub fn close(&mut self) {
        self.closed = true;
        self.clear();
    }

    fn clear(&mut self) {
        self.dropped += self.queue.len() as u64;
        self.bytes = 0;
        self.queue = VecDeque::new();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The number of messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The bytes that wait, as the posts declared them.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many posted messages the owner has not got and will not get, since the beginning.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The messages that its memory has room for now: zero when it is empty.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.queue.capacity()
    }
}
