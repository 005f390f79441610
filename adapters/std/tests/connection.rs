//! One thread drives one connection, over loopback.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use common::{boxed, client, echo, masked, read, read_all, server, sockets, write};
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, ws};
use stillwire_std::{Connection, Error};

#[test]
fn messages_of_all_sizes_come_back() {
    let (near, far) = sockets();
    let served = thread::spawn(move || echo(&mut server(far, ws::Config::default())));
    let mut client = client(near);
    let sizes = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 100_000];
    for size in sizes {
        let message = vec![size as u8; size];
        client.link.machine.send_binary(&message, &mut client.link.outbox).unwrap();
        match client.next().unwrap() {
            Some((ws::Event::Binary(bytes), _)) => assert!(bytes == message, "{size}"),
            other => panic!("{other:?}"),
        }
    }
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Closed { code: 1000, .. }, _))));
    assert!(client.next().unwrap().is_none());
    assert!(client.next().unwrap().is_none(), "the end is said for ever");
    assert_eq!(served.join().unwrap().unwrap(), sizes.len() + 1);
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_sockets() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let served = thread::spawn(move || echo(&mut server(far, ws::Config::default())));
    let mut client = client(near);
    client.link.machine.send_text("hello", &mut client.link.outbox).unwrap();
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Text(text), _)) if text == "hello"));
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    client.end();
    assert_eq!(served.join().unwrap().unwrap(), 2);
}

/// The application calls `next` and waits for a message that does not come; the machine answers meanwhile.
#[test]
fn a_ping_is_answered_while_the_application_waits() {
    let (near, far) = sockets();
    let served = thread::spawn(move || echo(&mut server(far, ws::Config::default())));
    write(&near, &masked(0x89, b"are you there?"));
    assert_eq!(read(&near, 16), b"\x8a\x0eare you there?");
    drop(near);
    assert_eq!(served.join().unwrap().unwrap(), 2, "the ping, and the end");
}

#[test]
fn a_peer_may_write_byte_by_byte() {
    let (near, far) = sockets();
    let served = thread::spawn(move || echo(&mut server(far, ws::Config::default())));
    for frame in [masked(0x81, b"one"), masked(0x01, b"tw"), masked(0x80, b"o"), masked(0x88, b"\x03\xe8")] {
        for byte in frame {
            write(&near, &[byte]);
        }
    }
    assert_eq!(read_all(&near), b"\x81\x03one\x81\x03two\x88\x02\x03\xe8");
    drop(near);
    assert_eq!(served.join().unwrap().unwrap(), 3);
}

/// The peer ends its side in the middle of a frame.
#[test]
fn a_peer_that_leaves_is_noticed() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let mut server = server(far, ws::Config::default());
        let code = match server.next().unwrap() {
            Some((ws::Event::Closed { code, .. }, _)) => code,
            other => panic!("{other:?}"),
        };
        assert!(server.next().unwrap().is_none());
        code
    });
    write(&near, b"\x81\x85\x00");
    drop(near);
    assert_eq!(served.join().unwrap(), 1006);
}

