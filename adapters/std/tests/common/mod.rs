//! Two ends of a loopback connection, and frames by hand.
#![allow(dead_code, clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

pub(crate) mod http;
pub(crate) mod pipe;
pub(crate) mod proxy;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use stillwire::{Inbox, Outbox, ws};
use stillwire_std::{Connection, entropy};

pub(crate) type Ws<S = TcpStream> = Connection<'static, ws::Connection, S>;

/// Both ends of a TCP connection.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for socket in [&near, &far] {
        socket.set_nodelay(true).unwrap();
    }
    (near, far)
}

pub(crate) fn server<S: stillwire_std::Socket>(socket: S, config: ws::Config) -> Ws<S> {
    boxed(socket, ws::Connection::server(config), 256 * 1024)
}

pub(crate) fn client<S: stillwire_std::Socket>(socket: S) -> Ws<S> {
    boxed(socket, ws::Connection::client(ws::Config::default(), entropy()), 256 * 1024)
}

pub(crate) fn boxed<S: stillwire_std::Socket>(socket: S, machine: ws::Connection, outbox: usize) -> Ws<S> {
    Connection::new(socket, machine, Inbox::with_limit(1 << 20), Outbox::with_limit(outbox))
}

/// Sends everything back until the connection ends; the events that it saw, besides.
pub(crate) fn echo<S: stillwire_std::Socket>(
    connection: &mut Ws<S>,
) -> Result<usize, stillwire_std::Error<ws::Error>> {
    let mut count = 0;
    while let Some((event, reply)) = connection.next()? {
        match event {
            ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox).unwrap(),
            ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox).unwrap(),
            _ => {}
        }
        count += 1;
    }
    Ok(count)
}

/// A short frame as clients send it, with a mask of zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Reads exactly so many bytes, or fails after ten seconds.
pub(crate) fn read(mut socket: &TcpStream, n: usize) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = vec![0; n];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads to the end.
pub(crate) fn read_all(mut socket: &TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn write(mut socket: &TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).unwrap();
}
