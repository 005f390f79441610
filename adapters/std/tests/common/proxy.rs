//! A proxy that makes tunnels, and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Answers one request for a tunnel: with `status` if that is not 200. Gives the address of the proxy, and the head
/// that it got.
pub(crate) fn proxy(status: u16) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut head = String::new();
        let mut lines = BufReader::new(near.try_clone().unwrap());
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0);
        }
        assert!(lines.buffer().is_empty(), "the client waits for the tunnel");
        if status != 200 {
            write!(near, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").unwrap();
            return head;
        }
        let to = head.split(' ').nth(1).unwrap();
        // Names are the proxy's business.
        let far = TcpStream::connect(to.replace("far.example", "127.0.0.1")).unwrap();
        near.write_all(b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n").unwrap();
        let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
        thread::spawn(move || pass(back.0, back.1));
        thread::spawn(move || pass(near, far));
        head
    });
    (address, served)
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
