//! What exchanges are answered with: a status and a few bytes of JSON, without an allocator.

use core::fmt::{self, Write};

/// The headers of every answer with a body. Nothing here may be kept by a cache.
pub const HEADERS: [(&str, &str); 2] = [("content-type", "application/json"), ("cache-control", "no-store")];

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

    pub(super) fn new(status: u16, body: fmt::Arguments<'_>) -> Self {
        let mut answer = Self { status, ..Self::EMPTY };
        // The longest is written in the tests.
        let _ = answer.write_fmt(body);
        answer
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

impl Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.body.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, crate::Text::check(self.body()).unwrap_or_default())
    }
}
