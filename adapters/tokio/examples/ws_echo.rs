//! A WebSocket echo on [`Connection`] alone: no server, no rooms, one machine after the other on each socket.
//!
//! `cargo run -p stillwire-tokio --example ws_echo`, then connect to `ws://127.0.0.1:3000/`.

use stillwire::{http, ws};
use stillwire_tokio::Connection;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (socket, address) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = echo(socket).await {
                eprintln!("{address}: {error}");
            }
        });
    }
}

async fn echo(socket: TcpStream) -> Result<(), Failure> {
    socket.set_nodelay(true)?;
    // First it is HTTP …
    let exchange = http::Exchange::new(http::Config::default());
    let mut http = Connection::new(socket, exchange, 1 << 20, 1 << 20);
    let config = ws::Config::default();
    let accept = loop {
        let Some((event, reply)) = http.next().await? else { return Ok(()) };
        let http::Event::Head(head) = event else { continue };
        match ws::Accept::new(&head, &[], &config) {
            Ok(accept) => {
                accept.write(&[], reply.outbox)?;
                break accept;
            }
            Err(error) => {
                let why = format!("{error}\n");
                reply.machine.respond(error.http_status(), error.headers(), why.as_bytes(), reply.outbox)?;
            }
        }
    };
    // … then a WebSocket, over the same boxes: what came behind the head is not lost.
    let mut websocket = http.switch(|_| accept.connection(config));
    while let Some((event, reply)) = websocket.next().await? {
        match event {
            ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox)?,
            ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox)?,
            _ => {} // pings are answered already
        }
    }
    Ok(())
}
