//! Who there is, and who is to be woken when: connections by number, and one set of deadlines.

use core::time::Duration;
use std::collections::BTreeSet;

use stillwire::Instant;

/// At most so many of `C`, each with a number, which is used again after it went, and with one deadline.
#[derive(Debug)]
pub struct Table<C> {
    slots: Vec<Option<(C, Option<Instant>)>>,
    free: Vec<usize>,
    timers: BTreeSet<(Instant, usize)>,
    most: usize,
}

impl<C> Table<C> {
    /// An empty table. Memory that was never touched costs nothing, so it is not taken piece by piece.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { slots: Vec::with_capacity(most), free: Vec::new(), timers: BTreeSet::new(), most }
    }

    /// Whether there is no room for another one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() == self.most
    }

    /// Puts one in and returns its number.
    pub fn insert(&mut self, new: C) -> usize {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[id] = Some((new, None));
        id
    }

    /// The one of that number, if it is still there.
    pub fn get_mut(&mut self, id: usize) -> Option<&mut C> {
        self.slots.get_mut(id)?.as_mut().map(|(found, _)| found)
    }

    /// Drops one, and its deadline.
    pub fn remove(&mut self, id: usize) {
        if let Some((_, wake)) = self.slots.get_mut(id).and_then(Option::take) {
            wake.map(|wake| self.timers.remove(&(wake, id)));
            self.free.push(id);
        }
    }

    /// Wakes it then, or sooner: a deadline that moves away, as with each message, leaves the timers alone, and whoever is
    /// woken too early says again how long it sleeps. `None` changes nothing.
    pub fn wake(&mut self, id: usize, until: Option<Instant>) {
        let Some(Some((_, wake))) = self.slots.get_mut(id) else { return };
        if let Some(until) = until.filter(|until| wake.is_none_or(|wake| *until < wake)) {
            wake.replace(until).map(|wake| self.timers.remove(&(wake, id)));
            self.timers.insert((until, id));
        }
    }

    /// How long to sleep; `None`: for ever.
    #[must_use]
    pub fn sleep(&self, now: Instant) -> Option<Duration> {
        self.timers.first().map(|(at, _)| at.saturating_since(now))
    }

    /// Takes out a deadline that is reached: whose it is.
    pub fn woken(&mut self, now: Instant) -> Option<usize> {
        let (_, id) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.timers.pop_first();
        if let Some(Some((_, wake))) = self.slots.get_mut(id) {
            *wake = None;
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::since_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn each_is_woken_once_and_never_late() {
        let mut table = Table::new(2);
        let (a, b) = (table.insert('a'), table.insert('b'));
        assert!(table.is_full());
        table.wake(a, Some(at(5)));
        table.wake(b, Some(at(3)));
        table.wake(a, Some(at(9))); // later: stays
        table.wake(b, Some(at(2))); // sooner: moves
        table.wake(b, None);
        assert_eq!(table.sleep(at(0)), Some(Duration::from_secs(2)));
        assert_eq!((table.woken(at(1)), table.woken(at(5)), table.woken(at(5))), (None, Some(b), Some(a)));
        assert_eq!((table.woken(at(100)), table.sleep(at(100))), (None, None));
    }

    #[test]
    fn who_is_gone_is_not_woken() {
        let mut table = Table::new(1);
        let old = table.insert('a');
        table.wake(old, Some(at(1)));
        table.remove(old);
        table.remove(old);
        assert!(table.get_mut(old).is_none() && table.woken(at(2)).is_none());
        let new = table.insert('b');
        assert!(new == old && table.is_full());
        assert_eq!(table.get_mut(new), Some(&mut 'b'));
    }
}
