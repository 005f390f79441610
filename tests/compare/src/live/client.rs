//! The load: sockets of this process over epoll, frames that were made before.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll;

use super::Checked;

/// Connects from 127.0.0.`from`: one address has too few ports for many thousand connections.
pub fn connect(to: SocketAddr, from: u8) -> Checked<TcpStream> {
    connect_with(to, from, None)
}

/// What makes a connection over the loopback like one to far away.
#[derive(Clone, Copy)]
pub struct Far {
    /// Bytes of the receive buffer in the kernel.
    pub receive: usize,
    /// The most bytes of a segment.
    pub segment: u32,
}

/// The same, perhaps from far away.
pub fn connect_with(to: SocketAddr, from: u8, far: Option<Far>) -> Checked<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    if let Some(far) = far {
        socket.set_recv_buffer_size(far.receive)?;
        socket.set_tcp_mss(far.segment)?;
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)).into())?;
    socket.connect(&to.into())?;
    socket.set_tcp_nodelay(true)?;
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

/// Asks for a WebSocket, and reads the answer to its end.
pub fn upgrade(socket: &mut TcpStream) -> Checked<()> {
    socket.write_all(
        b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
          sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let head = read_head(socket)?;
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(()) } else { Err("no upgrade".into()) }
}

/// Byte by byte, as what follows is somebody else's.
pub fn read_head(socket: &mut TcpStream) -> Checked<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// A binary frame from a client.
pub fn frame(len: usize) -> Vec<u8> {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut frame = head(0x80, len);
    frame.extend(key);
    frame.extend(letters(len).enumerate().map(|(i, letter)| letter ^ key[i % 4]));
    frame
}

/// What it comes back as.
fn answer(len: usize) -> Vec<u8> {
    head(0, len).into_iter().chain(letters(len)).collect()
}

fn letters(len: usize) -> impl Iterator<Item = u8> {
    (b'a'..=b'z').cycle().take(len)
}

fn head(masked: u8, len: usize) -> Vec<u8> {
    let mut head = vec![0x82];
    match len {
        0..126 => head.push(masked | len as u8),
        126..0x1_0000 => {
            head.push(masked | 126);
            head.extend((len as u16).to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend((len as u64).to_be_bytes());
        }
    }
    head
}

/// Readiness of many sockets.
pub struct Ready {
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
}

impl Ready {
    pub fn new() -> Checked<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(1024) })
    }

    pub fn add(&self, socket: &TcpStream, id: usize, also_writes: bool) -> Checked<()> {
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        if also_writes {
            flags |= epoll::EventFlags::OUT;
        }
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(id as u64), flags)?)
    }

    /// Whose turn it is.
    pub fn wait(&mut self, most: Duration) -> Checked<Vec<usize>> {
        self.events.clear();
        let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize).collect())
    }
}

/// Keeps the same number of messages under way on each of many connections.
pub struct Load {
    sockets: Vec<Talk>,
    ready: Ready,
    /// A window of messages.
    window: Vec<u8>,
    sent_len: usize,
    /// Bytes of one message as it comes back, and as many of them as may be read at once.
    echo_len: usize,
    echoes: Vec<u8>,
    buffer: Vec<u8>,
}

struct Talk {
    socket: TcpStream,
    /// Bytes that may be sent, and have not been.
    owed: usize,
    /// Where in the window the next byte is.
    at: usize,
    /// Bytes of a message of which the rest has not come back.
    part: usize,
}

impl Load {
    /// `plain`: bytes come back as they are, and nobody shakes hands.
    pub fn new(to: SocketAddr, plain: bool, connections: usize, len: usize, window: usize) -> Checked<Self> {
        let one = frame(len);
        let echo = if plain { one.clone() } else { answer(len) };
        let (mut sockets, ready) = (Vec::new(), Ready::new()?);
        for id in 0..connections {
            let mut socket = connect(to, 1)?;
            if !plain {
                upgrade(&mut socket)?;
            }
            socket.set_nonblocking(true)?;
            ready.add(&socket, id, true)?;
            sockets.push(Talk { socket, owed: one.len() * window, at: 0, part: 0 });
        }
        let (sent_len, echo_len, buffer) = (one.len(), echo.len(), vec![0; 256 << 10]);
        let echoes = echo.repeat(buffer.len() / echo_len + 2);
        Ok(Self { sockets, ready, window: one.repeat(window), sent_len, echo_len, echoes, buffer })
    }

    /// Goes on for so long; how many messages came back.
    pub fn run(&mut self, during: Duration) -> Checked<usize> {
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < during {
            for id in self.ready.wait(Duration::from_secs(5))? {
                let talk = &mut self.sockets[id];
                loop {
                    match talk.socket.read(&mut self.buffer) {
                        Ok(0) => return Err("the server has hung up".into()),
                        Ok(n) => {
                            let all = talk.part + n;
                            // A longer answer would count as more than one.
                            if self.buffer[..n] != self.echoes[talk.part..all] {
                                return Err("that is no echo".into());
                            }
                            count += all / self.echo_len;
                            talk.owed += all / self.echo_len * self.sent_len;
                            talk.part = all % self.echo_len;
                            if n < self.buffer.len() {
                                break;
                            }
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                while talk.owed > 0 {
                    let most = talk.owed.min(self.window.len() - talk.at);
                    match talk.socket.write(&self.window[talk.at..talk.at + most]) {
                        Ok(n) => {
                            talk.owed -= n;
                            talk.at = (talk.at + n) % self.window.len();
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(count)
    }
}
