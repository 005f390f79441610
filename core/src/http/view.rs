//! A head as a handshake or a router needs it, whoever parsed it: this crate, httparse, or an outer HTTP stack.
//!
//! ```
//! use stillwire::http::RequestView;
//!
//! let mut table = [httparse::EMPTY_HEADER; 4];
//! let mut request = httparse::Request::new(&mut table);
//! request.parse(b"GET /chat?room=7 HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n\r\n")?;
//! assert_eq!((request.path(), request.query("room")), ("/chat", Some("7")));
//! assert_eq!(request.only("host"), Some(&b"a.example"[..]));
//! assert!(request.has_token("connection", "upgrade"));
//! # Ok::<(), httparse::Error>(())
//! ```

/// The head of a request.
///
/// Implement the first three methods for the request type of another HTTP stack, and the handshakes of this
/// crate work on top of it.
pub trait RequestView {
    /// The method, in the case it came in: methods are case-sensitive (RFC 9110, 9.1).
    fn method(&self) -> &str;

    /// The request target as it stands in the request line (RFC 9112, 3.2): `/path?query` from browsers, `*` with
    /// OPTIONS, and from proxies also `http://host/path`, whose host then counts instead of the header's.
    fn target(&self) -> &str;

    /// Every value of a header, in order, without the white space around it. Names are compared without regard
    /// to case.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The `x` of `HTTP/1.x`. An outer stack that no longer knows leaves it at 1.
    fn version_minor(&self) -> u8 {
        1
    }

    /// The `:protocol` of an extended CONNECT (RFC 8441 §4), from a stack that speaks HTTP/2 or HTTP/3. Such a stack
    /// shows `:authority` as the value of `host`.
    fn protocol(&self) -> Option<&str> {
        None
    }

    /// The path of the target: without the query and, in absolute form, without scheme and authority.
    /// Percent-encoding stays as it is.
    fn path(&self) -> &str {
        path_and_query(self.target()).0
    }

    /// The first value of a key of the query, as it stands (no percent-decoding); empty for a key without `=`.
    fn query(&self, key: &str) -> Option<&str> {
        let query = path_and_query(self.target()).1?;
        let mut pairs = query.split(['&']).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The first value of a header.
    fn header<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of a header that must not be repeated: `None` when it is missing, and also when it came twice.
    fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        only(self.values(name))
    }

    /// Whether a header that holds a comma-separated list (RFC 9110, 5.6.1), in one line or in several, names
    /// `token`, without regard to case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| names_token(value, token))
    }
}

/// The head of an answer. The methods mean what those of [`RequestView`] mean.
pub trait ResponseView {
    /// The three digits.
    fn status(&self) -> u16;

    /// Every value of a header, in order, without the white space around it.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The first value of a header.
    fn header<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of a header that must not be repeated: `None` when it is missing, and also when it came twice.
    fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        only(self.values(name))
    }

    /// Whether a header that holds a comma-separated list names `token`, without regard to case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| names_token(value, token))
    }
}

impl RequestView for httparse::Request<'_, '_> {
    fn method(&self) -> &str {
        self.method.unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.path.unwrap_or_default()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values_in(self.headers, name)
    }

    fn version_minor(&self) -> u8 {
        self.version.unwrap_or(1)
    }
}

impl ResponseView for httparse::Response<'_, '_> {
    fn status(&self) -> u16 {
        self.code.unwrap_or_default()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values_in(self.headers, name)
    }
}

fn values_in<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn only<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    values.next().filter(|_| values.next().is_none())
}

#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn names_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',').any(|one| is_same(one.trim_ascii(), token))
}

/// Without regard to case.
#[cfg_attr(not(target_os = "none"), inline)]
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn is_same(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

/// What stands in front of the first `://` and behind it. (The search for any text is a kilobyte of a microcontroller's flash.)
pub(super) fn split_scheme(target: &str) -> Option<(&str, &str)> {
    let at = target.as_bytes().windows(3).position(|three| three == b"://")?;
    Some((target.get(..at)?, target.get(at + 3..)?))
}

/// Origin form `/path?query`, absolute form `http://host/path?query`, or `*`.
fn path_and_query(target: &str) -> (&str, Option<&str>) {
    let local = match split_scheme(target) {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => match rest.find(['/', '?']) {
            Some(at) => rest.get(at..).unwrap_or_default(),
            None => "",
        },
        _ => target,
    };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    // RFC 9110, 4.2.3: an empty path of an absolute form is "/".
    (if path.is_empty() { "/" } else { path }, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_every_form() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/a/b?x=1", "/a/b", Some("x=1")),
            ("/a?u=http://b/c", "/a", Some("u=http://b/c")),
            ("http://h", "/", None),
            ("http://h?x", "/", Some("x")),
            ("http://h:80/p?q?r", "/p", Some("q?r")),
            ("*", "*", None),
            ("h:443", "h:443", None),
        ] {
            assert_eq!(path_and_query(target), (path, query), "{target}");
        }
    }

    #[test]
    fn lists_name_whole_tokens() {
        assert!(names_token(b"keep-alive ,\tUPGRADE", "upgrade"));
        assert!(!names_token(b"upgraded, not-upgrade", "upgrade"));
        assert!(!names_token(b"", "upgrade"));
    }
}
