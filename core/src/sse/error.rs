//! What ends a stream, and what a block must not contain.

use crate::SendError;

/// What the server can do to end a [`Stream`](super::Stream).
///
/// There is no goodbye to say: the client closes the connection, and may connect again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A block is above [`Config::max_event`](super::Config::max_event), or what the inbox can hold of it.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// An event ID is above [`Config::max_id`](super::Config::max_id), or an eighth of the inbox.
    #[error("an event id is larger than {limit} bytes")]
    IdTooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
}

/// Why a [`Block`](super::Block) cannot be sent: it would not say to the reader what it says here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The event type contains this byte (CR, LF or NUL).
    #[error("the event type contains the byte {0:#04x}")]
    Event(u8),
    /// The event ID contains this byte (CR, LF or NUL).
    #[error("the event id contains the byte {0:#04x}")]
    Id(u8),
}

impl From<BlockError> for SendError {
    fn from(_: BlockError) -> Self {
        Self::Unsuitable
    }
}
