//! What can be set, for each of the two sides.

use core::time::Duration;

/// The limits of a [`Stream`](super::Stream).
///
/// All lengths are in bytes, as decoded (a byte that is no UTF-8 becomes three), whatever way the stream came in
/// pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes of one block: the values of its `data`, `event` and `id` lines (replaced ones too), and one
    /// byte more for each of these lines but the first. Comments, `retry` and unknown fields do not count, however
    /// long they are. Default: 64 KiB.
    ///
    /// An inbox with less room lowers it: see [`Stream::max_event`](super::Stream::max_event).
    pub max_event: usize,
    /// The most bytes of an `id`, which is kept in the inbox for as long as it is in force. Default: 1 KiB, and never
    /// more than an eighth of the inbox.
    pub max_id: usize,
    /// What a block above a limit comes to. `false`, the default: [`Error::TooLarge`](super::Error::TooLarge)
    /// ends the stream. `true`: the block is dropped, [counted](super::Stream::dropped), and parsing goes on
    /// behind the next blank line.
    pub resync: bool,
}

impl Config {
    /// For microcontrollers: blocks of 512 bytes, ids of 32; larger blocks are dropped. An inbox of 1 KiB reads on
    /// in pieces of half a kilobyte.
    pub const TINY: Self = Self { max_event: 512, max_id: 32, resync: true };
}

impl Default for Config {
    fn default() -> Self {
        Self { max_event: 64 << 10, max_id: 1 << 10, resync: false }
    }
}

/// How an [`EventSource`](super::EventSource) connects, and connects again.
///
/// [`default`](Self::default) is for programs, which are to come back whatever happens;
/// [`browser`](Self::browser) does what Chromium does.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SourceConfig {
    /// The limits of the stream.
    pub stream: Config,
    /// How long to wait before connecting again, until the server names another time. Default and browser: 3 s.
    pub retry: Duration,
    /// The least that the server may make of it: `retry: 0` is a hot loop. Default: 100 ms. Browser: 0.
    pub retry_min: Duration,
    /// The most that the server may make of it, with `retry` or with `Retry-After`. Default: 1 hour. Browser: no limit.
    pub retry_max: Duration,
    /// On top of the time above comes a random one (full jitter): from nothing to that time doubled with each
    /// connection in a row that did not last for [`stable_after`](Self::stable_after), up to this. So clients that were
    /// cut off together do not come back together, and never earlier than the server wants. Zero: none of it. Default:
    /// 60 s. Browser: 0.
    pub backoff_max: Duration,
    /// A connection that was open for so long was a good one: after it, doubling begins anew. Default: 10 s.
    pub stable_after: Duration,
    /// Whether a server that is overloaded or restarts is asked again: the statuses 408, 425, 429 and 5xx, with their
    /// `Retry-After` (RFC 9110, 10.2.3). One that is a date counts from the `Date` of the same answer, whatever clocks
    /// say; without that it does not count. Default: yes. Browser: no, they end it.
    pub retry_statuses: bool,
    /// How many attempts in a row may fail to open a stream; then it is [`SourceError::GaveUp`](super::SourceError).
    /// `None`: any number. Default and browser: `None`.
    pub max_attempts: Option<u32>,
    /// How long a request may take, from being handed out until the head of its answer. Default: 30 s. Browser: no
    /// limit.
    pub answer_within: Duration,
    /// How long an open stream may be silent until it counts as lost: a connection can die without a word. Comments
    /// count as life, so set it well above the server's keep-alive. Default: 60 s. Browser: no limit.
    pub idle_within: Duration,
    /// How many redirections in a row are followed. Default and browser: 20, as Fetch has it.
    pub max_redirects: u8,
    /// Where to connect to after a redirection. `false`: where the permanent ones (301, 308) lead, and to what asked for
    /// otherwise (RFC 9110, 15.4). `true`: where the last one led. Default: `false`. Browser: `true`.
    pub keep_redirects: bool,
    /// Ends when an answer is complete, instead of asking for the next: for answers that have an end, such as a
    /// language model's. An answer that breaks off is asked for again; where that must not be, set
    /// [`max_attempts`](Self::max_attempts) to 0, too. Default and browser: `false`.
    pub once: bool,
}

#[cfg(feature = "alloc")]
impl SourceConfig {
    /// What Chromium does: a constant wait, whatever the server says; any status but 200 ends it; nothing is limited.
    ///
    /// Two things differ, and are the standard's: a `retry` line without digits changes nothing (Chromium goes back to 3
    /// s), and a line break behind a byte order mark is one (Chromium loses it). What Firefox does otherwise stands in
    /// `docs/conformance.md`.
    #[must_use]
    pub fn browser() -> Self {
        Self {
            stream: Config { max_event: usize::MAX, max_id: usize::MAX, ..Config::default() },
            retry_min: Duration::ZERO,
            retry_max: Duration::MAX,
            backoff_max: Duration::ZERO,
            retry_statuses: false,
            answer_within: Duration::MAX,
            idle_within: Duration::MAX,
            keep_redirects: true,
            ..Self::default()
        }
    }
}

#[cfg(feature = "alloc")]
impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            stream: Config::default(),
            retry: Duration::from_secs(3),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(3600),
            backoff_max: Duration::from_secs(60),
            stable_after: Duration::from_secs(10),
            retry_statuses: true,
            max_attempts: None,
            answer_within: Duration::from_secs(30),
            idle_within: Duration::from_secs(60),
            max_redirects: 20,
            keep_redirects: false,
            once: false,
        }
    }
}

/// The settings of a [`Feed`](super::Feed).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FeedConfig {
    /// When nothing was sent for so long, a comment is: proxies that cut idle connections see life, and a
    /// subscriber that is gone without a word is found out by the write. `None`: never. Default: 15 s, as HTML
    /// 9.2.7 advises.
    pub keep_alive: Option<Duration>,
}

impl FeedConfig {
    /// For microcontrollers: the default; there is nothing here that costs memory.
    pub const TINY: Self = Self { keep_alive: Some(Duration::from_secs(15)) };
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self::TINY
    }
}
