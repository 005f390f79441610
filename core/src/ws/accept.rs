//! The server's side of the handshake (RFC 6455 §4.2).

use super::{
    Config, Connection, UpgradeError,
    upgrade::{KEY, accept_for, key},
};
#[cfg(feature = "deflate")]
use super::{Deflate, upgrade::Text128};
use crate::{
    Outbox,
    http::{RequestView, SendError, head_and_body, is_token},
};

/// More subprotocols than anybody offers; it keeps the search for duplicates short.
const MAX_SUBPROTOCOLS: usize = 32;

const SUBPROTOCOLS: &str = "sec-websocket-protocol";
const FRONT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ";

/// A request that may be upgraded, and the answer to it.
///
/// **Look at the origin, too.** Browsers let any page open a WebSocket to any host and send that host's cookies along
/// (cross-site WebSocket hijacking, RFC 6455 §10.2). Where cookies mean something, refuse what is not
/// [`is_same_origin`], or compare `request.only("origin")` with the origins that you know, and refuse with
/// [`UpgradeError::Origin`].
///
/// ```
/// use stillwire::{Outbox, ws};
///
/// let config = ws::Config::default();
/// let mut table = [httparse::EMPTY_HEADER; 16];
/// let mut request = httparse::Request::new(&mut table);
/// request.parse(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Origin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
///     Sec-WebSocket-Version: 13\r\n\r\n")?;
///
/// assert!(ws::is_same_origin(&request));
/// let accept = ws::Accept::new(&request, &["superchat", "chat"], &config)?;
/// assert_eq!(accept.subprotocol(), Some("chat")); // the client's first choice that we know
///
/// let mut storage = [0; 512];
/// let mut outbox = Outbox::new(&mut storage);
/// accept.write(&[], &mut outbox)?;
/// assert_eq!(outbox.chunk(), b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///     Sec-WebSocket-Protocol: chat\r\n\r\n");
/// let server = accept.connection(config); // behind the answer goes the first frame
/// assert!(server.is_open());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Another HTTP stack
/// It writes the answer itself: [`http_status`](Self::http_status) and [`headers`](Self::headers) are all of it. Over
/// HTTP/2 and HTTP/3 a browser opens a WebSocket with an extended CONNECT (RFC 8441, RFC 9220): the same checks with the
/// rules of those, where [`RequestView::protocol`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accept<'a> {
    /// What answers the key; a CONNECT has none.
    value: Option<[u8; 28]>,
    subprotocol: Option<&'a str>,
    /// The settings in force, and the answer that says so.
    #[cfg(feature = "deflate")]
    deflate: Option<(Deflate, Text128)>,
}

impl<'a> Accept<'a> {
    /// Checks a request strictly. Of the subprotocols that it lists, the first one that is also `offered` is chosen;
    /// none when there is none. `config` says which extensions may be used.
    ///
    /// # Errors
    /// The first thing that is wrong; answer with its [`http_status`](UpgradeError::http_status) and
    /// [`headers`](UpgradeError::headers), and close.
    pub fn new(
        request: &impl RequestView,
        offered: &[&'a str],
        config: &Config,
    ) -> Result<Self, UpgradeError> {
        let value = match request.method() {
            "GET" => Some(accept_for(upgraded(request)?)),
            "CONNECT" if request.protocol().is_some() => {
                connected(request)?;
                None
            }
            _ => return Err(UpgradeError::Method),
        };
        #[cfg(not(feature = "deflate"))]
        let _ = config;
        Ok(Self {
            value,
            subprotocol: choose(request, offered)?,
            #[cfg(feature = "deflate")]
            deflate: config
                .deflate
                .and_then(|deflate| deflate.accept(request.values("sec-websocket-extensions"))),
        })
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
    }

    /// The value of Sec-WebSocket-Accept; empty for an extended CONNECT, which has no key.
    #[must_use]
    pub fn value(&self) -> &str {
        self.value.as_ref().and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default()
    }

    /// The value of Sec-WebSocket-Extensions: what was agreed on, if anything.
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        #[cfg(feature = "deflate")]
        if let Some((_, answer)) = &self.deflate {
            return Some(answer.as_str());
        }
        None
    }

    /// The status of the answer, for another HTTP stack: 101, or 200 for an extended CONNECT (RFC 8441 §5).
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        if self.value.is_some() { 101 } else { 200 }
    }

    /// The headers of the answer, for another HTTP stack, in lower case. Add your own behind them, no body.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let upgrade = self.value.is_some().then_some([
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", self.value()),
        ]);
        let chosen = self.subprotocol.map(|name| ("sec-websocket-protocol", name));
        let extensions = self.extensions().map(|value| ("sec-websocket-extensions", value));
        upgrade.into_iter().flatten().chain(chosen).chain(extensions)
    }

    /// The server's side of the connection, with what was agreed on; `config` as it was given to [`new`](Self::new).
    /// Right for an upgraded stream of another HTTP stack, too.
    #[must_use]
    pub fn connection(&self, config: Config) -> Connection {
        #[cfg(feature = "deflate")]
        if let Some((deflate, _)) = self.deflate {
            return Connection::server(config).with(deflate);
        }
        Connection::server(config)
    }

    /// Writes the answer, with `headers` of your own (cookies) in it. Behind it goes the first frame: it is time for
    /// `link.switch(|_| accept.connection(config))`.
    ///
    /// # Errors
    /// [`SendError::BadHeader`] for a name that is no token, a value with a control character in it, and the headers
    /// that belong to the handshake (`sec-websocket-*`, `connection`, `upgrade`) or to a body
    /// (`content-length`, `transfer-encoding`). [`SendError::Full`]. [`SendError::NotYourTurn`] for an extended
    /// CONNECT: only an HTTP/2 stack can answer it.
    pub fn write(&self, headers: &[(&str, &str)], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        let value = self.value.as_ref().ok_or(SendError::NotYourTurn)?;
        if !headers.iter().all(|(name, value)| may_be_added(name, value)) {
            return Err(SendError::BadHeader);
        }
        let name = |name: &'static [u8], value: Option<&str>| if value.is_some() { name } else { b"" };
        let (subprotocol, extensions) = (self.subprotocol, self.extensions());
        let first = [
            FRONT,
            value,
            name(b"\r\nSec-WebSocket-Protocol: ", subprotocol),
            subprotocol.unwrap_or_default().as_bytes(),
            name(b"\r\nSec-WebSocket-Extensions: ", extensions),
            extensions.unwrap_or_default().as_bytes(),
        ];
        Ok(head_and_body(&first, headers, &[b"\r\n\r\n"], &[], outbox)?)
    }
}

