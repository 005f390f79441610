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

/// What ends an [`EventSource`](super::EventSource) for good.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server answered with a status that is not asked about again.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The answer is no `text/event-stream` in UTF-8, or names its type not exactly once (HTML 9.2.3).
    #[error("the answer is not an event stream")]
    ContentType,
    /// A redirection leads to no URL, or to none that can be asked: the `Location` header is missing or repeated
    /// (`None`), or this is wrong with it.
    #[error("a redirection leads nowhere")]
    Redirect(Option<crate::http::UrlError>),
    /// A redirection from `https` to `http`: what was asked for in private is not asked for in public.
    #[error("a redirection leads from https to http")]
    Insecure,
    /// More redirections in a row than [`SourceConfig::max_redirects`](super::SourceConfig::max_redirects).
    #[error("too many redirections")]
    TooManyRedirects,
    /// A limit of the stream.
    #[error(transparent)]
    Stream(#[from] Error),
    /// So many attempts in a row have failed ([`SourceConfig::max_attempts`](super::SourceConfig::max_attempts)).
    #[error("{attempts} attempts in a row have failed")]
    GaveUp {
        /// How many there were.
        attempts: u32,
        /// Why the last one did.
        why: super::Lost,
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
