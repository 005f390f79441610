//! One publisher, thousands of event streams, some of which are never read: what a delivered event costs the server, when
//! it comes, whether those who do not read cost the others anything, and what a server does with them.

use std::convert::Infallible;
use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use axum::response::sse::{Event, Sse};
use futures_util::stream;
use stillwire_tokio::{Config, Server};
use tokio::sync::broadcast;

use super::client::{Far, Ready, connect_with};
use super::process::Process;
use super::{Checked, raise_limits};

const ROOM: &str = "all";
/// Bytes of an event's data: the moment in front, then letters.
const DATA: usize = 2000;
/// Between two events.
const EVERY: Duration = Duration::from_millis(100);
/// What a server keeps for somebody who does not read, in events.
const BACKLOG: usize = 32;
/// What is later than that is not counted.
const LATE: Duration = Duration::from_secs(4);
/// Nobody who has something to say is silent for so long.
const SILENCE: Duration = Duration::from_secs(2);
/// Those who do not read are far away: with segments as small as that, where the loopback's are 64 KiB, the kernel keeps 140 KB
/// for each of them instead of megabytes, and the rest is the server's to keep.
const FAR: Far = Far { receive: 4096, segment: 536 };

/// Node, as its documentation does it; who lets too much wait is cut off.
const NODE: &str = "const http = await import('node:http'); const all = new Set(); \
    const server = http.createServer((request, response) => { \
      response.writeHead(200, { 'content-type': 'text/event-stream' }); response.flushHeaders(); \
      all.add(response); response.on('close', () => all.delete(response)); }); \
    server.listen(0, '127.0.0.1', 4096, () => console.log(`127.0.0.1:${server.address().port}`)); \
    const lines = (await import('node:readline')).createInterface({ input: process.stdin }); \
    lines.on('line', (data) => { const event = `data: ${data}\\n\\n`; \
      for (const response of all) { \
        if (response.writableLength > 32 * 2000) response.destroy(); else response.write(event); } });";

struct Effort {
    subscribers: usize,
    stalled: usize,
    events: usize,
}

pub fn run(quick: bool, only: &str) -> ExitCode {
    let effort = match quick {
        true => Effort { subscribers: 500, stalled: 20, events: 20 },
        false => Effort { subscribers: 5000, stalled: 100, events: 150 },
    };
    println!(
        "{} event streams, one event of {DATA} B every {} ms, {} of them; µs of the server's CPU time for a delivered event;\n\
         ms until it was there (median, 99 of 100, last); MiB of the server before the first event and after the last; of the\n\
         streams that nobody reads: how many the server has ended, and what they missed of their events\n",
        effort.subscribers,
        EVERY.as_millis(),
        effort.events,
    );
    println!(
        "{:<10}{:>8}{:>11}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>7}{:>8}",
        "", "stalled", "delivered", "CPU", "median", "99 %", "last", "before", "after", "ended", "missed"
    );
    for who in ["stillwire", "axum", "node"].into_iter().filter(|who| who.contains(only)) {
        for stalled in [0, effort.stalled] {
            if let Err(error) = one(who, &Effort { stalled, ..effort }) {
                println!("{who} is left out: {error}");
            }
        }
    }
    ExitCode::SUCCESS
}

fn one(who: &str, effort: &Effort) -> Checked<()> {
    const CLIENTS: usize = 4;
    let (mut server, at) = match who {
        "node" => Process::start(Path::new("node"), &["--input-type=module", "-e", NODE], Some(0))?,
        _ => Process::ours(&["publish", who], Some(0))?,
    };
    let mut clients = Vec::new();
    for i in 0..CLIENTS {
        let share = |all: usize| all / CLIENTS + usize::from(i < all % CLIENTS);
        let arguments =
            [at.as_str(), &share(effort.subscribers).to_string(), &share(effort.stalled).to_string()];
        clients.push(Process::ours(&[&["subscribe"], &arguments[..]].concat(), Some(1))?.0);
    }
    let (memory, cpu) = (server.memory()?, server.cpu()?);
    for _ in 0..effort.events {
        let start = Instant::now();
        server.tell(&format!("{:020}{}", micros(), "x".repeat(DATA - 20)))?;
        std::thread::sleep(EVERY.saturating_sub(start.elapsed()));
    }
    std::thread::sleep(LATE);
    let (cpu, after) = (server.cpu()? - cpu, server.memory()?);
    let mut delays = Vec::new();
    for client in &mut clients {
        let line = client.ask("tell")?;
        delays.extend(line.split(' ').filter_map(|delay| delay.parse::<u32>().ok()));
    }
    // Only now: what is read makes room.
    let (mut ended, mut late) = (0, 0);
    clients.iter_mut().try_for_each(|client| client.tell("wake"))?;
    for client in &mut clients {
        let line = client.line()?;
        let (some, events) = line.split_once(' ').ok_or("no numbers")?;
        (ended, late) = (ended + some.parse::<usize>()?, late + events.parse::<usize>()?);
    }
    let missed = (effort.stalled * effort.events).saturating_sub(late);
    delays.sort_unstable();
    let delay = |part: f64| {
        let at = (delays.len() as f64 * part) as usize;
        delays.get(at.min(delays.len().saturating_sub(1))).map_or(0.0, |delay| f64::from(*delay) / 1000.0)
    };
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!(
        "{who:<10}{:>8}{:>11}{:>7.2}{:>8.1}{:>8.1}{:>8.1}{:>8.1}{:>8.1}{ended:>7}{missed:>8}",
        effort.stalled,
        delays.len(),
        cpu / delays.len() as f64 / 1000.0,
        delay(0.5),
        delay(0.99),
        delay(1.0),
        mib(memory),
        mib(after),
    );
    let expected = (effort.subscribers - effort.stalled) * effort.events;
    if delays.len() != expected {
        println!(
            "{:<10}{expected} were to be delivered: the others were dropped, or later than {LATE:?}",
            ""
        );
    }
    Ok(())
}

