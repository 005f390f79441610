//! Moments without a clock: the caller says what time it is.
//!
//! Machines never ask for the time. Whoever drives them reads its own clock and hands the value to
//! [`advance`](crate::Machine::advance); tests and replays hand in whatever they like.
//!
//! ```
//! use core::time::Duration;
//! use stillwire::Instant;
//!
//! let start = Instant::since_epoch(Duration::from_secs(3));
//! let later = start + Duration::from_millis(250);
//! assert!(later > start);
//! assert_eq!(later.saturating_since(start), Duration::from_millis(250));
//! assert_eq!(start.saturating_since(later), Duration::ZERO);
//! assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX); // saturates, never wraps
//! ```

use core::time::Duration;

/// A moment: nanoseconds since an epoch that the caller chose (boot, start of the program, 1970).
///
/// Only differences mean anything, so any epoch will do as long as one connection keeps to one of them.
/// The range is 584 years; arithmetic saturates at its ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const EPOCH: Self = Self(0);
    /// The last moment that can be told: 584 years after the epoch.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `elapsed` after the epoch; what a driver makes of its monotonic clock.
    #[must_use]
    pub const fn since_epoch(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// The time from `earlier` to this moment, or zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment at which a wait that begins now ends.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn after(self, wait: Millis) -> Self {
        self.plus_nanos(wait.nanos())
    }

    #[inline]
    pub(crate) const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        self.plus_nanos(nanos(after))
    }
}

/// In nanoseconds, 584 years at most; in 64 bits, because wider arithmetic is hundreds of bytes of a microcontroller's flash
/// wherever a wait begins.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// A wait as machines keep it: in whole milliseconds, rounded up; `u32::MAX` is for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Millis(u32);

impl Millis {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// In 64 bits: wider arithmetic is thousands of bytes of a microcontroller's flash.
    #[cfg_attr(target_os = "none", inline(always))]
    pub(crate) const fn new(wait: Duration) -> Self {
        let rest = wait.subsec_nanos().div_ceil(1_000_000) as u64;
        let millis = wait.as_secs().saturating_mul(1000).saturating_add(rest);
        Self(if millis < u32::MAX as u64 { millis as u32 } else { u32::MAX })
    }

    /// `None` is for ever.
    #[cfg_attr(target_os = "none", inline(always))]
    pub(crate) const fn new_or_never(wait: Option<Duration>) -> Self {
        match wait {
            Some(wait) => Self::new(wait),
            None => Self::NEVER,
        }
    }

    pub(crate) const fn nanos(self) -> u64 {
        match self.0 {
            u32::MAX => u64::MAX,
            millis => millis as u64 * 1_000_000,
        }
    }
}
