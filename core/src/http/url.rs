//! URLs of the four schemes that lead to a server here: `http`, `https`, `ws`, `wss` (RFC 3986; RFC 6455 §3).
//!
//! ```
//! use stillwire::http::Url;
//!
//! let url = Url::parse("wss://chat.example:8443/room/7?as=ann#top")?;
//! assert_eq!((url.scheme(), url.is_secure()), ("wss", true));
//! assert_eq!((url.host(), url.port()), ("chat.example", 8443));   // where to connect to
//! assert_eq!(url.authority(), "chat.example:8443");               // the Host header
//! assert_eq!(url.target(), "/room/7?as=ann");                     // the request target
//! # #[cfg(feature = "alloc")]
//! assert_eq!(url.join("../login")?, "wss://chat.example:8443/login"); // a Location header
//! # Ok::<(), stillwire::http::UrlError>(())
//! ```

use core::net::Ipv6Addr;

/// The parts of a URL, as views of its text.
///
/// Stricter than a browser's address bar, because what two readers take for different hosts is how requests are sent
/// to the wrong one: see [`UrlError`]. [`normalize`](Self::normalize) is for what people type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Url<'a> {
    scheme: &'static str,
    /// Without the port where that is the scheme's.
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: &'a str,
}

/// Why a text is no [`Url`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not begin with `http://`, `https://`, `ws://` or `wss://`, in any case of letters.
    #[error("the scheme is not http, https, ws or wss")]
    Scheme,
    /// There is no host, or it is neither a name in ASCII (letters, digits, `-`, `.`, `_`) nor an IPv4 address nor an IPv6
    /// address in brackets. International names need their ASCII form (`xn--…`).
    #[error("the host is missing or malformed")]
    Host,
    /// The port is no number up to 65535.
    #[error("the port is not a number up to 65535")]
    Port,
    /// A user name in front of the host: credentials belong into headers (RFC 9110, 4.2.4).
    #[error("a user name in a URL is not supported")]
    UserInfo,
    /// A space, a control character, a backslash or a byte above 126, which must be percent-encoded.
    #[error("a character in the URL must be percent-encoded")]
    Character,
    /// A query right behind the host. [`Url::normalize`] puts the missing `/` in front of it.
    #[error("the '/' in front of the query is missing")]
    NoPath,
}

impl<'a> Url<'a> {
    /// A host that does not exist (RFC 6761 §6.4), for a text that was a URL before.
    #[cfg(feature = "alloc")]
    pub(super) const NOWHERE: Self =
        Url { scheme: "http", authority: "invalid", host: "invalid", port: 80, target: "/" };

    /// Takes an absolute URL apart. Nothing is copied or changed: dot segments and percent-encoding stay as they are.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(url: &'a str) -> Result<Self, UrlError> {
        let (name, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = known(name).ok_or(UrlError::Scheme)?;
        let rest = without_fragment(rest);
        if !rest.bytes().all(is_allowed) {
            return Err(UrlError::Character);
        }
        let (whole, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (authority, host, port) = authority(whole, default_port(scheme))?;
        let target = match target {
            "" => "/",
            target if target.starts_with('?') => return Err(UrlError::NoPath),
            target => target,
        };
        Ok(Self { scheme, authority, host, port, target })
    }

    /// `http`, `https`, `ws` or `wss`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether it is reached over TLS: `https` or `wss`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, "https" | "wss")
    }

    /// Where to connect to, and the name on the certificate: a name or an address, an IPv6 one without brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// The port that it names, or 443 where it [is secure](Self::is_secure) and 80 where not.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Host` header: the host as it stands there, and the port unless it is the scheme's (RFC 9110,
    /// 7.2 and 4.2.3).
    #[must_use]
    pub const fn authority(&self) -> &'a str {
        self.authority
    }

    /// The request target: path and query, `/` when there is neither. The fragment is not sent.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// Whether scheme, host and port are the same (RFC 6454 §5): credentials for one of them may go to the other.
    #[must_use]
    pub fn same_origin(&self, other: &Url<'_>) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port) && self.host.eq_ignore_ascii_case(other.host)
    }
}

#[cfg(feature = "alloc")]
mod owned {
    use super::{Url, UrlError, without_fragment};
    use alloc::{format, string::String};
    use core::fmt::Write;

