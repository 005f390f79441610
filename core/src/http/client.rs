//! What a client does around its requests: which address first, credentials, and where an answer sends it.

use alloc::{string::String, vec, vec::Vec};
use core::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{SendError, Url, UrlError, view::ResponseView};

/// The value of `Authorization`, or for a proxy of `Proxy-Authorization`, with a name and a password (RFC 7617).
///
/// ```
/// use stillwire::http::basic_credentials;
///
/// assert_eq!(basic_credentials("Aladdin", "open sesame")?, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
/// # Ok::<(), stillwire::http::SendError>(())
/// ```
///
/// # Errors
/// [`SendError::BadHeader`]: there is a colon in the name, or a control character somewhere (RFC 7617 §2).
pub fn basic_credentials(user: &str, password: &str) -> Result<String, SendError> {
    if user.contains(':') || [user, password].iter().any(|part| part.contains(char::is_control)) {
        return Err(SendError::BadHeader);
    }
    let plain = [user.as_bytes(), b":", password.as_bytes()].concat();
    let mut encoded = vec![0; plain.len().div_ceil(3).saturating_mul(4)];
    let n = STANDARD.encode_slice(&plain, &mut encoded).map_err(|_| SendError::BadHeader)?;
    let encoded = encoded.get(..n).and_then(|bytes| core::str::from_utf8(bytes).ok());
    Ok(String::from("Basic ") + encoded.unwrap_or_default())
}

/// Whether a header holds what must not go to another origin than the one that it was meant for: a client that
/// follows a [`redirect`] there leaves it out.
///
/// True for `Authorization`, `Proxy-Authorization` and `Cookie`. What else is a secret only the application knows.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    ["authorization", "proxy-authorization", "cookie"].iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// Why a redirection cannot be followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There is not exactly one `Location`, in ASCII.
    #[error("the redirection does not say where to")]
    Location,
    /// It leads to no URL that is supported here.
    #[error("the redirection leads to no URL that is supported: {0}")]
    Url(#[from] UrlError),
    /// It leads from TLS to plain text.
    #[error("the redirection leads from TLS to plain text")]
    Downgrade,
    /// It leads from HTTP to a WebSocket.
    #[error("the redirection leads from HTTP to a WebSocket")]
    Scheme,
}

/// Where an answer to a `GET` sends the client (RFC 9110, 15.4: statuses 301, 302, 303, 307 and 308). `Ok(None)`: nowhere,
/// it is the answer.
///
/// From `ws` and `wss` a location with `http` or `https` means `ws` or `wss`: servers that redirect by their own URL
/// see those. How often is the caller's business, and so is [what may go along](is_credential).
///
/// ```
/// use stillwire::http::{Url, redirect};
///
/// let mut table = [httparse::EMPTY_HEADER; 4];
/// let mut answer = httparse::Response::new(&mut table);
/// answer.parse(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://b.example/chat\r\n\r\n")?;
/// let from = Url::parse("wss://a.example/")?;
/// assert_eq!(redirect(&from, &answer)?.as_deref(), Some("wss://b.example/chat"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RedirectError`].
pub fn redirect(from: &Url<'_>, response: &impl ResponseView) -> Result<Option<String>, RedirectError> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.only("location").and_then(|value| core::str::from_utf8(value).ok());
    let joined = from.join(location.ok_or(RedirectError::Location)?)?;
    let is_socket = |url: &Url<'_>| matches!(url.scheme(), "ws" | "wss");
    let to = Url::parse(&joined)?;
    if from.is_secure() && !to.is_secure() {
        return Err(RedirectError::Downgrade);
    }
    match (is_socket(from), is_socket(&to)) {
        (false, true) => Err(RedirectError::Scheme),
        // `http` becomes `ws`, and `https` `wss`.
        (true, false) => Ok(joined.get(4..).map(|rest| String::from("ws") + rest)),
        _ => Ok(Some(joined)),
    }
}

