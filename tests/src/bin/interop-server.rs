//! One program that speaks every protocol with known behaviour: what other people's clients are tested against.
//!
//! Each service has a port of its own on 127.0.0.1. The program prints one line of JSON with their URLs, serves until its
//! standard input ends or it is told to stop, and logs to standard error.

use core::time::Duration;
use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use clap::Parser;
use stillwire::{
    Entropy,
    http::RequestView,
    hub::{Cursor, Ids, Log, LogBounds, Since},
    sse::{Block, Feed},
    ws,
};
use stillwire_tokio::{Config, Handle, Message, Peer, Request, Response, Server, entropy, now, tls};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::watch};

/// Serves every protocol with known behaviour, for conformance runs.
#[derive(Parser)]
struct Args {
    /// Only these services, such as `ws,sse`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Fixed ports from this one on, in the order of the services.
    #[arg(long)]
    port_base: Option<u16>,
    /// Speak TLS, with the `certificate.pem` and `key.pem` of this folder.
    #[arg(long)]
    tls: Option<PathBuf>,
}

const SERVICES: [&str; 4] = ["ws", "ws-small", "sse", "polling"];

#[tokio::main]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    if let Some(unknown) = args.only.iter().find(|key| !SERVICES.contains(&key.as_str())) {
        eprintln!("there is no service {unknown:?}; there are {}", SERVICES.join(", "));
        std::process::exit(2);
    }
    let tls = args.tls.as_deref().map(secure).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (mut urls, mut handles) = (Vec::new(), Vec::new());
    for (n, key) in (0..).zip(SERVICES) {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == key) {
            continue;
        }
        let port = args.port_base.map_or(0, |base| base + n);
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        urls.push(format!("\"{key}\":\"{scheme}://{}\"", listener.local_addr()?));
        handles.push(start(key, listener, tls.clone()));
    }
    println!("{{{}}}", urls.join(","));
    io::stdout().flush()?;
    until_told().await?;
    for handle in handles {
        handle.shut_down(Duration::from_secs(2), Duration::ZERO).await;
    }
    Ok(())
}

