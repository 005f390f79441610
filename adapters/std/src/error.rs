use std::io;

use stillwire::SendError;

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

/// Why a writer could not write.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The socket failed, here or under another half; [`TimedOut`](io::ErrorKind::TimedOut): the peer took nothing for
    /// [`Link::stall`](stillwire::Link::stall).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The machine refused; [`SendError::NotOpen`] also when the connection has ended. Nothing was written.
    #[error(transparent)]
    Send(#[from] SendError),
}

pub(crate) fn stalled() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the peer takes nothing")
}
