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
