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
    pub(super) length: Option<u64>,
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
    let code = decimal::write(u64::from(status), &mut code);
    let length = ending.length.map(|n| decimal::write(n, &mut length));
    // RFC 9110, 7.8: who sends Upgrade says so in Connection.
    let upgrade = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
    write(outbox, |put| {
        put(&[b"HTTP/1.1 ", code, b" ", reason(status).as_bytes(), b"\r\n"]);
        put_headers(headers, put);
        if let Some(length) = length {
            put(&[b"content-length: ", length, b"\r\n"]);
        }
        if ending.chunked {
            put(&[b"transfer-encoding: chunked\r\n"]);
        }
        match (upgrade, ending.keep) {
            (true, true) => put(&[b"connection: upgrade\r\n"]),
            (true, false) => put(&[b"connection: upgrade, close\r\n"]),
            (false, false) => put(&[b"connection: close\r\n"]),
            (false, true) if ending.old => put(&[b"connection: keep-alive\r\n"]),
            (false, true) => {}
        }
        put(&[b"\r\n", body]);
    })?;
    Ok(())
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
    let size: usize = body.iter().map(|part| part.len()).sum();
    // RFC 9110, 8.6: a method that usually has a body says that it has none.
    let says_length = size > 0 || matches!(method, "POST" | "PUT" | "PATCH");
    let length = decimal::write(size as u64, &mut digits);
    write(outbox, |put| {
        put(&[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
        put_headers(headers, put);
        if says_length {
            put(&[b"content-length: ", length, b"\r\n"]);
        }
        put(&[b"\r\n"]);
        put(body);
    })?;
    Ok(())
}

/// One chunk (RFC 9112, 7.1); `parts` hold at least one byte, because an empty chunk is the end.
pub(super) fn chunk(parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), Full> {
    let mut digits = [0; 16];
    let size = hex(parts.iter().map(|part| part.len()).sum(), &mut digits);
    write(outbox, |put| {
        put(&[size, b"\r\n"]);
        put(parts);
        put(&[b"\r\n"]);
    })
}

/// Whether an answer can have this status and these headers.
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

fn put_headers(headers: &[(&str, &str)], put: &mut dyn FnMut(&[&[u8]])) {
    for (name, value) in headers {
        put(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
}

/// Calls `emit` twice: to measure, then to write.
fn write(outbox: &mut Outbox<'_>, emit: impl Fn(&mut dyn FnMut(&[&[u8]]))) -> Result<(), Full> {
    let mut size = 0;
    emit(&mut |parts| size += parts.iter().map(|part| part.len()).sum::<usize>());
    let mut room = outbox.claim(size)?;
    emit(&mut |parts| {
        for part in parts {
            let (now, later) =
                core::mem::take(&mut room).split_at_mut_checked(part.len()).unwrap_or_default();
            now.copy_from_slice(part.get(..now.len()).unwrap_or_default());
            room = later;
        }
    });
    Ok(())
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
