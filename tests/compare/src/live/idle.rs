//! What idle connections take in user space: each has said one message and heard it back, and then nothing happens.
//!
//! One process may have 20,000 open files, so server and clients are processes of their own.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use super::client::{connect, frame, upgrade};
use super::process::Process;
use super::{Checked, raise_limits};

/// More on one address of the client take long to connect.
const PER_ADDRESS: usize = 7500;
const SERVERS: [&str; 4] =
    ["stillwire Server", "stillwire Connection", "tokio-tungstenite", "tokio-websockets"];

pub fn run(quick: bool) -> ExitCode {
    let count = if quick { 2000 } else { 15_000 };
    println!("user-space memory of the server for each of {count} idle connections, in bytes");
    for who in SERVERS {
        match one(who, count) {
            Ok(bytes) => println!("{who:<24}{bytes:>10.0}"),
            Err(error) => {
                eprintln!("compare: {who}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn one(who: &str, count: usize) -> Checked<f64> {
    let (server, at) = Process::ours(&["serve", who], None)?;
    // What the first ones cost is not theirs.
    let (warm, _) = Process::ours(&["sit", &at, "100"], None)?;
    drop(warm);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let before = server.memory()?;
    let (_client, _) = Process::ours(&["sit", &at, &count.to_string()], None)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    Ok((server.memory()? - before) / count as f64)
}

/// `compare sit`: connects, talks once on each connection, says `ready`, and stays until its input ends.
pub fn sit(to: SocketAddr, count: usize) -> Checked<()> {
    raise_limits();
    let message = frame(32);
    let mut sockets = Vec::with_capacity(count);
    for i in 0..count {
        let mut socket = connect(to, u8::try_from(2 + i / PER_ADDRESS)?)?;
        upgrade(&mut socket)?;
        socket.write_all(&message)?;
        socket.read_exact(&mut [0; 34])?;
        sockets.push(socket);
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
