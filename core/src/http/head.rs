//! Finding the end of a head, byte by byte at most once, and reading it strictly (RFC 9112, 2 to 6).

use super::{
    body::{Length, is_token},
    config::Limits,
    error::Error,
    event::RequestHead,
    view::{RequestView, ResponseView, is_same, names_token, split_scheme},
};
use crate::{Inbox, find::memchr};

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
            let found = inbox.search(start + self.searched, |bytes| memchr(b'\n', bytes));
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

impl Request {
    /// None has come yet.
    pub(super) const NONE: Self = Self {
        length: Length::Exactly(0),
        minor: 1,
        keep: true,
        is_head: false,
        expects: false,
        declares: false,
    };
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
    if cfg!(target_os = "none") {
        return read_request(bytes);
    }
    let mut table = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut table);
    match request.parse(bytes) {
        Ok(status) if status.is_complete() => {}
        Err(httparse::Error::Version) if names_other_version(bytes, Kind::Request) => {
            return Err(Error::Version);
        }
        _ => return Err(Error::Head),
    }
    let mut facts = Facts::default();
    request.headers.iter().for_each(|header| facts.add(header.name.as_bytes(), header.value));
    facts.request(request.method(), request.target(), request.version_minor())
}

/// As [`parse_request`], in a fraction of the flash that httparse takes, and nothing in it can panic.
pub(super) fn read_request(bytes: &[u8]) -> Result<Request, Error> {
    let head = RequestHead::new(bytes);
    let target = head.target();
    if !is_token(head.method().as_bytes()) || target.is_empty() || !target.bytes().all(|byte| byte > b' ') {
        return Err(Error::Head);
    }
    let minor = match head.version().as_bytes() {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', a, b'.', b] if a.is_ascii_digit() && b.is_ascii_digit() => {
            return Err(Error::Version);
        }
        _ => return Err(Error::Head),
    };
    let mut facts = Facts::default();
    let mut lines = head.lines();
    for (name, value) in lines.by_ref() {
        if !is_token(name) {
            return Err(Error::Head);
        }
        facts.add(name, value);
    }
    // Only the empty line is no header.
    if !lines.is_at_end() {
        return Err(Error::Head);
    }
    facts.request(head.method(), target, minor)
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
    let mut facts = Facts::default();
    response.headers.iter().for_each(|header| facts.add(header.name.as_bytes(), header.value));
    let length = facts.length(minor)?;
    // RFC 9112, 6.3: what the headers say is about a body that is not sent.
    let length = if to_head || has_no_body(status) { Some(Length::Exactly(0)) } else { length };
    let length = length.unwrap_or(Length::UntilEnd);
    Ok(Response { status, length, keep: length != Length::UntilEnd && facts.is_kept(minor) })
}

/// RFC 9110, 6.4.1.
pub(super) const fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// What the headers say of the message, gathered one by one, and judged when all are there.
#[derive(Default)]
struct Facts {
    hosts: u8,
    bad_host: bool,
    lengths: u8,
    /// The last of them, if it was one.
    length: Option<u64>,
    codings: u8,
    chunked: bool,
    expects: bool,
    bad_expectation: bool,
    close: bool,
    keep_alive: bool,
}

impl Facts {
    fn add(&mut self, name: &[u8], value: &[u8]) {
        if is_same(name, "host") {
            self.hosts = self.hosts.saturating_add(1);
            self.bad_host |= !is_host(value);
        } else if is_same(name, "content-length") {
            self.lengths = self.lengths.saturating_add(1);
            self.length = decimal(value);
        } else if is_same(name, "transfer-encoding") {
            self.codings = self.codings.saturating_add(1);
            self.chunked = is_same(value, "chunked");
        } else if is_same(name, "expect") {
            self.expects = true;
            self.bad_expectation |= !is_same(value, "100-continue");
        } else if is_same(name, "connection") {
            self.close |= names_token(value, "close");
            self.keep_alive |= names_token(value, "keep-alive");
        }
    }

