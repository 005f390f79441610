//! Writing heads and chunks: what is written is complete, or nothing is.

use super::{
    body::is_token,
    error::SendError,
    head::{has_no_body, is_host, is_target},
};
use crate::{Full, Outbox, decimal};

/// The headers of an answer that say how it ends, besides the caller's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) length: Option<usize>,
    pub(super) chunked: bool,
    pub(super) keep: bool,
    /// The client speaks HTTP/1.0, where keeping the connection must be said.
    pub(super) old: bool,
}

/// A whole answer, or the head of one.
pub(super) fn response(
    status: u16,
    headers: &[(&str, &str)],
    ending: Ending,
    body: &[u8],
    outbox: &mut Outbox<'_>,
) -> Result<(), SendError> {
    let mut code = [0; 20];
    let mut length = [0; 20];
    let code = decimal::write_word(status.into(), &mut code);
    let length = ending.length.map(|n| decimal::write_word(n, &mut length));
    let (length_is, length): (&[u8], &[u8]) = length.map_or((b"", b""), |n| (b"\r\ncontent-length: ", n));
    let coding: &[u8] = if ending.chunked { b"\r\ntransfer-encoding: chunked" } else { b"" };
    // RFC 9110, 7.8: who sends Upgrade says so in Connection.
    let upgrade = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
    let connection: &[u8] = match (upgrade, ending.keep) {
        (true, true) => b"\r\nconnection: upgrade",
        (true, false) => b"\r\nconnection: upgrade, close",
        (false, false) => b"\r\nconnection: close",
        (false, true) if ending.old => b"\r\nconnection: keep-alive",
        (false, true) => b"",
    };
    let first: [&[u8]; 4] = [b"HTTP/1.1 ", code, b" ", reason(status).as_bytes()];
    let last = [length_is, length, coding, connection, b"\r\n\r\n"];
    Ok(head_and_body(&first, headers, &last, &[body], outbox)?)
}

/// A whole request.
pub(super) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[&[u8]],
    outbox: &mut Outbox<'_>,
) -> Result<(), SendError> {
    let mut digits = [0; 20];
    let size = size(body);
    // RFC 9110, 8.6: a method that usually has a body says that it has none.
    let says_length = size > 0 || matches!(method, "POST" | "PUT" | "PATCH");
    let length = decimal::write_word(size, &mut digits);
    let length_is: &[u8] = if says_length { b"\r\ncontent-length: " } else { b"" };
    let length = if says_length { length } else { b"" };
    let first = [method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1"];
    Ok(head_and_body(&first, headers, &[length_is, length, b"\r\n\r\n"], body, outbox)?)
}

/// One chunk (RFC 9112, 7.1); `parts` hold at least one byte, because an empty chunk is the end.
pub(super) fn chunk(parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), Full> {
    let mut digits = [0; 16];
    let size = hex(size(parts), &mut digits);
    head_and_body(&[size, b"\r\n"], &[], parts, &[b"\r\n"], outbox)
}

/// Whether an answer can have this status and these headers.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn check_response(status: u16, headers: &[(&str, &str)], has_body: bool) -> Result<(), SendError> {
    if !(200..=999).contains(&status) || (has_body && has_no_body(status)) {
        return Err(SendError::Unsuitable);
    }
    check_headers(headers, &["content-length", "transfer-encoding", "connection"])
}

/// Whether a request can have these: RFC 9112, 3.
pub(super) fn check_request(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), SendError> {
    // CONNECT would make a tunnel of the connection: `check_tunnel`.
    if !is_token(method.as_bytes()) || method == "CONNECT" || !is_target(method, target) {
        return Err(SendError::Unsuitable);
    }
    check_request_headers(headers)
}

/// Whether a proxy can be asked for a tunnel to there: authority form with a port (RFC 9110, 9.3.6).
pub(super) fn check_tunnel(authority: &str, headers: &[(&str, &str)]) -> Result<(), SendError> {
    let parts = authority.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let (host, port) = parts.ok_or(SendError::Unsuitable)?;
    if !is_host(host.as_bytes()) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(SendError::Unsuitable);
    }
    check_request_headers(headers)
}

fn check_request_headers(headers: &[(&str, &str)]) -> Result<(), SendError> {
    if headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count() != 1 {
        return Err(SendError::BadHeader);
    }
    check_headers(headers, &["content-length", "transfer-encoding"])
}

/// Whether headers can be sent (RFC 9110, 5.1 and 5.5), and are none of those that somebody else writes. For clients
/// that take headers long before they send them.
///
/// # Errors
/// [`SendError::BadHeader`].
pub fn check_headers(headers: &[(&str, &str)], reserved: &[&str]) -> Result<(), SendError> {
    let is_good = |(name, value): &(&str, &str)| {
        let is_value = !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
        is_token(name.as_bytes())
            && is_value
            && !reserved.iter().any(|other| name.eq_ignore_ascii_case(other))
    };
    if headers.iter().all(is_good) { Ok(()) } else { Err(SendError::BadHeader) }
}

