//! A server of HTTP without any cleverness.

use std::io::{ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use stillwire_std::Socket;

/// Answers every request of every connection, each in a thread of its own, with the bytes that `answer` makes of the
/// request's line and body; the connection ends where it makes none. `open` is what is done to a connection first.
pub(crate) fn serve<S: Socket>(
    open: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    answer: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let both = Arc::new((open, answer));
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let both = both.clone();
            thread::spawn(move || {
                let mut socket = both.0(socket);
                while let Some(bytes) = request(&mut socket).and_then(|(line, body)| both.1(&line, &body)) {
                    write(&mut socket, bytes.as_bytes());
                }
            });
        }
    });
    address
}

/// An answer with a body.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// All of these bytes; nobody may be there any more.
pub(crate) fn write(socket: &mut impl Socket, mut bytes: &[u8]) {
    while let Ok(n @ 1..) = socket.write(&[IoSlice::new(bytes)]) {
        bytes = &bytes[n..];
    }
}

/// The line and the body of the next request. `None`: there is none.
fn request(socket: &mut impl Socket) -> Option<(String, String)> {
    let mut said = String::new();
    loop {
        if let Some((head, body)) = said.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some((head.lines().next().unwrap().to_owned(), body.to_owned()));
            }
        }
        let mut bytes = [0; 4096];
        match socket.read(&mut bytes) {
            Ok(0) => return None,
            Ok(n) => said += core::str::from_utf8(&bytes[..n]).unwrap(),
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::InvalidData, "{error}");
                return None;
            }
        }
    }
}
