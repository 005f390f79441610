//! TLS on blocking sockets, for two threads at once.
//!
//! ```
//! use std::{net::TcpListener, thread, time::Duration};
//! use stillwire::ws;
//! use stillwire_std::{Accept, Connect, tls::{self, Tls}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?; // for a test: nobody has signed it
//! let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
//! let config = tls::server(certificate.as_bytes(), key.as_bytes())?;
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("wss://{}/", listener.local_addr()?);
//! let server = thread::spawn(move || {
//!     let socket = Tls::accept(config, listener.accept().unwrap().0, Duration::from_secs(10)).unwrap();
//!     let mut peer = Accept::default().accept(socket, |_| Ok(())).unwrap().connection;
//!     while let Ok(Some((event, reply))) = peer.next() {
//!         if let ws::Event::Text(text) = event { let _ = reply.machine.send_text(text, reply.outbox); }
//!     }
//! });
//! let mut connect = Connect::new(&url);
//! connect.route.tls = Some(tls::client_trusting(certificate.as_bytes())?);
//! let (mut reader, writer) = connect.open()?.0.split(); // a thread may read while others write
//! writer.send_text("hello")?;
//! assert!(matches!(reader.next()?, Some(ws::Event::Text(text)) if text == "hello"));
//! writer.close("")?;
//! while reader.next()?.is_some() {}
//! # server.join().unwrap();
//! # Ok(()) }
//! ```

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stillwire_tls::rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::Socket;

pub use stillwire_tls::{Error, client, client_trusting, rustls, server};

/// What is read from the socket at once: a record of TLS and its frame (RFC 8446 §5.2).
const PORTION: usize = 16 * 1024 + 256;

/// TLS over TCP. A shared reference is a [`Socket`], too: one thread reads while another one writes.
///
/// * A [`write`](Socket::write) that runs out of time may have encrypted bytes already. The next one must begin with the same
///   bytes, as the one of a connection does: what is not written stays in front of the outbox.
/// * The end of TCP counts as the end of TLS even without its `close_notify`, because many peers leave it out. The
///   protocols here tell by themselves whether they were cut off (a close frame, an empty line behind each event); an
///   HTTP body that ends with the connection does not.
pub struct Tls {
    socket: TcpStream,
    // Locked in this order, and never while the socket is waited for but by the one that waits.
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
    session: Mutex<Connection>,
}

/// Bytes that came and were not decrypted yet.
struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// Encrypted bytes that have not left yet.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// How many bytes of plain text they are, which `write` has not told yet.
    plain: usize,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// A thread that panicked left whole bytes behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl Tls {
    /// The client's side: shakes hands with the server of that name (or IP address), which must be on its certificate.
    ///
    /// # Errors
    /// The socket's; [`InvalidInput`](ErrorKind::InvalidInput): the name is none; [`InvalidData`](ErrorKind::InvalidData): no
    /// TLS, or a certificate that is not trusted; [`TimedOut`](ErrorKind::TimedOut): not `within` this time.
    pub fn connect(
        config: Arc<ClientConfig>,
        name: &str,
        socket: TcpStream,
        within: Duration,
    ) -> io::Result<Self> {
        let name = name.to_owned().try_into().map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let session = ClientConnection::new(config, name).map_err(broken)?;
        Self::shake_hands(session.into(), socket, within)
    }

    /// The server's side of a connection that was accepted.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn accept(config: Arc<ServerConfig>, socket: TcpStream, within: Duration) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(broken)?;
        Self::shake_hands(session.into(), socket, within)
    }

    /// The socket below, for its address.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.socket
    }

    fn shake_hands(mut session: Connection, mut socket: TcpStream, within: Duration) -> io::Result<Self> {
        let start = Instant::now();
        // The answer to what ends the handshake goes out, too.
        while session.is_handshaking() || session.wants_write() {
            let left = within.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
            let left = Some(left.ok_or(ErrorKind::TimedOut)?);
            let moved = if session.wants_write() {
                socket.set_write_timeout(left)?;
                session.write_tls(&mut socket)
            } else {
                socket.set_read_timeout(left)?;
                session.read_tls(&mut socket)
            };
            match moved {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                },
            }
            if let Err(error) = session.process_new_packets() {
                // The peer is told why.
                let _ = session.write_tls(&mut socket);
                return Err(broken(error));
            }
        }
        Ok(Self {
            socket,
            incoming: Mutex::new(Incoming { bytes: Vec::new(), start: 0, end: 0 }),
            outgoing: Mutex::default(),
            session: Mutex::new(session),
        })
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut incoming = lock(&self.incoming);
        loop {
            let mut session = lock(&self.session);
            match session.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if incoming.start < incoming.end {
                let Incoming { bytes, start, end } = &mut *incoming;
                let mut rest = bytes.get(*start..*end).unwrap_or_default();
                match session.read_tls(&mut rest)? {
                    0 => *start = *end, // behind a close_notify nothing counts
                    n => *start += n,
                }
                if let Err(error) = session.process_new_packets() {
                    drop(session);
                    self.tell();
                    return Err(broken(error));
                }
                continue;
            }
            drop(session);
            incoming.bytes.resize(PORTION, 0);
            let n = Read::read(&mut &self.socket, &mut incoming.bytes)?;
            (incoming.start, incoming.end) = (0, n);
            if n == 0 {
                return Ok(0);
            }
        }
    }

    /// Sends what TLS itself has to say (an alert), if that does not disturb anybody.
    fn tell(&self) {
        if let Ok(mut outgoing) = self.outgoing.try_lock() {
            outgoing.take(&mut lock(&self.session));
            let _ = outgoing.flush(&self.socket);
        }
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.plain == 0 {
            let mut session = lock(&self.session);
            // As much as TLS takes at once, 64 KiB.
            outgoing.plain = session.writer().write_vectored(slices)?;
            outgoing.take(&mut session);
        }
        outgoing.flush(&self.socket)?;
        Ok(core::mem::take(&mut outgoing.plain))
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        // Who writes and is to be stopped holds the lock.
        if let (Shutdown::Write, Ok(mut outgoing)) = (how, self.outgoing.try_lock()) {
            let mut session = lock(&self.session);
            session.send_close_notify();
            outgoing.take(&mut session);
            drop(session);
            let _ = outgoing.flush(&self.socket);
        }
        self.socket.shutdown(how)
    }
}

impl Outgoing {
    fn take(&mut self, session: &mut Connection) {
        while session.wants_write() && session.write_tls(&mut self.bytes).is_ok() {}
    }

    fn flush(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Write::write(&mut socket, rest)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => self.sent += n,
            }
        }
        self.sent = 0;
        self.bytes.clear();
        Ok(())
    }
}

macro_rules! socket {
    ($socket:ty) => {
        impl Socket for $socket {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.receive(into)
            }
            fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                self.send(slices)
            }
            fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                self.socket.set_read_timeout(after)
            }
            fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
                self.socket.set_write_timeout(after)
            }
            fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
                self.end(how)
            }
        }
    };
}

socket!(Tls);
socket!(&Tls);
