//! Limits and waits of polling.

use core::time::Duration;

/// Limits and waits, the same type for both ends. A client obeys the smaller of its own `max_bytes` and
/// `max_messages` and those that the server announced.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes of one body, in either direction, as it stands on the wire: escaped, base64 and all. A message
    /// must fit into a body of its own, so its record (quotes, escapes) may have 41 bytes less. At least 128.
    /// Default: 65,536.
    pub max_bytes: usize,
    /// The most messages of one body, in either direction; at least 1. Default: 64.
    pub max_messages: usize,
    /// Server: how long a receiver waits for the first message before it is answered with nothing (204). Below the
    /// idle timeouts of proxies, which often are 30 s or 60 s. Default: 25 s.
    pub wait: Duration,
    /// Server: a session without a receiver for this long is abandoned and ends. Default: 30 s.
    pub empty_within: Duration,
    /// After our close, how long the machine waits for the other end to have seen it. Longer than `empty_within`, or a
    /// client that is between two requests never hears of it. Default: 40 s.
    pub close_within: Duration,
    /// Client: how long an answer may take, for a receiver on top of the announced wait; then the request counts as
    /// failed. Default: 10 s.
    pub answer_within: Duration,
    /// Client: the first wait after a failed request, doubled with each further failure in a row. What is really
    /// waited is chosen at random between half of it and all of it. It is also the least time between two receivers
    /// when the first was answered with nothing. Default: 500 ms.
    pub retry_min: Duration,
    /// Client: where the doubling stops. Below `empty_within`, or the session is gone before the next try.
    /// Default: 10 s.
    pub retry_max: Duration,
    /// Client: so many failures of the same kind of request in a row, and it gives up. Default: 8.
    pub retries: u32,
}

impl Config {
    const DEFAULT: Self = Self {
        max_bytes: 65_536,
        max_messages: 64,
        wait: Duration::from_secs(25),
        empty_within: Duration::from_secs(30),
        close_within: Duration::from_secs(40),
        answer_within: Duration::from_secs(10),
        retry_min: Duration::from_millis(500),
        retry_max: Duration::from_secs(10),
        retries: 8,
    };

    /// For microcontrollers: bodies of at most 512 bytes and 8 messages. A session's two pipes need 600 bytes each.
    pub const TINY: Self = Self { max_bytes: 512, max_messages: 8, ..Self::DEFAULT };
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}