/// Until standard input ends, or SIGTERM or SIGINT come.
async fn until_told() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (mut input, mut ignored) = (tokio::io::stdin(), [0; 1024]);
    loop {
        tokio::select! {
            read = input.read(&mut ignored) => if read? == 0 { return Ok(()) },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

fn secure(folder: &Path) -> io::Result<Arc<tls::rustls::ServerConfig>> {
    let read = |name| std::fs::read(folder.join(name));
    tls::server(&read("certificate.pem")?, &read("key.pem")?).map_err(io::Error::other)
}

fn start(key: &str, listener: TcpListener, tls: Option<Arc<tls::rustls::ServerConfig>>) -> Handle {
    let mut config = Config::default();
    config.tls = tls;
    match key {
        "ws" => {
            config.websocket.max_message = 16 << 20;
            config.websocket.max_fragments = 1 << 20;
            config.websocket.ping_every = None;
            config.subprotocols = vec!["echo".to_owned(), "chat".to_owned()];
            config.websocket.deflate = Some(ws::Deflate::default());
            (config.inbox, config.outbox) = ((16 << 20) + (64 << 10), 40 << 20);
        }
        "ws-small" => {
            config.websocket.max_message = 64 << 10;
            config.websocket.max_fragments = 1000;
            config.websocket.ping_every = None;
            (config.inbox, config.outbox) = (128 << 10, 512 << 10);
        }
        "sse" => return start_sse(listener, config),
        _ => {
            config.polling_base = "/poll".to_owned();
            config.polling.wait = Duration::from_secs(25);
            config.polling.empty_within = Duration::from_secs(10);
            config.headers = vec![("access-control-allow-origin".to_owned(), "*".to_owned())];
        }
    }
    if key.starts_with("ws") {
        config = config.on_request(|_, _| async { Response::new(426).header("upgrade", "websocket") });
    }
    let (server, handle) = Server::new(listener, config);
    tokio::spawn(server.serve(echo));
    handle
}

async fn echo(mut peer: Peer) {
    loop {
        match peer.recv().await {
            Ok(Some(message)) => {
                if let Err(error) = peer.send(message).await {
                    eprintln!("peer {}: {error}", peer.id());
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => eprintln!("peer {}: {error}", peer.id()),
        }
    }
}

// --- event streams -------------------------------------------------------------------------------------------------

/// An event that was published.
#[derive(Clone, Debug)]
struct Published {
    id: String,
    event: Option<String>,
    data: String,
}

impl Published {
    fn block<'a>(&'a self, data: &'a [&'a [u8]]) -> Block<'a> {
        Block { id: Some(&self.id), event: self.event.as_deref(), data: Some(data), ..Block::default() }
    }
}

/// What `/live` sends: a log of the last thousand, and where it ends.
struct Live {
    log: Mutex<Log<Published>>,
    /// For events that are published without an id.
    ids: Mutex<Ids>,
    head: watch::Sender<Cursor>,
}

impl Live {
    fn new() -> Self {
        let log = Log::new(LogBounds { count: 1000, bytes: 64 << 20, ..LogBounds::default() });
        let head = watch::Sender::new(log.head());
        Self { log: Mutex::new(log), ids: Mutex::new(Ids::new(&mut entropy())), head }
    }

    fn log(&self) -> MutexGuard<'_, Log<Published>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So much of the log is read at a time.
const PAGE: usize = 64 << 10;
const RETRY: Block<'static> =
    Block { retry: Some(Duration::from_millis(200)), comment: None, event: None, id: None, data: None };

fn start_sse(listener: TcpListener, mut config: Config) -> Handle {
    let live = Arc::new(Live::new());
    config.event_paths = ["/stream", "/once", "/live", "/generated"].map(str::to_owned).to_vec();
    config.headers = vec![("access-control-allow-origin".to_owned(), "*".to_owned())];
    config.require_length = true;
    // Those who are slow are here to be told what they have missed, however long a test takes on a slow machine.
    config.stall = Duration::from_secs(300);
    let to_publish = live.clone();
    let config = config
        .gate(|_, request| match (RequestView::path(request), Feed::last_event_id(request)) {
            ("/stream" | "/live" | "/generated", _) => Ok(()),
            ("/once", Some(b"2")) => Err(Response::new(204)),
            ("/once", _) => Ok(()),
            _ => Err(Response::new(404)),
        })
        .on_request(move |request, _| {
            let response = publish(&to_publish, &request);
            async move { response }
        });
    let (server, handle) = Server::new(listener, config);
    tokio::spawn(server.serve(move |peer| {
        let live = live.clone();
        async move {
            // `None`: the subscriber has left, which is how most of these end.
            let _ = match RequestView::path(peer.request()) {
                "/stream" => stream(peer).await,
                "/once" => once(peer).await,
                "/generated" => generated(peer).await,
                _ => follow(peer, &live).await,
            };
        }
    }));
    handle
}

/// `POST /publish`, and the preflights of other origins.
fn publish(live: &Live, request: &Request) -> Response {
    let allow = [("access-control-allow-methods", "GET, POST"), ("access-control-allow-headers", "*")];
    match (request.method.as_str(), RequestView::path(request)) {
        ("OPTIONS", _) => {
            return allow.iter().fold(Response::new(204), |r, (name, value)| r.header(name, value));
        }
        ("POST", "/publish") => {}
        ("GET", "/generated.json") => return generated_json(request),
        (_, "/stream" | "/once" | "/live" | "/generated") => {
            return Response::new(405).header("allow", "GET");
        }
        (_, "/publish") => return Response::new(405).header("allow", "POST"),
        _ => return Response::new(404),
    }
    let field = |key| request.query(key).map(percent_decoded).transpose();
    let (Ok(event), Ok(id)) = (field("event"), field("id")) else { return Response::new(400) };
    let Ok(data) = String::from_utf8(request.body.clone()) else { return Response::new(400) };
    let ids = || live.ids.lock().unwrap_or_else(PoisonError::into_inner).make();
    let published = Published { id: id.unwrap_or_else(ids), event, data };
    if published.block(&[published.data.as_bytes()]).check().is_err() {
        return Response::new(400); // a line break in a field would forge events
    }
    let (id, len) = (published.id.clone(), published.data.len());
    let mut log = live.log();
    if log.push(now(), &id, published, len).is_err() {
        return Response::new(400); // nobody could come back with that id
    }
    live.head.send_replace(log.head());
    Response::new(204)
}

fn percent_decoded(text: &str) -> Result<String, ()> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(());
                };
                (high * 16 + low) as u8
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(drop)
}

/// `/stream?n=N&every=MS`: N events, resumed after `Last-Event-ID`; then it stays open.
async fn stream(mut peer: Peer) -> Option<()> {
    let (last, every) = {
        let request = peer.request();
        (number(request.query("n"), 10), number(request.query("every"), 100))
    };
    let seen = Feed::last_event_id(peer.request()).and_then(|id| core::str::from_utf8(id).ok());
    let first = number(seen, 0).saturating_add(1);
    peer.send_event(&RETRY).await.ok()?;
    for n in first..=last {
        if every > 0 {
            driven(&mut peer, tokio::time::sleep(Duration::from_millis(every))).await?;
        }
        let n = n.to_string();
        let data: &[&[u8]] = &[n.as_bytes()];
        let event = Block { event: Some("tick"), id: Some(&n), data: Some(data), ..Block::default() };
        peer.send_event(&event).await.ok()?;
    }
    driven(&mut peer, core::future::pending::<()>()).await
}