/// Where a request goes: the URL, the headers of the application, and how many redirections may still be followed. A
/// client asks at [`url`](Self::url) with [`headers`](Self::headers), and shows each answer to [`follow`](Self::follow).
///
/// ```
/// use stillwire::http::Redirects;
///
/// let mut redirects = Redirects::new("http://a.example/", &[("Cookie", "a=b"), ("Accept", "text/plain")], 3)?;
/// let mut table = [httparse::EMPTY_HEADER; 4];
/// let mut answer = httparse::Response::new(&mut table);
/// answer.parse(b"HTTP/1.1 302 Found\r\nLocation: http://b.example/\r\n\r\n")?;
/// assert!(redirects.follow(&answer)?); // ask again, there:
/// assert_eq!((redirects.url().host(), redirects.headers()), ("b.example", &[("Accept", "text/plain")][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redirects<'h> {
    /// A normal URL, so that it is one.
    url: String,
    headers: Vec<(&'h str, &'h str)>,
    left: u8,
}

impl<'h> Redirects<'h> {
    /// The first request, and how many redirections may be followed from there; none is a good number where nobody
    /// expects any.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(url: &str, headers: &[(&'h str, &'h str)], left: u8) -> Result<Self, UrlError> {
        Ok(Self { url: Url::normalize(url)?, headers: headers.to_vec(), left })
    }

    /// Where to ask now.
    #[must_use]
    pub fn url(&self) -> Url<'_> {
        Url::parse(&self.url).unwrap_or(Url::NOWHERE)
    }

    /// What to say there.
    #[must_use]
    pub fn headers(&self) -> &[(&'h str, &'h str)] {
        &self.headers
    }

    /// True: the answer is a [`redirect`] that may be followed, so ask again; [credentials](is_credential) have gone
    /// from the headers if that is another origin. False: it is the answer, be it a redirection too many.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub fn follow(&mut self, response: &impl ResponseView) -> Result<bool, RedirectError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        let Some(next) = redirect(&self.url(), response)? else { return Ok(false) };
        if !Url::parse(&next)?.same_origin(&self.url()) {
            self.headers.retain(|(name, _)| !is_credential(name));
        }
        (self.url, self.left) = (next, left);
        Ok(true)
    }
}

