//! What can end a connection.

/// The socket failed, or the peer did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error<P, S> {
    /// The socket failed. Nothing more can be said to the peer.
    #[error("the socket failed")]
    Socket(#[source] S),
    /// The peer broke the protocol or a limit, and has been told.
    #[error("the peer broke the protocol or a limit")]
    Protocol(#[source] P),
    /// The peer took nothing of what waits for it for [`Link::stall`](stillwire::Link::stall), or the socket said that
    /// it wrote nothing. Reset the connection rather than close it.
    #[error("the peer takes nothing")]
    Stalled,
    /// Blocking driver: only the caller, who waits, could move the connection on: an answer is owed.
    #[error("there is nothing to wait for")]
    Deadlock,
}
