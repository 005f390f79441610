//! The clock.

use stillwire::Instant;

/// The clock of the asynchronous driver: what time it is, and to wait.
///
/// ```
/// use core::time::Duration;
/// use stillwire::Instant;
/// use stillwire_embedded::Timer;
///
/// /// A tick of one millisecond, and an executor that polls all the time.
/// struct Ticks(fn() -> u64);
///
/// impl Timer for Ticks {
///     fn now(&self) -> Instant { Instant::since_epoch(Duration::from_millis((self.0)())) }
///
///     async fn wait(&self, until: Instant) {
///         core::future::poll_fn(|cx| {
///             if self.now() >= until { return core::task::Poll::Ready(()) }
///             cx.waker().wake_by_ref(); // better: keep the waker, and let the timer's interrupt wake it
///             core::task::Poll::Pending
///         }).await
///     }
/// }
/// ```
pub trait Timer {
    /// The moment it is. Any epoch will do, it must not go backwards.
    fn now(&self) -> Instant;

    /// Comes back at `until`, at once when that is past. The future is dropped when a byte comes first.
    fn wait(&self, until: Instant) -> impl Future<Output = ()>;
}

impl<T: Timer> Timer for &T {
    fn now(&self) -> Instant {
        T::now(self)
    }

    fn wait(&self, until: Instant) -> impl Future<Output = ()> {
        T::wait(self, until)
    }
}

/// The clock of embassy: [`embassy_time::Instant::now`] since boot, and its timer queue.
#[cfg(feature = "embassy-time")]
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbassyTimer;

#[cfg(feature = "embassy-time")]
impl Timer for EmbassyTimer {
    fn now(&self) -> Instant {
        Instant::since_epoch(core::time::Duration::from_micros(embassy_time::Instant::now().as_micros()))
    }

    async fn wait(&self, until: Instant) {
        // Rounded up: a timer that fires early fires twice.
        let micros = until.saturating_since(Instant::EPOCH).as_nanos().div_ceil(1000);
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        match embassy_time::Instant::try_from_micros(micros) {
            Some(at) => embassy_time::Timer::at(at).await,
            None => core::future::pending().await,
        }
    }
}
