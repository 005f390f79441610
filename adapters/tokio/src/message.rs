//! Messages that belong to whoever holds them.

use bytes::Bytes;
use stillwire::{Kind, hub::Shared};

/// A message, owned.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes. A clone is the same memory, and a server sends large ones without a copy.
    Binary(Bytes),
}

impl Message {
    /// The kind, and the payload without a copy.
    pub(crate) fn into_parts(self) -> (Kind, Bytes) {
        match self {
            Self::Text(text) => (Kind::Text, Bytes::from(text)),
            Self::Binary(bytes) => (Kind::Binary, bytes),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

/// For [`Handle::broadcast`](crate::Handle::broadcast): a message that came goes out to all.
impl From<Message> for Shared {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}