    /// RFC 9112, 9.3.
    fn is_kept(&self, minor: u8) -> bool {
        !self.close && (minor > 0 || self.keep_alive)
    }

    /// The doors of request smuggling are all here, and all shut: one plain length, or one `chunked`, or neither.
    fn length(&self, minor: u8) -> Result<Option<Length>, Error> {
        match (self.lengths, self.codings) {
            (0, 0) => Ok(None),
            (1.., 1..) => Err(Error::Framing),
            (1, 0) => self.length.map(|n| Some(Length::Exactly(n))).ok_or(Error::Length),
            (2.., 0) => Err(Error::Length),
            (0, 1..) if minor == 0 => Err(Error::Framing),
            (0, 1) if self.chunked => Ok(Some(Length::Chunked)),
            (0, 1..) => Err(Error::Coding),
        }
    }

    fn request(&self, method: &str, target: &str, minor: u8) -> Result<Request, Error> {
        if method == "CONNECT" {
            return Err(Error::Tunnel);
        }
        if !is_target(method, target) {
            return Err(Error::Head);
        }
        // RFC 9112, 3.2: one Host in HTTP/1.1; never more than one, never a malformed one.
        if self.bad_host || self.hosts > 1 || (self.hosts == 0 && minor > 0) {
            return Err(Error::Host);
        }
        let declared = self.length(minor)?;
        let length = declared.unwrap_or(Length::Exactly(0));
        // RFC 9110, 10.1.1: an expectation in HTTP/1.0 is ignored.
        if self.bad_expectation && minor > 0 {
            return Err(Error::Expectation);
        }
        Ok(Request {
            length,
            minor,
            keep: self.is_kept(minor),
            is_head: method == "HEAD",
            expects: self.expects && minor > 0 && length != Length::Exactly(0),
            declares: declared.is_some(),
        })
    }
}

/// `1*DIGIT`, as RFC 9110, 8.6 has it, up to 2⁶⁴ − 1.
fn decimal(text: &[u8]) -> Option<u64> {
    let (first, rest) = text.split_first()?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    rest.iter().try_fold(digit(first)?, |n: u64, byte| n.checked_mul(10)?.checked_add(digit(byte)?))
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
    let is_other = |byte: &u8| matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'@' | b',' | b'<' | b'>' | b'"');
    host.iter().all(|byte| byte.is_ascii_graphic() && !is_other(byte))
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
            (0, "keep-alive, close", false),
        ] {
            let mut facts = Facts::default();
            facts.add(b"Connection", says.as_bytes());
            assert_eq!(facts.is_kept(minor), kept, "1.{minor} {says}");
        }
    }

    /// Each byte of some telling heads replaced by every other one: the two readers agree on all that a search lets through.
    #[test]
    fn both_readers_give_the_same_verdict() {
        let heads: [&[u8]; 7] = [
            b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nX-Y:\t 1 \r\n\r\n",
            b"\r\nHEAD http://a/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost:a\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost:\r\ntransfer-encoding: chunked\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost: a\r\nhosT: b\r\nexpect:x\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ];
        let limits = Limits::new(&crate::http::Config::default());
        let mut storage = [0; 256];
        let (mut seen, mut good) = (0, 0);
        for head in heads {
            for (at, byte) in (0..head.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
                let mut inbox = Inbox::new(&mut storage);
                inbox.push(head);
                inbox.unread_mut()[at] = byte;
                let Ok(Some(length)) = Search::default().run(Kind::Request, 0, &limits, &mut inbox) else {
                    continue;
                };
                let bytes = &inbox.unread()[..length];
                let verdict = parse_request(bytes);
                assert_eq!(read_request(bytes), verdict, "{}", bytes.escape_ascii());
                (seen, good) = (seen + 1, good + usize::from(verdict.is_ok()));
            }
        }
        assert!(good > 9_000 && seen > good + 20_000, "{good} of {seen}");
    }
}