/// Puts the addresses of a name into the order in which to try them (RFC 8305 §4): as the resolver sorted them, but the
/// two families in turn, so that a network on which one of them leads nowhere costs one attempt, not all of them.
///
/// ```
/// use stillwire::http::alternate_families;
///
/// let mut addresses = ["[::1]:80", "[::2]:80", "1.1.1.1:80"].map(|text| text.parse().unwrap());
/// alternate_families(&mut addresses);
/// assert_eq!(addresses.map(|address| address.is_ipv6()), [true, false, true]);
/// ```
pub fn alternate_families(addresses: &mut [SocketAddr]) {
    for at in 1..addresses.len() {
        let Some((before, rest)) = addresses.split_at_mut_checked(at) else { return };
        let last = before.last().is_some_and(SocketAddr::is_ipv6);
        if let Some(other) = rest.iter().position(|address| address.is_ipv6() != last) {
            rest.get_mut(..=other).unwrap_or_default().rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn to(from: &str, status: u16, location: &str) -> Result<Option<String>, RedirectError> {
        let mut table = [httparse::EMPTY_HEADER; 4];
        let mut response = httparse::Response::new(&mut table);
        let head = format!("HTTP/1.1 {status} x\r\n{location}\r\n\r\n");
        response.parse(head.as_bytes()).unwrap();
        redirect(&Url::parse(from).unwrap(), &response)
    }

    #[test]
    fn where_redirections_lead() {
        let found = |from, location| to(from, 302, location).unwrap().unwrap();
        assert_eq!(found("ws://a/x/y?q", "Location: ../z"), "ws://a/z");
        assert_eq!(found("ws://a/", "Location: http://b:81/"), "ws://b:81/");
        assert_eq!(found("ws://a/", "Location: https://b/"), "wss://b/");
        assert_eq!(found("wss://a/", "Location: //b/c"), "wss://b/c");
        assert_eq!(found("http://a/", "Location: https://a/"), "https://a/");
        for status in [200, 204, 300, 304, 305, 400, 500] {
            assert_eq!(to("http://a/", status, "Location: /b"), Ok(None), "{status}");
        }
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(to("http://a/", status, "Location: /b"), Ok(Some(String::from("http://a/b"))));
        }
    }

    #[test]
    fn redirections_that_are_not_followed() {
        assert_eq!(to("ws://a/", 301, "X: y"), Err(RedirectError::Location));
        assert_eq!(to("ws://a/", 301, "Location: /b\r\nLocation: /c"), Err(RedirectError::Location));
        assert_eq!(to("wss://a/", 301, "Location: http://a/"), Err(RedirectError::Downgrade));
        assert_eq!(to("https://a/", 301, "Location: http://a/"), Err(RedirectError::Downgrade));
        assert_eq!(to("http://a/", 301, "Location: ws://a/"), Err(RedirectError::Scheme));
        assert_eq!(to("ws://a/", 301, "Location: ftp://a/"), Err(RedirectError::Url(UrlError::Scheme)));
        assert_eq!(to("ws://a/", 301, "Location: ws://me@a/"), Err(RedirectError::Url(UrlError::UserInfo)));
    }

    #[test]
    fn families_alternate_and_keep_their_order() {
        let sorted = |texts: &str| {
            let parse = |digit: char| match digit {
                'a'..='f' => {
                    SocketAddr::new(core::net::IpAddr::from([0, 0, 0, 0, 0, 0, 0, digit as u16]), 80)
                }
                _ => SocketAddr::new(core::net::IpAddr::from([0, 0, 0, digit as u8]), 80),
            };
            let mut addresses: alloc::vec::Vec<_> = texts.chars().map(parse).collect();
            alternate_families(&mut addresses);
            let last = |address: &SocketAddr| match address {
                SocketAddr::V4(four) => char::from(four.ip().octets()[3]),
                SocketAddr::V6(six) => char::from(six.ip().octets()[15]),
            };
            addresses.iter().map(last).collect::<String>()
        };
        for (from, to) in [("", ""), ("a", "a"), ("abc12", "a1b2c"), ("12ab", "1a2b"), ("1a234b", "1a2b34")] {
            assert_eq!(sorted(from), to);
        }
    }

    #[test]
    fn redirections_end_and_lose_credentials() {
        let mut redirects =
            Redirects::new("WS://A?x", &[("cookie", "1"), ("Authorization", "2"), ("x", "3")], 2).unwrap();
        assert_eq!((redirects.url().authority(), redirects.url().target()), ("a", "/?x"));
        let mut follow = |location: &str| {
            let mut table = [httparse::EMPTY_HEADER; 4];
            let mut response = httparse::Response::new(&mut table);
            let head = format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n");
            response.parse(head.as_bytes()).unwrap();
            let followed = redirects.follow(&response);
            (followed, redirects.url().authority() == "b", redirects.headers().len())
        };
        assert_eq!(follow("http://a/b"), (Ok(true), false, 3), "the same origin, by another name");
        assert_eq!(follow("ftp://a/"), (Err(RedirectError::Url(UrlError::Scheme)), false, 3));
        assert_eq!(follow("ws://b/"), (Ok(true), true, 1));
        assert_eq!(follow("ws://c/"), (Ok(false), true, 1), "two were allowed");
    }

    #[test]
    fn credentials() {
        assert_eq!(basic_credentials("", "").unwrap(), "Basic Og==");
        assert_eq!(basic_credentials("test", "123£").unwrap(), "Basic dGVzdDoxMjPCow=="); // RFC 7617 §2.1
        for (user, password) in [("a:b", ""), ("a\n", ""), ("", "\r\nx: y")] {
            assert_eq!(basic_credentials(user, password), Err(SendError::BadHeader));
        }
        assert!(is_credential("Authorization") && is_credential("COOKIE") && !is_credential("Origin"));
    }
}
