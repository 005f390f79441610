//! The client's end of a WebSocket, over any stream.

use core::time::Duration;

use stillwire::{
    http::{self, Answer, Fetch},
    ws,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Connection, Error, clock::entropy};

/// What a client says and expects when it opens a WebSocket.
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
///     if let ws::Event::Text(text) = event { println!("{text}") }
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
    /// The most bytes that wait unread, and so the bound of a message. Default: 1 MiB + 1 KiB.
    pub inbox: usize,
    /// The most bytes that wait to be sent. Default: 2 MiB.
    pub outbox: usize,
}

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The stream failed, or what came is no HTTP.
    #[error(transparent)]
    Http(#[from] Error<http::Error>),
    /// The server refused, or agreed to something else than what was offered.
    #[error(transparent)]
    Upgrade(#[from] ws::UpgradeError),
    /// Host, target or headers cannot be sent.
    #[error(transparent)]
    Request(#[from] http::SendError),
    /// The server closed without an answer.
    #[error("the server closed without an answer")]
    NoAnswer,
    /// The server took longer than [`Opening::within`].
    #[error("the server did not answer in time")]
    TimedOut,
}

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
            inbox: (1 << 20) + 1024,
            outbox: 2 << 20,
        }
    }

    /// Does the handshake over `stream`. With the connection comes the index of the subprotocol that the server chose.
    ///
    /// # Errors
    /// [`OpenError`]; the stream is dropped.
    pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(Connection<S, ws::Connection>, Option<usize>), OpenError> {
        tokio::time::timeout(self.within, self.shake_hands(stream)).await.map_err(|_| OpenError::TimedOut)?
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(Connection<S, ws::Connection>, Option<usize>), OpenError> {
        let mut entropy = entropy();
        let offer = ws::Offer::new(&mut entropy, &self.config);
        let mut http = Connection::new(stream, Fetch::new(http::Config::default()), self.inbox, self.outbox);
        let (fetch, outbox) = (&mut http.link.machine, &mut http.link.outbox);
        offer.send(fetch, self.host, self.target, self.subprotocols, self.headers, outbox)?;
        let agreement = loop {
            match http.next().await? {
                Some((Answer::Head(head), _)) => break offer.check(&head, self.subprotocols)?,
                Some(_) => {}
                None => return Err(OpenError::NoAnswer),
            }
        };
        let config = self.config.clone();
        Ok((http.switch(|_| agreement.connection(config, entropy)), agreement.subprotocol))
    }
}
