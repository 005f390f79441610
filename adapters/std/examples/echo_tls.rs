//! A WebSocket echo server over TLS, two threads a connection: one receives, the other one sends.
//! `cargo run -p stillwire-std --features tls --example echo_tls -- 127.0.0.1:9443 certificate.pem key.pem`.
//!
//! Its first line of output is the address that it listens on.

use core::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use stillwire::ws;
use stillwire_std::tls::{self, Tls, rustls::ServerConfig};
use stillwire_std::{Accept, WriteError};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, certificate, key] = &*arguments else { return Err("ADDRESS CERTIFICATE KEY".into()) };
    let config = tls::server(&std::fs::read(certificate)?, &std::fs::read(key)?)?;
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);

    let mut server = Accept::default();
    server.config.max_message = 16 << 20;
    // Messages should be smaller than half of the outbox.
    (server.inbox, server.outbox) = (17 << 20, 40 << 20);
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let (server, config) = (server.clone(), config.clone());
        std::thread::spawn(move || {
            if let Err(error) = connection(&server, config, socket) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn connection(
    server: &Accept<'_>,
    config: Arc<ServerConfig>,
    socket: TcpStream,
) -> Result<(), Box<dyn Error>> {
    socket.set_nodelay(true)?;
    let tls = Tls::accept(config, socket, Duration::from_secs(10))?;
    let (mut reader, writer) = server.accept(tls, |_| Ok(()))?.connection.split();
    let (sender, messages) = mpsc::sync_channel::<(bool, Vec<u8>)>(64);
    let sending = std::thread::spawn(move || -> Result<(), WriteError> {
        for (is_text, payload) in messages {
            // It was text when it came.
            match core::str::from_utf8(&payload).ok().filter(|_| is_text) {
                Some(text) => writer.send_text(text)?,
                None => writer.send_binary(&payload)?,
            }
        }
        Ok(())
    });
    while let Some(event) = reader.next()? {
        let message = match event {
            ws::Event::Text(text) => (true, text.as_bytes().to_vec()),
            ws::Event::Binary(bytes) => (false, bytes.to_vec()),
            _ => continue,
        };
        if sender.send(message).is_err() {
            break;
        }
    }
    drop(sender);
    let _ = sending.join();
    Ok(())
}
