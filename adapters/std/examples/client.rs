//! Lines from the keyboard to a WebSocket and back, in two threads:
//! `cargo run -p stillwire-std --example client -- ws://127.0.0.1:9001/`.

use core::error::Error;
use std::io::BufRead;

use stillwire::ws;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("which URL? (ws://…)")?;
    let (mut reader, writer) = stillwire_std::connect(&url)?.split();

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
