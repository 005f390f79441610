//! A socket for sessions that have none: where short-lived exchanges meet the owner of a session.
//!
//! ```text
//!   exchanges                        desk                       owner
//!   post(bytes) ----------------> [ up pipe   ] ----------> read
//!   sit, tray, delivered, done <- [ down pipe ] <---------- write, finish
//!              abort                [ seat ]                deadline, tick
//! ```
//! The owner sees a byte stream, as over TCP, and may drive any machine over it. The exchanges see a desk: they post
//! what the peer sent, and one of them at a time sits and waits for what goes down. Bytes stay in the down pipe until
//! somebody says that they were delivered, so an answer that was lost costs nothing.
//!
//! There is no lock, no waker and no task here. An adapter keeps a desk behind a mutex and wakes both sides after every
//! call; to look again for nothing is harmless.
//!
//! ```
//! use core::time::Duration;
//! use stillwire::{Inbox, Instant, polling::{Desk, Policy, Tray}};
//!
//! let now = Instant::EPOCH;
//! let mut desk = Desk::new(Inbox::with_limit(1000), Inbox::with_limit(1000), Policy::default(), now);
//! desk.post(&[b"up"]).unwrap();               // one exchange
//! let seat = desk.sit().unwrap();             // another one
//! assert_eq!(desk.tray(seat), Tray::Empty);
//!
//! let mut buffer = [0; 10];
//! assert_eq!(desk.read(&mut buffer), Some(2)); // the owner
//! assert_eq!(desk.write(b"down"), 4);
//!
//! assert_eq!(desk.tray(seat), Tray::Bytes(b"down"));
//! desk.delivered(4);
//! desk.done(seat, now);
//! assert_eq!(desk.deadline(), Some(now + Duration::from_secs(30))); // until somebody sits here again
//! ```

use core::time::Duration;

use crate::{Inbox, Instant};

/// What a second receiver does while one sits already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Second {
    /// It takes the seat, the first ends empty (this crate's own polling).
    Replaces,
    /// It is refused, and nothing else happens (SockJS).
    IsRefused,
    /// It is refused, and the session ends (Engine.IO).
    EndsAll,
}

/// The rules of a desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// What a second receiver does. Default: it replaces the first.
    pub second: Second,
    /// Whether the session is lost when a receiver hangs up before its answer is out. Default: no, it may come back.
    pub abort_ends: bool,
    /// Without a receiver for this long the session is lost. Default: 30 s.
    pub empty_within: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { second: Second::Replaces, abort_ends: false, empty_within: Duration::from_secs(30) }
    }
}

/// One receiver's right to the seat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(u64);

/// Why an exchange is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Turned {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// Another receiver sits here.
    #[error("another receiver is waiting")]
    Taken,
    /// The up pipe lacks room until the owner has read some of it. Nothing was taken.
    #[error("there is room for {room} bytes only")]
    Full {
        /// How much there is room for.
        room: usize,
    },
}

/// What a receiver finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tray<'a> {
    /// Nothing yet.
    Empty,
    /// Everything that was written and not yet [`delivered`](Desk::delivered).
    Bytes(&'a [u8]),
    /// Another receiver has the seat: end the answer empty.
    Replaced,
    /// Nothing will come any more.
    Over,
}

/// Two pipes and a seat.
#[derive(Debug)]
pub struct Desk<'s> {
    up: Inbox<'s>,
    down: Inbox<'s>,
    policy: Policy,
    seat: Option<Ticket>,
    seats: u64,
    /// Nobody has been sitting here since.
    empty_since: Instant,
    /// The owner has said its last byte.
    finished: bool,
    /// The peer has ended in order, or is lost.
    ended: Option<Ended>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    InOrder,
    Lost,
}

impl<'s> Desk<'s> {
    /// A desk over two pipes: storage that the caller lends, or that grows. The peer has until `now + empty_within` to
    /// send its first receiver.
    #[must_use]
    pub fn new(up: Inbox<'s>, down: Inbox<'s>, policy: Policy, now: Instant) -> Self {
        Self { up, down, policy, seat: None, seats: 0, empty_since: now, finished: false, ended: None }
    }

    // --- the exchanges' side ---

