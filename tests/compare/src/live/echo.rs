//! What a server takes for each message that it echoes: CPU time of its process, as the kernel counts it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::client::Load;
use super::process::Process;
use super::{Checked, pin, servers};

/// Bytes of a message, messages under way on each connection, connections.
const CELLS: [(usize, usize, usize); 4] = [(64, 1, 32), (64, 32, 32), (1 << 10, 16, 32), (16 << 10, 4, 32)];
const RAW: &str = "raw TCP";

const NODE: &str = "const { WebSocketServer } = await import('ws'); \
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false }); \
    server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary }))); \
    server.on('listening', () => console.log(`127.0.0.1:${server.address().port}`));";

pub fn run(quick: bool, only: &str) -> ExitCode {
    crate::done(measure(quick, only))
}

/// The programs of tests/runtimes, built for release. `None`: not here.
fn runtimes() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::current_exe().ok()?.parent()?.join("runtimes");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--bins", "--manifest-path"])
        .arg(root.join("tests/runtimes/Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .status();
    built.is_ok_and(|status| status.success()).then(|| folder.join("release"))
}

fn measure(quick: bool, only: &str) -> Checked<()> {
    let mut servers: Vec<(String, Process, SocketAddr)> = Vec::new();
    let mut add = |name: &str, started: Checked<(Process, String)>| match started
        .and_then(|(process, line)| Ok((process, line.parse()?)))
    {
        Ok((process, at)) => servers.push((name.to_owned(), process, at)),
        Err(error) => println!("{name} is left out: {error}"),
    };
    let wanted = |name: &str| name == RAW || name.contains(only);
    for who in servers::ALL.into_iter().filter(|who| *who != "axum" && wanted(who)) {
        add(who, Process::ours(&["serve", who], Some(0)));
    }
    let folder = runtimes();
    for program in ["epoll", "uring"] {
        let name = format!("stillwire in {program}");
        if let Some(folder) = folder.as_ref().filter(|_| wanted(&name)) {
            add(&name, Process::start(&folder.join(program), &["127.0.0.1:0"], Some(0)));
        }
    }
    if wanted("node ws") {
        let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop");
        if interop.join("node_modules/ws").exists() {
            std::env::set_current_dir(interop)?;
            add("node ws", Process::start(Path::new("node"), &["--input-type=module", "-e", NODE], Some(0)));
        } else {
            println!("node ws is left out: `npm ci` in tests/interop installs it");
        }
    }
    // The load has the other core.
    pin(1);
    let (rounds, turn) = if quick { (1, 250) } else { (4, 600) };
    let turn = Duration::from_millis(turn);
    println!(
        "\nserver CPU time for an echoed message, in µs, and in relation to {RAW}; {} connections",
        CELLS[0].2
    );
    print!("{:<24}", "");
    CELLS.iter().for_each(|(len, window, _)| print!("{:>18}", format!("{len} B x {window}")));
    println!();
    let mut best: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for _ in 0..rounds {
        for (column, (len, window, connections)) in CELLS.into_iter().enumerate() {
            for (row, (name, process, at)) in servers.iter().enumerate() {
                let mut load = Load::new(*at, name == RAW, connections, len, window)?;
                load.run(turn / 6)?;
                let before = process.cpu()?;
                let count = load.run(turn)?;
                let cost = (process.cpu()? - before) / count as f64 / 1000.0;
                best.entry((row, column)).and_modify(|best| *best = best.min(cost)).or_insert(cost);
            }
        }
    }
    for (row, (name, ..)) in servers.iter().enumerate() {
        print!("{name:<24}");
        for column in 0..CELLS.len() {
            let cost = best[&(row, column)];
            print!("{:>18}", format!("{cost:.3} ({:.2})", cost / best[&(0, column)]));
        }
        println!();
    }
    Ok(())
}
