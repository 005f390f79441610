//! What the core does not have: a clock and randomness.

use core::time::Duration;
use std::{sync::LazyLock, time::Instant as Clock};

use stillwire::{Entropy, Instant};

/// From the system's clock, because a paused one belongs to one runtime: a test that has moved its own far ahead must
/// not set the epoch for all others. A paused clock may be a little behind, hence the hour.
static EPOCH: LazyLock<Clock> = LazyLock::new(|| {
    let now = Clock::now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
});

/// The moment, by tokio's clock (which tests can pause), counted from about an hour before its first use in this program.
#[must_use]
pub fn now() -> Instant {
    Instant::since_epoch(tokio::time::Instant::now().into_std().saturating_duration_since(*EPOCH))
}

/// The operating system's randomness.
#[must_use]
pub fn entropy() -> Entropy {
    // A system that cannot give random bytes any more cannot do anything safely: stop rather than go on guessing.
    Entropy::from_fn(|bytes| getrandom::fill(bytes).expect("the system has random bytes"))
}
