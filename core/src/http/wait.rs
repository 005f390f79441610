//! What a machine waits for, and how long.

use super::config::Millis;
use crate::Instant;

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum For {
    /// Nothing with a deadline.
    Nothing,
    Request,
    /// The first byte of an answer.
    Answer,
    Head,
    Body,
    /// The peer's end.
    End,
}

/// One deadline. A wait keeps the deadline that it began with.
#[derive(Debug)]
pub(super) struct Wait {
    what: For,
    due: Option<Instant>,
    /// How long a body may pause, before `body_rate` cuts it short, in nanoseconds.
    pause: u64,
}

impl Wait {
    pub(super) const fn new() -> Self {
        Self { what: For::Nothing, due: None, pause: 0 }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.filter(|due| *due < Instant::MAX)
    }

    pub(super) fn stop(&mut self) {
        (self.what, self.due) = (For::Nothing, None);
    }

    /// Waits, or goes on waiting; `true` when the time is up.
    pub(super) fn is_over(&mut self, what: For, now: Instant, within: Millis) -> bool {
        self.is_over_after(what, now, within.nanos())
    }

    fn is_over_after(&mut self, what: For, now: Instant, within: u64) -> bool {
        if self.what != what {
            (self.what, self.due) = (what, Some(now.plus_nanos(within)));
        }
        self.due.is_some_and(|due| now >= due && due < Instant::MAX)
    }

    /// A body begins: it may pause that long.
    pub(super) fn begin_body(&mut self, within: Millis) {
        self.pause = within.nanos();
        self.stop();
    }

    /// As [`is_over`](Self::is_over), for a body.
    pub(super) fn is_body_over(&mut self, now: Instant) -> bool {
        self.is_over_after(For::Body, now, self.pause)
    }

    /// So many bytes of a body came: what was waited is lost, what they are worth at `rate` bytes per second is
    /// won, and there is never more than at the beginning.
    pub(super) fn body_came(&mut self, now: Instant, bytes: usize, rate: u32, within: Millis) {
        let within = within.nanos();
        if let (For::Body, Some(due)) = (self.what, self.deadline()) {
            self.pause = due.nanos_since(now);
        }
        self.pause = match rate {
            0 => within,
            rate => {
                let nanos = (bytes as u64).saturating_mul(u64::from(1_000_000_000 / rate));
                self.pause.saturating_add(nanos).min(within)
            }
        };
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const SECOND: Millis = Millis::new(Duration::from_secs(1));

    fn at(millis: u64) -> Instant {
        Instant::since_epoch(Duration::from_millis(millis))
    }

    #[test]
    fn a_wait_keeps_its_deadline() {
        let mut wait = Wait::new();
        assert!(!wait.is_over(For::Head, at(0), SECOND));
        assert!(!wait.is_over(For::Head, at(999), SECOND));
        assert_eq!(wait.deadline(), Some(at(1000)));
        assert!(wait.is_over(For::Head, at(1000), SECOND));
        assert!(!wait.is_over(For::Answer, at(1000), SECOND), "another wait begins anew");
        wait.stop();
        assert_eq!(wait.deadline(), None);
    }

    #[test]
    fn for_ever_has_no_deadline() {
        let mut wait = Wait::new();
        assert!(!wait.is_over(For::Request, at(5), Millis::new(Duration::MAX)));
        assert_eq!(wait.deadline(), None);
        assert!(!wait.is_over(For::Request, Instant::MAX, Millis::new(Duration::MAX)));
    }

    #[test]
    fn bytes_win_back_what_a_pause_has_cost() {
        let mut wait = Wait::new();
        wait.begin_body(SECOND);
        assert!(!wait.is_body_over(at(0)));
        wait.body_came(at(600), 100, 1000, SECOND); // 400 ms were left, 100 bytes are worth 100 ms
        assert!(!wait.is_body_over(at(600)));
        assert_eq!(wait.deadline(), Some(at(1100)));
        wait.body_came(at(700), usize::MAX, 1000, SECOND); // never more than the whole pause
        assert!(!wait.is_body_over(at(700)));
        assert_eq!(wait.deadline(), Some(at(1700)));
        wait.body_came(at(1600), 1, 0, SECOND); // without a rate, each byte is worth all of it
        assert!(!wait.is_body_over(at(1600)));
        assert_eq!(wait.deadline(), Some(at(2600)));
    }
}
