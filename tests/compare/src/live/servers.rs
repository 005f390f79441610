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
            // It ends with an error when the load goes away.
            tokio::spawn(async move { echo(who, socket).await.is_ok() });
        }
    })
}

async fn echo_peer(mut peer: stillwire_tokio::Peer) {
    while let Ok(Some(message)) = peer.recv().await {
        if peer.feed(message).await.is_err() {
            break;
        }
    }
}

async fn echo(who: &str, mut socket: TcpStream) -> Checked<()> {
    match who {
        "raw TCP" => return raw(socket).await,
        "stillwire Connection" => return ours(socket).await,
        _ => shake_hands(&mut socket).await?,
    }
    match who {
        "tokio-tungstenite" => {
            use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
            batch(WebSocketStream::from_raw_socket(socket, Role::Server, None).await).await
        }
        "tokio-websockets" => batch(tokio_websockets::ServerBuilder::new().serve(socket)).await,
        "yawc" => {
            let options = yawc::Options::default().with_limits(4 << 20, 8 << 20).with_utf8();
            let mut socket = yawc::WebSocket::from_stream(socket, yawc::Role::Server, options)?;
            loop {
                let mut next = Some(socket.next_frame().await?);
                while let Some(frame) = next {
                    socket.feed(frame).await?;
                    next = socket.next_frame().now_or_never().transpose()?;
                }
                socket.flush().await?;
            }
        }
        "sockudo-ws" => {
            let config = sockudo_ws::Config::default();
            batch(sockudo_ws::WebSocketStream::server(socket, config)).await
        }
        _ => {
            let role = fastwebsockets::Role::Server;
            let mut socket = fastwebsockets::WebSocket::after_handshake(socket, role);
            socket.set_writev(true);
            loop {
                let frame = socket.read_frame().await?;
                socket.write_frame(frame).await?;
            }
        }
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
    let exchange = http::Exchange::new(http::Config::default());
    let mut http = Connection::new(socket, exchange, (1 << 20) + 4096, 2 << 20);
    let config = ws::Config::default();
    let accept = loop {
        let Some((event, reply)) = http.next().await? else { return Ok(()) };
        let http::Event::Head(head) = event else { continue };
        let accept = ws::Accept::new(&head, &[], &config)?;
        accept.write(&[], reply.outbox)?;
        break accept;
    };
    let mut socket = http.switch(|_| accept.connection(config));
    while let Some((event, reply)) = socket.next().await? {
        match event {
            ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox)?,
            ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox)?,
            _ => {}
        }
    }
    Ok(())
}

/// By hand, and the same for all peers: it happens once.
async fn shake_hands(socket: &mut TcpStream) -> Checked<()> {
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
    Ok(socket.write_all(answer.as_bytes()).await?)
}
