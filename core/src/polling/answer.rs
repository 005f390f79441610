//! What exchanges are answered with: a status and a few bytes of JSON, without an allocator.

use core::fmt;

use crate::decimal;

/// The headers of every answer with a body. Nothing here may be kept by a cache.
pub const HEADERS: [(&str, &str); 2] = [("content-type", "application/json"), ("cache-control", "no-store")];

/// A part of a body. (Not `core::fmt`: it would be more than a tenth of a firmware that polls.)
pub(super) enum Part<'a> {
    Text(&'a str),
    Number(u64),
}

/// A whole answer to a request: everything but a [`Batch`](super::Batch) of messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    extra: Option<(&'static str, &'static str)>,
    body: [u8; 160],
    len: usize,
}

impl Answer {
    /// 204: the wait ended with nothing, or what was asked for is done.
    pub const EMPTY: Self = Self { status: 204, extra: None, body: [0; 160], len: 0 };

    /// The longest is written in the tests.
    pub(super) fn new(status: u16, body: &[Part<'_>]) -> Self {
        let mut answer = Self { status, ..Self::EMPTY };
        for part in body {
            match part {
                Part::Text(text) => answer.put(text.as_bytes()),
                Part::Number(number) => answer.put(decimal::write(*number, &mut [0; 20])),
            }
        }
        answer
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.body.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    pub(super) fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { extra: Some((name, value)), ..self }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers; `Content-Length` is the HTTP stack's business.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let [kind, cache] = HEADERS;
        [(self.len > 0).then_some(kind), Some(cache), self.extra].into_iter().flatten()
    }

    /// One object of JSON; empty with 204.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, crate::Text::check(self.body()).unwrap_or_default())
    }
}
