//! What an idle connection costs: `idle [COUNT]` opens 10,000 WebSocket connections to the program `epoll`, has each say one message,
//! and looks at the server's memory from outside. Then it compares the CPU time per echoed message with that of a TCP echo that knows
//! no protocol, in alternating rounds: 8 connections, one message of 32 bytes under way on each.
//!
//! It fails when a connection takes more than its state and 64 bytes. Times are only told. It needs Linux's `/proc` and `COUNT`
//! descriptors and some (`ulimit -n`), uses nothing but the loopback, and none of its waits is endless.
//!
//! Three processes besides this one: `epoll` and `idle plain`, the servers; `idle client`, which does what its input says.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mio::{Events, Interest, Poll, Token};
use stillwire_runtimes::Peer;

/// What a connection may take besides its state: the descriptor, flags, its deadline twice.
const ALLOWED: f64 = 64.0;
const ROUNDS: usize = 7;
const MESSAGES: usize = 20_000;
const TALKING: usize = 8;

type Checked<T> = Result<T, Box<dyn core::error::Error>>;

fn main() -> Checked<()> {
    match std::env::args().nth(1).as_deref() {
        Some("client") => client(),
        Some("plain") => plain(),
        count => check(count.map_or(Ok(10_000), str::parse)?),
    }
}

fn check(count: usize) -> Checked<()> {
    let own = std::env::current_exe()?;
    let (mut server, at) = Process::start(&own.with_file_name("epoll"), "127.0.0.1:0")?;
    let (mut other, other_at) = Process::start(&own, "plain")?;
    let (mut client, _) = Process::start(&own, "client")?;
    // What the first ones cost is not theirs.
    client.ask(&format!("open {at} 100"))?;
    client.ask("close")?;
    let before = server.memory()?;
    let took = client.ask(&format!("open {at} {count}"))?;
    let used = (server.memory()? - before) / count as f64;
    let besides = used - size_of::<Peer>() as f64;
    println!("{count} connections, {took} s for opening handshakes and a message each");
    println!(
        "user-space memory of each: {used:.0} B, which is its state of {} B and {besides:.0} B",
        size_of::<Peer>()
    );

    client.ask(&format!("connect {other_at} {TALKING}"))?;
    let (mut echo, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (what, server, costs) in [("messages", &mut server, &mut echo), ("bytes", &mut other, &mut plain)]
        {
            let before = server.cpu()?;
            client.ask(what)?;
            costs.push((server.cpu()? - before) / (MESSAGES * TALKING) as f64);
        }
    }
    for (what, costs) in [("WebSocket echo", &mut echo), ("plain TCP echo", &mut plain)] {
        costs.sort_by(f64::total_cmp);
        println!(
            "{what}: CPU {:.0} ns a message (median of {ROUNDS} rounds; least {:.0})",
            costs[ROUNDS / 2],
            costs[0]
        );
    }
    println!("ratio of the medians: {:.2}", echo[ROUNDS / 2] / plain[ROUNDS / 2]);
    if besides > ALLOWED {
        return Err(format!("more than {ALLOWED} B besides the state").into());
    }
    Ok(())
}

/// A child that does not outlive this.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it; its first line.
    fn start(file: &Path, argument: &str) -> Checked<(Self, String)> {
        let mut child =
            Command::new(file).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) =
            (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let mut process = Self { child, input, output: BufReader::new(output) };
        let first = process.line()?;
        Ok((process, first))
    }

    fn line(&mut self) -> Checked<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a child has ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn ask(&mut self, what: &str) -> Checked<String> {
        writeln!(self.input, "{what}")?;
        self.line()
    }

    /// Its own memory in bytes, without files and without the kernel's.
    fn memory(&self) -> Checked<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }

    /// Nanoseconds of its only thread.
    fn cpu(&self) -> Checked<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id()))?;
        Ok(text.split(' ').next().ok_or("empty")?.parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Blocking sockets, one after the other.
fn client() -> Checked<()> {
    println!("ready");
    let (mut sockets, mut plain) = (Vec::new(), Vec::new());
    let message = [&b"\x81\xa0\0\0\0\0"[..], &[b'x'; 32]].concat();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let start = std::time::Instant::now();
        match words[..] {
            ["open", at, count] => {
                for _ in 0..count.parse()? {
                    let mut socket = connect(at)?;
                    upgrade(&mut socket)?;
                    talk(core::slice::from_mut(&mut socket), &message, 34)?;
                    sockets.push(socket);
                }
            }
            ["close"] => sockets.clear(),
            ["connect", at, count] => {
                for _ in 0..count.parse()? {
                    plain.push(connect(at)?);
                }
            }
            ["messages"] => (0..MESSAGES).try_for_each(|_| talk(&mut sockets[..TALKING], &message, 34))?,
            ["bytes"] => (0..MESSAGES).try_for_each(|_| talk(&mut plain, &message, 38))?,
            _ => return Err("what?".into()),
        }
        println!("{:.2}", start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn connect(at: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(at)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

fn upgrade(socket: &mut TcpStream) -> Checked<()> {
    socket.write_all(
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
          sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let (mut answer, mut n) = ([0; 1024], 0);
    while !answer[..n].ends_with(b"\r\n\r\n") {
        match socket.read(&mut answer[n..])? {
            0 => return Err("no handshake".into()),
            more => n += more,
        }
    }
    if answer.starts_with(b"HTTP/1.1 101 ") { Ok(()) } else { Err("no upgrade".into()) }
}

/// One message on each, then one answer of `n` bytes from each.
fn talk(sockets: &mut [TcpStream], message: &[u8], n: usize) -> io::Result<()> {
    sockets.iter_mut().try_for_each(|socket| socket.write_all(message))?;
    let mut answer = [0; 64];
    sockets.iter_mut().try_for_each(|socket| socket.read_exact(&mut answer[..n]))
}

/// What `epoll` does, less the protocol: an echo of bytes, with the same calls of the kernel.
fn plain() -> Checked<()> {
    let mut listener = mio::net::TcpListener::bind("127.0.0.1:0".parse()?)?;
    println!("{}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    let (mut sockets, mut shared) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Some(socket) = sockets.get_mut(event.token().0) else { continue };
            while let Ok(n @ 1..) = mio::net::TcpStream::read(socket, &mut shared) {
                socket.write_all(&shared[..n])?; // a message or two: there is room for them
            }
        }
        loop {
            match listener.accept() {
                Ok((mut socket, _)) => {
                    socket.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(sockets.len()), interest)?;
                    sockets.push(socket);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
