//! One message for many.
//!
//! ```
//! use stillwire::Outbox;
//! use stillwire::hub::{Dialect, Shared};
//!
//! let (hello, mut encoded) = (Shared::text("hello"), 0);
//! for _ in 0..1000 {
//!     let mut outbox = Outbox::with_limit(64);
//!     let form = hello.form(Dialect::Events, |_, payload| {
//!         encoded += 1;
//!         [b"data: ", &**payload, b"\n\n"].concat().into()
//!     });
//!     outbox.push_shared(form)?; // large forms are not even copied
//!     assert_eq!(outbox.chunk(), b"data: hello\n\n");
//! }
//! assert_eq!(encoded, 1);
//! # Ok::<(), stillwire::Full>(())
//! ```

use alloc::{boxed::Box, string::String, sync::Arc};
use core::convert::Infallible;

use bytes::Bytes;
use once_cell::race::OnceBox;

use crate::{Kind, Text};

/// The ways to put a message into bytes that are the same for every connection.
///
/// Where bytes depend on the connection (a client's masks, compression with a context, numbered polling batches)
/// there is no dialect: each connection encodes the [`payload`](Shared::payload) itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Dialect {
    /// An unmasked, uncompressed WebSocket frame, as servers send it (RFC 6455 §5.2).
    WebSocket,
    /// One event of an event stream, without an id.
    Events,
}

impl Dialect {
    /// How many there are.
    const COUNT: usize = 2;
}

/// A message for many: encoded at most once per [`Dialect`], by whoever needs it first. A clone is the same
/// message and costs a counter.
///
/// A mailbox holds messages unencoded, because a peer may change its carrier while they wait.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    payload: Bytes,
    forms: [OnceBox<Bytes>; Dialect::COUNT],
}

impl Shared {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Kind::Text, Bytes::from(text.into()))
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::Binary, bytes.into())
    }

    fn new(kind: Kind, payload: Bytes) -> Self {
        Self(Arc::new(Inner { kind, payload, forms: Default::default() }))
    }

    /// Text or binary.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message itself.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The message as text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<Text<'_>> {
        (self.0.kind == Kind::Text).then(|| Text::checked(&self.0.payload))
    }

    /// The bytes of the message: what to tell [`Mailbox::post`](super::Mailbox::post).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.payload.len()
    }

    /// Whether the message is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.payload.is_empty()
    }

    /// The message in `dialect`, for [`Outbox::push_shared`](crate::Outbox::push_shared), and only while the
    /// connection is open: the machine does not see what is pushed past it.
    ///
    /// `encode` is called when nobody has asked for this dialect before, and must not depend on the connection.
    /// (When several threads ask for the first time at the same moment, each may encode; all get the same one.)
    pub fn form(&self, dialect: Dialect, encode: impl FnOnce(Kind, &Bytes) -> Bytes) -> &Bytes {
        let form = self.try_form(dialect, |kind, payload| Ok::<_, Infallible>(encode(kind, payload)));
        match form {
            Ok(form) => form,
            Err(never) => match never {},
        }
    }

    /// As [`form`](Self::form), where a message may have no form: binary in an event stream, say. Nothing is kept
    /// of a failure.
    ///
    /// # Errors
    /// What `encode` returned.
    pub fn try_form<E>(
        &self,
        dialect: Dialect,
        encode: impl FnOnce(Kind, &Bytes) -> Result<Bytes, E>,
    ) -> Result<&Bytes, E> {
        // One cell each, named, so that no index can be out of range.
        let [web_socket, events] = &self.0.forms;
        let cell = match dialect {
            Dialect::WebSocket => web_socket,
            Dialect::Events => events,
        };
        cell.get_or_try_init(|| encode(self.0.kind, &self.0.payload).map(Box::new))
    }
}

impl From<&str> for Shared {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}
