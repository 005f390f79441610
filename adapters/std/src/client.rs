//! Opening a WebSocket.

use core::time::Duration;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};

use stillwire::{Inbox, Outbox, http, ws};

use crate::{Connection, Error, Socket, entropy};

/// A WebSocket on a blocking socket: what [`Connect`] and [`Accept`](crate::Accept) make.
pub type WebSocket<S = TcpStream> = Connection<'static, ws::Connection, S>;

/// What to ask a server for. Change what you need of [`Connect::new`].
///
/// ```no_run
/// use stillwire::ws;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = stillwire_std::connect("ws://127.0.0.1:9001/chat")?;
/// socket.link.machine.send_text("hello", &mut socket.link.outbox)?;
/// while let Some((event, _reply)) = socket.next()? {
///     if let ws::Event::Text(text) = event {
///         println!("{text}");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connect<'a> {
    /// The `Host` header: the server's name, and the port unless it is 80.
    pub host: &'a str,
    /// Path and query. Default: `/`.
    pub target: &'a str,
    /// Subprotocols in the order of preference. Default: none.
    pub subprotocols: &'a [&'a str],
    /// More headers: `Origin`, cookies, authorisation. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// How long each step may take: to connect, to get the first byte of the answer, to get its head. Default: 10 s.
    pub within: Duration,
    /// The limits and waits of the connection.
    pub config: ws::Config,
    /// The most bytes that wait to be understood, and so, less 139, the largest message that can be received.
    /// Default: 1 MiB and 4 KiB. Memory is taken as bytes arrive.
    pub inbox: usize,
    /// The most bytes that wait to be sent, and so, less some 145, the largest message that can be sent. Default: 2
    /// MiB. Memory is taken as bytes are written.
    pub outbox: usize,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It is no URL of the form `ws://host:port/path?query`. (`wss:` needs a [`Socket`] of yours, see
    /// [`Connect::over`].)
    #[error("not a ws: URL")]
    Url,
    /// The server cannot be reached, or the connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be sent cannot be sent: the host, the target, a header or a subprotocol.
    #[error("the request cannot be sent")]
    Request(#[from] http::SendError),
    /// The answer is no HTTP, or did not come in time.
    #[error("the server's answer is not understood")]
    Http(#[from] http::Error),
    /// The answer is no upgrade: a refusal, a redirection, or a server that does it wrong.
    #[error(transparent)]
    Upgrade(#[from] ws::UpgradeError),
}

impl From<Error<http::Error>> for ConnectError {
    fn from(error: Error<http::Error>) -> Self {
        match error {
            Error::Io(error) => Self::Io(error),
            Error::Protocol(error) => Self::Http(error),
        }
    }
}

/// Opens a WebSocket to `ws://host:port/path?query` with the defaults of [`Connect`]; the port is 80 if there is none.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    let (host, target) = parse(url).ok_or(ConnectError::Url)?;
    // A port is what follows the last colon, unless that colon is inside of an IPv6 address.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
    let (socket, _) = Connect { target: &target, ..Connect::new(host) }.connect(address)?;
    Ok(socket)
}

/// Connects to the first of the addresses that can be reached.
pub(crate) fn tcp(address: impl ToSocketAddrs, within: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, within) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The authority, and path and query.
fn parse(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_at_checked(5)?;
    // RFC 6455 §3: no fragment.
    if !scheme.eq_ignore_ascii_case("ws://") || rest.contains('#') {
        return None;
    }
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_good = !host.is_empty() && !host.contains('@');
    is_good.then_some((host, if target.is_empty() { "/" } else { target }))
}

impl<'a> Connect<'a> {
    /// The defaults, for this host.
    #[must_use]
    pub fn new(host: &'a str) -> Self {
        Self {
            host,
            target: "/",
            subprotocols: &[],
            headers: &[],
            within: Duration::from_secs(10),
            config: ws::Config::default(),
            inbox: (1 << 20) + (4 << 10),
            outbox: 2 << 20,
        }
    }

    /// Connects over TCP to the first of the addresses that can be reached, and opens a WebSocket. Gives the
    /// subprotocol that the server chose, too.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self, address: impl ToSocketAddrs) -> Result<(WebSocket, Option<&'a str>), ConnectError> {
        self.over(tcp(address, self.within)?)
    }

    /// Opens a WebSocket over a socket that is connected already: a Unix socket, a proxy's tunnel, TLS.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn over<S: Socket>(&self, socket: S) -> Result<(WebSocket<S>, Option<&'a str>), ConnectError> {
        let mut entropy = entropy();
        let offer = ws::Offer::new(&mut entropy, &self.config);
        let mut waits = http::Config::default();
        (waits.head_within, waits.wait_within) = (self.within, self.within);
        let (inbox, outbox) = (Inbox::with_limit(self.inbox), Outbox::with_limit(self.outbox));
        let mut connection = Connection::new(socket, http::Fetch::new(waits), inbox, outbox);

        let link = &mut connection.link;
        offer.send(
            &mut link.machine,
            self.host,
            self.target,
            self.subprotocols,
            self.headers,
            &mut link.outbox,
        )?;
        let agreement = match connection.next()? {
            Some((http::Answer::Head(head), _)) => offer.check(&head, self.subprotocols)?,
            _ => return Err(http::Error::NoAnswer.into()),
        };
        let subprotocol = agreement.subprotocol.and_then(|chosen| self.subprotocols.get(chosen).copied());
        let config = self.config.clone();
        Ok((connection.switch(|_| agreement.connection(config, entropy)), subprotocol))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn urls() {
        assert_eq!(parse("ws://a"), Some(("a", "/")));
        assert_eq!(parse("WS://a:81/b?c"), Some(("a:81", "/b?c")));
        assert_eq!(parse("ws://[::1]:81?c"), Some(("[::1]:81", "?c")));
        for bad in
            ["", "ws:/a", "wss://a", "http://a", "ws://", "ws:///b", "ws://a#b", "ws://me@a/", "wé://a"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
