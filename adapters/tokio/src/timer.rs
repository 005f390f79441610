//! One timer for a connection.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use stillwire::Instant;
use tokio::time::Sleep;

/// Moved only when a deadline comes nearer: one that fires early costs a round of the loop, moving it for each
/// message would cost more. It takes no memory until there is a deadline.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Timer {
    /// Ready at `until` or at an earlier moment that was asked for before; never without a deadline.
    pub(crate) fn poll(&mut self, until: Option<Instant>, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = until else { return Poll::Pending };
        if self.at.is_none_or(|at| until < at) {
            let when = tokio::time::Instant::now() + until.saturating_since(now);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(when),
                None => self.sleep = Some(Box::pin(tokio::time::sleep_until(when))),
            }
            self.at = Some(until);
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        self.at = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.at).finish()
    }
}
