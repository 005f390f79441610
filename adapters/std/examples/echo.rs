//! A WebSocket echo server, a thread per connection: `cargo run -p stillwire-std --example echo -- 127.0.0.1:9001`.
//!
//! Its first line of output is the address that it listens on (port 0, the default, takes a free one).

use std::io;
use std::net::{TcpListener, TcpStream};

use stillwire::ws;
use stillwire_std::{Accept, Error, WebSocket};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);

    let mut server = Accept::default();
    server.config.max_message = 16 << 20;
    // One message in, one message out: both boxes must hold the largest.
    (server.inbox, server.outbox) = (17 << 20, 34 << 20);
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let server = server.clone();
        std::thread::spawn(move || connection(&server, socket));
    }
    Ok(())
}

fn connection(server: &Accept<'_>, socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    let mut peer = match server.accept(socket, |_| Ok(())) {
        Ok(accepted) => accepted.connection,
        Err(error) => return eprintln!("no WebSocket: {error}"),
    };
    if let Err(error) = echo(&mut peer) {
        eprintln!(
            "{error}: {}",
            core::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
        );
    }
    peer.end();
}

fn echo(peer: &mut WebSocket) -> Result<(), Error<ws::Error>> {
    while let Some((event, reply)) = peer.next()? {
        // The message is not copied but into the outbox. It fails when it came behind our close frame.
        let _ = match event {
            ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox),
            ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox),
            _ => Ok(()),
        };
    }
    Ok(())
}
