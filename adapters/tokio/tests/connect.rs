//! From a URL to a WebSocket: TLS, proxies, redirections, waits.

mod common;

use std::net::SocketAddr;

use common::{echoing, millis, soon};
use stillwire::ws;
use stillwire_tokio::{Config, Connect, ConnectError, Message, Proxy, Step, connect};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Says hello and hears it again.
async fn greet(connect: &Connect<'_>) -> Result<(), ConnectError> {
    let mut socket = soon(connect.open()).await?;
    socket.send("hello").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::from("hello")));
    soon(socket.close("")).await.unwrap();
    Ok(())
}

async fn head(socket: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(socket.read_line(&mut head).await.unwrap() > 0, "it ended after {head:?}");
    }
    assert!(socket.buffer().is_empty(), "the client waits for the answer");
    head
}

/// Answers one request with a head, and tells what it was.
async fn answering(answer: String) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        let head = head(&mut socket).await;
        socket.write_all(answer.as_bytes()).await.unwrap();
        let _ = socket.read(&mut [0]).await; // until the client leaves
        head
    });
    (address, task)
}

/// A proxy that makes one tunnel.
async fn proxy() -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut near = BufReader::new(listener.accept().await.unwrap().0);
        let head = head(&mut near).await;
        let to = head.split(' ').nth(1).unwrap().replace("far.example", "127.0.0.1");
        let mut far = TcpStream::connect(to).await.unwrap();
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        head
    });
    (address, task)
}

