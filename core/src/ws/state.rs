//! What a connection remembers.

use core::ops::Range;

use super::{
    Config, Header,
    assembly::{Frame, Message},
    close,
    masked::{Masked, masked},
};
use crate::{Entropy, Inbox, Instant, Kind, time::Millis};

/// The largest control frame.
pub(super) const CONTROL_ROOM: usize = 2 + 4 + close::MAX_CONTROL;
/// A frame is read only when so much room is left: for the pong that it may ask for, and for a close frame with a
/// code behind it.
pub(super) const REPLY_ROOM: usize = CONTROL_ROOM + 2 + 4 + 2;
/// What may lie behind a message in the inbox: one header and one control frame.
pub(super) const OVERHEAD: usize = Header::MAX + close::MAX_CONTROL;

/// One WebSocket connection after its handshake, client or server (RFC 6455).
///
/// Commands write at once and whole, or fail and change nothing. The outbox needs at least 139 bytes, or nothing is
/// ever read; see [`Config`] for what fits into an inbox.
#[derive(Debug)]
pub struct Connection {
    /// Open, no message and no ping under way: the fast path may run.
    pub(super) ready: bool,
    /// We are the server: the peer masks, we do not.
    pub(super) server: bool,
    pub(super) shown: Shown,
    pub(super) state: State,
    /// `send_fragment` is in the middle of a message.
    pub(super) sending: bool,
    pub(super) started: bool,
    pub(super) at: Range<usize>,
    /// The unread inbox is `[held: payload of the message under way | gap: used up | raw: not parsed yet]`.
    pub(super) held: usize,
    /// Where `raw` begins.
    pub(super) raw: usize,
    /// The largest whole message.
    pub(super) limit: usize,
    /// Larger ones come in pieces of that size.
    pub(super) pieces: bool,
    /// When the peer was heard last; while `pinged`, when the ping was sent that nothing was heard after.
    pub(super) heard: Instant,
    pub(super) pinged: bool,
    /// When closing or lingering ends; `MAX`: the first `advance` of that state will say.
    pub(super) until: Instant,
    pub(super) message: Option<Message>,
    pub(super) frame: Option<Frame>,
    /// A client has it: mask keys must be unpredictable (§10.3).
    pub(super) entropy: Option<Entropy>,
    /// How a client writes frames, called through a pointer: so the firmware of a server does not contain it.
    #[cfg(target_os = "none")]
    pub(super) masked: Option<Masked>,
    pub(super) config: Compact,
    /// What was agreed on, and its states.
    #[cfg(feature = "deflate")]
    pub(super) extension: Option<alloc::boxed::Box<super::extension::Extension>>,
}

/// The configuration, in less memory.
#[derive(Debug)]
pub(super) struct Compact {
    pub(super) max_message: usize,
    /// 0: no pieces.
    pub(super) piece: usize,
    pub(super) max_fragments: u32,
    pub(super) ping_every: Millis,
    pub(super) pong_within: Millis,
    pub(super) close_within: Millis,
}

/// The smallest piece holds every character.
const MIN_PIECE: usize = 4;

impl Compact {
    #[cfg_attr(target_os = "none", inline(always))]
    const fn new(config: &Config) -> Self {
        Self {
            max_message: config.max_message,
            piece: match config.piece {
                Some(piece) => piece,
                None => 0,
            },
            max_fragments: if config.max_fragments > 0 { config.max_fragments } else { 1 },
            ping_every: Millis::new_or_never(config.ping_every),
            pong_within: Millis::new(config.pong_within),
            close_within: Millis::new(config.close_within),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    /// We sent a close frame and wait for the peer's.
    Closing,
    /// All is said. We read to the peer's end, so that no reset destroys our last bytes on their way.
    Lingering,
    Closed,
}

/// What `event` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    Nothing,
    Text,
    Binary,
    Piece { kind: Kind, first: bool, last: bool },
    Ping,
    Pong,
    Closed(u16),
}

impl Connection {
    /// The server's side of a connection without extensions, right after the answer to the handshake was written.
    /// Behind an [`Accept`](super::Accept) use its [`connection`](super::Accept::connection).
    #[must_use]
    #[cfg_attr(target_os = "none", inline(always))] // a configuration that is known leaves nothing to compute
    pub const fn server(config: Config) -> Self {
        Self::new(config, None, None)
    }

    /// The client's side of a connection without extensions, right after the server's answer to the handshake was found
    /// good. Mask keys come from `entropy`. Behind an [`Offer`](super::Offer) use the
    /// [`connection`](super::Agreement::connection) of its agreement.
    #[must_use]
    pub const fn client(config: Config, entropy: Entropy) -> Self {
        Self::new(config, Some(entropy), Some(masked))
    }

    #[allow(clippy::needless_pass_by_value, reason = "it becomes part of the connection")]
    #[cfg_attr(target_os = "none", inline(always))]
    const fn new(config: Config, entropy: Option<Entropy>, masked: Option<Masked>) -> Self {
        #[cfg(not(target_os = "none"))]
        let _ = masked;
        Self {
            ready: false,
            server: entropy.is_none(),
            shown: Shown::Nothing,
            state: State::Open,
            sending: false,
            started: false,
            at: 0..0,
            held: 0,
            raw: 0,
            limit: 0,
            pieces: false,
            heard: Instant::EPOCH,
            pinged: false,
            until: Instant::MAX,
            message: None,
            frame: None,
            #[cfg(target_os = "none")]
            masked,
            entropy,
            config: Compact::new(&config),
            #[cfg(feature = "deflate")]
            extension: None,
        }
    }

    /// The limits that follow from the configuration and the inbox.
    #[inline]
    pub(super) fn limits(&mut self, inbox: &Inbox<'_>) {
        #[cfg(feature = "deflate")]
        let window = if self.extension.is_some() { super::extension::READ_WINDOW } else { OVERHEAD };
        #[cfg(not(feature = "deflate"))]
        let window = OVERHEAD;
        let most = inbox.capacity().saturating_sub(window);
        let piece = self.config.piece.min(most.saturating_sub(1));
        (self.pieces, self.limit) = match piece {
            MIN_PIECE.. if piece < self.config.max_message => (true, piece),
            _ => (false, self.config.max_message.min(most)),
        };
    }

    /// The most bytes of a message that may be held: a piece is shown when one byte behind it is there.
    #[inline]
    pub(super) const fn most(&self) -> usize {
        self.limit.saturating_add(self.pieces as usize)
    }

    /// The most bytes of a message.
    #[inline]
    pub(super) const fn largest(&self) -> usize {
        if self.pieces { self.config.max_message } else { self.limit }
    }

    /// Whether messages can be sent: neither side has closed, nothing went wrong.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The state after our close frame.
    pub(super) fn closing(&mut self) {
        (self.state, self.ready, self.until) = (State::Closing, false, Instant::MAX);
    }
}

/// What one step of the slow path led to.
pub(super) enum Step {
    Event,
    /// Something was used up; go on.
    Again,
    NeedInput,
}
