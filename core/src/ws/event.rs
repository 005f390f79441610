//! What can happen.

use crate::{Kind, Text};

/// What the peer did. It borrows the inbox and nothing else, so it can be answered while it is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'i> {
    /// A text message, whole and known to be UTF-8.
    Text(Text<'i>),
    /// A binary message, whole.
    Binary(&'i [u8]),
    /// A part of a message that is larger than [`Config::piece`](super::Config::piece), and only of such a one. All parts
    /// but the last have that size; those of a text are up to three bytes shorter, because they are cut between characters.
    Piece {
        /// What the message is. Each part of a text is UTF-8.
        kind: Kind,
        /// The bytes, at least one.
        bytes: &'i [u8],
        /// The message begins with it.
        first: bool,
        /// The message ends with it.
        last: bool,
    },
    /// A ping with at most 125 bytes. The pong is in the outbox already: nothing to do.
    Ping(&'i [u8]),
    /// A pong with at most 125 bytes: the answer to a ping, or sent unasked (RFC 6455 §5.5.3).
    Pong(&'i [u8]),
    /// The peer ended the connection; nothing comes after it. If we had not closed yet, our close frame is in the
    /// outbox already.
    Closed {
        /// The peer's code (RFC 6455 §7.4); 1005 when it gave none, 1006 when the input ended without a close frame.
        code: u16,
        /// The peer's reason, at most 123 bytes, often empty.
        reason: Text<'i>,
    },
}
