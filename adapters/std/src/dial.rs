//! From a URL to a stream: names, addresses, a proxy, TLS.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Instant;

use stillwire::http::{self, Url};
use stillwire::{Inbox, Machine, Outbox};

#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{ConnectError, Connection, Error, Proxy, Route, Socket, Step};

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

impl Route {
    pub(crate) fn open(&self, url: &Url<'_>) -> Result<MaybeTls, ConnectError> {
        // What cannot succeed does not begin.
        if url.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        let socket = match &self.proxy {
            None => self.tcp(url)?,
            Some(proxy) => self.tunnel(proxy, url)?,
        };
        #[cfg(feature = "tls")]
        if url.is_secure() {
            let config = self.tls.clone().map_or_else(crate::tls::client, Ok)?;
            let tls = Tls::connect(config, url.host(), socket, self.waits.tls);
            return Ok(MaybeTls::Tls(Box::new(tls.map_err(|error| timed_out(error, Step::Tls))?)));
        }
        Ok(MaybeTls::Tcp(socket))
    }

    fn tcp(&self, to: &Url<'_>) -> Result<TcpStream, ConnectError> {
        let mut addresses = resolve(to.host(), to.port(), self.waits.resolve)?;
        http::alternate_families(&mut addresses);
        tcp(&addresses, self.waits.connect).map_err(|error| timed_out(error, Step::Connect))
    }

    fn tunnel(&self, proxy: &Proxy, to: &Url<'_>) -> Result<TcpStream, ConnectError> {
        let mut waits = http::Config::default();
        (waits.head_within, waits.wait_within) = (self.waits.proxy, self.waits.proxy);
        let (inbox, outbox) = (Inbox::with_limit(16 << 10), Outbox::with_limit(16 << 10));
        let mut connection = Connection::new(self.tcp(&proxy.at()?)?, http::Fetch::new(waits), inbox, outbox);
        let link = &mut connection.link;
        proxy.ask(to, &mut link.machine, &mut link.outbox)?;
        match connection.next().map_err(|error| late(error, Step::Proxy))? {
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

/// For an answer that did not come in time.
pub(crate) fn late(error: Error<http::Error>, step: Step) -> ConnectError {
    match error {
        Error::Protocol(http::Error::TimedOut) => ConnectError::TimedOut(step),
        error => error.into(),
    }
}

fn timed_out(error: io::Error, step: Step) -> ConnectError {
    if error.kind() == ErrorKind::TimedOut { ConnectError::TimedOut(step) } else { error.into() }
}

/// The system's resolver cannot be stopped: what it says too late is not heard.
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
