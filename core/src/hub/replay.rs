//! What was sent lately, for whoever missed it: a subscriber names the last event that it has, and reads on from there.
//!
//! One [`Log`] is one channel: what one subscriber may see. An ID is looked up in the log of the channel that the subscriber
//! asked for and nowhere else, so that nobody reads another's events by guessing their IDs.
//!
//! Subscribers do not have queues of their own. Each has a [`Cursor`], and reads pages of the log whenever it has room and
//! is behind the [head](Log::head); who is slow falls back, and at worst finds that the log went on without it.
//!
//! ```
//! use stillwire::{Instant, hub::{Log, LogBounds, Since}};
//!
//! let mut log = Log::new(LogBounds { count: 3, ..LogBounds::default() });
//! let now = Instant::EPOCH;
//! for (id, event) in [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")] {
//!     log.push(now, id, event, event.len())?; // "one" had to go
//! }
//! let Since::At(cursor) = log.since(now, b"b") else { panic!() }; // a subscriber comes back
//! let page = log.page(cursor, 1000);
//! assert_eq!(page.entries().map(|entry| entry.event).collect::<Vec<_>>(), ["three", "four"]);
//! assert_eq!(page.next(), log.head()); // it is up to date
//!
//! assert!(matches!(log.since(now, b"a"), Since::Gap(_))); // too late: something is lost, and it can be told so
//! # Ok::<(), stillwire::hub::LogError>(())
//! ```

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    sync::Arc,
};
use core::time::Duration;

use crate::{Instant, sse::Feed};

/// How much a [`Log`] keeps. All three hold after each [`Log::push`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogBounds {
    /// The most events. Default: 1000.
    pub count: usize,
    /// The most bytes: what the pushes declare, and the IDs. Default: 1 MiB.
    pub bytes: usize,
    /// The greatest age. Default: 1 hour.
    pub age: Duration,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self { count: 1000, bytes: 1 << 20, age: Duration::from_secs(3600) }
    }
}

/// Why an event is not in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Nobody could come back with this ID: it is empty, longer than 1024 bytes, begins or ends with a space, or has a
    /// control character in it, which no header can carry.
    #[error("a subscriber could not name this id")]
    Id,
    /// The event alone is above the bound of bytes.
    #[error("the event is larger than {limit} bytes")]
    TooLarge {
        /// [`LogBounds::bytes`].
        limit: usize,
    },
}

/// A place in a [`Log`]: in front of the next event that a subscriber reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cursor(u64);

/// Where somebody goes on who has seen everything up to an ID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// Here, and nothing is missing.
    At(Cursor),
    /// The ID is not in the log: it never was, or it had to go. What lies between is lost for this subscriber; this is
    /// the oldest event that is left. Tell it so before you send it anything: it may have to load its state anew.
    Gap(Cursor),
}

/// An event that was kept.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The ID that a subscriber will come back with.
    pub id: Arc<str>,
    /// What was pushed.
    pub event: T,
    len: usize,
    at: Instant,
}

/// Some events in order.
#[derive(Debug)]
pub struct Page<'a, T> {
    log: &'a VecDeque<Entry<T>>,
    from: usize,
    to: usize,
    next: Cursor,
    missed: u64,
}

impl<'a, T> Page<'a, T> {
    /// The events.
    pub fn entries(&self) -> impl Iterator<Item = &'a Entry<T>> + use<'a, T> {
        self.log.iter().take(self.to).skip(self.from)
    }

    /// Where the next page begins. When it is the [head](Log::head), there is none yet.
    #[must_use]
    pub fn next(&self) -> Cursor {
        self.next
    }

    /// How many events in front of this page had to go before they were read. Not zero: a gap, as [`Since::Gap`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The events of one channel, the latest of them, in order.
#[derive(Clone, Debug)]
pub struct Log<T> {
    bounds: LogBounds,
    entries: VecDeque<Entry<T>>,
    /// The number of the first entry: they are counted from 0 on, and never anew.
    first: u64,
    bytes: usize,
    /// The number of the last entry of each ID.
    numbers: BTreeMap<Arc<str>, u64>,
}

impl<T> Log<T> {
    /// An empty log.
    #[must_use]
    pub fn new(bounds: LogBounds) -> Self {
        Self { bounds, entries: VecDeque::new(), first: 0, bytes: 0, numbers: BTreeMap::new() }
    }

