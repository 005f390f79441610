//! From a URL to a stream: names, addresses, a proxy, TLS.

use core::{future::Future, net::SocketAddr, time::Duration};
use std::io;

use stillwire::{
    Machine,
    http::{self, Url},
};
use tokio::{net::TcpStream, task::JoinSet, time};

use crate::{ConnectError, Connection, MaybeTls, Proxy, Route, Step};

/// RFC 8305 §5: the Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);

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

impl Route {
    pub(crate) async fn open(&self, url: &Url<'_>) -> Result<MaybeTls, ConnectError> {
        // What cannot succeed does not begin.
        if url.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        let socket = match &self.proxy {
            None => self.tcp(url).await?,
            Some(proxy) => {
                let socket = self.tcp(&proxy.at()?).await?;
                within(Step::Proxy, self.waits.proxy, tunnel(proxy, url, socket)).await?
            }
        };
        #[cfg(feature = "tls")]
        if url.is_secure() {
            let config = self.tls.clone().map_or_else(crate::tls::client, Ok)?;
            let name = url.host().to_owned().try_into();
            let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let handshake = tokio_rustls::TlsConnector::from(config).connect(name, socket);
            let tls = within(Step::Tls, self.waits.tls, handshake).await?;
            return Ok(MaybeTls::Tls(Box::new(tls.into())));
        }
        Ok(MaybeTls::Tcp(socket))
    }

    async fn tcp(&self, to: &Url<'_>) -> Result<TcpStream, ConnectError> {
        let found = tokio::net::lookup_host((to.host(), to.port()));
        let mut addresses = Vec::from_iter(within(Step::Resolve, self.waits.resolve, found).await?);
        http::alternate_families(&mut addresses);
        within(Step::Connect, self.waits.connect, race(addresses)).await
    }
}

async fn tunnel(proxy: &Proxy, to: &Url<'_>, socket: TcpStream) -> Result<TcpStream, ConnectError> {
    let fetch = http::Fetch::new(http::Config::default());
    let mut connection = Connection::new(socket, fetch, 16 << 10, 16 << 10);
    let link = &mut connection.link;
    proxy.ask(to, &mut link.machine, &mut link.outbox)?;
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

/// Connects to the first of the addresses that answers. Each begins a quarter of a second after the one before, or as soon
/// as that one has failed (RFC 8305 §5).
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
