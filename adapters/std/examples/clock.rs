//! An event stream that tells the seconds, a thread per subscriber:
//! `cargo run -p stillwire-std --example clock -- 127.0.0.1:9002`, then `curl -N 127.0.0.1:9002`.
//!
//! Its first line of output is the address that it listens on (port 0, the default, takes a free one).

use core::time::Duration;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use stillwire::{Inbox, Outbox, http, sse};
use stillwire_std::{Connection, Error};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    for socket in listener.incoming().flatten() {
        std::thread::spawn(move || subscriber(socket));
    }
    Ok(())
}

fn subscriber(socket: TcpStream) -> Result<(), Error<http::Error>> {
    let exchange = http::Exchange::new(http::Config::default());
    let (inbox, outbox) = (Inbox::with_limit(16 << 10), Outbox::with_limit(64 << 10));
    let mut connection = Connection::new(socket, exchange, inbox, outbox);
    let Some((http::Event::Head(_), reply)) = connection.next()? else { return Ok(()) };
    if sse::Feed::begin(reply.machine, &[], reply.outbox).is_err() {
        return Ok(());
    }
    let feed = connection.switch(|exchange| sse::Feed::over(exchange, sse::FeedConfig::default()));

    // One thread tells the time, the other one notices that the subscriber has left.
    let (mut reader, writer) = feed.split();
    std::thread::spawn(move || {
        while let Ok(time) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            if writer.send_text(&time.as_secs().to_string()).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    while reader.next()?.is_some() {}
    Ok(())
}
