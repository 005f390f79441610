//! Opening a WebSocket.

use core::time::Duration;
use std::io;
use std::net::TcpStream;

use stillwire::http::{self, UrlError};
use stillwire::{Inbox, Outbox, ws};

use crate::dial::{MaybeTls, late};
use crate::{Connection, Error, Route, Socket, Step, entropy};

/// A WebSocket on a blocking socket: what [`Connect`] (over [`MaybeTls`]), [`Opening`] and [`Accept`](crate::Accept) make.
pub type WebSocket<S = TcpStream> = Connection<'static, ws::Connection, S>;

/// Opens a WebSocket to `ws://host:port/path?query` or, with the feature `tls`, `wss://…`, with the defaults of
/// [`Connect`].
///
/// # Errors
/// [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<MaybeTls>, ConnectError> {
    Ok(Connect::new(url).open()?.0)
}

/// Which server to open a WebSocket to, and how. Change what you need of [`Connect::new`].
///
/// ```no_run
/// use stillwire::ws;
/// use stillwire_std::{Connect, Proxy, Route};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connect = Connect::new("ws://chat.example/room/7");
/// connect.headers = &[("Cookie", "token=7")];
/// connect.route = Route::default().via(Proxy::new("http://proxy.example:3128").basic("me", "secret")?);
/// connect.redirects = 3;
/// let (mut socket, _subprotocol) = connect.open()?;
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
    /// `ws://host:port/path?query`, or `wss://…` with the feature `tls`. The port is 80, or 443, if there is none.
    pub url: &'a str,
    /// Subprotocols in the order of preference. Default: none.
    pub subprotocols: &'a [&'a str],
    /// More headers: `Origin`, cookies, authorisation. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// The limits and waits of the connection. It is kept alive by pings, see [`ws::Config::ping_every`].
    pub config: ws::Config,
    /// How to get there: waits, a proxy, whom to trust.
    pub route: Route,
    /// How many redirections are followed. To another origin [credentials](http::is_credential) do not go along.
    /// Default: none; a browser follows none, either.
    pub redirects: u8,
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
    /// The URL, or that of the proxy, is none that can be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// `wss:` without the feature `tls`.
    #[error("this program was built without TLS")]
    NoTls,
    /// There is no way to check certificates.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// A step took longer than [`Waits`](crate::Waits) allow.
    #[error("{0:?} took too long")]
    TimedOut(Step),
    /// The server cannot be reached, or the connection failed; or, of the kind
    /// [`InvalidData`](io::ErrorKind::InvalidData), TLS did.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The proxy answered with this status: 407 wants [credentials](crate::Proxy::basic).
    #[error("the proxy answered with status {0}")]
    Proxy(u16),
    /// What was to be sent cannot be sent: the host, the target, a header or a subprotocol.
    #[error("the request cannot be sent")]
    Request(#[from] http::SendError),
    /// The answer is no HTTP.
    #[error("the server's answer is not understood")]
    Http(#[from] http::Error),
    /// The answer is a redirection that cannot be followed.
    #[error(transparent)]
    Redirect(#[from] http::RedirectError),
    /// The answer is no upgrade: a refusal, a redirection too many, or a server that does it wrong.
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

impl<'a> Connect<'a> {
    /// The defaults, for this URL.
    #[must_use]
    pub fn new(url: &'a str) -> Self {
        let Opening { subprotocols, headers, config, inbox, outbox, .. } = Opening::new("");
        Self { url, subprotocols, headers, config, route: Route::default(), redirects: 0, inbox, outbox }
    }

    /// Connects and opens the WebSocket. Gives the subprotocol that the server chose, too.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn open(&self) -> Result<(WebSocket<MaybeTls>, Option<&'a str>), ConnectError> {
        let mut redirects = http::Redirects::new(self.url, self.headers, self.redirects)?;
        loop {
            let here = redirects.clone();
            let url = here.url();
            if !matches!(url.scheme(), "ws" | "wss") {
                return Err(UrlError::Scheme.into());
            }
            let mut opening = Opening::new(url.authority());
            (opening.target, opening.headers, opening.subprotocols) =
                (url.target(), here.headers(), self.subprotocols);
            (opening.config, opening.within) = (self.config.clone(), self.route.waits.answer);
            (opening.inbox, opening.outbox) = (self.inbox, self.outbox);
            let opened = opening.shake_hands(self.route.open(&url)?, |head| redirects.follow(head))?;
            if let Some((socket, chosen)) = opened {
                return Ok((socket, chosen.and_then(|chosen| self.subprotocols.get(chosen).copied())));
            }
        }
    }
}

/// How to open a WebSocket over a socket that is connected already. Change what you need of [`Opening::new`];
/// [`Connect`] does all that comes before.
///
/// ```no_run
/// use stillwire_std::Opening;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = std::net::TcpStream::connect("127.0.0.1:9001")?; // or a Unix socket, or TLS of your own
/// let (mut websocket, _subprotocol) = Opening::new("127.0.0.1:9001").open(socket)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opening<'a> {
    /// The `Host` header: the server's name, and the port unless it is the scheme's.
    pub host: &'a str,
    /// Path and query. Default: `/`.
    pub target: &'a str,
    /// Subprotocols in the order of preference. Default: none.
    pub subprotocols: &'a [&'a str],
    /// More headers: `Origin`, cookies, authorisation. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// How long it may take to get the first byte of the answer, and then its head. Default: 10 s.
    pub within: Duration,
    /// The limits and waits of the connection.
    pub config: ws::Config,
    /// As [`Connect::inbox`].
    pub inbox: usize,
    /// As [`Connect::outbox`].
    pub outbox: usize,
}

impl<'a> Opening<'a> {
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

    /// Opens a WebSocket. Gives the subprotocol that the server chose, too.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn open<S: Socket>(&self, socket: S) -> Result<(WebSocket<S>, Option<&'a str>), ConnectError> {
        let opened = self.shake_hands(socket, |_| Ok(false))?;
        let (socket, chosen) = opened.ok_or(ws::UpgradeError::NoUpgrade)?; // nothing was followed
        Ok((socket, chosen.and_then(|chosen| self.subprotocols.get(chosen).copied())))
    }

    /// Asks for the upgrade. With the WebSocket comes the number of the subprotocol; `None`: the answer is followed.
    #[allow(clippy::type_complexity)]
    fn shake_hands<S: Socket>(
        &self,
        socket: S,
        mut follow: impl FnMut(&http::ResponseHead<'_>) -> Result<bool, http::RedirectError>,
    ) -> Result<Option<(WebSocket<S>, Option<usize>)>, ConnectError> {
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
        let agreement = match connection.next().map_err(|error| late(error, Step::Answer))? {
            Some((http::Answer::Head(head), _)) if follow(&head)? => return Ok(None),
            Some((http::Answer::Head(head), _)) => offer.check(&head, self.subprotocols)?,
            _ => return Err(http::Error::NoAnswer.into()),
        };
        let (config, chosen) = (self.config.clone(), agreement.subprotocol);
        Ok(Some((connection.switch(|_| agreement.connection(config, entropy)), chosen)))
    }
}
