//! What can go wrong: by the peer ([`Error`]) and by the caller ([`SendError`]).

use crate::Full;

/// The peer broke HTTP/1.1 or a limit, and the connection ends.
///
/// An [`Exchange`](super::Exchange) has written the answer ([`http_status`](Self::http_status)) already, if one
/// was still owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The head is malformed: the first line, a header's name, the target's form, a control character (RFC 9112,
    /// 3 and 5).
    #[error("the head is malformed")]
    Head,
    /// A line does not end with CR LF, or a CR stands alone (RFC 9112, 2.2, strictly).
    #[error("a line of the head does not end with CR LF")]
    LineEnd,
    /// A line begins with white space: an obsolete fold, or space before the first header (RFC 9112, 5.2 and 2.2).
    #[error("a line of the head begins with white space")]
    Folded,
    /// `Host` is missing, repeated or malformed (RFC 9112, 3.2).
    #[error("the Host header is missing, repeated or malformed")]
    Host,
    /// CONNECT asks for a tunnel, and there is none here (RFC 9110, 9.3.6).
    #[error("tunnels are not supported")]
    Tunnel,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// The request line is longer than [`Config::max_line`](super::Config::max_line), or than the inbox.
    #[error("the request line is longer than {limit} bytes")]
    UriTooLong {
        /// The most bytes of the line.
        limit: usize,
    },
    /// The head is longer than [`Config::max_head`](super::Config::max_head), or than the inbox.
    #[error("the head is larger than {limit} bytes")]
    HeadTooLarge {
        /// The most bytes of the head.
        limit: usize,
    },
    /// More than 64 headers.
    #[error("the head has more than {limit} headers")]
    TooManyHeaders {
        /// The most headers.
        limit: usize,
    },
    /// `Content-Length` is no plain decimal number, or it came more than once (RFC 9112, 6.3).
    #[error("the Content-Length is malformed or repeated")]
    Length,
    /// A request that was to have a body declares neither a length nor chunks
    /// ([`Exchange::require_length`](super::Exchange::require_length); RFC 9110, 15.5.12).
    #[error("the length of the body is not declared")]
    LengthRequired,
    /// `Transfer-Encoding` together with `Content-Length`, or in HTTP/1.0: the body's end is ambiguous
    /// (RFC 9112, 6.1).
    #[error("the framing of the body is ambiguous")]
    Framing,
    /// `Transfer-Encoding` is anything but one `chunked` (RFC 9112, 6.1).
    #[error("the transfer coding is not supported")]
    Coding,
    /// The chunked body is malformed, or its framing costs far more than its data (RFC 9112, 7.1).
    #[error("the chunked body is malformed")]
    Chunk,
    /// `Expect` is anything but `100-continue` (RFC 9110, 10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// A body that is collected is larger than the limit, or than the inbox.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes of the body.
        limit: usize,
    },
    /// The peer ended in the middle of a message.
    #[error("the peer ended in the middle of a message")]
    Truncated,
    /// A head or a body took too long to arrive.
    #[error("the peer took too long")]
    TimedOut,
    /// The server closed the connection before the first byte of its answer. After a connection that was idle,
    /// this is a race that happens in normal operation: an idempotent request may be sent again (RFC 9110, 9.2.2).
    #[error("the server closed without an answer")]
    NoAnswer,
    /// The server sent what nobody asked for: bytes between answers, or `101` without an upgrade.
    #[error("the server sent what was not asked for")]
    Unsolicited,
}

impl Error {
    /// The status that a server answers with.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::TimedOut => 408,
            Self::LengthRequired => 411,
            Self::TooLarge { .. } => 413,
            Self::UriTooLong { .. } => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => 431,
            Self::Coding | Self::Tunnel => 501,
            Self::Version => 505,
            _ => 400,
        }
    }
}

/// What the caller did too early, too late or wrong. Nothing was written, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// An [`Exchange`](super::Exchange) owes no answer, or another one has begun, or it has ended; a
    /// [`Fetch`](super::Fetch) is not idle.
    #[error("it is not your turn")]
    NotYourTurn,
    /// A header would break the head (CR, LF, NUL, no name), or it is one that the machine writes itself
    /// (`content-length`, `transfer-encoding`, in answers also `connection`), or a request has not exactly one
    /// `host`.
    #[error("a header cannot be sent")]
    BadHeader,
    /// The first line cannot be sent: a status outside of 200 to 999, a method that is no token, a target with
    /// white space in it. Or a body with a status that has none (204, 304).
    #[error("the status, method, target or body cannot be sent")]
    Unsuitable,
    /// The outbox lacks room: send some of it, then try again.
    #[error(transparent)]
    Full(#[from] Full),
}

impl From<SendError> for crate::SendError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotYourTurn => Self::NotOpen,
            SendError::BadHeader | SendError::Unsuitable => Self::Unsuitable,
            SendError::Full(full) => Self::Full(full),
        }
    }
}
