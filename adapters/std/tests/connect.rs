//! From a URL to a connection: proxies, redirections, waits.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use common::{echo, proxy::proxy};
use stillwire::{http, ws};
use stillwire_std::{Accept, Connect, ConnectError, Proxy, Step, Subscribe, SubscribeError};

/// Says hello and hears it again.
fn greet(connect: &Connect<'_>) -> Result<(), ConnectError> {
    let (mut client, _) = connect.open()?;
    client.link.machine.send_text("hello", &mut client.link.outbox).unwrap();
    assert!(matches!(client.next().unwrap(), Some((ws::Event::Text(text), _)) if text == "hello"));
    client.link.machine.send_close(1000, "", &mut client.link.outbox).unwrap();
    client.end();
    Ok(())
}

fn serve_one(listener: TcpListener) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut peer = Accept::default().accept(socket, |_| Ok(())).unwrap().connection;
        echo(&mut peer).unwrap();
    })
}

fn bound() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn through_a_proxy() {
    let (listener, port) = bound();
    let served = serve_one(listener);
    let (address, asked) = proxy(200);
    let (url, at) = (format!("ws://far.example:{port}/"), format!("http://{address}"));
    let mut connect = Connect::new(&url);
    connect.route.proxy = Some(Proxy::new(&at).basic("Aladdin", "open sesame").unwrap());
    connect.headers = &[("Authorization", "for the server alone")];
    greet(&connect).unwrap();
    served.join().unwrap();
    let expected = format!(
        "CONNECT far.example:{port} HTTP/1.1\r\nHost: far.example:{port}\r\n\
         Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
    );
    assert_eq!(asked.join().unwrap(), expected);
}

#[test]
fn a_proxy_that_refuses_is_told_from_a_server_that_does() {
    let (address, asked) = proxy(407);
    let at = format!("http://{address}");
    let mut connect = Connect::new("ws://[::1]/");
    connect.route.proxy = Some(Proxy::new(&at));
    assert!(matches!(greet(&connect), Err(ConnectError::Proxy(407))));
    assert!(asked.join().unwrap().starts_with("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n"));
    connect.route.proxy = Some(Proxy::new("https://127.0.0.1:1"));
    assert!(matches!(greet(&connect), Err(ConnectError::Url(_))), "no TLS to proxies");
    assert_eq!(Proxy::new("http://127.0.0.1:1").basic("a:b", "").err(), Some(http::SendError::BadHeader));
}

/// A server that redirects whoever comes, and tells what they said.
fn redirecting(to: String) -> (u16, thread::JoinHandle<String>) {
    let (listener, port) = bound();
    let served = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut head, mut lines) = (String::new(), BufReader::new(socket.try_clone().unwrap()));
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0);
        }
        write!(socket, "HTTP/1.1 307 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").unwrap();
        head
    });
    (port, served)
}

#[test]
fn redirections_are_followed_where_that_is_wanted() {
    let (listener, end) = bound();
    let served = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let said = |request: &http::RequestHead<'_>| {
            use http::RequestView;
            let has = |name| request.header(name).is_some();
            Ok((request.target().to_owned(), has("cookie"), has("x-room")))
        };
        let mut accepted = Accept::default().accept(socket, said).unwrap();
        echo(&mut accepted.connection).unwrap();
        accepted.request
    });
    let (second, said_second) = redirecting(format!("ws://127.0.0.1:{end}/room?8"));
    let (first, said_first) = redirecting(format!("http://127.0.0.1:{second}/other"));
    let url = format!("ws://127.0.0.1:{first}/");
    let mut connect = Connect::new(&url);
    connect.headers = &[("Cookie", "a=b"), ("X-Room", "7")];
    connect.redirects = 2;
    greet(&connect).unwrap();
    let (first, second) = (said_first.join().unwrap(), said_second.join().unwrap());
    assert!(first.contains("Cookie: a=b") && first.contains("X-Room: 7"), "{first}");
    assert!(second.starts_with("GET /other ") && second.contains("X-Room: 7"), "{second}");
    assert!(!second.contains("Cookie"), "another port is another origin: {second}");
    assert_eq!(served.join().unwrap(), ("/room?8".to_owned(), false, true));
}

#[test]
fn redirections_are_not_followed_by_default_and_never_for_long() {
    let (port, said) = redirecting("/".to_owned());
    assert!(matches!(
        greet(&Connect::new(&format!("ws://127.0.0.1:{port}/"))),
        Err(ConnectError::Upgrade(ws::UpgradeError::Status(307)))
    ));
    said.join().unwrap();
    let (second, _) = redirecting("/".to_owned());
    let (first, _) = redirecting(format!("ws://127.0.0.1:{second}/"));
    let url = format!("ws://127.0.0.1:{first}/");
    let mut connect = Connect::new(&url);
    connect.redirects = 1;
    assert!(matches!(greet(&connect), Err(ConnectError::Upgrade(ws::UpgradeError::Status(307)))));
    let (port, _) = redirecting("ftp://a/".to_owned());
    let url = format!("ws://127.0.0.1:{port}/");
    let mut connect = Connect::new(&url);
    connect.redirects = 1;
    assert!(matches!(greet(&connect), Err(ConnectError::Redirect(_))));
}

#[test]
fn event_streams_are_found_by_the_same_ways() {
    let (listener, port) = bound();
    let served = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        while !lines.next().unwrap().unwrap().is_empty() {}
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hi\n\n").unwrap();
        first
    });
    let (first, said) = redirecting(format!("http://far.example:{port}/events?x"));
    let url = format!("http://127.0.0.1:{first}/");
    let mut subscribe = Subscribe::new(&url);
    assert!(matches!(subscribe.connect(), Err(SubscribeError::Status(307))));
    said.join().unwrap();

    let (address, asked) = proxy(200);
    let (url, at) = (format!("http://far.example:{port}/events?x"), format!("http://{address}"));
    subscribe = Subscribe::new(&url);
    subscribe.route.proxy = Some(Proxy::new(&at));
    let mut events = subscribe.connect().unwrap();
    assert_eq!(events.next().unwrap().unwrap().data, "hi");
    assert!(events.next().unwrap().is_none());
    assert_eq!(served.join().unwrap(), "GET /events?x HTTP/1.1");
    asked.join().unwrap();
}

#[test]
fn what_cannot_be_reached_is_told() {
    let (listener, port) = bound();
    let url = format!("ws://127.0.0.1:{port}/");
    let mut connect = Connect::new(&url);
    connect.route.waits.answer = Duration::from_millis(50);
    // It is connected by the system, and never answered.
    assert!(matches!(connect.open(), Err(ConnectError::TimedOut(Step::Answer))));
    drop(listener);
    let Err(ConnectError::Io(error)) = connect.open() else { panic!("somebody answers") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    connect.route.waits.connect = Duration::ZERO;
    assert!(matches!(connect.open(), Err(ConnectError::TimedOut(_))));
    for bad in ["", "http://a/", "ws://", "ws://me@a/", "ws://a/ b", "a"] {
        assert!(matches!(Connect::new(bad).open(), Err(ConnectError::Url(_))), "{bad}");
    }
    #[cfg(not(feature = "tls"))]
    assert!(matches!(Connect::new("wss://127.0.0.1:1/").open(), Err(ConnectError::NoTls)));
}
