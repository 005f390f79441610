//! How many may come in: a bound for all, and one for each key (an address, an account).
//!
//! Who is too much is refused and told when to try again. To let somebody in and send somebody else away for it does not
//! make it less: whoever was sent away comes back at once.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::Entropy;

/// The bounds of an [`Admission`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdmissionBounds {
    /// The most at a time. Default: 100,000.
    pub total: usize,
    /// The most of one key at a time. Default: 100.
    pub per_key: usize,
    /// Who is refused is told to come back after this at least, and after twice this at most. Default: 5 s.
    pub retry_after: Duration,
}

impl Default for AdmissionBounds {
    fn default() -> Self {
        Self { total: 100_000, per_key: 100, retry_after: Duration::from_secs(5) }
    }
}

/// Nobody more may come in now: answer with status 503, and with this many seconds as `Retry-After`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there are too many; again in {retry_after} s")]
pub struct Refused {
    /// Another number for each, in seconds, so that they do not come back all at once.
    pub retry_after: u64,
}

/// Who is in.
///
/// ```
/// use stillwire::{Entropy, hub::{Admission, AdmissionBounds}};
///
/// let bounds = AdmissionBounds { per_key: 1, ..AdmissionBounds::default() };
/// let mut admission = Admission::new(bounds, Entropy::insecure_seeded(1)); // in production: Entropy::from_fn
/// assert!(admission.enter("192.0.2.1").is_ok());
/// let refused = admission.enter("192.0.2.1").unwrap_err();
/// assert!((5..=10).contains(&refused.retry_after));
/// admission.leave(&"192.0.2.1"); // however it ended
/// assert!(admission.enter("192.0.2.1").is_ok());
/// ```
#[derive(Debug)]
pub struct Admission<K> {
    bounds: AdmissionBounds,
    entropy: Entropy,
    counts: BTreeMap<K, usize>,
    total: usize,
}

impl<K: Ord> Admission<K> {
    /// Nobody is in.
    #[must_use]
    pub fn new(bounds: AdmissionBounds, entropy: Entropy) -> Self {
        Self { bounds, entropy, counts: BTreeMap::new(), total: 0 }
    }

    /// Lets one in.
    ///
    /// # Errors
    /// [`Refused`]: a bound is reached.
    pub fn enter(&mut self, key: K) -> Result<(), Refused> {
        let of_key = self.counts.get(&key).copied().unwrap_or(0);
        if self.total >= self.bounds.total || of_key >= self.bounds.per_key {
            let seconds = self.bounds.retry_after.as_secs().max(1);
            let random = u64::from(u32::from_le_bytes(self.entropy.take()));
            return Err(Refused { retry_after: seconds.saturating_add(random % seconds.saturating_add(1)) });
        }
        self.counts.insert(key, of_key + 1);
        self.total += 1;
        Ok(())
    }

    /// One that was let in is gone.
    pub fn leave(&mut self, key: &K) {
        let Some(count) = self.counts.get_mut(key) else { return };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.counts.remove(key);
        }
    }

    /// How many are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether nobody is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}
