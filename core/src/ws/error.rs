//! How the peer can end it.

/// What ends a connection by the peer's fault, or by a limit. Our close frame is in the outbox already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reserved bit is set, or the opcode is a reserved one (RFC 6455 §5.2). With permessage-deflate, the first bit marks
    /// compression, on the first frame of a data message only (RFC 7692 §6).
    #[error("a frame has a reserved bit or a reserved opcode")]
    Reserved,
    /// A client did not mask a frame, or a server did (§5.1).
    #[error("a frame is masked wrongly for its direction")]
    Masking,
    /// A length is not in its shortest form, or is 2^63 or more (§5.2).
    #[error("the length of a frame is badly encoded")]
    Length,
    /// A control frame is a fragment, or longer than 125 bytes (§5.5).
    #[error("a control frame is fragmented or longer than 125 bytes")]
    Control,
    /// A continuation continues nothing, or a message begins inside of another (§5.4).
    #[error("a fragment is out of order")]
    Sequence,
    /// A close frame has one byte of payload, or a code that may not be sent (§5.5.1, §7.4).
    #[error("a close frame has a code that may not be sent")]
    CloseCode,
    /// A text message, or the reason of a close frame, is not UTF-8 (§8.1).
    #[error("text is not UTF-8")]
    NotUtf8,
    /// The payload of a compressed message is no deflate data (RFC 7692 §7.2.2).
    #[error("a compressed message cannot be inflated")]
    Deflate,
    /// A message is larger than the limit ([`Config::max_message`](super::Config::max_message)), which see.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// A message has more than [`Config::max_fragments`](super::Config::max_fragments) frames.
    #[error("a message has more than {limit} fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// The peer was not heard after a ping, or did not answer our close frame in time.
    #[error("the peer did not answer in time")]
    TimedOut,
}

impl Error {
    /// The code in the close frame that tells the peer (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 | Self::Deflate => 1007,
            Self::TooManyFragments { .. } => 1008,
            Self::TooLarge { .. } => 1009,
            Self::TimedOut => 1001,
            _ => 1002,
        }
    }
}