#[tokio::test]
async fn through_a_proxy() {
    let (_handle, address) = echoing(Config::default()).await;
    let (at, asked) = proxy().await;
    let (url, at) = (format!("ws://far.example:{}/ws", address.port()), format!("http://{at}"));
    let mut connect = Connect::new(&url);
    connect.route.proxy = Some(Proxy::new(&at).basic("Aladdin", "open sesame").unwrap());
    connect.headers = &[("Authorization", "for the server alone")];
    greet(&connect).await.unwrap();
    let expected = format!(
        "CONNECT far.example:{port} HTTP/1.1\r\nHost: far.example:{port}\r\n\
         Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
        port = address.port()
    );
    assert_eq!(soon(asked).await.unwrap(), expected);
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let (at, asked) = answering("HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let at = format!("http://{at}");
    let mut connect = Connect::new("ws://[::1]/");
    connect.route.proxy = Some(Proxy::new(&at));
    assert!(matches!(greet(&connect).await, Err(ConnectError::Proxy(407))));
    assert!(asked.await.unwrap().starts_with("CONNECT [::1]:80 "));
    // Whoever speaks first, behind the tunnel's head, is no server of ours.
    let (at, _asked) = answering("HTTP/1.1 200 OK\r\n\r\nhello".to_owned()).await;
    let at = format!("http://{at}");
    connect.route.proxy = Some(Proxy::new(&at));
    assert!(matches!(greet(&connect).await, Err(ConnectError::Http(_))));
}

#[tokio::test]
async fn redirections() {
    let (_handle, address) = echoing(Config::default()).await;
    let to =
        |to: String| answering(format!("HTTP/1.1 308 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
    let (second, said_second) = to(format!("ws://{address}/ws")).await;
    let (first, said_first) = to(format!("http://{second}/other")).await;
    let url = format!("ws://{first}/");
    let mut connect = Connect::new(&url);
    connect.headers = &[("Cookie", "a=b"), ("X-Room", "7")];
    connect.redirects = 2;
    greet(&connect).await.unwrap();
    let (first, second) = (said_first.await.unwrap(), said_second.await.unwrap());
    assert!(first.contains("Cookie: a=b") && first.contains("X-Room: 7"), "{first}");
    assert!(second.starts_with("GET /other ") && second.contains("X-Room: 7"), "{second}");
    assert!(!second.contains("Cookie"), "another port is another origin: {second}");

    let (first, _said) = to("/".to_owned()).await;
    let refused = greet(&Connect::new(&format!("ws://{first}/"))).await;
    assert!(matches!(refused, Err(ConnectError::Upgrade(ws::UpgradeError::Status(308)))), "not by default");
}

#[tokio::test]
async fn every_step_has_its_time() {
    // Connected by the system, and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("ws://{address}/");
    let mut open = Connect::new(&url);
    open.route.waits.answer = millis(20);
    assert!(matches!(open.open().await, Err(ConnectError::TimedOut(Step::Answer))));
    let at = format!("http://{address}");
    open.route.proxy = Some(Proxy::new(&at));
    open.route.waits.proxy = millis(20);
    assert!(matches!(open.open().await, Err(ConnectError::TimedOut(Step::Proxy))));
    #[cfg(feature = "tls")]
    {
        let url = format!("wss://{address}/");
        let mut open = Connect::new(&url);
        (open.route.tls, open.route.waits.tls) = (Some(tls::configs().1), millis(20));
        assert!(matches!(open.open().await, Err(ConnectError::TimedOut(Step::Tls))));
    }
    drop(listener);
    let Err(ConnectError::Io(error)) = connect(&url).await else { panic!("somebody answers") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    for bad in ["", "http://a/", "ws://", "ws://me@a/", "ws://a/ b", "a"] {
        assert!(matches!(connect(bad).await, Err(ConnectError::Url(_))), "{bad}");
    }
    #[cfg(not(feature = "tls"))]
    assert!(matches!(connect("wss://127.0.0.1:1/").await, Err(ConnectError::NoTls)));
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use std::{io::ErrorKind, sync::Arc};
    use stillwire_tokio::tls::{self, rustls};

    /// A certificate for `127.0.0.1` and `far.example`: the server that has it, and the client that trusts it.
    pub(super) fn configs() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
        let names = ["127.0.0.1", "far.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server = tls::server(certificate.as_bytes(), key.as_bytes()).unwrap();
        (server, tls::client_trusting(certificate.as_bytes()).unwrap())
    }

    async fn secure() -> (stillwire_tokio::Handle, SocketAddr, Arc<rustls::ClientConfig>) {
        let (server, client) = configs();
        let mut config = Config::default();
        config.tls = Some(server);
        let (handle, address) = echoing(config).await;
        (handle, address, client)
    }

    #[tokio::test]
    async fn a_url_leads_to_tls_also_through_a_proxy() {
        let (handle, address, client) = secure().await;
        let url = format!("wss://{address}/ws");
        let mut connect = Connect::new(&url);
        connect.route.tls = Some(client.clone());
        greet(&connect).await.unwrap();
        let (at, asked) = proxy().await;
        let (url, at) = (format!("wss://far.example:{}/ws", address.port()), format!("http://{at}"));
        let mut connect = Connect::new(&url);
        (connect.route.tls, connect.route.proxy) = (Some(client), Some(Proxy::new(&at)));
        greet(&connect).await.unwrap();
        assert!(soon(asked).await.unwrap().starts_with("CONNECT far.example:"));
        common::until("the peers are gone", || handle.peers() == 0).await;
    }

    /// Much in both directions at once, in halves, over TLS.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn much_at_once() {
        let (_handle, address, client) = secure().await;
        let url = format!("wss://{address}/ws");
        let mut connect = Connect::new(&url);
        (connect.route.tls, connect.outbox) = (Some(client), 100_000);
        let (mut reader, writer) = connect.open().await.unwrap().split();
        let sending = tokio::spawn(async move {
            for n in 0..200_u32 {
                let mut payload = vec![n as u8; (n * 997 % 40_000) as usize];
                payload.extend_from_slice(&n.to_be_bytes());
                writer.feed(payload).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer
        });
        for n in 0..200_u32 {
            let Some(Message::Binary(got)) = soon(reader.recv()).await.unwrap() else { panic!("it ended") };
            assert_eq!(got.len(), (n * 997 % 40_000) as usize + 4);
            assert_eq!(got[got.len() - 4..], n.to_be_bytes());
        }
        sending.await.unwrap().close("").await.unwrap();
        assert_eq!(soon(reader.recv()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn who_is_not_trusted_and_who_speaks_no_tls() {
        let (_handle, address, _) = secure().await;
        let url = format!("wss://{address}/ws");
        let mut connect = Connect::new(&url);
        connect.route.tls = Some(configs().1);
        let Err(ConnectError::Io(error)) = connect.open().await else { panic!("it is trusted") };
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(plain.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
    }
}

/// permessage-deflate by configuration alone: payloads that are shared and such that are copied.
#[cfg(feature = "deflate")]
#[tokio::test]
async fn compressed_by_configuration_alone() {
    let mut config = Config::default();
    config.websocket.deflate = Some(ws::Deflate::default());
    let (handle, address) = echoing(config).await;
    let url = format!("ws://{address}/ws");
    let mut connect = Connect::new(&url);
    connect.config.deflate = Some(ws::Deflate::default());
    let mut socket = connect.open().await.unwrap();
    for size in [1, 1000, 100_000] {
        for message in [Message::from("ab".repeat(size)), Message::from(vec![7; size])] {
            socket.send(message.clone()).await.unwrap();
            assert!(soon(socket.recv()).await.unwrap() == Some(message));
        }
    }
    soon(socket.close("")).await.unwrap();
    let bytes = handle.traffic(stillwire_tokio::Carrier::WebSocket).bytes;
    assert!(bytes < 20_000, "{bytes} bytes for 600,000");
}
