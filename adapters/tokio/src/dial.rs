//! From a URL to a stream: names, addresses, a proxy, TLS.

use core::{future::Future, net::SocketAddr, time::Duration};
use std::io;

use stillwire::{
    Machine,
    http::{self, Url, UrlError},
};
use tokio::{net::TcpStream, task::JoinSet, time};

use crate::{ConnectError, Connection, MaybeTls};

/// RFC 8305 §5: the Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);

/// How long each step of a connection may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waits {
    /// To find the addresses of a name. Default: 5 s.
    pub resolve: Duration,
    /// To connect, all addresses together. Each begins a quarter of a second after the one before, or as soon as that one
    /// has failed (RFC 8305 §5). Default: 10 s.
    pub connect: Duration,
    /// For a proxy to make the tunnel. Default: 10 s.
    pub proxy: Duration,
    /// To shake hands for TLS. Default: 10 s.
    pub tls: Duration,
    /// To get the head of the answer. Default: 10 s.
    pub answer: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { resolve: Duration::from_secs(5), connect: ten, proxy: ten, tls: ten, answer: ten }
    }
}

/// What took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// To find the addresses of the name.
    Resolve,
    /// To connect to one of them.
    Connect,
    /// The tunnel of the proxy.
    Proxy,
    /// The handshake of TLS.
    Tls,
    /// The head of the answer.
    Answer,
}

/// An HTTP proxy that makes tunnels (`CONNECT`, RFC 9110, 9.3.6). It is never looked up in the environment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Proxy<'a> {
    /// `http://host:port`.
    pub url: &'a str,
    /// Name and password, if it wants some (RFC 7617). Default: none.
    pub basic: Option<(&'a str, &'a str)>,
}

impl<'a> Proxy<'a> {
    /// A proxy that asks for nothing.
    #[must_use]
    pub fn new(url: &'a str) -> Self {
        Self { url, basic: None }
    }

    /// With a name and a password.
    #[must_use]
    pub fn basic(self, user: &'a str, password: &'a str) -> Self {
        Self { basic: Some((user, password)), ..self }
    }
}

/// All that is needed besides the URL.
pub(crate) struct Dial<'a> {
    pub(crate) waits: &'a Waits,
    pub(crate) proxy: Option<Proxy<'a>>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<&'a std::sync::Arc<crate::tls::rustls::ClientConfig>>,
}

/// A step, and no longer than it may take.
pub(crate) async fn within<T, E>(
    step: Step,
    limit: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, ConnectError>
where
    ConnectError: From<E>,
{
    Ok(time::timeout(limit, future).await.map_err(|_| ConnectError::TimedOut(step))??)
}

impl Dial<'_> {
    pub(crate) async fn open(&self, url: &Url<'_>) -> Result<MaybeTls, ConnectError> {
        // What cannot succeed does not begin.
        if url.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        let socket = match self.proxy {
            None => self.tcp(url.host(), url.port()).await?,
            Some(proxy) => self.tunnel(proxy, url).await?,
        };
        #[cfg(feature = "tls")]
        if url.is_secure() {
            let config = self.tls.cloned().map_or_else(crate::tls::client, Ok)?;
            let name = url.host().to_owned().try_into();
            let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let handshake = tokio_rustls::TlsConnector::from(config).connect(name, socket);
            let tls = within(Step::Tls, self.waits.tls, handshake).await?;
            return Ok(MaybeTls::Tls(Box::new(tls.into())));
        }
        Ok(MaybeTls::Tcp(socket))
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let found = within(Step::Resolve, self.waits.resolve, tokio::net::lookup_host((host, port))).await?;
        let mut addresses = Vec::from_iter(found);
        http::alternate_families(&mut addresses);
        within(Step::Connect, self.waits.connect, race(addresses)).await
    }

    async fn tunnel(&self, proxy: Proxy<'_>, url: &Url<'_>) -> Result<TcpStream, ConnectError> {
        let at = Url::parse(proxy.url)?;
        if at.scheme() != "http" {
            return Err(UrlError::Scheme.into());
        }
        let (host, port) = (url.host(), url.port());
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let basic =
            proxy.basic.map(|(user, password)| http::basic_credentials(user, password)).transpose()?;
        let mut headers = vec![("Host", &*authority)];
        headers.extend(basic.as_deref().map(|value| ("Proxy-Authorization", value)));
        let socket = self.tcp(at.host(), at.port()).await?;
        within(Step::Proxy, self.waits.proxy, ask_for_tunnel(socket, &authority, &headers)).await
    }
}

async fn ask_for_tunnel(
    socket: TcpStream,
    authority: &str,
    headers: &[(&str, &str)],
) -> Result<TcpStream, ConnectError> {
    let fetch = http::Fetch::new(http::Config::default());
    let mut connection = Connection::new(socket, fetch, 16 << 10, 16 << 10);
    let link = &mut connection.link;
    link.machine.tunnel(authority, headers, &mut link.outbox)?;
    match connection.next().await? {
        Some((http::Answer::Head(head), _)) if (200..300).contains(&head.status()) => {}
        Some((http::Answer::Head(head), _)) => return Err(ConnectError::Proxy(head.status())),
        _ => return Err(http::Error::NoAnswer.into()),
    }
    let Connection { mut link, stream, .. } = connection;
    link.machine.release(&mut link.inbox);
    // The client speaks first, with or without TLS.
    if link.inbox.unread().is_empty() { Ok(stream) } else { Err(http::Error::Unsolicited.into()) }
}

/// Connects to the first of the addresses that answers (RFC 8305 §5).
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let (mut addresses, mut trying) = (addresses.into_iter(), JoinSet::new());
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.next() {
            Some(address) => drop(trying.spawn(TcpStream::connect(address))),
            None if trying.is_empty() => return Err(failed),
            None => {}
        }
        let next = if addresses.len() == 0 { Duration::MAX } else { STAGGER };
        match time::timeout(next, trying.join_next()).await {
            Ok(Some(Ok(Ok(socket)))) => {
                // Small messages must not wait for the acknowledgement of the ones before.
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Ok(Some(Ok(Err(error)))) => failed = error,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_first_address_that_answers_wins() {
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let socket = race(vec![dead, alive]).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), alive);
        assert!(socket.nodelay().unwrap());
        assert_eq!(race(vec![dead, dead]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(vec![]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
