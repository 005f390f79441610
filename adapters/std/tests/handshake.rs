//! Opening and accepting WebSockets over loopback.
#![allow(clippy::type_complexity, clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use common::{echo, read, read_all, sockets, write};
use stillwire::{http, ws};
use stillwire_std::{Accept, AcceptError, ConnectError, Opening, Step, connect};

#[test]
fn a_client_and_a_server_agree() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let mut server = Accept::default();
        server.subprotocols = &["superchat", "chat"];
        server.headers = &[("Set-Cookie", "a=b")];
        let mut accepted = server.accept(far, |request| Ok(request.target().to_owned())).unwrap();
        assert_eq!((accepted.subprotocol, &*accepted.request), (Some("chat"), "/room?a=b"));
        echo(&mut accepted.connection).unwrap()
    });
    let mut client = Opening::new("example.com");
    (client.target, client.subprotocols) = ("/room?a=b", &["other", "chat"]);
    client.headers = &[("Origin", "http://example.com")];
    let (mut client, chosen) = client.open(near).unwrap();
    assert_eq!(chosen, Some("chat"));
    client.link.machine.send_text("hello", &mut client.link.outbox).unwrap();
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Text(text), _)) if text == "hello"));
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    client.end();
    assert_eq!(served.join().unwrap(), 2);
}

#[test]
fn a_url_is_enough() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let keep = |request: &http::RequestHead<'_>| {
            use http::RequestView;
            Ok(format!("{}|{:?}", request.target(), request.header("host").map(String::from_utf8_lossy)))
        };
        let mut accepted = Accept::default().accept(socket, keep).unwrap();
        echo(&mut accepted.connection).unwrap();
        accepted.request
    });
    let mut client = connect(&format!("ws://{address}?x")).unwrap();
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    client.end();
    assert_eq!(served.join().unwrap(), format!("/?x|Some(\"{address}\")"));
    assert!(matches!(connect("http://127.0.0.1/"), Err(ConnectError::Url(_))));
    assert!(
        matches!(connect(&format!("ws://{address}")), Err(ConnectError::Io(_))),
        "nobody listens any more"
    );
}

/// The first frames may come in one packet with the head, in both directions.
#[test]
fn no_byte_behind_a_head_is_lost() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let mut accepted = Accept::default().accept(far, |_| Ok(())).unwrap();
        assert_eq!(accepted.subprotocol, None);
        echo(&mut accepted.connection).unwrap()
    });
    let mut request = UPGRADE.to_vec();
    request.extend_from_slice(&common::masked(0x81, b"at once"));
    write(&near, &request);
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(read(&near, head.len() + 9), [&head[..], b"\x81\x07at once"].concat());
    drop(near);
    assert_eq!(served.join().unwrap(), 2);
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a server answers, and what `accept` says, for a request by hand.
fn refused(
    server: &Accept<'_>,
    request: &[u8],
    decide: impl FnOnce(&http::RequestHead<'_>) -> Result<(), u16> + Send,
) -> (String, AcceptError) {
    let (near, far) = sockets();
    thread::scope(|scope| {
        let served = scope.spawn(|| server.accept(far, decide).map(|_| ()).unwrap_err());
        write(&near, request);
        let answer = String::from_utf8(read_all(&near)).unwrap();
        drop(near);
        (answer, served.join().unwrap())
    })
}

#[test]
fn refusals_are_whole_answers() {
    let server = Accept::default();
    let (answer, error) = refused(&server, UPGRADE, |_| Err(403));
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("close"), "{answer}");
    assert!(matches!(error, AcceptError::Refused(403)));

    let (answer, error) = refused(&server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", |_| unreachable!());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(matches!(error, AcceptError::Upgrade(ws::UpgradeError::NoUpgrade)));

    let (answer, error) = refused(&server, b"nonsense\r\n\r\n", |_| unreachable!());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(matches!(error, AcceptError::Http(_)));
}

/// The application's own mistakes are answered as well: no client is left waiting.
#[test]
fn an_answer_that_cannot_be_sent_is_500() {
    let mut server = Accept::default();
    let (answer, error) = refused(&server, UPGRADE, |_| Err(100));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(matches!(error, AcceptError::Answer(_)));
    server.headers = &[("Bad\r\nName", "x")];
    let (answer, error) = refused(&server, UPGRADE, |_| Ok(()));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(matches!(error, AcceptError::Answer(_)));
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let (near, far) = sockets();
    let mut server = Accept::default();
    server.http.idle_within = Duration::from_millis(50);
    assert!(matches!(server.accept(far, |_| Ok(())), Err(AcceptError::Left)));
    assert_eq!(read_all(&near), b"");

    let (near, far) = sockets();
    drop(near);
    assert!(matches!(server.accept(far, |_| Ok(())), Err(AcceptError::Left)));

    let (near, _far) = sockets();
    let mut client = Opening::new("a");
    client.within = Duration::from_millis(50);
    assert!(matches!(client.open(near), Err(ConnectError::TimedOut(Step::Answer))));
}

/// Servers that do not want to, or do it wrong.
#[test]
fn a_client_looks_at_the_answer() {
    let answers: [(&[u8], fn(&ConnectError) -> bool); 5] = [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", |error| {
            matches!(error, ConnectError::Upgrade(ws::UpgradeError::Status(404)))
        }),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", |error| {
            matches!(error, ConnectError::Upgrade(ws::UpgradeError::Accept))
        }),
        (b"SSH-2.0-OpenSSH_9.9\r\n", |error| matches!(error, ConnectError::Http(_))),
        (b"HTTP/1.1 101 ", |error| matches!(error, ConnectError::Http(http::Error::Truncated))),
        (b"", |error| matches!(error, ConnectError::Http(http::Error::NoAnswer))),
    ];
    for (answer, is_right) in answers {
        let (near, far) = sockets();
        write(&far, answer);
        far.shutdown(std::net::Shutdown::Write).unwrap();
        let error = Opening::new("a").open(near).map(|_| ()).unwrap_err();
        assert!(is_right(&error), "{error:?}");
    }
    let (near, _far) = sockets();
    let mut client = Opening::new("a");
    client.headers = &[("Sec-WebSocket-Key", "mine")];
    assert!(matches!(client.open(near), Err(ConnectError::Request(_))));
}
