//! Limits and waits.

use core::time::Duration;

pub(super) use crate::time::Millis;

/// Limits and waits of one connection. Every wait can be switched off with [`Duration::MAX`].
///
/// Waits are kept in whole milliseconds (rounded up) and sizes in 32 bits; larger values count as "never" and as 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes of a head, from the first byte of its first line to the empty line: 431 above it. The
    /// inbox is a limit, too. Default: 8192.
    pub max_head: usize,
    /// Server: the most bytes of a request line: 414 above it. Default: 8000, as RFC 9112, 3 recommends.
    pub max_line: usize,
    /// How long a connection may be without a request: then it is closed without a word. Default: 60 s.
    pub idle_within: Duration,
    /// From the first byte of a head to its last, no matter how many come between: 408. Default: 10 s.
    pub head_within: Duration,
    /// Server: how long a body may pause: 408. Default: 20 s.
    pub body_within: Duration,
    /// Server: bytes per second that a body must bring on average, so that a trickle of single bytes does not
    /// hold a connection for days: each byte wins back `1 / body_rate` seconds of the pause that is allowed
    /// ([`body_within`](Self::body_within) at most). 0: no such rule. Default: 500.
    pub body_rate: u32,
    /// Server: how long to wait for the peer's end after the last answer. Without it the peer could lose that
    /// answer to a reset (RFC 9112, 9.6). Default: 2 s.
    pub close_within: Duration,
    /// Server: when the answer comes before the body, that many bytes of body at most are read and dropped to
    /// keep the connection; if more may follow, it closes. Default: 65536.
    pub drain: usize,
    /// Server: the peer's end while an answer is owed means only that no more requests will come, not that the
    /// peer is [gone](super::Event::Gone). Long polls and event streams then outlive their peers. Default: off.
    pub half_close: bool,
    /// Client: how long to wait for the first byte of an answer, and then for each piece of its body. Set it
    /// above the wait of a long poll. Default: 60 s.
    pub wait_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Config {
    const DEFAULT: Self = Self {
        max_head: 8192,
        max_line: 8000,
        idle_within: Duration::from_secs(60),
        head_within: Duration::from_secs(10),
        body_within: Duration::from_secs(20),
        body_rate: 500,
        close_within: Duration::from_secs(2),
        drain: 65536,
        half_close: false,
        wait_within: Duration::from_secs(60),
    };

    /// For microcontrollers: heads up to 1024 bytes, lines up to 512, 1024 bytes drained, 15 s idle.
    pub const TINY: Self = Self {
        max_head: 1024,
        max_line: 512,
        idle_within: Duration::from_secs(15),
        drain: 1024,
        ..Self::DEFAULT
    };
}

/// A [`Config`] as the machines keep it: a third of the size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    max_head: u32,
    max_line: u32,
    drain: u32,
    pub(super) body_rate: u32,
    pub(super) idle_within: Millis,
    pub(super) head_within: Millis,
    pub(super) body_within: Millis,
    pub(super) close_within: Millis,
    pub(super) wait_within: Millis,
    pub(super) half_close: bool,
}

impl Limits {
    #[cfg_attr(target_os = "none", inline(always))]
    pub(super) fn new(config: &Config) -> Self {
        let small = |size| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            max_head: small(config.max_head),
            max_line: small(config.max_line),
            drain: small(config.drain),
            body_rate: config.body_rate,
            idle_within: Millis::new(config.idle_within),
            head_within: Millis::new(config.head_within),
            body_within: Millis::new(config.body_within),
            close_within: Millis::new(config.close_within),
            wait_within: Millis::new(config.wait_within),
            half_close: config.half_close,
        }
    }

    pub(super) fn max_head(&self) -> usize {
        usize::try_from(self.max_head).unwrap_or(usize::MAX)
    }

    pub(super) fn max_line(&self) -> usize {
        usize::try_from(self.max_line).unwrap_or(usize::MAX)
    }

    pub(super) fn drain(&self) -> u64 {
        u64::from(self.drain)
    }
}
