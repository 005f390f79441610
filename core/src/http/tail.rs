//! What is left of a connection behind the head of an answer that ends with it.

use super::config::{Limits, Millis};
use crate::{Inbox, Instant, Outbox, Progress};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// The peer has left; the event is shown.
    Gone,
    /// All is said; what still comes is dropped, so that the answer is not lost to a reset.
    Lingering,
    Closed,
}

/// The rest of a connection whose answer ends with it, as [`Framing::UntilClose`](super::Framing::UntilClose) has it: what is
/// written into the outbox is the answer, what comes in is nobody's, and the peer's end is all there is to hear. Made of an
/// [`Exchange`](super::Exchange) or a [`Single`](super::Single) whose answer was begun; machines like
/// [`sse::Feed`](crate::sse::Feed) are made of it.
#[derive(Debug)]
pub struct Tail {
    phase: Phase,
    half_close: bool,
    close_within: Millis,
    /// When lingering ends; `MAX`: not known yet.
    due: Instant,
}

impl Tail {
    /// `is_open`: the answer goes on.
    pub(super) const fn new(is_open: bool, limits: &Limits) -> Self {
        let phase = if is_open { Phase::Open } else { Phase::Lingering };
        Self { phase, half_close: limits.half_close, close_within: limits.close_within, due: Instant::MAX }
    }

    /// The body of an answer of another HTTP stack: nothing follows its end.
    pub(crate) const fn of_body() -> Self {
        Self { phase: Phase::Open, half_close: false, close_within: Millis::ZERO, due: Instant::MAX }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The event: the peer left before the answer's end.
    pub(crate) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// The answer is complete; or it will never be.
    pub(crate) fn end(&mut self, outbox: &mut Outbox<'_>) {
        if self.is_open() {
            self.phase = Phase::Lingering;
        }
        outbox.finish();
    }

    /// The peer left before the answer, and that was said.
    pub(super) fn depart(&mut self) {
        self.phase = Phase::Closed;
    }

    pub(crate) fn release(&mut self) {
        if self.is_gone() {
            self.phase = Phase::Closed;
        }
    }

    pub(crate) fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Progress {
        self.release();
        inbox.consume(inbox.unread().len());
        if self.is_open() {
            if !inbox.is_finished() || self.half_close {
                return Progress::NeedInput;
            }
            outbox.finish();
            self.phase = Phase::Gone;
            return Progress::Event;
        }
        outbox.finish();
        if self.phase == Phase::Lingering && !self.is_over(now, inbox, outbox) {
            return Progress::NeedInput;
        }
        self.phase = Phase::Closed;
        Progress::Closed
    }

    fn is_over(&mut self, now: Instant, inbox: &Inbox<'_>, outbox: &Outbox<'_>) -> bool {
        let next = now.after(self.close_within);
        if self.due == Instant::MAX {
            self.due = next;
        }
        let is_late = now >= self.due && self.due < Instant::MAX;
        if is_late {
            // What takes long to send is not lost for that: `Link` cuts off a peer that takes nothing.
            self.due = next;
        }
        inbox.is_finished() || (is_late && (outbox.is_empty() || now >= next))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.phase == Phase::Lingering && self.due < Instant::MAX).then_some(self.due)
    }
}