    impl Url<'_> {
        /// The URL that `location` means, seen from this one (RFC 3986 §5.2): the value of a `Location` header, or a link.
        /// It is [normalized](Self::normalize).
        ///
        /// # Errors
        /// [`UrlError`]: it leads to no URL that is supported here.
        pub fn join(&self, location: &str) -> Result<String, UrlError> {
            let location = without_fragment(location);
            if scheme_of(location).is_some() {
                return Self::normalize(location);
            }
            if let Some(rest) = location.strip_prefix("//") {
                return Self::normalize(&format!("{}://{rest}", self.scheme));
            }
            let (base, base_query) = split_query(self.target);
            let (path, query) = split_query(location);
            let (path, query) = match path {
                "" => (String::from(base), query.or(base_query)),
                path if path.starts_with('/') => (String::from(path), query),
                path => {
                    let folder = base.get(..base.rfind('/').unwrap_or(0)).unwrap_or_default();
                    (format!("{folder}/{path}"), query)
                }
            };
            self.with_target(&path, query)
        }

        /// The same URL in the form that others compare with: scheme and host in small letters, without the scheme's
        /// port, dot segments and fragment, never without a path (RFC 3986 §6.2.2 and §6.2.3); bytes of path and query
        /// that are no ASCII are percent-encoded.
        ///
        /// # Errors
        /// [`UrlError`].
        pub fn normalize(url: &str) -> Result<String, UrlError> {
            let url = without_fragment(url);
            let from = url.find("://").map_or(0, |at| at + 3);
            let (front, target) = url.split_at(
                url.get(from..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| from + at),
            );
            let (path, query) = split_query(target);
            Url::parse(front)?.with_target(path, query)
        }

        fn with_target(&self, path: &str, query: Option<&str>) -> Result<String, UrlError> {
            let authority = self.authority.to_ascii_lowercase();
            let mut url = format!("{}://{authority}", self.scheme);
            encode(&without_dots(path), &mut url);
            if let Some(query) = query {
                url.push('?');
                encode(query, &mut url);
            }
            Url::parse(&url)?;
            Ok(url)
        }
    }

    /// RFC 3986 §3.1: what stands in front of the first colon, if it is a scheme.
    fn scheme_of(reference: &str) -> Option<&str> {
        let (name, _) = reference.split_once(':')?;
        let is_scheme = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        (is_scheme && name.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(name)
    }

    fn split_query(target: &str) -> (&str, Option<&str>) {
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
    }

    /// RFC 3986 §5.2.4, of an absolute path.
    fn without_dots(path: &str) -> String {
        let mut out = String::with_capacity(path.len());
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "." => {}
                ".." => out.truncate(out.rfind('/').unwrap_or(0)),
                _ => {
                    out.push('/');
                    out.push_str(segment);
                    continue;
                }
            }
            // What ends with a dot segment is a folder.
            if segments.peek().is_none() {
                out.push('/');
            }
        }
        out
    }

    fn encode(text: &str, url: &mut String) {
        for c in text.chars() {
            if c.is_ascii() {
                url.push(c);
            } else {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(url, "%{byte:02X}");
                }
            }
        }
    }
}

fn known(scheme: &str) -> Option<&'static str> {
    ["https", "wss", "http", "ws"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))
}

