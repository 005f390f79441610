//! The heads of hyper's requests, as the handshakes see them.

use std::net::{Ipv4Addr, SocketAddr};

use http::{Extensions, Request, header::HOST, request::Parts};
use stillwire::http::RequestView;

/// A head of the `http` crate with what hyper keeps beside it: the `:protocol` of an extended CONNECT (RFC 8441 §4).
///
/// ```
/// use http::Request;
/// use hyper::ext::Protocol;
/// use stillwire::{http::RequestView, ws};
/// use stillwire_hyper::View;
///
/// let request = Request::connect("https://a.example/chat")
///     .extension(Protocol::from_static("websocket"))
///     .header("sec-websocket-version", "13")
///     .body(())?;
/// let view = View::of(&request);
/// assert_eq!((view.protocol(), view.path(), view.only("host")), (Some("websocket"), "/chat", Some(&b"a.example"[..])));
/// assert_eq!(ws::Accept::new(&view, &[], &ws::Config::default())?.http_status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct View<'a, R> {
    head: &'a R,
    protocol: Option<&'a str>,
}

impl<'a, B> View<'a, Request<B>> {
    /// The head of a whole request.
    pub fn of(request: &'a Request<B>) -> Self {
        Self { head: request, protocol: protocol(request.extensions()) }
    }
}

impl<'a> View<'a, Parts> {
    /// A head without its body.
    #[must_use]
    pub fn of_parts(parts: &'a Parts) -> Self {
        Self { head: parts, protocol: protocol(&parts.extensions) }
    }
}

fn protocol(extensions: &Extensions) -> Option<&str> {
    extensions.get::<hyper::ext::Protocol>().map(hyper::ext::Protocol::as_str)
}

impl<R: RequestView> RequestView for View<'_, R> {
    fn method(&self) -> &str {
        self.head.method()
    }

    fn target(&self) -> &str {
        self.head.target()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.head.values(name)
    }

    fn version_minor(&self) -> u8 {
        self.head.version_minor()
    }

    fn protocol(&self) -> Option<&str> {
        self.protocol
    }
}

/// Where a request came from, as an extension of it: what [`Peer::request`](stillwire_tokio::Peer::request) tells then.
/// The loop that accepts connections knows it; axum's `ConnectInfo<SocketAddr>` is as good. Without either it is
/// `0.0.0.0:0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(pub SocketAddr);

fn address(extensions: &Extensions) -> SocketAddr {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return info.0;
    }
    extensions.get::<Address>().map_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into(), |address| address.0)
}

/// The head as a peer keeps it. The authority of HTTP/2 is a `host` header there.
pub(crate) fn owned<B>(request: &Request<B>) -> stillwire_tokio::Request {
    let authority = request.uri().authority().map(|authority| (HOST, authority.as_str().as_bytes()));
    let headers = request.headers().iter().map(|(name, value)| (name.clone(), value.as_bytes()));
    let headers = headers.filter(|(name, _)| authority.is_none() || name != HOST);
    stillwire_tokio::Request {
        method: RequestView::method(request).to_owned(),
        target: request.target().to_owned(),
        headers: authority
            .iter()
            .cloned()
            .chain(headers)
            .map(|(name, value)| (name.as_str().to_owned(), value.to_vec()))
            .collect(),
        address: address(request.extensions()),
        body: Vec::new(),
    }
}
