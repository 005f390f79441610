//! What happens on a connection, as views of the inbox.

use super::view::{RequestView, ResponseView, is_same};
use crate::find::memchr;

/// What happens on the server's side of a connection ([`Exchange`](super::Exchange)).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'i> {
    /// A request begins. Answer at once, or [`collect`](super::Exchange::collect) its body, or read on and get
    /// the body in pieces.
    Head(RequestHead<'i>),
    /// A piece of the body, never empty; all of it after `collect`.
    Body(&'i [u8]),
    /// The request is complete. If it was not answered before, it is your turn; nothing else happens until you
    /// answer or the peer leaves.
    End,
    /// The peer left before its answer was complete. The last word: nobody is there to answer.
    Gone,
}

/// What happens on the client's side of a connection ([`Fetch`](super::Fetch)).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Answer<'i> {
    /// An answer begins; interim answers (1xx) but 101 are skipped.
    Head(ResponseHead<'i>),
    /// A piece of the body, never empty; all of it after [`collect`](super::Fetch::collect).
    Body(&'i [u8]),
    /// The answer is complete.
    End,
}

/// The head of a request: a view of checked bytes. Nothing is stored, so each look at a header reads the lines
/// again; take what you need once.
#[derive(Clone, Copy)]
pub struct RequestHead<'i> {
    method: &'i str,
    target: &'i str,
    version: &'i str,
    lines: Lines<'i>,
}

impl<'i> RequestHead<'i> {
    /// Good for what went through [`head::parse_request`](super::head::parse_request); any other bytes are harmless.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn new(bytes: &'i [u8]) -> Self {
        let (line, lines) = Lines::after_first(bytes);
        let (method, rest) = cut_word(line);
        let (target, version) = cut_word(rest);
        Self { method, target, version, lines }
    }

    /// What stands behind the target.
    pub(super) fn version(&self) -> &'i str {
        self.version
    }

    pub(super) fn lines(&self) -> Lines<'i> {
        self.lines
    }

    /// The method, as [`RequestView::method`], for as long as the inbox is borrowed.
    #[must_use]
    pub fn method(&self) -> &'i str {
        self.method
    }

    /// The request target, as [`RequestView::target`], for as long as the inbox is borrowed.
    #[must_use]
    pub fn target(&self) -> &'i str {
        self.target
    }

    /// All headers in order: names as they came, values without the white space around them.
    pub fn headers(&self) -> impl Iterator<Item = (&'i str, &'i [u8])> {
        self.lines.named()
    }
}

impl RequestView for RequestHead<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &str {
        self.target
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.values(name)
    }

    fn version_minor(&self) -> u8 {
        u8::from(!self.version.ends_with('0'))
    }
}

impl core::fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {} {}", self.method, self.target, self.version)
    }
}

/// The head of an answer: a view of checked bytes, as [`RequestHead`] is.
#[derive(Clone, Copy)]
pub struct ResponseHead<'i> {
    status: u16,
    lines: Lines<'i>,
}

impl<'i> ResponseHead<'i> {
    /// `bytes` went through [`head::parse_response`](super::head::parse_response).
    pub(super) fn new(bytes: &'i [u8]) -> Self {
        // The reason phrase need not be UTF-8: only the status is looked at.
        let status = bytes.get(9..12).and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok());
        Self { status: status.unwrap_or_default(), lines: Lines::after_first(bytes).1 }
    }

    /// The three digits.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// All headers in order: names as they came, values without the white space around them.
    pub fn headers(&self) -> impl Iterator<Item = (&'i str, &'i [u8])> {
        self.lines.named()
    }
}

impl ResponseView for ResponseHead<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.values(name)
    }
}

impl core::fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.status)
    }
}

/// The header lines of a checked head that were not read yet.
#[derive(Clone, Copy)]
pub(super) struct Lines<'i>(&'i [u8]);

impl<'i> Lines<'i> {
    /// The first line and the header lines. A server tolerates one empty line in front (RFC 9112, 2.2).
    fn after_first(head: &'i [u8]) -> (&'i str, Self) {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        let (line, rest) = cut_line(head).unwrap_or_default();
        (core::str::from_utf8(line).unwrap_or_default(), Self(rest))
    }

    /// Whether the empty line comes.
    pub(super) fn is_at_end(&self) -> bool {
        self.0 == b"\r\n"
    }

    fn named(self) -> impl Iterator<Item = (&'i str, &'i [u8])> {
        self.map_while(|(name, value)| Some((core::str::from_utf8(name).ok()?, value)))
    }

    fn values(self, name: &str) -> impl Iterator<Item = &'i [u8]> {
        self.filter(move |(other, _)| is_same(other, name)).map(|(_, value)| value)
    }
}

impl<'i> Iterator for Lines<'i> {
    type Item = (&'i [u8], &'i [u8]);

    #[cfg_attr(target_os = "none", inline(never))]
    fn next(&mut self) -> Option<Self::Item> {
        let (line, rest) = cut_line(self.0)?;
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        self.0 = rest;
        Some((name, value.get(1..)?.trim_ascii()))
    }
}

/// What stands in front of the first space, and behind it.
#[cfg_attr(target_os = "none", inline(never))]
fn cut_word(text: &str) -> (&str, &str) {
    let at = memchr(b' ', text.as_bytes()).unwrap_or(text.len());
    (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default())
}

/// The first line without its CR LF, and what follows.
fn cut_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr(b'\n', bytes)? + 1)?;
    Some((line.strip_suffix(b"\r\n")?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_where_it_lies() {
        let head = RequestHead::new(b"\r\nGET /a?b=c HTTP/1.0\r\nX: 1\r\nEmpty:\r\nx:\t2 \r\n\r\n");
        assert_eq!((head.method(), head.target(), head.version_minor()), ("GET", "/a?b=c", 0));
        assert!(head.values("x").eq([b"1", b"2"]));
        assert_eq!(head.header("empty"), Some(&b""[..]));
        assert_eq!((head.only("x"), head.header("y")), (None, None));
        assert_eq!(head.headers().count(), 3);

        let head = ResponseHead::new(b"HTTP/1.1 418 \xff\r\nA: b\r\n\r\n");
        assert_eq!((head.status(), head.only("a")), (418, Some(&b"b"[..])));
    }

    /// Unchecked bytes never get here, but no bytes make a view panic.
    #[test]
    fn any_bytes_are_harmless() {
        for bytes in [&b""[..], b"\r\n", b"\n", b"a", b"a\r\n:\r\n\xff: \r\nb\r\n", b"HTTP/1.1 9"] {
            let _ = RequestHead::new(bytes).headers().count();
            assert_eq!(ResponseHead::new(bytes).status(), 0);
        }
    }
}