fn default_port(scheme: &str) -> u16 {
    if matches!(scheme, "https" | "wss") { 443 } else { 80 }
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// Visible ASCII. Browsers take a backslash for a slash and others do not: it is no part of any URL.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// The authority for the `Host` header, the host and the port.
fn authority(text: &str, default: u16) -> Result<(&str, &str, u16), UrlError> {
    if text.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (in_header, host, rest) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        (text.get(..host.len() + 2).unwrap_or_default(), host, rest)
    } else {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_name) {
            return Err(UrlError::Host);
        }
        (host, host, rest)
    };
    match rest.strip_prefix(':') {
        // RFC 3986 §3.2.3: a colon without a port is no port.
        Some("") => Ok((in_header, host, default)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().map_err(|_| UrlError::Port)?;
            Ok((if port == default { in_header } else { text }, host, port))
        }
        Some(_) => Err(UrlError::Port),
        None if rest.is_empty() => Ok((in_header, host, default)),
        None => Err(UrlError::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (url, secure, host, port, authority, target) in [
            ("ws://a", false, "a", 80, "a", "/"),
            ("WS://a:81/b?c", false, "a", 81, "a:81", "/b?c"),
            ("https://A.b-c_d:443#x", true, "A.b-c_d", 443, "A.b-c_d", "/"),
            ("http://a:443/#/x?y", false, "a", 443, "a:443", "/"),
            ("wss://[::1]:81/?c", true, "::1", 81, "[::1]:81", "/?c"),
            ("http://[::ffff:1.2.3.4]:/", false, "::ffff:1.2.3.4", 80, "[::ffff:1.2.3.4]", "/"),
            (
                "http://127.0.0.1:00080//x/../y?a=/?b://@:",
                false,
                "127.0.0.1",
                80,
                "127.0.0.1",
                "//x/../y?a=/?b://@:",
            ),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((parsed.is_secure(), parsed.host(), parsed.port()), (secure, host, port), "{url}");
            assert_eq!((parsed.authority(), parsed.target()), (authority, target), "{url}");
        }
    }

    #[test]
    fn refused() {
        use UrlError::*;
        for (url, error) in [
            ("", Scheme),
            ("a/b", Scheme),
            ("ftp://a", Scheme),
            ("http:/a", Scheme),
            ("://a", Scheme),
            ("http://", Host),
            ("http:///a", Host),
            ("http://:80", Host),
            ("http://a%41", Host),
            ("http://a,b", Host),
            ("http://[::1", Host),
            ("http://[::1]x", Host),
            ("http://[::1%25eth0]/", Host),
            ("http://[1.2.3.4]", Host),
            ("http://::1/", Host),
            ("http://a:65536", Port),
            ("http://a:+1", Port),
            ("http://a:8x", Port),
            ("http://a:1:2", Port),
            ("http://good@evil/", UserInfo),
            ("http://good:1@evil/", UserInfo),
            ("http://good\\@evil/", Character),
            ("http://a\r\nx:y/", Character),
            ("http://a/ b", Character),
            ("http://a/\0", Character),
            ("http://a/\u{7f}", Character),
            ("http://é/", Character),
            ("http://a/é", Character),
            ("ws://a?x", NoPath),
        ] {
            assert_eq!(Url::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn origins() {
        let same = |a, b| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("http://A/x", "http://a:80/y"));
        assert!(same("wss://[::1]", "WSS://[::1]:443/"));
        assert!(!same("http://a", "https://a"));
        assert!(!same("http://a:443", "https://a"));
        assert!(!same("http://a", "ws://a"));
        assert!(!same("http://a", "http://a:81"));
        assert!(!same("http://a", "http://a.b"));
    }

    /// RFC 3986 §5.4, but for the fragments, which are dropped.
    #[cfg(feature = "alloc")]
    #[test]
    fn references() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            // 5.4.1
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            // 5.4.2
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s/../x", "http://a/b/c/g"),
            // More.
            ("wss://B:443?x", "wss://b/?x"),
            ("//[::1]:80/../x", "http://[::1]/x"),
            ("/a:b", "http://a/a:b"),
            ("?", "http://a/b/c/d;p?"),
            ("é?ü", "http://a/b/c/%C3%A9?%C3%BC"),
            ("%2e%2E/g", "http://a/b/c/%2e%2E/g"),
        ] {
            assert_eq!(base.join(reference).as_deref(), Ok(expected), "{reference}");
        }
        let bare = Url::parse("https://a:81").unwrap();
        assert_eq!(bare.join("g").as_deref(), Ok("https://a:81/g"));
        assert_eq!(bare.join("?y").as_deref(), Ok("https://a:81/?y"));
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn references_that_lead_nowhere() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, error) in [
            ("g:h", UrlError::Scheme),
            ("http:g", UrlError::Scheme),
            ("javascript:alert(1)", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("//", UrlError::Host),
            ("//é", UrlError::Character),
            ("//b@c", UrlError::UserInfo),
            ("/\\evil", UrlError::Character),
            ("\\\\evil", UrlError::Character),
            ("/a b", UrlError::Character),
            ("/a\r\nSet-Cookie: x", UrlError::Character),
            ("\u{1}", UrlError::Character),
        ] {
            assert_eq!(base.join(reference), Err(error), "{reference}");
        }
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn normal_forms() {
        for (url, expected) in [
            ("WS://A:80", "ws://a/"),
            ("ws://a?x=/../y", "ws://a/?x=/../y"),
            ("http://a/b/../C#d", "http://a/C"),
            ("https://a//b//..", "https://a//b/"),
        ] {
            assert_eq!(Url::normalize(url).as_deref(), Ok(expected), "{url}");
        }
        assert_eq!(Url::normalize("a/b"), Err(UrlError::Scheme));
        assert_eq!(Url::normalize("http://a b/"), Err(UrlError::Character));
    }
}
