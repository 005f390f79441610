//! Echo servers, ours and others', each as its documentation shows the fastest way: one thread, and where the library can do
//! it, everything that has arrived is answered before anything is written.

use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use stillwire::{http, ws};
use stillwire_tokio::{Config, Connection, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Checked;

/// What `compare serve` can be.
pub const ALL: [&str; 9] = [
    "raw TCP",
    "stillwire Connection",
    "stillwire Server",
    "tokio-tungstenite",
    "tokio-websockets",
    "fastwebsockets",
    "yawc",
    "sockudo-ws",
    "axum",
];

/// Serves until it is killed; its first line is where.
pub fn serve(who: &str) -> Checked<()> {
    super::raise_limits();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        if who == "stillwire Server" {
            let mut config = Config::default();
            config.max_connections = 20_000;
            Server::new(listener, config).0.serve(echo_peer).await;
            return Ok(());
        }
        let who = ALL.into_iter().find(|name| *name == who).ok_or("who?")?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            echo(who, socket);
        }
    })
}

/// A task of its own for each, and of a type of its own: no contender's connections have room for another's state. It ends
/// with an error when the load goes away.
fn task(echo: impl Future<Output = Checked<()>> + Send + 'static) {
    tokio::spawn(echo);
}

async fn echo_peer(mut peer: stillwire_tokio::Peer) {
    while let Ok(Some(message)) = peer.recv().await {
        if peer.feed(message).await.is_err() {
            break;
        }
    }
}

fn echo(who: &str, socket: TcpStream) {
    match who {
        "raw TCP" => task(raw(socket)),
        "stillwire Connection" => task(ours(socket)),
        "tokio-tungstenite" => task(async {
            use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
            let socket = shake_hands(socket).await?;
            batch(WebSocketStream::from_raw_socket(socket, Role::Server, None).await).await
        }),
        "tokio-websockets" => task(async {
            let socket = shake_hands(socket).await?;
            batch(tokio_websockets::ServerBuilder::new().serve(socket)).await
        }),
        "yawc" => task(async {
            let options = yawc::Options::default().with_limits(4 << 20, 8 << 20).with_utf8();
            let socket = shake_hands(socket).await?;
            let mut socket = yawc::WebSocket::from_stream(socket, yawc::Role::Server, options)?;
            loop {
                let mut next = Some(socket.next_frame().await?);
                while let Some(frame) = next {
                    socket.feed(frame).await?;
                    next = socket.next_frame().now_or_never().transpose()?;
                }
                socket.flush().await?;
            }
        }),
        "sockudo-ws" => task(async {
            let socket = shake_hands(socket).await?;
            batch(sockudo_ws::WebSocketStream::server(socket, sockudo_ws::Config::default())).await
        }),
        _ => task(async {
            use fastwebsockets::{Frame, Role, WebSocket};
            let mut socket = WebSocket::after_handshake(shake_hands(socket).await?, Role::Server);
            socket.set_writev(true);
            loop {
                let frame = socket.read_frame().await?;
                // As it came it would go out with the client's mask.
                let frame = Frame::new(frame.fin, frame.opcode, None, frame.payload);
                socket.write_frame(frame).await?;
            }
        }),
    }
}

/// Everything that is there, then one flush.
async fn batch<S, M, E>(mut socket: S) -> Checked<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    while let Some(message) = socket.next().await {
        let mut next = Some(message?);
        while let Some(message) = next {
            socket.feed(message).await?;
            next = socket.next().now_or_never().flatten().transpose()?;
        }
        socket.flush().await?;
    }
    Ok(())
}

async fn raw(mut socket: TcpStream) -> Checked<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match socket.read(&mut buffer).await? {
            0 => return Ok(()),
            n => socket.write_all(&buffer[..n]).await?,
        }
    }
}

/// As the example `ws_echo` of our adapter.
async fn ours(socket: TcpStream) -> Checked<()> {
    let Some(mut socket) = open(socket).await? else { return Ok(()) };
    while let Some((event, reply)) = socket.next().await? {
        match event {
            ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox)?,
            ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox)?,
            _ => {}
        }
    }
    Ok(())
}

/// A function of its own: what was moved out of a variable keeps its place in a future.
async fn open(socket: TcpStream) -> Checked<Option<Connection<TcpStream, ws::Connection>>> {
    let exchange = http::Exchange::new(http::Config::default());
    let mut http = Connection::new(socket, exchange, (1 << 20) + 4096, 2 << 20);
    let config = ws::Config::default();
    let accept = loop {
        let Some((event, reply)) = http.next().await? else { return Ok(None) };
        let http::Event::Head(head) = event else { continue };
        let accept = ws::Accept::new(&head, &[], &config)?;
        accept.write(&[], reply.outbox)?;
        break accept;
    };
    Ok(Some(http.switch(|_| accept.connection(config))))
}

/// By hand, and the same for all peers: it happens once.
async fn shake_hands(mut socket: TcpStream) -> Checked<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Err("no request".into());
        }
    }
    let head = String::from_utf8(head)?;
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).ok_or("no key")?;
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await?;
    Ok(socket)
}
