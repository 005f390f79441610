//! Finding the end of a head, byte by byte at most once, and reading it strictly (RFC 9112, 2 to 6).

use super::{
    body::Length,
    config::Limits,
    error::Error,
    view::{RequestView, ResponseView, split_scheme},
};
use crate::Inbox;

/// The most headers of a head.
const MAX_HEADERS: usize = 64;

/// Whose first line a head has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Request,
    Response,
}

/// A search for the empty line that goes on where it stopped, and checks each line as soon as it is complete: so
/// it makes no difference how the bytes were cut.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// How many bytes were searched. All offsets count from the head's beginning.
    searched: usize,
    /// Where the line begins that is not complete yet.
    line: usize,
    /// The lines before it.
    lines: u8,
}

impl Search {
    /// Whether anything but an empty line in front has come.
    pub(super) fn has_begun(&self) -> bool {
        self.lines > 0 || self.searched > self.line
    }

    /// The length of the head that begins at `start`, once it is complete and each of its lines looks good.
    pub(super) fn run(
        &mut self,
        kind: Kind,
        start: usize,
        limits: &Limits,
        inbox: &mut Inbox<'_>,
    ) -> Result<Option<usize>, Error> {
        let max_head = limits.max_head().min(inbox.capacity());
        loop {
            let found = inbox.search(start + self.searched, |bytes| memchr::memchr(b'\n', bytes));
            self.searched = found.map_or(inbox.unread().len(), |at| at + 1).saturating_sub(start);
            self.check_size(kind, found.is_some(), max_head, limits)?;
            if found.is_none() {
                return Ok(None);
            }
            let line = inbox.unread().get(start + self.line..start + self.searched).unwrap_or_default();
            let text = check_line(line)?;
            match (text, self.lines) {
                // RFC 9112, 2.2: one empty line in front of a request is ignored.
                ([], 0) if kind == Kind::Request && self.line == 0 => {}
                ([], 0) => return Err(Error::Head),
                ([], _) => return Ok(Some(self.searched)),
                ([b' ' | b'\t', ..], _) => return Err(Error::Folded),
                (_, lines) if usize::from(lines) > MAX_HEADERS => {
                    return Err(Error::TooManyHeaders { limit: MAX_HEADERS });
                }
                _ => self.lines += 1,
            }
            self.line = self.searched;
        }
    }

    /// The verdict is the same whether the rest of the line has come or not.
    fn check_size(&self, kind: Kind, complete: bool, max_head: usize, limits: &Limits) -> Result<(), Error> {
        let head_is_over = self.searched > max_head || (self.searched == max_head && !complete);
        if kind == Kind::Request && self.lines == 0 {
            let limit = limits.max_line().min(max_head.saturating_sub(2));
            let line_end = usize::from(complete) + 1;
            if head_is_over || self.searched - self.line > limit.saturating_add(line_end) {
                return Err(Error::UriTooLong { limit });
            }
        }
        if head_is_over { Err(Error::HeadTooLarge { limit: max_head }) } else { Ok(()) }
    }
}

/// A line without its CR LF.
fn check_line(line: &[u8]) -> Result<&[u8], Error> {
    let text = line.strip_suffix(b"\r\n").ok_or(Error::LineEnd)?;
    match text.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
        Some(b'\r') => Err(Error::LineEnd),
        Some(_) => Err(Error::Head),
        None => Ok(text),
    }
}

/// What the server's side must know of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) length: Length,
    pub(super) minor: u8,
    pub(super) keep: bool,
    /// The method is HEAD: the answer has no body.
    pub(super) is_head: bool,
    /// The client waits for `100 Continue`.
    pub(super) expects: bool,
    /// It has a length or chunks.
    pub(super) declares: bool,
}

/// What the client's side must know of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) length: Length,
    pub(super) keep: bool,
}

/// Reads a complete head that [`Search`] has found.
pub(super) fn parse_request(bytes: &[u8]) -> Result<Request, Error> {
    let mut table = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut table);
    match request.parse(bytes) {
        Ok(status) if status.is_complete() => {}
        Err(httparse::Error::Version) if names_other_version(bytes, Kind::Request) => {
            return Err(Error::Version);
        }
        _ => return Err(Error::Head),
    }
    let minor = request.version_minor();
    if request.method() == "CONNECT" {
        return Err(Error::Tunnel);
    }
    if !is_target(request.method(), request.target()) {
        return Err(Error::Head);
    }
    // RFC 9112, 3.2: one Host in HTTP/1.1; never more than one, never a malformed one.
    let mut hosts = request.values("host");
    match (hosts.next(), hosts.next()) {
        (None, _) if minor == 0 => {}
        (Some(host), None) if is_host(host) => {}
        _ => return Err(Error::Host),
    }
    let declared = read_length(request.headers, minor)?;
    let declares = declared.is_some();
    let length = declared.unwrap_or(Length::Exactly(0));
    let mut expects = false;
    // RFC 9110, 10.1.1: an expectation in HTTP/1.0 is ignored.
    for value in request.values("expect").filter(|_| minor > 0) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::Expectation);
        }
        expects = length != Length::Exactly(0);
    }
    let keep = is_kept(minor, |token| request.has_token("connection", token));
    Ok(Request { length, minor, keep, is_head: request.method() == "HEAD", expects, declares })
}