/// `/once`: two events, then it ends; who comes back with the second one's id is told to stay away.
async fn once(mut peer: Peer) -> Option<()> {
    peer.send_event(&RETRY).await.ok()?;
    for (id, data) in [("1", "first"), ("2", "second")] {
        let data: &[&[u8]] = &[data.as_bytes()];
        peer.send_event(&Block { id: Some(id), data: Some(data), ..Block::default() }).await.ok()?;
    }
    peer.end("");
    driven(&mut peer, core::future::pending::<()>()).await
}

/// `/live`: what follows `Last-Event-ID` in the log, then what is published.
async fn follow(mut peer: Peer, live: &Live) -> Option<()> {
    let mut head = live.head.subscribe();
    let mut cursor = match Feed::last_event_id(peer.request()) {
        None => live.log().head(),
        Some(id) => match live.log().since(now(), id) {
            Since::At(cursor) => cursor,
            // What is not known is nothing to go on from: a subscriber that minds has other ways.
            Since::Gap(_) => live.log().head(),
        },
    };
    peer.send_event(&RETRY).await.ok()?;
    loop {
        let (page, missed) = {
            let log = live.log();
            let page = log.page(cursor, PAGE);
            cursor = page.next();
            (page.entries().map(|entry| entry.event.clone()).collect::<Vec<_>>(), page.missed())
        };
        if missed > 0 {
            let text = format!("{missed} events are lost: too slow");
            peer.send_event(&Block { comment: Some(&text), ..Block::default() }).await.ok()?;
        }
        for published in &page {
            peer.send_event(&published.block(&[published.data.as_bytes()])).await.ok()?;
        }
        if page.is_empty() {
            driven(&mut peer, head.changed()).await?.ok()?;
        }
    }
}

/// Number `i` of the events that `/generated?seed=S` sends: its type and its data.
fn generate(seed: u64, i: u64) -> (&'static str, String) {
    const NAMES: [&str; 6] = ["message", "", "tick", "\u{e9} \u{20ac}", ":x", "data"];
    const BITS: [&str; 20] = [
        "a",
        "Z",
        "0",
        " ",
        "  ",
        ":",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\u{e9}",
        "\u{1f600}",
        "\u{feff}",
        "\0",
        "\t",
        "\u{2028}",
        "data: x\n",
        "id: 7\n",
        "retry: 1\n",
        "event: evil\r\r",
    ];
    let mut entropy = Entropy::insecure_seeded(seed.wrapping_mul(0x9e37).wrapping_add(i));
    let mut random = |n: usize| usize::from(u16::from_le_bytes(entropy.take())) % n;
    let name = NAMES[random(NAMES.len())];
    let len = [0, 1, 3, 10, 40, 3000][random(6)];
    (name, (0..len).map(|_| BITS[random(BITS.len())]).collect())
}

fn number(text: Option<&str>, default: u64) -> u64 {
    text.and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// `/generated?n=N&seed=S&every=MS`: N events as [`generate`] makes them, `id` 1..N, resumed after `Last-Event-ID`.
async fn generated(mut peer: Peer) -> Option<()> {
    let (last, seed, every) = {
        let request = peer.request();
        (number(request.query("n"), 500), number(request.query("seed"), 1), number(request.query("every"), 0))
    };
    let seen = Feed::last_event_id(peer.request()).and_then(|id| core::str::from_utf8(id).ok());
    let first = number(seen, 0).saturating_add(1);
    peer.send_event(&RETRY).await.ok()?;
    for i in first..=last {
        if every > 0 {
            driven(&mut peer, tokio::time::sleep(Duration::from_millis(every))).await?;
        }
        let (id, (event, data)) = (i.to_string(), generate(seed, i));
        let data: &[&[u8]] = &[data.as_bytes()];
        let event = (event != "message").then_some(event);
        peer.send_event(&Block { event, id: Some(&id), data: Some(data), ..Block::default() }).await.ok()?;
    }
    driven(&mut peer, core::future::pending::<()>()).await
}

/// `/generated.json?n=N&seed=S`: what was given to the encoder, as a list of `[type, data]`.
fn generated_json(request: &Request) -> Response {
    let (last, seed) = (number(request.query("n"), 500), number(request.query("seed"), 1));
    let events: Vec<_> = (1..=last.min(100_000)).map(|i| generate(seed, i)).collect();
    let json = serde_json::to_vec(&events).unwrap_or_default();
    Response::with(200, "application/json", json)
}

/// Waits while the peer's wire moves. `None`: the peer has gone.
async fn driven<T>(peer: &mut Peer, future: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(future);
    loop {
        tokio::select! {
            output = &mut future => return Some(output),
            received = peer.recv() => match received {
                Ok(Some(Message::Text(_) | Message::Binary(_))) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}
