//! What a connection needs of a socket.

use core::time::Duration;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use stillwire::Instant;

/// A blocking, two-way stream of bytes with timeouts: [`TcpStream`], on Unix `UnixStream`, or yours (TLS, say).
///
/// A call whose timeout passes fails with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`]; one that a
/// signal interrupts may fail with [`io::ErrorKind::Interrupted`]. Neither ends a connection.
pub trait Socket {
    /// Waits for bytes and reads them; 0 when the peer has ended its side.
    ///
    /// # Errors
    /// A timeout, a signal, or the end of the connection.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes some of the bytes, all slices in order; returns how many bytes.
    ///
    /// # Errors
    /// A timeout, a signal, or the end of the connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// How long [`read`](Self::read) may wait; `None`: as long as it takes. Never zero.
    ///
    /// # Errors
    /// The socket's.
    fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()>;

    /// How long [`write`](Self::write) may wait; `None`: as long as it takes. Never zero.
    ///
    /// # Errors
    /// The socket's.
    fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()>;

    /// Ends one side, or both. Reads and writes of that side that are under way come back.
    ///
    /// # Errors
    /// The socket's.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;
}

/// As std has it for `Read` and `Write`: a shared reference is a socket, too, so that two threads can use one.
macro_rules! socket {
    ($stream:ty) => {
        socket!($stream, $stream);
        socket!($stream, &$stream);
    };
    ($stream:ty, $socket:ty) => {
        impl Socket for $socket {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                Read::read(self, into)
            }
            fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                Write::write_vectored(self, slices)
            }
            fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                <$stream>::set_read_timeout(self, after)
            }
            fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                <$stream>::set_write_timeout(self, after)
            }
            fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
                <$stream>::shutdown(self, how)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream);

/// The timeout of a socket, set only when it has to change: that is a call of the system.
#[derive(Debug, Default)]
pub(crate) struct Timeout {
    set: Option<Option<Duration>>,
    /// When there is no more time, whatever still comes.
    pub(crate) end_at: Option<Instant>,
}

impl Timeout {
    /// The timeout to set so that a call comes back at `until`, if it is another one than was set before.
    ///
    /// It is rounded down to a power of two of milliseconds. A call that comes back too early goes round the loop,
    /// and most deadlines of a busy connection move a little with every message: they need no call at all. Zero
    /// would mean "never", so a millisecond is the least.
    pub(crate) fn change(&mut self, until: Option<Instant>, now: Instant) -> Option<Option<Duration>> {
        let wanted = until.into_iter().chain(self.end_at).min().map(|at| {
            let millis = u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(u64::MAX).max(1);
            Duration::from_millis(1 << millis.ilog2())
        });
        (self.set.replace(wanted) != Some(wanted)).then_some(wanted)
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.end_at.is_some_and(|at| now >= at)
    }
}

/// How many bytes went; `None`: none, because time was up or a signal came, and the loop goes round.
pub(crate) fn moved(result: io::Result<usize>) -> io::Result<Option<usize>> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_zero_never_late_and_seldom_set() {
        let now = Instant::since_epoch(Duration::from_secs(5));
        let mut timeout = Timeout::default();
        assert_eq!(timeout.change(None, now), Some(None), "the first one is always set");
        assert_eq!(timeout.change(None, now), None);
        assert_eq!(timeout.change(Some(now), now), Some(Some(Duration::from_millis(1))));
        let mut changes = 0;
        for millis in 1..20_000 {
            let wait = Duration::from_millis(millis);
            if let Some(set) = timeout.change(Some(now + wait), now) {
                changes += 1;
                assert!(set.is_some_and(|set| set <= wait && set * 2 > wait));
            }
        }
        assert_eq!(changes, 14);
        assert!(timeout.change(Some(Instant::MAX), Instant::EPOCH).is_some());
    }
}
