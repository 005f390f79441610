//! What the core does not have: a clock and randomness.

use std::sync::LazyLock;

use stillwire::{Entropy, Instant};

static EPOCH: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);

/// The moment, by tokio's clock (which tests can pause), counted from its first use in this program.
#[must_use]
pub fn now() -> Instant {
    Instant::since_epoch(EPOCH.elapsed())
}

/// The operating system's randomness.
#[must_use]
pub fn entropy() -> Entropy {
    // A system that cannot give random bytes any more cannot do anything safely: stop rather than go on guessing.
    Entropy::from_fn(|bytes| getrandom::fill(bytes).expect("the system has random bytes"))
}