/// RFC 6455 §4.2.1: everything but the method. Gives the key.
fn upgraded(request: &impl RequestView) -> Result<&[u8; KEY], UpgradeError> {
    if request.version_minor() < 1 {
        return Err(UpgradeError::HttpVersion);
    }
    if request.only("host").is_none_or(<[u8]>::is_empty) {
        return Err(UpgradeError::Host);
    }
    if !request.has_token("upgrade", "websocket") || !request.has_token("connection", "upgrade") {
        return Err(UpgradeError::NoUpgrade);
    }
    if request.only("sec-websocket-version") != Some(b"13") {
        return Err(UpgradeError::Version);
    }
    let key = request.only("sec-websocket-key").and_then(key).ok_or(UpgradeError::Key)?;
    if request.header("transfer-encoding").is_some() || request.values("content-length").any(|n| n != b"0") {
        return Err(UpgradeError::Body);
    }
    Ok(key)
}

/// RFC 8441 §5: a host is there already (`:authority`), a key has no meaning, and the stream is the connection, so
/// there is no body that could be taken for frames.
fn connected(request: &impl RequestView) -> Result<(), UpgradeError> {
    if request.protocol() != Some("websocket") {
        return Err(UpgradeError::Protocol);
    }
    if request.header("upgrade").is_some() || request.header("connection").is_some() {
        return Err(UpgradeError::Connect);
    }
    if request.only("sec-websocket-version") != Some(b"13") {
        return Err(UpgradeError::Version);
    }
    if request.header("transfer-encoding").is_some() || request.header("content-length").is_some() {
        return Err(UpgradeError::Body);
    }
    Ok(())
}

/// Whether the page that opened the connection came from this very host: `Origin` and `Host` name the same authority
/// (RFC 6455 §10.2). True without `Origin`, which means that it is no browser.
///
/// Behind a proxy that changes `Host`, compare with what you know instead.
#[must_use]
pub fn is_same_origin(request: &impl RequestView) -> bool {
    if request.header("origin").is_none() {
        return true;
    }
    let (Some(origin), Some(host)) = (request.only("origin"), request.only("host")) else { return false };
    let (authority, port) = match (strip_prefix(origin, b"http://"), strip_prefix(origin, b"https://")) {
        (Some(authority), _) => (authority, &b":80"[..]),
        (_, Some(authority)) => (authority, &b":443"[..]),
        _ => return false,
    };
    // A browser leaves the default port out of both; others may not.
    let bare = |name: &'_ [u8]| name.len() - if name.ends_with(port) { port.len() } else { 0 };
    let authority = authority.get(..bare(authority)).unwrap_or_default();
    let host = host.get(..bare(host)).unwrap_or_default();
    !host.is_empty() && authority.eq_ignore_ascii_case(host)
}

fn strip_prefix<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// §4.2.2, 5.5: the client lists them in its order of preference.
fn choose<'a>(request: &impl RequestView, offered: &[&'a str]) -> Result<Option<&'a str>, UpgradeError> {
    let (mut chosen, mut count) = (None, 0);
    for list in request.values(SUBPROTOCOLS) {
        for token in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            count += 1;
            if count > MAX_SUBPROTOCOLS || !is_token(token) || times(request, token) != 1 {
                return Err(UpgradeError::Subprotocols);
            }
            chosen = chosen.or_else(|| offered.iter().find(|offer| offer.as_bytes() == token).copied());
        }
    }
    Ok(chosen)
}

/// How often the client lists it.
fn times(request: &impl RequestView, token: &[u8]) -> usize {
    let mut times = 0;
    for list in request.values(SUBPROTOCOLS) {
        for other in list.split(|byte| *byte == b',') {
            times += usize::from(other.trim_ascii() == token);
        }
    }
    times
}

/// Whether an application may put this header into the answer.
fn may_be_added(name: &str, value: &str) -> bool {
    const OURS: [&str; 4] = ["connection", "upgrade", "content-length", "transfer-encoding"];
    let ours = OURS.iter().any(|other| name.eq_ignore_ascii_case(other))
        || strip_prefix(name.as_bytes(), b"sec-websocket-").is_some();
    is_token(name.as_bytes()) && !ours && value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}