/// The bytes of all parts.
pub(super) fn size(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// All of it or nothing: the `first` line (and headers that are written in pieces), without the CR LF at its end; `headers`; what
/// is `last` of the head; and the body.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn head_and_body(
    first: &[&[u8]],
    headers: &[(&str, &str)],
    last: &[&[u8]],
    body: &[&[u8]],
    outbox: &mut Outbox<'_>,
) -> Result<(), Full> {
    let lines = headers.iter().fold(0, |sum, (name, value)| sum + name.len() + value.len() + 4);
    let needed = size(first) + lines + size(last) + size(body);
    if outbox.room() < needed {
        return Err(Full { needed });
    }
    outbox.put(first)?;
    for (name, value) in headers {
        outbox.put(&[b"\r\n", name.as_bytes(), b": ", value.as_bytes()])?;
    }
    outbox.put(last)?;
    outbox.put(body)
}

fn hex(mut n: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = match (n % 16) as u8 {
            n @ 0..=9 => b'0' + n,
            n => b'a' + n - 10,
        };
        (n, at) = (n / 16, at - 1);
        if n == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or_default()
}

/// The reason phrases of RFC 9110, 15 and RFC 6585; others go without one, which is allowed (RFC 9112, 4).
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for n in [0, 9, 10, 255, 4096, usize::MAX] {
            assert_eq!(hex(n, &mut [0; 16]), std::format!("{n:x}").as_bytes());
        }
    }

    #[test]
    fn headers_that_break_a_head_are_refused() {
        for bad in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nb", "x"),
            ("a", "x\r\nSet-Cookie: y"),
            ("a", "x\n"),
            ("a", "x\r"),
            ("a", "\0"),
            ("Content-Length", "1"),
            ("transfer-encoding", "chunked"),
            ("Connection", "close"),
        ] {
            assert_eq!(check_response(200, &[("ok", "1"), bad], false), Err(SendError::BadHeader), "{bad:?}");
        }
        assert_eq!(check_response(200, &[("a", ""), ("b", "\tä")], true), Ok(()));
        assert_eq!(check_response(199, &[], false), Err(SendError::Unsuitable));
        assert_eq!(check_response(204, &[], true), Err(SendError::Unsuitable));
    }

    #[test]
    fn a_request_has_one_host_and_a_clean_first_line() {
        let host = ("Host", "a");
        assert_eq!(check_request("GET", "/", &[host, ("Connection", "close")]), Ok(()));
        assert_eq!(check_request("GET", "/", &[]), Err(SendError::BadHeader));
        assert_eq!(check_request("GET", "/", &[host, host]), Err(SendError::BadHeader));
        for (method, target) in
            [("", "/"), ("G T", "/"), ("GET", ""), ("GET", "/ "), ("GET", "/\r\n"), ("CONNECT", "a:1")]
        {
            assert_eq!(
                check_request(method, target, &[host]),
                Err(SendError::Unsuitable),
                "{method} {target}"
            );
        }
    }

    /// Every status that has a phrase, as the registry spells it.
    #[test]
    fn reasons() {
        let listed = "200 OK,201 Created,202 Accepted,204 No Content,205 Reset Content,206 Partial Content,\
            301 Moved Permanently,302 Found,303 See Other,304 Not Modified,307 Temporary Redirect,\
            308 Permanent Redirect,400 Bad Request,401 Unauthorized,403 Forbidden,404 Not Found,\
            405 Method Not Allowed,406 Not Acceptable,408 Request Timeout,409 Conflict,410 Gone,\
            411 Length Required,412 Precondition Failed,413 Content Too Large,414 URI Too Long,\
            415 Unsupported Media Type,416 Range Not Satisfiable,417 Expectation Failed,\
            421 Misdirected Request,422 Unprocessable Content,426 Upgrade Required,\
            428 Precondition Required,429 Too Many Requests,431 Request Header Fields Too Large,\
            500 Internal Server Error,501 Not Implemented,502 Bad Gateway,503 Service Unavailable,\
            504 Gateway Timeout,505 HTTP Version Not Supported";
        let phrase = |status: u16| {
            let line = listed
                .split(',')
                .find_map(|line| line.trim().split_once(' ').filter(|(n, _)| n.parse() == Ok(status)));
            line.map_or("", |(_, phrase)| phrase)
        };
        for status in 200..600 {
            assert_eq!(reason(status), phrase(status), "{status}");
        }
    }

    #[test]
    fn all_or_nothing() {
        let mut storage = [0; 39];
        let mut outbox = Outbox::new(&mut storage);
        let ending = Ending { length: Some(2), chunked: false, keep: true, old: false };
        let needed = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".len();
        assert_eq!(response(200, &[], ending, b"ok", &mut outbox), Err(SendError::Full(Full { needed })));
        assert!(outbox.is_empty());
        chunk(&[b"0123456789", b"abcdef"], &mut outbox).unwrap();
        assert_eq!(outbox.chunk(), b"10\r\n0123456789abcdef\r\n");
    }
}
