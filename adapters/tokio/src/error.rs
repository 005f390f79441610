//! What can end a connection.

/// The stream failed, or the peer broke the protocol.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The stream failed. Nothing more can be said to the peer.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The peer, or a limit, ended it; the peer was told.
    #[error("{0}")]
    Protocol(E),
}