/// The time of day, which all processes share.
fn micros() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_micros())
}

/// `compare subscribe`: opens event streams, some of which it does not read. When asked, it tells how many microseconds each
/// event took; and when asked again, reads the others, and tells how many have an end and how many events there were.
pub fn subscribe(to: SocketAddr, count: usize, stalled: usize) -> Checked<()> {
    raise_limits();
    let mut ready = Ready::new()?;
    let (mut streams, mut buffer): (Vec<(TcpStream, Vec<u8>)>, _) = (Vec::new(), vec![0; 64 << 10]);
    for id in 0..count {
        let mut socket = connect_with(to, 1, (id < stalled).then_some(FAR))?;
        socket.write_all(b"GET /events HTTP/1.1\r\nhost: a.example\r\naccept: text/event-stream\r\n\r\n")?;
        // Nothing is published yet: this is the head.
        let head = socket.read(&mut buffer)?;
        if !buffer[..head].starts_with(b"HTTP/1.1 200 ") {
            return Err("no event stream".into());
        }
        socket.set_nonblocking(true)?;
        if id >= stalled {
            ready.add(&socket, id, false)?;
        }
        streams.push((socket, Vec::new()));
    }
    println!("ready");
    let asked = std::thread::spawn(|| std::io::stdin().lock().read_line(&mut String::new()));
    let mut delays = String::new();
    while !asked.is_finished() {
        for id in ready.wait(Duration::from_millis(100))? {
            let (socket, bytes) = &mut streams[id];
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => return Err("the server has hung up".into()),
                    Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
            // Whatever frames the body is cut into: an event is known by its field, and is there with its last byte.
            let now = micros();
            while let Some(at) = bytes.windows(6).position(|six| six == b"data: ") {
                let Some(event) = bytes.get(at + 6..at + 6 + DATA) else { break };
                if let Ok(sent) = std::str::from_utf8(&event[..20])?.parse::<u128>() {
                    delays += &format!("{} ", now.saturating_sub(sent));
                }
                bytes.drain(..at + 6 + DATA);
            }
        }
    }
    println!("{delays}");
    std::io::stdin().lock().read_line(&mut String::new())?;
    let mut asleep: Vec<_> = streams.drain(..stalled).collect();
    let (mut ended, mut late, mut heard) = (0, 0, Instant::now());
    while !asleep.is_empty() && heard.elapsed() < SILENCE {
        std::thread::sleep(Duration::from_millis(1));
        asleep.retain_mut(|(socket, bytes)| match socket.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Ok(n @ 1..) => {
                heard = Instant::now();
                bytes.extend_from_slice(&buffer[..n]);
                true
            }
            // A reset is an end, too.
            Ok(_) | Err(_) => {
                ended += 1;
                late += events_in(bytes);
                false
            }
        });
    }
    late += asleep.iter().map(|(_, bytes)| events_in(bytes)).sum::<usize>();
    println!("{ended} {late}");
    Ok(())
}

fn events_in(bytes: &[u8]) -> usize {
    bytes.windows(6).filter(|six| *six == b"data: ").count()
}

/// `compare publish`: a server that sends each line of its input to all its event streams.
pub fn publish(who: &str) -> Checked<()> {
    raise_limits();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (lines, mut published) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        match who {
            "stillwire" => {
                let mut config = Config::default();
                config.mailbox.messages = BACKLOG;
                config.outbox = BACKLOG * DATA;
                let (server, handle) = Server::new(listener, config);
                tokio::spawn(server.serve(|mut peer| async move {
                    peer.join(ROOM);
                    while let Ok(Some(_)) = peer.recv().await {}
                }));
                while let Some(line) = published.recv().await {
                    handle.broadcast(ROOM, line.as_str(), None);
                }
            }
            _ => {
                let (sender, _) = broadcast::channel::<String>(BACKLOG);
                let publisher = sender.clone();
                let events = move || {
                    let events = stream::unfold(sender.subscribe(), |mut receiver| async move {
                        loop {
                            match receiver.recv().await {
                                Ok(data) => {
                                    break Some((Ok::<_, Infallible>(Event::default().data(data)), receiver));
                                }
                                Err(broadcast::error::RecvError::Lagged(_)) => {}
                                Err(broadcast::error::RecvError::Closed) => break None,
                            }
                        }
                    });
                    async { Sse::new(events) }
                };
                let router = axum::Router::new().route("/events", axum::routing::get(events));
                tokio::spawn(async move { axum::serve(listener, router).await });
                while let Some(line) = published.recv().await {
                    let _ = publisher.send(line);
                }
            }
        }
        Ok(())
    })
}
