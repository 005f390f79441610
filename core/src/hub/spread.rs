use core::time::Duration;

/// The share of the `n`-th (from 0) of `count` in `span`: `span × n / count`, rounded down to a nanosecond.
///
/// A server that goes away tells each of its peers to come back after another share of a span, so that they do not
/// come all at once. The first share is zero and the last one is shorter than `span`; an `n` that is not below
/// `count` gets all of `span`. It does not panic and does not round through floating point.
///
/// ```
/// use core::time::Duration;
/// use stillwire::hub::spread;
///
/// let minute = Duration::from_secs(60);
/// assert_eq!(spread(0, 4, minute), Duration::ZERO);
/// assert_eq!(spread(3, 4, minute), Duration::from_secs(45));
/// assert_eq!(spread(1, 3, Duration::MAX), Duration::MAX / 3);
/// assert_eq!(spread(0, 0, minute), minute); // nobody to spread
/// ```
#[must_use]
pub fn spread(n: usize, count: usize, span: Duration) -> Duration {
    if n >= count {
        return span;
    }
    let (n, count, nanos) = (n as u128, count as u128, span.as_nanos());
    // No product here exceeds `nanos` or `count²`, and `count` has 64 bits at most.
    let share = nanos / count * n + nanos % count * n / count;
    let (seconds, rest) = (share / NANOS_PER_SECOND, share % NANOS_PER_SECOND);
    Duration::new(seconds as u64, rest as u32)
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