    /// Keeps an event of `len` bytes, and lets the oldest ones go until the bounds hold. An ID that comes again means the
    /// later event from now on.
    ///
    /// # Errors
    /// [`LogError`]: it is not kept. Send it all the same, without the ID.
    pub fn push(&mut self, now: Instant, id: &str, event: T, len: usize) -> Result<(), LogError> {
        let sendable = !id.bytes().any(|byte| byte.is_ascii_control()) && id.trim_ascii() == id;
        if id.is_empty() || id.len() > Feed::MAX_LAST_EVENT_ID || !sendable {
            return Err(LogError::Id);
        }
        let len = len.saturating_add(id.len());
        if len > self.bounds.bytes {
            return Err(LogError::TooLarge { limit: self.bounds.bytes });
        }
        let id: Arc<str> = id.into();
        self.numbers.insert(id.clone(), self.head().0);
        self.entries.push_back(Entry { id, event, len, at: now });
        self.bytes = self.bytes.saturating_add(len);
        self.expire(now);
        while self.entries.len() > self.bounds.count || self.bytes > self.bounds.bytes {
            self.drop_first();
        }
        Ok(())
    }

    /// Lets go what is too old. [`push`](Self::push) and [`since`](Self::since) do so, too: it is for channels where
    /// nothing happens.
    pub fn expire(&mut self, now: Instant) {
        let age = self.bounds.age;
        while self.entries.front().is_some_and(|entry| now.saturating_since(entry.at) > age) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        if self.numbers.get(&entry.id) == Some(&self.first) {
            self.numbers.remove(&entry.id);
        }
        self.bytes -= entry.len;
        self.first += 1;
    }

    /// Where somebody goes on who has seen this ID last: what [`Feed::last_event_id`] says. Any bytes will do.
    pub fn since(&mut self, now: Instant, last_event_id: &[u8]) -> Since {
        self.expire(now);
        let known = core::str::from_utf8(last_event_id).ok().and_then(|id| self.numbers.get(id));
        known.map_or(Since::Gap(Cursor(self.first)), |number| Since::At(Cursor(number + 1)))
    }

    /// Behind the newest event: the high-water mark. Who begins here gets nothing but what is new.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor(self.first.saturating_add(self.entries.len() as u64))
    }

    /// Whether somebody at `cursor` has something to read.
    #[must_use]
    pub fn has_news(&self, cursor: Cursor) -> bool {
        cursor < self.head()
    }

    /// The events from `from` on: as many as have `bytes` bytes together, but one at least, if there is one. So each page
    /// gets a subscriber on, and none fills its outbox.
    #[must_use]
    pub fn page(&self, from: Cursor, bytes: usize) -> Page<'_, T> {
        let from = from.min(self.head());
        let start = from.0.max(self.first);
        let skipped = usize::try_from(start - self.first).unwrap_or(usize::MAX);
        let mut room = bytes;
        let mut count = 0;
        for entry in self.entries.iter().skip(skipped) {
            match room.checked_sub(entry.len) {
                Some(rest) => room = rest,
                None if count == 0 => room = 0,
                None => break,
            }
            count += 1;
        }
        Page {
            log: &self.entries,
            from: skipped,
            to: skipped.saturating_add(count),
            next: Cursor(start.saturating_add(count as u64)),
            missed: start - from.0,
        }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes that [`LogBounds::bytes`] bounds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// IDs that no other run of the program makes: `7f3a90c1-42`. Numbers alone begin anew after a restart, and a subscriber that
/// comes back with an old one would be believed.
#[derive(Clone, Debug)]
pub struct Ids {
    epoch: u32,
    next: u64,
}

impl Ids {
    /// Begins with 0, in an epoch of its own.
    #[must_use]
    pub fn new(entropy: &mut crate::Entropy) -> Self {
        Self { epoch: u32::from_le_bytes(entropy.take()), next: 0 }
    }

    /// The next one.
    #[must_use]
    pub fn make(&mut self) -> String {
        let id = alloc::format!("{:08x}-{}", self.epoch, self.next);
        self.next = self.next.wrapping_add(1);
        id
    }
}
