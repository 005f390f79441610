use std::io;

/// What ended a connection, or stood in its way.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The socket failed. Of its own accord this crate says [`TimedOut`](io::ErrorKind::TimedOut) when the peer took
    /// nothing for [`Link::stall`](stillwire::Link::stall), and [`Deadlock`](io::ErrorKind::Deadlock) when only the
    /// caller, who waits, could move the connection on.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol or a limit, and has been told.
    #[error("the peer broke the protocol or a limit")]
    Protocol(#[source] E),
}
