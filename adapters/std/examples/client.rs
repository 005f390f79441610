//! Lines from the keyboard to a WebSocket and back, in two threads:
//! `cargo run -p stillwire-std --example client -- ws://127.0.0.1:9001/`.
//!
//! Behind the URL may stand a file with the certificate to trust as PEM (with `--features tls`, for `wss://`; `-` for none),
//! and the `http://` URL of a proxy.

use core::error::Error;
use std::io::BufRead;

use stillwire::ws;
use stillwire_std::{Connect, Proxy};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut connect = Connect::new(arguments.first().ok_or("which URL? (ws://…)")?);
    #[cfg(feature = "tls")]
    if let Some(file) = arguments.get(1).filter(|file| *file != "-") {
        connect.route.tls = Some(stillwire_std::tls::client_trusting(&std::fs::read(file)?)?);
    }
    connect.route.proxy = arguments.get(2).map(|url| Proxy::new(url));
    let (mut reader, writer) = connect.open()?.0.split();

    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if writer.send_text(&line).is_err() {
                return;
            }
        }
        let _ = writer.close("end of input");
    });

    while let Some(event) = reader.next()? {
        match event {
            ws::Event::Text(text) => println!("{text}"),
            ws::Event::Binary(bytes) => println!("{} bytes", bytes.len()),
            ws::Event::Closed { code, reason } => eprintln!("closed: {code} {reason}"),
            ws::Event::Ping(_) | ws::Event::Pong(_) => {}
            _ => {}
        }
    }
    Ok(())
}
