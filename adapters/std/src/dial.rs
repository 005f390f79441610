//! From a URL to a stream: names, addresses, a proxy, TLS.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Instant;

use stillwire::http::{self, Url, UrlError};
use stillwire::{Inbox, Machine, Outbox};

#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{ConnectError, Connection, Socket};

/// How long each step of a connection may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waits {
    /// To find the addresses of a name. The system's resolver cannot be stopped: what it says later is not heard.
    /// Default: 5 s.
    pub resolve: Duration,
    /// To connect, all addresses together: each gets its share of what is left. Default: 10 s.
    pub connect: Duration,
    /// For a proxy to make the tunnel. Default: 10 s.
    pub proxy: Duration,
    /// To shake hands for TLS. Default: 10 s.
    pub tls: Duration,
    /// To get the first byte of the answer, and then its head. Default: 10 s.
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
    /// The handshake of TLS.
    Tls,
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

/// What [`connect`](crate::connect) connects: TCP, and TLS over it where the URL says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum MaybeTls {
    /// Plain.
    Tcp(TcpStream),
    /// With the feature `tls`.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

impl MaybeTls {
    /// The TCP connection at the bottom, for its address.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.tcp(),
        }
    }
}

macro_rules! socket {
    ($socket:ty) => {
        impl Socket for $socket {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                each!(self, socket => Socket::read(&mut &*socket, into))
            }
            fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                each!(self, socket => Socket::write(&mut &*socket, slices))
            }
            fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                self.tcp().set_read_timeout(after)
            }
            fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                self.tcp().set_write_timeout(after)
            }
            fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
                each!(self, socket => Socket::shutdown(&mut &*socket, how))
            }
        }
    };
}

macro_rules! each {
    ($self:ident, $socket:ident => $do:expr) => {
        match $self {
            MaybeTls::Tcp($socket) => $do,
            #[cfg(feature = "tls")]
            MaybeTls::Tls(tls) => {
                let $socket = &**tls;
                $do
            }
        }
    };
}

socket!(MaybeTls);
socket!(&MaybeTls);

/// All that is needed besides the URL.
pub(crate) struct Dial<'a> {
    pub(crate) waits: &'a Waits,
    pub(crate) proxy: Option<Proxy<'a>>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<&'a std::sync::Arc<crate::tls::rustls::ClientConfig>>,
}

impl Dial<'_> {
    pub(crate) fn open(&self, url: &Url<'_>) -> Result<MaybeTls, ConnectError> {
        // What cannot succeed does not begin.
        if url.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        let socket = match self.proxy {
            None => self.tcp(url.host(), url.port())?,
            Some(proxy) => self.tunnel(proxy, url)?,
        };
        #[cfg(feature = "tls")]
        if url.is_secure() {
            let config = self.tls.cloned().map_or_else(crate::tls::client, Ok)?;
            let tls = Tls::connect(config, url.host(), socket, self.waits.tls);
            return Ok(MaybeTls::Tls(Box::new(tls.map_err(|error| timed_out(error, Step::Tls))?)));
        }
        Ok(MaybeTls::Tcp(socket))
    }

    fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let mut addresses = resolve(host, port, self.waits.resolve)?;
        http::alternate_families(&mut addresses);
        tcp(&addresses, self.waits.connect).map_err(|error| timed_out(error, Step::Connect))
    }

    fn tunnel(&self, proxy: Proxy<'_>, url: &Url<'_>) -> Result<TcpStream, ConnectError> {
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

        let mut waits = http::Config::default();
        (waits.head_within, waits.wait_within) = (self.waits.proxy, self.waits.proxy);
        let (inbox, outbox) = (Inbox::with_limit(16 << 10), Outbox::with_limit(16 << 10));
        let socket = self.tcp(at.host(), at.port())?;
        let mut connection = Connection::new(socket, http::Fetch::new(waits), inbox, outbox);
        let link = &mut connection.link;
        link.machine.tunnel(&authority, &headers, &mut link.outbox)?;
        match connection.next()? {
            Some((http::Answer::Head(head), _)) if (200..300).contains(&head.status()) => {}
            Some((http::Answer::Head(head), _)) => return Err(ConnectError::Proxy(head.status())),
            _ => return Err(http::Error::NoAnswer.into()),
        }
        let (socket, mut link) = connection.into_parts();
        link.machine.release(&mut link.inbox);
        // The client speaks first, with or without TLS.
        if link.inbox.unread().is_empty() { Ok(socket) } else { Err(http::Error::Unsolicited.into()) }
    }
}

fn timed_out(error: io::Error, step: Step) -> ConnectError {
    if error.kind() == ErrorKind::TimedOut { ConnectError::TimedOut(step) } else { error.into() }
}

fn resolve(host: &str, port: u16, within: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let (host, (sender, receiver)) = (host.to_owned(), mpsc::sync_channel(1));
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let _ = sender.send((&*host, port).to_socket_addrs().map(Vec::from_iter));
    })?;
    Ok(receiver.recv_timeout(within).map_err(|_| ConnectError::TimedOut(Step::Resolve))??)
}

/// Connects to the first of the addresses that can be reached. Each gets its share of the time that is left.
fn tcp(addresses: &[SocketAddr], within: Duration) -> io::Result<TcpStream> {
    let start = Instant::now();
    let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = within.saturating_sub(start.elapsed());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        if share.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => {
                // Small messages must not wait for the acknowledgement of the ones before.
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_address_is_tried() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let socket = tcp(&[dead, alive], Duration::from_secs(10)).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), alive);
        assert!(socket.nodelay().unwrap());
        assert_eq!(tcp(&[dead], Duration::from_secs(10)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&[], Duration::from_secs(10)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(tcp(&[alive], Duration::ZERO).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn names_are_resolved_in_time() {
        assert_eq!(resolve("::1", 81, Duration::ZERO).unwrap(), ["[::1]:81".parse().unwrap()]);
        assert!(resolve("localhost", 81, Duration::from_secs(10)).unwrap().iter().all(|at| at.port() == 81));
        let never = resolve("localhost", 81, Duration::ZERO);
        assert!(matches!(never, Ok(_) | Err(ConnectError::TimedOut(Step::Resolve))));
    }
}
