//! What can be set.

use core::time::Duration;

/// Limits and waits of one WebSocket connection. Change what you need of [`Config::default`] or [`Config::TINY`].
///
/// ```
/// use stillwire::ws::Config;
///
/// let mut config = Config::default();
/// config.max_message = 64 * 1024;
/// config.ping_every = None; // no keepalive: somebody else watches over this connection
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The largest message that is received, in bytes of payload, all fragments together. Default: 1 MiB.
    ///
    /// A message must also fit into the inbox, so the limit in force is the smaller one of this and the inbox's
    /// capacity less 139 bytes (what may lie behind a message: one header and one control frame), or less 1,024 bytes where
    /// compression was agreed on; then inflated bytes are counted. A larger message
    /// is refused at the header that exceeds it ([`Error::TooLarge`](super::Error::TooLarge), close code 1009).
    pub max_message: usize,
    /// Messages of more bytes than this come in [pieces](super::Event::Piece) of this size, so that the inbox bounds the
    /// memory and not the message: then [`max_message`](Self::max_message) may be larger than the inbox. `None`: messages
    /// are always whole. Default: `None`.
    ///
    /// Less when the inbox holds less (its capacity less 140 bytes); below 4 bytes there are no pieces. Not for a connection
    /// under a layer that takes whole messages, as everything over a [`Transport`](crate::Transport) does: it would not see
    /// the pieces.
    pub piece: Option<usize>,
    /// Compression, if the peer agrees to it in the handshake: [`Accept::new`](super::Accept::new) and
    /// [`Offer::new`](super::Offer::new) look at it, and what they agree on makes the connection. `None`: not offered, not
    /// accepted. Default: `None`, because it can cost 430 KB of memory for each connection.
    #[cfg(feature = "deflate")]
    pub deflate: Option<super::Deflate>,
    /// The most frames that one message may be made of, empty ones included. Default: 65 536.
    ///
    /// Fragments cost no memory here, they are joined in place; the limit ends a message that never ends.
    pub max_fragments: u32,
    /// A ping is sent after nothing was heard for so long; `None`: never. Default: 25 s.
    ///
    /// Anything counts as heard: a frame, or a part of the payload of a large one.
    pub ping_every: Option<Duration>,
    /// The peer must be heard so soon after our ping, or the connection has
    /// [timed out](super::Error::TimedOut). Default: 20 s.
    pub pong_within: Duration,
    /// How long the closing handshake may take, and afterwards the end of the connection. Default: 5 s.
    pub close_within: Duration,
}

impl Config {
    /// For microcontrollers: messages of at most 1 KiB in at most 64 fragments; waits as by default.
    ///
    /// It fits an inbox of 1,163 bytes; with less, the limit is what fits.
    pub const TINY: Self = Self { max_message: 1024, max_fragments: 64, ..Self::DEFAULT };

    const DEFAULT: Self = Self {
        max_message: 1 << 20,
        piece: None,
        #[cfg(feature = "deflate")]
        deflate: None,
        max_fragments: 1 << 16,
        ping_every: Some(Duration::from_secs(25)),
        pong_within: Duration::from_secs(20),
        close_within: Duration::from_secs(5),
    };
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}