/// Reads a complete head that [`Search`] has found. `to_head`: it answers a HEAD request.
pub(super) fn parse_response(bytes: &[u8], to_head: bool) -> Result<Response, Error> {
    let mut table = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut table);
    match response.parse(bytes) {
        Ok(status) if status.is_complete() => {}
        Err(httparse::Error::Version) if names_other_version(bytes, Kind::Response) => {
            return Err(Error::Version);
        }
        _ => return Err(Error::Head),
    }
    let (status, minor) = (response.status(), response.version.unwrap_or(1));
    if status < 100 {
        return Err(Error::Head);
    }
    let length = read_length(response.headers, minor)?;
    // RFC 9112, 6.3: what the headers say is about a body that is not sent.
    let length = if to_head || has_no_body(status) { Some(Length::Exactly(0)) } else { length };
    let length = length.unwrap_or(Length::UntilEnd);
    let keep = length != Length::UntilEnd && is_kept(minor, |token| response.has_token("connection", token));
    Ok(Response { status, length, keep })
}

/// RFC 9110, 6.4.1.
pub(super) const fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// RFC 9112, 9.3.
fn is_kept(minor: u8, says: impl Fn(&str) -> bool) -> bool {
    !says("close") && (minor > 0 || says("keep-alive"))
}

/// The doors of request smuggling are all here, and all shut: one plain length, or one `chunked`, or neither.
fn read_length(headers: &[httparse::Header<'_>], minor: u8) -> Result<Option<Length>, Error> {
    let named =
        |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let (mut lengths, mut codings) = (named("content-length"), named("transfer-encoding"));
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::Framing),
        (Some(length), None) => match (decimal(length.value), lengths.next()) {
            (Some(n), None) => Ok(Some(Length::Exactly(n))),
            _ => Err(Error::Length),
        },
        (None, Some(_)) if minor == 0 => Err(Error::Framing),
        (None, Some(coding)) => {
            let chunked = coding.value.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            if chunked { Ok(Some(Length::Chunked)) } else { Err(Error::Coding) }
        }
    }
}

/// `1*DIGIT`, as RFC 9110, 8.6 has it, up to 2⁶⁴ − 1.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// Visible ASCII without a fragment, in one of the forms of RFC 9112, 3.2; authority form is for CONNECT alone.
pub(super) fn is_target(method: &str, target: &str) -> bool {
    let has_form = match split_scheme(target) {
        _ if target.starts_with('/') => true,
        Some((scheme, rest)) => {
            let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !scheme.is_empty();
            is_scheme && !rest.is_empty()
        }
        None => target == "*" && method == "OPTIONS",
    };
    has_form && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Good enough to tell a host and port from an attack; empty is allowed (RFC 9110, 7.2).
pub(super) fn is_host(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_graphic() && !b"/\\?#@,<>\"".contains(byte))
}

/// Whether the word of the first line where the version stands is some other version of HTTP, rather than none.
fn names_other_version(head: &[u8], kind: Kind) -> bool {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let word =
        if kind == Kind::Request { words.nth(2).filter(|_| words.next().is_none()) } else { words.next() };
    matches!(word, Some([b'H', b'T', b'T', b'P', b'/', a, b'.', b]) if a.is_ascii_digit() && b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_http_and_others() {
        let other = |line: &str| names_other_version(line.as_bytes(), Kind::Request);
        assert!(other("GET / HTTP/2.0\r\n") && other("\r\nGET / HTTP/0.9\r\n"));
        for line in [
            "GET /\r\n",
            "GET / HTTP/2\r\n",
            "GET / x HTTP/2.0\r\n",
            "GET / http/2.0\r\n",
            "GET HTTP/2.0 /\r\n",
            "",
        ] {
            assert!(!other(line), "{line}");
        }
        assert!(names_other_version(b"HTTP/2.0 200 OK\r\n", Kind::Response));
        assert!(!names_other_version(b"ICY 200 OK\r\n", Kind::Response));
    }

    #[test]
    fn lengths_are_digits() {
        for (text, n) in [("0", 0), ("007", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(decimal(text.as_bytes()), Some(n), "{text}");
        }
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1a", "1,1", "18446744073709551616", "\u{661}"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hosts_and_targets() {
        for host in ["", "a", "a.example:80", "[::1]:8080", "x_y"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["a b", "a/b", "b@a", "a,b", "a?b", "a#b", "a\\b", "\u{e4}", "a\t"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        for target in ["/", "//", "/a:b@c", "http://a/%20?x=[y]|{z}", "/?u=http://a"] {
            assert!(is_target("GET", target), "{target}");
        }
        for target in
            ["", "*", "a", "a:443", "?x", "://a", "a/b://c", "http://", "/ ", "/#", "/\u{7f}", "/\u{e4}"]
        {
            assert!(!is_target("GET", target), "{target}");
        }
        assert!(is_target("OPTIONS", "*"));
    }

    #[test]
    fn what_a_connection_header_means() {
        for (minor, says, kept) in [
            (1, "", true),
            (1, "close", false),
            (0, "", false),
            (0, "keep-alive", true),
            (0, "keep-alive close", false),
        ] {
            assert_eq!(
                is_kept(minor, |token| says.split(' ').any(|said| said == token)),
                kept,
                "1.{minor} {says}"
            );
        }
    }
}
