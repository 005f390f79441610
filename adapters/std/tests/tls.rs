//! WebSockets over TLS, on loopback, with certificates that are made on the spot.
#![cfg(feature = "tls")]
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{echo, proxy::proxy, sockets};
use stillwire::ws;
use stillwire_std::tls::{self, Tls, rustls};
use stillwire_std::{Accept, Connect, ConnectError, MaybeTls, Proxy, Socket, WebSocket};

const TEN: Duration = Duration::from_secs(10);

/// A certificate for `127.0.0.1` and `far.example`: the server that has it, and the client that trusts it.
fn configs() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let names = ["127.0.0.1", "far.example"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = tls::server(certificate.as_bytes(), key.as_bytes()).unwrap();
    (server, tls::client_trusting(certificate.as_bytes()).unwrap())
}

/// Both ends of a TLS connection.
fn pair() -> (Tls, Tls) {
    let (server, client) = configs();
    let (near, far) = sockets();
    let accepted = thread::spawn(move || Tls::accept(server, far, TEN).unwrap());
    (Tls::connect(client, "127.0.0.1", near, TEN).unwrap(), accepted.join().unwrap())
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn serve(listener: TcpListener, config: Arc<rustls::ServerConfig>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let socket = Tls::accept(config, socket, TEN).unwrap();
        echo(&mut Accept::default().accept(socket, |_| Ok(())).unwrap().connection).unwrap()
    })
}

fn greet(mut client: WebSocket<MaybeTls>) {
    client.link.machine.send_text("hello", &mut client.link.outbox).unwrap();
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Text(text), _)) if text == "hello"));
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    client.end();
}

#[test]
fn a_url_leads_to_tls_also_through_a_proxy() {
    let (server, client) = configs();
    let (listener, port) = listen();
    let served = serve(listener.try_clone().unwrap(), server.clone());
    let url = format!("wss://127.0.0.1:{port}/");
    let mut connect = Connect::new(&url);
    connect.route.tls = Some(client.clone());
    greet(connect.open().unwrap().0);
    assert_eq!(served.join().unwrap(), 2);

    let served = serve(listener, server);
    let (address, asked) = proxy(200);
    let (url, at) = (format!("wss://far.example:{port}/"), format!("http://{address}"));
    let mut connect = Connect::new(&url);
    (connect.route.tls, connect.route.proxy) = (Some(client), Some(Proxy::new(&at)));
    greet(connect.open().unwrap().0);
    assert_eq!(served.join().unwrap(), 2);
    assert!(asked.join().unwrap().starts_with(&format!("CONNECT far.example:{port} ")));
}

/// Three threads write, one at each end reads: every message comes, in its writer's order, in both directions at once,
/// far more than the system's buffers hold.
#[test]
fn halves_in_threads_of_their_own() {
    const EACH: u32 = 400;
    let (near, far) = pair();
    let ends = [common::client(near).split(), common::server(far, ws::Config::default()).split()];
    let size = |n: u32| 4 + (n as usize * 7919) % 20_000;
    thread::scope(|scope| {
        for (mut reader, writer) in ends {
            let writing = [0, 1, 2_u8].map(|from| {
                let writer = writer.clone();
                scope.spawn(move || {
                    for n in 0..EACH {
                        let mut message = vec![from; size(n)];
                        message[..4].copy_from_slice(&n.to_be_bytes());
                        message.push(from);
                        writer.send_binary(&message).unwrap();
                    }
                })
            });
            scope.spawn(move || {
                let mut next = [0_u32; 3];
                while next != [EACH; 3] {
                    let Some(event) = reader.next().unwrap() else { panic!("it ended early") };
                    let ws::Event::Binary(bytes) = event else { continue };
                    let from = usize::from(bytes[bytes.len() - 1]);
                    let n = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                    assert_eq!((n, bytes.len()), (next[from], size(n) + 1));
                    next[from] += 1;
                }
                writing.into_iter().for_each(|thread| thread.join().unwrap());
                writer.close("done").unwrap();
                // The other end may have said goodbye first, and gone.
                while let Ok(Some(_)) = reader.next() {}
            });
        }
    });
}

/// A write that runs out of time has encrypted the bytes already: the next one does not send them twice.
#[test]
fn a_write_that_ran_out_of_time_goes_on() {
    let (mut near, far) = pair();
    let mut far = Some(far);
    near.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
    let data: Vec<u8> = (0..8_000_000_u32).map(|n| (n / 3) as u8).collect();
    let (mut sent, mut late) = (0, 0);
    let mut reading = None;
    while sent < data.len() {
        let end = data.len().min(sent + 50_000);
        match Socket::write(&mut near, &[std::io::IoSlice::new(&data[sent..end])]) {
            Ok(n) => sent += n,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                late += 1;
                if late == 3 {
                    let mut far = far.take().unwrap();
                    let reader = move || {
                        let (mut got, mut bytes) = (Vec::new(), [0; 10_000]);
                        while let n @ 1.. = Socket::read(&mut far, &mut bytes).unwrap() {
                            got.extend_from_slice(&bytes[..n]);
                        }
                        got
                    };
                    reading = Some(thread::spawn(reader));
                }
            }
        }
    }
    assert!(late >= 3);
    near.set_write_timeout(None).unwrap();
    Socket::shutdown(&mut near, Shutdown::Write).unwrap();
    assert!(reading.unwrap().join().unwrap() == data);
}

#[test]
fn who_is_not_trusted_is_told_so() {
    let ((server, _), (_, stranger)) = (configs(), configs());
    let (listener, port) = listen();
    let served = thread::spawn(move || {
        let refused = |(socket, _): (TcpStream, _)| Tls::accept(server.clone(), socket, TEN).unwrap_err();
        [refused(listener.accept().unwrap()), refused(listener.accept().unwrap())]
    });
    let url = format!("wss://127.0.0.1:{port}/");
    let mut connect = Connect::new(&url);
    connect.route.tls = Some(stranger);
    let Err(ConnectError::Io(error)) = connect.open() else { panic!("it is trusted") };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    // One that speaks no TLS.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    for error in served.join().unwrap() {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }
}

#[test]
fn the_handshake_has_its_time() {
    let (listener, port) = listen();
    let url = format!("wss://127.0.0.1:{port}/");
    let mut connect = Connect::new(&url);
    connect.route.tls = Some(configs().1);
    connect.route.waits.tls = Duration::from_millis(50);
    assert!(matches!(connect.open(), Err(ConnectError::TimedOut(stillwire_std::Step::Tls))));
    drop(listener);
}

/// Many peers end TCP without a word of TLS: an end like any other, and WebSocket tells what it was.
#[test]
fn an_end_without_close_notify() {
    let (near, far) = pair();
    let mut client = common::client(near);
    drop(far); // TCP is closed, TLS is not
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Closed { code: 1006, .. }, _))));
    client.end();
}
