//! What the layers above see of anything that carries whole messages.
//!
//! WebSocket, polling and an event stream differ in everything but this: messages come, messages go, it ends.
//! A layer such as Engine.IO is a machine over some [`Transport`]; an application that serves many kinds of
//! clients talks to it, too.
//!
//! ```
//! use stillwire::{Entropy, Inbox, Incoming, Instant, Kind, Outbox, Transport, ws};
//!
//! /// Greets whoever it is, over whatever it is.
//! fn greet(peer: &mut impl Transport, outbox: &mut Outbox<'_>) -> Result<(), stillwire::SendError> {
//!     peer.send(Kind::Text, &[b"hello, ", b"whoever you are"], outbox) // parts are not copied together first
//! }
//!
//! let mut storage = [0; 256];
//! let mut outbox = Outbox::new(&mut storage);
//! greet(&mut ws::Connection::server(ws::Config::default()), &mut outbox)?;
//! assert_eq!(outbox.chunk(), b"\x81\x16hello, whoever you are");
//! # Ok::<(), stillwire::SendError>(())
//! ```

use crate::{Full, Inbox, Machine, Outbox, Text};

/// What the application did too early, too late or too much of. Nothing was written, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open yet, or it is closing or closed.
    #[error("the connection is not open")]
    NotOpen,
    /// The message can never be sent here: it is above a limit that was configured or agreed on.
    #[error("the message is larger than {limit} bytes, the most that can be sent here")]
    TooLarge {
        /// The most bytes of payload.
        limit: usize,
    },
    /// This protocol cannot carry what was to be sent: binary over an event stream, a close code that may not be
    /// sent, a field with a line break in it.
    #[error("this protocol cannot carry that")]
    Unsuitable,
    /// The outbox lacks room: send some of it, then try again.
    #[error(transparent)]
    Full(#[from] Full),
}

/// The two kinds of messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// What a layer above sees of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming<'i> {
    /// A text message.
    Text(Text<'i>),
    /// A binary message.
    Binary(&'i [u8]),
    /// The peer ended it: the last word.
    Closed,
    /// The transport's own business (a ping, a head): nothing to do.
    Other,
}

/// A machine that carries whole messages: WebSocket, polling, an event stream.
pub trait Transport: Machine {
    /// The event that `advance` stopped at, as the layers above see it.
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>>;

    /// Queues one message, made of `parts` one behind the other, so that a layer puts its prefix in front without
    /// a copy. Text must be UTF-8 as a whole; that is the caller's promise and is not checked again.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written.
    fn send(&mut self, kind: Kind, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError>;

    /// Begins an orderly end, with a reason where the protocol can carry one (it is cut where it must be).
    /// Nothing happens when it is ending already.
    fn close(&mut self, reason: &str, outbox: &mut Outbox<'_>);
}
