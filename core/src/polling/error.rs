//! What can end a polling connection before its time.

/// What the other end, or a limit, did to end the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What came is not a record: no line that this module writes.
    #[error("what came is not a message")]
    NotARecord,
    /// A text message is not UTF-8.
    #[error("a text message is not UTF-8")]
    NotUtf8,
    /// A binary message is not base64 (RFC 4648 §4, with padding).
    #[error("a binary message is not base64")]
    NotBase64,
    /// A message is above the limit.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes of a record: the smaller of `Config::max_bytes` and the inbox.
        limit: usize,
    },
    /// Client: the server does not know the session (404): it was abandoned, or the server was restarted.
    #[error("the server does not know the session any more")]
    Unknown,
    /// Client: server and client do not agree on what was delivered (409).
    #[error("client and server disagree about what was delivered")]
    OutOfStep,
    /// Client: the server answered with a status that no retry will change.
    #[error("the server refused with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// Client: the server's answer is not what this protocol says.
    #[error("the server's answer makes no sense")]
    BadAnswer,
    /// Client: too many requests failed in a row.
    #[error("{failures} requests failed in a row")]
    Unreachable {
        /// How many.
        failures: u32,
    },
}

impl Error {
    /// The code that the other end is told, with the meaning of RFC 6455 §7.4. 1006: it is told nothing.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::NotARecord | Self::BadAnswer | Self::OutOfStep => 1002,
            Self::NotUtf8 | Self::NotBase64 => 1007,
            Self::TooLarge { .. } => 1009,
            Self::Unknown | Self::Refused { .. } | Self::Unreachable { .. } => 1006,
        }
    }
}