    /// The bytes that [`post`](Self::post) would take now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.up.capacity() - self.up.unread().len()
    }

    /// Hands `parts`, one behind the other, to the owner: all or nothing.
    ///
    /// # Errors
    /// [`Turned`]: nothing was taken.
    pub fn post(&mut self, parts: &[&[u8]]) -> Result<(), Turned> {
        let room = self.room();
        if self.ended.is_some() {
            return Err(Turned::Over);
        }
        if parts.iter().map(|part| part.len()).sum::<usize>() > room {
            return Err(Turned::Full { room });
        }
        for part in parts {
            self.up.push(part);
        }
        Ok(())
    }

    /// The peer ended the session in order: the owner reads what was posted, and then the end.
    pub fn end(&mut self) {
        self.ended.get_or_insert(Ended::InOrder);
        self.down.consume(self.down.unread().len());
        self.down.rest();
    }

    /// The session is broken: the owner reads what was posted, and then the end.
    pub fn lose(&mut self) {
        self.ended.get_or_insert(Ended::Lost);
        self.down.consume(self.down.unread().len());
        self.down.rest();
    }

    /// A receiver sits down to wait. What happens to one that sits here already is [`Policy::second`].
    ///
    /// # Errors
    /// [`Turned::Taken`] or [`Turned::Over`].
    pub fn sit(&mut self) -> Result<Ticket, Turned> {
        if self.ended.is_some() {
            return Err(Turned::Over);
        }
        match self.policy.second {
            Second::IsRefused if self.seat.is_some() => return Err(Turned::Taken),
            Second::EndsAll if self.seat.is_some() => {
                self.lose();
                return Err(Turned::Taken);
            }
            _ => {}
        }
        self.seats += 1;
        self.seat = Some(Ticket(self.seats));
        Ok(Ticket(self.seats))
    }

    /// What lies there for the receiver.
    #[must_use]
    pub fn tray(&self, ticket: Ticket) -> Tray<'_> {
        match self.down.unread() {
            _ if self.ended.is_some() => Tray::Over,
            _ if self.seat != Some(ticket) => Tray::Replaced,
            [] if self.finished => Tray::Over,
            [] => Tray::Empty,
            bytes => Tray::Bytes(bytes),
        }
    }

    /// The peer has the first `n` bytes of the down pipe: they make room for others.
    pub fn delivered(&mut self, n: usize) {
        self.down.consume(n.min(self.down.unread().len()));
        self.down.rest();
    }

    /// The answer went out whole; the seat is free for the next receiver.
    pub fn done(&mut self, ticket: Ticket, now: Instant) {
        if self.seat == Some(ticket) {
            (self.seat, self.empty_since) = (None, now);
        }
    }

    /// The receiver's connection broke before its answer was out. What was not delivered lies there still.
    pub fn abort(&mut self, ticket: Ticket, now: Instant) {
        if self.seat == Some(ticket) {
            self.done(ticket, now);
            if self.policy.abort_ends {
                self.lose();
            }
        }
    }

    // --- the owner's side: a byte stream ---

    /// Reads what was posted. `None`: nothing yet. `Some(0)`: the peer will send no more.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        let unread = self.up.unread();
        if unread.is_empty() {
            return self.ended.is_some().then_some(0);
        }
        let n = unread.len().min(into.len());
        if let (Some(into), Some(from)) = (into.get_mut(..n), unread.get(..n)) {
            into.copy_from_slice(from);
        }
        self.up.consume(n);
        self.up.rest();
        (n > 0).then_some(n)
    }

    /// Writes for the receiver, as much as there is room for; returns how much that was. When the peer is gone
    /// everything is taken and dropped, and [`read`](Self::read) says so.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.ended.is_some() {
            return bytes.len();
        }
        self.down.push(bytes)
    }

    /// The owner has said its last byte. When it was delivered, the receivers find [`Tray::Over`].
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// When the session is lost unless a receiver comes. `None` while one sits here, and at the end.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        (self.seat.is_none() && self.ended.is_none()).then(|| self.empty_since + self.policy.empty_within)
    }

    /// Acts on the [`deadline`](Self::deadline).
    pub fn tick(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.lose();
        }
    }

    /// Whether everything that was posted has been read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.up.unread().is_empty()
    }

    /// Whether everything that was written has been delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.down.unread().is_empty()
    }

    /// Whether the owner has said its last byte.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the peer is gone: no exchange is served any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether the peer went without ending the session: nobody came, or a receiver broke a rule.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.ended == Some(Ended::Lost)
    }

    /// Whether somebody sits here.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.seat.is_some()
    }

    /// The most bytes that wait for the owner, and for the peer.
    #[must_use]
    pub fn capacity(&self) -> (usize, usize) {
        (self.up.capacity(), self.down.capacity())
    }

    /// The up and the down pipe, with whatever is in them.
    pub(super) fn into_pipes(self) -> (Inbox<'s>, Inbox<'s>) {
        (self.up, self.down)
    }

    /// What waits for the peer.
    pub(super) fn waiting(&self) -> &[u8] {
        self.down.unread()
    }

    /// The bytes of memory that the pipes hold now.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.up.allocated() + self.down.allocated()
    }

    /// What was moved and searched in both pipes.
    #[cfg(feature = "count-work")]
    #[doc(hidden)]
    pub fn work(&self) -> crate::Work {
        let (up, down) = (self.up.work(), self.down.work());
        crate::Work {
            received: up.received + down.received,
            scanned: up.scanned + down.scanned,
            moved: up.moved + down.moved,
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    fn desk(policy: Policy) -> Desk<'static> {
        Desk::new(Inbox::with_limit(10), Inbox::with_limit(10), policy, Instant::EPOCH)
    }

    fn after(seconds: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn posting_is_all_or_nothing_and_exact() {
        let mut desk = desk(Policy::default());
        desk.post(&[b"1234", b"567"]).unwrap();
        assert_eq!(desk.post(&[b"89", b"0a"]), Err(Turned::Full { room: 3 }));
        desk.post(&[b"890"]).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(desk.read(&mut buffer), Some(4));
        desk.post(&[b"abcd"]).unwrap();
        let mut rest = [0; 20];
        assert_eq!(desk.read(&mut rest), Some(10));
        assert_eq!(&rest[..10], b"567890abcd");
        assert_eq!(desk.read(&mut rest), None);
        desk.post(&[b"last"]).unwrap();
        desk.end();
        assert_eq!(desk.post(&[b"x"]), Err(Turned::Over));
        assert_eq!((desk.read(&mut rest), desk.read(&mut rest)), (Some(4), Some(0)));
        assert!(desk.is_over() && !desk.is_lost());
    }

    #[test]
    fn a_second_receiver() {
        let mut replaces = desk(Policy::default());
        let first = replaces.sit().unwrap();
        let second = replaces.sit().unwrap();
        assert_eq!((replaces.tray(first), replaces.tray(second)), (Tray::Replaced, Tray::Empty));
        replaces.done(first, after(1)); // changes nothing
        replaces.abort(first, after(1));
        assert!(replaces.is_taken());

        let mut refused = desk(Policy { second: Second::IsRefused, ..Policy::default() });
        let first = refused.sit().unwrap();
        assert_eq!(refused.sit(), Err(Turned::Taken));
        assert_eq!(refused.tray(first), Tray::Empty);

        let mut ends = desk(Policy { second: Second::EndsAll, ..Policy::default() });
        let first = ends.sit().unwrap();
        assert_eq!(ends.sit(), Err(Turned::Taken));
        assert_eq!(ends.tray(first), Tray::Over);
        assert_eq!(ends.read(&mut [0]), Some(0));
        assert!(ends.is_lost());
    }

    #[test]
    fn done_and_abort_are_different() {
        for abort_ends in [false, true] {
            let mut desk = desk(Policy { abort_ends, ..Policy::default() });
            let seat = desk.sit().unwrap();
            assert_eq!(desk.write(b"tray"), 4);
            assert_eq!(desk.tray(seat), Tray::Bytes(b"tray"));
            desk.done(seat, after(1));
            let seat = desk.sit().unwrap();
            assert_eq!(desk.tray(seat), Tray::Bytes(b"tray")); // nobody said that it was delivered
            desk.abort(seat, after(2));
            assert_eq!(desk.is_lost(), abort_ends);
            if !abort_ends {
                assert_eq!(desk.deadline(), Some(after(32)));
            }
        }
    }

    #[test]
    fn nobody_comes() {
        let mut desk = desk(Policy::default());
        assert_eq!(desk.deadline(), Some(after(30)));
        let seat = desk.sit().unwrap();
        assert_eq!(desk.deadline(), None);
        desk.tick(after(100));
        desk.done(seat, after(100));
        desk.tick(after(129));
        assert!(!desk.is_over());
        desk.write(b"lost");
        desk.tick(after(130));
        assert!(desk.is_lost() && desk.deadline().is_none());
        assert_eq!(desk.sit(), Err(Turned::Over));
        assert_eq!(desk.write(b"dropped, for nobody will read it"), 32);
        assert_eq!(desk.read(&mut [0; 9]), Some(0));
        assert_eq!(desk.allocated(), 0);
    }

    #[test]
    fn the_down_pipe_is_bounded_and_ends_after_its_last_byte() {
        let mut desk = desk(Policy::default());
        assert_eq!(desk.write(b"123456789abc"), 10);
        assert_eq!(desk.write(b"x"), 0);
        let seat = desk.sit().unwrap();
        desk.delivered(4);
        assert_eq!(desk.write(b"bcdefg"), 4);
        desk.finish();
        assert_eq!(desk.tray(seat), Tray::Bytes(b"56789abcde"));
        desk.delivered(99);
        assert_eq!(desk.tray(seat), Tray::Over);
    }
}