/// The peer's system resets the connection, because bytes were never read.
#[test]
fn a_reset_ends_the_connection_once() {
    let (near, far) = sockets();
    let mut server = server(far, ws::Config::default());
    server.link.machine.send_text("never read", &mut server.link.outbox).unwrap();
    server.flush().unwrap();
    drop(near);
    let end = loop {
        match server.next() {
            Err(Error::Io(error)) => break Some(error.kind()),
            Err(error) => panic!("{error}"),
            Ok(Some((ws::Event::Closed { code: 1006, .. }, _))) => {}
            Ok(Some(_)) => panic!("nothing was sent"),
            Ok(None) => break None,
        }
    };
    assert!(matches!(end, None | Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{end:?}");
    assert!(server.next().unwrap().is_none());
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    let (near, far) = sockets();
    let mut server = boxed(far, ws::Connection::server(ws::Config::default()), 64 << 20);
    server.link.stall = Duration::from_millis(200);
    server.link.machine.send_binary(&vec![0; 48 << 20], &mut server.link.outbox).unwrap();
    let error = server.next().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
    assert!(server.next().unwrap().is_none());
    drop(near);
}

/// The answer to one message waits while the application is busy with the next one, for longer than a peer may stall.
#[test]
fn an_application_that_was_away_does_not_blame_its_peer() {
    let (near, far) = sockets();
    let mut server = server(far, ws::Config::default());
    server.link.stall = Duration::from_millis(50);
    write(&near, &[masked(0x81, b"a"), masked(0x81, b"b")].concat());
    for (round, text) in ["a", "b"].into_iter().enumerate() {
        match server.next().unwrap() {
            Some((ws::Event::Text(seen), reply)) if seen == text => {
                reply.machine.send_text(text, reply.outbox).unwrap();
            }
            other => panic!("{round}: {other:?}"),
        }
    }
    thread::sleep(Duration::from_millis(200));
    write(&near, &masked(0x88, b"\x03\xe8"));
    assert!(matches!(server.next().unwrap(), Some((ws::Event::Closed { code: 1000, .. }, _))));
    let ended = thread::spawn(move || server.end());
    assert_eq!(read_all(&near), b"\x81\x01a\x81\x01b\x88\x02\x03\xe8");
    drop(near);
    ended.join().unwrap();
}

#[test]
fn flush_is_bounded_by_the_stall_too() {
    let (near, far) = sockets();
    let mut server = boxed(far, ws::Connection::server(ws::Config::default()), 64 << 20);
    server.link.stall = Duration::from_millis(200);
    server.link.machine.send_binary(&vec![0; 48 << 20], &mut server.link.outbox).unwrap();
    assert_eq!(server.flush().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(server.flush().unwrap_err().kind(), ErrorKind::NotConnected);
    drop(near);
}

/// RFC 6455 §7.1.1: the server ends TCP first, right after its close frame.
#[test]
fn a_server_ends_tcp_first() {
    let (near, far) = sockets();
    let served = thread::spawn(move || server(far, ws::Config::default()).end());
    write(&near, &masked(0x88, b"\x03\xe8"));
    assert_eq!(read_all(&near), b"\x88\x02\x03\xe8", "its end comes before ours");
    drop(near);
    served.join().unwrap();
}

/// … and a client waits for it.
#[test]
fn a_client_does_not_end_tcp_first() {
    use std::io::Read;
    let (near, far) = sockets();
    let closing = thread::spawn(move || {
        let mut client = client(near);
        client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
        client.end();
    });
    assert_eq!(read(&far, 8)[..2], [0x88, 0x82]);
    write(&far, b"\x88\x02\x03\xe8");
    far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = (&far).read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error:?}");
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_all(&far), b"");
    closing.join().unwrap();
}

/// An idle peer gets a ping; one that does not answer has timed out.
#[test]
fn timeouts_are_obeyed() {
    let (near, far) = sockets();
    let mut config = ws::Config::default();
    config.ping_every = Some(Duration::from_millis(40));
    config.pong_within = Duration::from_millis(40);
    let start = std::time::Instant::now();
    let mut server = server(far, config);
    let error = server.next().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Protocol(ws::Error::TimedOut)), "{error:?}");
    assert!(start.elapsed() >= Duration::from_millis(80), "not before their time");
    assert!(server.next().unwrap().is_none());
    let told = read_all(&near);
    assert_eq!(told[..2], [0x89, 0], "a ping first");
    assert_eq!(told[2], 0x88, "then the goodbye");
}

/// A protocol error: the peer is told, the application hears of it once, the end is in order.
#[test]
fn an_error_is_said_to_both_sides() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let mut server = server(far, ws::Config::default());
        let error = server.next().map(|_| ()).unwrap_err();
        assert!(server.next().unwrap().is_none());
        error
    });
    write(&near, b"\x81\x05hello, unmasked");
    assert_eq!(read_all(&near), b"\x88\x02\x03\xea");
    drop(near);
    assert!(matches!(served.join().unwrap(), Error::Protocol(ws::Error::Masking)));
}

/// Waits for its application, which waits for it.
struct Stuck;

impl Machine for Stuck {
    type Event<'i> = ();
    type Error = ws::Error;
    fn advance(&mut self, _: Instant, _: &mut Inbox<'_>, _: &mut Outbox<'_>) -> Result<Progress, ws::Error> {
        Ok(Progress::NeedInput)
    }
    fn event(&self, _: &Inbox<'_>) -> Option<()> {
        None
    }
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn release(&mut self, _: &mut Inbox<'_>) {}
}

#[test]
fn waiting_for_oneself_is_an_error_and_not_for_ever() {
    let (near, far) = sockets();
    drop(near);
    let mut connection = Connection::new(far, Stuck, Inbox::with_limit(64), Outbox::with_limit(64));
    for _ in 0..2 {
        let error = connection.next().map(|_| ()).unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::Deadlock), "{error:?}");
    }
}
