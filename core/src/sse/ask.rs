//! A request that an event source wants to have made.

use alloc::{string::String, vec::Vec};

use crate::{
    Outbox, Text,
    http::{self, Fetch, Url},
};

/// What an application asks for: its method, headers and body.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) method: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}

/// A request to make on a new connection: to whom, and what to say. Tell the
/// [`EventSource`](super::EventSource) how it went.
///
/// Over our own HTTP, [`send`](Self::send) does it; for another client there are the parts.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub(super) url: Url<'a>,
    pub(super) wanted: &'a Wanted,
    /// A redirection turned it into a GET.
    pub(super) as_get: bool,
    /// A redirection led away from the origin that was asked for.
    pub(super) foreign: bool,
    pub(super) last_event_id: Text<'a>,
}

impl<'a> Ask<'a> {
    /// Where to connect to. `https` needs TLS.
    #[must_use]
    pub fn url(&self) -> Url<'a> {
        self.url
    }

    /// `GET`, or what [`EventSource::ask`](super::EventSource::ask) was given.
    #[must_use]
    pub fn method(&self) -> &'a str {
        if self.as_get { "GET" } else { &self.wanted.method }
    }

    /// The body; empty for GET.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        if self.as_get { &[] } else { &self.wanted.body }
    }

    /// A redirection led to another origin than the one that was asked for: whoever adds credentials of its own to
    /// requests (cookies, a client certificate) leaves them out. [`headers`](Self::headers) has done so.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// All headers but those that an HTTP client writes itself (`Host`, `Content-Length`): `Accept`, `Cache-Control`,
    /// `Last-Event-ID` when there is one that a header can carry, and the application's, but these to nobody but the
    /// origin that they are meant for.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let id = self.last_event_id.as_str();
        // RFC 9110, 5.5. An ID with another control character in it cannot be told.
        let sendable = !id.is_empty() && !id.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
        let wanted = self.wanted;
        let (foreign, as_get) = (self.foreign, self.as_get);
        let given = move |name: &str| !foreign && wanted.has(name);
        let ours = [("accept", "text/event-stream"), ("cache-control", "no-cache")];
        let ours = ours.into_iter().filter(move |(name, _)| !given(name));
        let theirs = wanted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let theirs = theirs.filter(move |(name, _)| {
            let of_body = name.eq_ignore_ascii_case("content-type");
            if of_body { !as_get } else { !foreign }
        });
        ours.chain(sendable.then_some(("last-event-id", id))).chain(theirs)
    }

    /// The client's side of a new connection, with the request in `outbox`.
    ///
    /// It waits for the body without end: how long it may be silent is the event source's to say.
    ///
    /// # Errors
    /// [`http::SendError::Full`]: `outbox` is too small.
    pub fn send(&self, outbox: &mut Outbox<'_>) -> Result<Fetch, http::SendError> {
        let config = http::Config { wait_within: core::time::Duration::MAX, ..http::Config::default() };
        let mut fetch = Fetch::new(config);
        let host = [("host", self.url.authority())];
        let headers: Vec<_> = host.into_iter().chain(self.headers()).collect();
        fetch.request(self.method(), self.url.target(), &headers, &[self.body()], outbox)?;
        Ok(fetch)
    }
}

/// Shows no credentials.
impl core::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}://{}", self.method(), self.url.scheme(), self.url.authority())
    }
}
