//! What the application sees of requests, and what it answers.

use core::{fmt, future::Future, pin::Pin};
use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use stillwire::http::{RequestHead, RequestView};

use crate::{Carrier, Handle};

/// The head of a request, and for [`Config::on_request`](crate::Config::on_request) its body.
///
/// [`RequestView`] reads it: `request.path()`, `request.query("room")`, `request.header("cookie")`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, in the case it came in.
    pub method: String,
    /// The target as it stands in the request line.
    pub target: String,
    /// The other end of the TCP connection; behind a proxy that is the proxy.
    pub address: SocketAddr,
    /// The body; empty for what becomes a peer.
    pub body: Vec<u8>,
    /// Names and values, in order.
    pub headers: Headers,
}

impl Request {
    pub(crate) fn new(head: &RequestHead<'_>, address: SocketAddr) -> Self {
        Self {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            headers: head.headers().collect(),
            address,
            body: Vec::new(),
        }
    }
}

/// Headers in one piece of memory, because a peer keeps those of its request: a third of what a string for each takes.
///
/// ```
/// let headers: stillwire_tokio::Headers = [("accept", "text/event-stream")].into_iter().collect();
/// assert_eq!(headers.iter().next(), Some(("accept", &b"text/event-stream"[..])));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(
    /// `name:value\n` each.
    Box<[u8]>,
);

impl Headers {
    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
            Some((core::str::from_utf8(name).ok()?, value))
        })
    }
}

/// What can be no header (a colon or a line break in the name, a line break in the value) is left out.
impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(headers: T) -> Self {
        let mut bytes = Vec::new();
        for (name, value) in headers {
            let (name, value) = (name.as_ref(), value.as_ref());
            if !name.contains([':', '\n']) && !value.contains(&b'\n') {
                bytes.extend([name.as_bytes(), b":", value, b"\n"].into_iter().flatten());
            }
        }
        Self(bytes.into())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

impl RequestView for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An answer of the application.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Names and values; `content-length` and `connection` are written by the server.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The carrier that this exchange belongs to in [`Handle::traffic`](crate::Handle::traffic): it counts as one
    /// request and one message of it. Default: none.
    pub carrier: Option<Carrier>,
}

impl Response {
    /// An answer without headers and without a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), carrier: None }
    }

    /// An answer with a body of a type: `Response::with(200, "text/html; charset=utf-8", PAGE)`.
    #[must_use]
    pub fn with(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(status).header("content-type", content_type) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Counted for a carrier.
    #[must_use]
    pub const fn counted_for(mut self, carrier: Carrier) -> Self {
        self.carrier = Some(carrier);
        self
    }
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers the requests that are none of the three transports.
#[derive(Clone)]
pub(crate) struct OnRequest(Arc<dyn Fn(Request, Handle) -> Answering + Send + Sync>);

impl OnRequest {
    pub(crate) fn new<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn(Request, Handle) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |request, handle| Box::pin(answer(request, handle))))
    }

    pub(crate) async fn answer(&self, request: Request, handle: Handle) -> Response {
        (self.0)(request, handle).await
    }
}

type Asking = dyn Fn(Carrier, &Request) -> Result<(), Response> + Send + Sync;

/// Looks at whoever wants to become a peer.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Asking>);

impl Gate {
    pub(crate) fn new(
        gate: impl Fn(Carrier, &Request) -> Result<(), Response> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(gate))
    }

    pub(crate) fn ask(&self, carrier: Carrier, request: &Request) -> Result<(), Response> {
        (self.0)(carrier, request)
    }
}

impl fmt::Debug for OnRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRequest(..)")
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(..)")
    }
}
