//! A hyper server on one end of a pipe, and hyper's clients on the other.

#![allow(dead_code, unreachable_pub)]

use core::{convert::Infallible, fmt, future::Future, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use stillwire_hyper::Body;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

pub const SECOND: Duration = Duration::from_secs(1);

/// A lost wakeup is a failure, not a hang.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(20 * SECOND, future).await.expect("it takes too long")
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// A connection to `service`, which hyper serves as HTTP/1.1 or HTTP/2, whatever the client speaks.
pub fn connect<S, B>(service: S) -> DuplexStream
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (here, there) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(there), service).await;
    });
    here
}

pub type H1 = http1::SendRequest<Full<Bytes>>;
pub type H2 = http2::SendRequest<Full<Bytes>>;

pub async fn h1(stream: DuplexStream) -> H1 {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn h2(stream: DuplexStream) -> H2 {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(method: &str, target: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("http://a.example{target}"));
    request.header("host", "a.example").body(Full::from(body.to_owned())).unwrap()
}

pub async fn text(response: Response<Incoming>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

/// One frame of a body.
pub async fn frame<B>(body: &mut B) -> Option<String>
where
    B: http_body::Body<Data = Bytes, Error: fmt::Debug> + Unpin,
{
    let frame = soon(body.frame()).await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.into()).unwrap())
}

/// What opens a WebSocket in HTTP/1.1, with other headers in the place of `host` where they are told.
pub fn upgrade(headers: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nhost: a.example\r\nupgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// What opens one in HTTP/2 (RFC 8441).
pub fn extended_connect(protocol: &'static str) -> http::request::Builder {
    Request::connect("http://a.example/ws")
        .version(http::Version::HTTP_2)
        .extension(hyper::ext::Protocol::from_static(protocol))
}

/// Sends a head as it stands, and reads one without a body, or with one of a declared length.
pub async fn answer_to(stream: &mut DuplexStream, raw: &str) -> String {
    stream.write_all(raw.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A WebSocket over HTTP/1.1, from behind its handshake.
pub async fn socket_h1(mut stream: DuplexStream, headers: &str) -> (String, DuplexStream) {
    let head = answer_to(&mut stream, &upgrade(headers)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (head, stream)
}

/// A WebSocket over one stream of HTTP/2.
pub async fn socket_h2(sender: &mut H2) -> TokioIo<hyper::upgrade::Upgraded> {
    let request = extended_connect("websocket").header("sec-websocket-version", "13");
    soon(sender.ready()).await.unwrap();
    let response = soon(sender.send_request(request.body(Full::default()).unwrap())).await.unwrap();
    assert_eq!(response.status(), 200);
    TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap())
}

/// Frames of a client whose masks are zero.
pub async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    let frame = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next unmasked text of less than 126 bytes.
pub async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = [0; 2];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[0], 0x81, "a text");
    let mut text = vec![0; head[1].into()];
    soon(stream.read_exact(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Fragments with a ping between them come back as one message behind a pong; then the close handshake, to the end.
pub async fn echoes_and_closes<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let sent: &[u8] = b"\x01\x83\0\0\0\0Hel\x89\x81\0\0\0\0!\x80\x82\0\0\0\0lo";
    for byte in sent {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut back = [0; 10];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"\x8a\x01!\x81\x05Hello");
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
    stream.flush().await.unwrap();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xe8");
}

/// What the low level answers with: for `service_fn`.
pub type Answer = Result<Response<Body>, Infallible>;
