//! The client's end of a WebSocket.

use core::time::Duration;
use std::io;

use stillwire::{
    http::{self, Answer, Fetch, UrlError},
    ws,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Connection, Error, Route, Step, WebSocket, clock::entropy, dial::within};

/// Opens a WebSocket to `ws://host:port/path?query` or, with the feature `tls`, `wss://…`, with the defaults of
/// [`Connect`]. The future may be dropped at any time: then there is no connection.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = stillwire_tokio::connect("ws://127.0.0.1:3000/ws").await?;
/// socket.send("hello").await?;
/// while let Some(message) = socket.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Connect::new(url).open().await
}

/// Which server to open a WebSocket to, and how. Change what you need of [`Connect::new`].
///
/// ```no_run
/// use stillwire_tokio::{Connect, Proxy, Route};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connect = Connect::new("ws://chat.example/room/7");
/// connect.headers = &[("Cookie", "token=7")];
/// connect.subprotocols = &["chat.v2", "chat.v1"];
/// connect.route = Route::default().via(Proxy::new("http://proxy.example:3128").basic("me", "secret")?);
/// connect.redirects = 3;
/// let mut socket = connect.open().await?;
/// assert!(socket.subprotocol().is_some_and(|chosen| chosen.starts_with("chat")));
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
        let Opening { subprotocols, headers, config, inbox, outbox, .. } = Opening::new("", "/");
        Self { url, subprotocols, headers, config, route: Route::default(), redirects: 0, inbox, outbox }
    }

    /// Connects and opens the WebSocket.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(&self) -> Result<WebSocket, ConnectError> {
        let mut redirects = http::Redirects::new(self.url, self.headers, self.redirects)?;
        loop {
            let here = redirects.clone();
            let url = here.url();
            if !matches!(url.scheme(), "ws" | "wss") {
                return Err(UrlError::Scheme.into());
            }
            let mut opening = Opening::new(url.authority(), url.target());
            (opening.headers, opening.subprotocols) = (here.headers(), self.subprotocols);
            (opening.config, opening.within) = (self.config.clone(), self.route.waits.answer);
            (opening.inbox, opening.outbox) = (self.inbox, self.outbox);
            let opened =
                opening.shake_hands(self.route.open(&url).await?, |head| redirects.follow(head)).await?;
            if let Some((connection, chosen)) = opened {
                let chosen = chosen.and_then(|chosen| self.subprotocols.get(chosen).copied());
                return Ok(WebSocket::new(connection).speaking(chosen));
            }
        }
    }
}

/// How to open a WebSocket over a stream that is connected already. [`Connect`] does all that comes before.
///
/// ```no_run
/// use stillwire::ws;
/// use stillwire_tokio::Opening;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let stream = tokio::net::TcpStream::connect("127.0.0.1:3000").await?;
/// let (mut connection, _) = Opening::new("127.0.0.1:3000", "/ws").open(stream).await?;
/// connection.link.machine.send_text("hello", &mut connection.link.outbox)?;
/// while let Some((event, _reply)) = connection.next().await? {
///     if let ws::Event::Text(text) = event { println!("{text}") } // a view: nothing is copied
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opening<'a> {
    /// The value of the `Host` header: `example.com`, `localhost:3000`.
    pub host: &'a str,
    /// Path and query: `/chat?room=7`.
    pub target: &'a str,
    /// The subprotocols to offer, best first. Default: none.
    pub subprotocols: &'a [&'a str],
    /// More headers, such as cookies or `Authorization`. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// Limits and waits of the connection.
    pub config: ws::Config,
    /// How long the server may take to answer. Default: 10 s.
    pub within: Duration,
    /// As [`Connect::inbox`].
    pub inbox: usize,
    /// As [`Connect::outbox`].
    pub outbox: usize,
}

type Opened<S> = (Connection<S, ws::Connection>, Option<usize>);

impl<'a> Opening<'a> {
    /// An opening with default limits, for `host` and `target`.
    #[must_use]
    pub fn new(host: &'a str, target: &'a str) -> Self {
        Self {
            host,
            target,
            subprotocols: &[],
            headers: &[],
            config: ws::Config::default(),
            within: Duration::from_secs(10),
            inbox: (1 << 20) + (4 << 10),
            outbox: 2 << 20,
        }
    }

    /// Does the handshake over `stream`. With the connection comes the index of the subprotocol that the server chose.
    /// [`WebSocket::new`] makes messages of it that you own.
    ///
    /// # Errors
    /// [`ConnectError`]; the stream is dropped.
    pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(Connection<S, ws::Connection>, Option<usize>), ConnectError> {
        let opened = self.shake_hands(stream, |_| Ok(false)).await?;
        Ok(opened.ok_or(ws::UpgradeError::NoUpgrade)?) // nothing was followed
    }

    /// `None`: the answer is followed.
    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        follow: impl FnMut(&http::ResponseHead<'_>) -> Result<bool, http::RedirectError>,
    ) -> Result<Option<Opened<S>>, ConnectError> {
        within(Step::Answer, self.within, self.ask(stream, follow)).await
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        mut follow: impl FnMut(&http::ResponseHead<'_>) -> Result<bool, http::RedirectError>,
    ) -> Result<Option<Opened<S>>, ConnectError> {
        let mut entropy = entropy();
        let offer = ws::Offer::new(&mut entropy, &self.config);
        let mut http = Connection::new(stream, Fetch::new(http::Config::default()), self.inbox, self.outbox);
        let (fetch, outbox) = (&mut http.link.machine, &mut http.link.outbox);
        offer.send(fetch, self.host, self.target, self.subprotocols, self.headers, outbox)?;
        let agreement = match http.next().await? {
            Some((Answer::Head(head), _)) if follow(&head)? => return Ok(None),
            Some((Answer::Head(head), _)) => offer.check(&head, self.subprotocols)?,
            _ => return Err(http::Error::NoAnswer.into()),
        };
        let (config, chosen) = (self.config.clone(), agreement.subprotocol);
        Ok(Some((http.switch(|_| agreement.connection(config, entropy)), chosen)))
    }
}
