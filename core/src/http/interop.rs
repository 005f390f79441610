//! The heads of the `http` crate, which hyper, axum, warp, tonic and reqwest share: the handshakes of this crate work on
//! top of them.
//!
//! ```
//! use stillwire::{http::RequestView, ws};
//!
//! let request = http::Request::get("/chat?room=7")
//!     .header("host", "a.example")
//!     .header("connection", "keep-alive, Upgrade")
//!     .header("upgrade", "websocket")
//!     .header("sec-websocket-version", "13")
//!     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
//!     .header("origin", "http://a.example")
//!     .body(())?;
//! assert_eq!((request.path(), request.query("room")), ("/chat", Some("7")));
//! assert!(ws::is_same_origin(&request));
//! # Ok::<(), http::Error>(())
//! ```

use ::http::{HeaderMap, Method, Request, Response, Uri, Version, header::HOST, request, response};

use super::view::{RequestView, ResponseView};

/// The target is the path with its query, or `*`, or the authority of a CONNECT: such a stack has taken the scheme and
/// the authority of an absolute target off.
///
/// The one value of `host` is that authority when there was one, and in HTTP/2 there always is; headers of that name do
/// not count then (RFC 9112, 3.2.2; RFC 9113, 8.3.1). `:protocol` is not known here: hyper keeps it in an extension of
/// its own, which `stillwire-hyper` looks at.
impl<B> RequestView for Request<B> {
    fn method(&self) -> &str {
        Request::method(self).as_str()
    }

    fn target(&self) -> &str {
        target(Request::method(self), self.uri())
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        request_values(self.uri(), self.headers(), name)
    }

    fn version_minor(&self) -> u8 {
        version_minor(self.version())
    }
}

/// As for [`Request`].
impl RequestView for request::Parts {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn target(&self) -> &str {
        target(&self.method, &self.uri)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        request_values(&self.uri, &self.headers, name)
    }

    fn version_minor(&self) -> u8 {
        version_minor(self.version)
    }
}

impl<B> ResponseView for Response<B> {
    fn status(&self) -> u16 {
        Response::status(self).as_u16()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(self.headers(), name)
    }
}

impl ResponseView for response::Parts {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.headers, name)
    }
}

fn target<'a>(method: &Method, uri: &'a Uri) -> &'a str {
    match (uri.path_and_query(), uri.authority()) {
        (None, Some(authority)) if method == Method::CONNECT => authority.as_str(),
        (Some(target), _) => target.as_str(),
        (None, _) => "",
    }
}

fn request_values<'a>(uri: &'a Uri, headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let authority = uri.authority().filter(|_| name.eq_ignore_ascii_case(HOST.as_str()));
    let named = if authority.is_some() { None } else { Some(values(headers, name)) };
    authority.map(|authority| authority.as_str().as_bytes()).into_iter().chain(named.into_iter().flatten())
}

/// Its names are lower case, and its values come without white space around them only from a parser: one that was
/// built by hand may have some.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().map(|value| value.as_bytes().trim_ascii())
}

/// Above HTTP/1.1 there is no `Upgrade`, and nothing that a minor version could tell.
fn version_minor(version: Version) -> u8 {
    if version < Version::HTTP_11 { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn request(method: &str, uri: &str, version: Version) -> Request<()> {
        let request = Request::builder().method(method).uri(uri).version(version);
        request.header("host", "header.example").header("x", "1").header("X", " 2 ").body(()).unwrap()
    }

    #[test]
    fn targets_and_hosts() {
        for (method, uri, target, path, host) in [
            ("GET", "/a?b=1", "/a?b=1", "/a", "header.example"),
            ("OPTIONS", "*", "*", "*", "header.example"),
            ("GET", "http://uri.example:8080/a?b=1", "/a?b=1", "/a", "uri.example:8080"),
            ("GET", "http://uri.example", "/", "/", "uri.example"),
            ("CONNECT", "uri.example:443", "uri.example:443", "uri.example:443", "uri.example:443"),
            ("CONNECT", "https://uri.example/chat", "/chat", "/chat", "uri.example"),
        ] {
            let request = request(method, uri, Version::HTTP_11);
            let check =
                |view: &dyn Fn(&str) -> Option<Vec<u8>>| assert_eq!(view("HOST"), Some(host.into()), "{uri}");
            assert_eq!(
                (RequestView::method(&request), request.target(), request.path()),
                (method, target, path)
            );
            check(&|name| request.only(name).map(<[u8]>::to_vec));
            let (parts, ()) = request.into_parts();
            assert_eq!((RequestView::method(&parts), parts.target(), parts.path()), (method, target, path));
            check(&|name| parts.only(name).map(<[u8]>::to_vec));
        }
    }

    #[test]
    fn values_in_order_without_white_space() {
        let request = request("GET", "/", Version::HTTP_10);
        assert_eq!(request.values("X").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((request.only("x"), request.only("not a name")), (None, None));
        assert_eq!(request.version_minor(), 0);
        assert_eq!(self::request("GET", "/", Version::HTTP_2).version_minor(), 1);
        let response = Response::builder().status(426).header("Upgrade", "websocket").body(()).unwrap();
        assert_eq!(
            (ResponseView::status(&response), response.only("upgrade")),
            (426, Some(&b"websocket"[..]))
        );
    }
}
