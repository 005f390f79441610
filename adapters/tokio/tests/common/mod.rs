//! Clients that can be told to misbehave: raw sockets, and what they read taken apart by hand.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use core::{future::Future, time::Duration};
use std::net::SocketAddr;

use stillwire::ws;
use stillwire_tokio::{Config, Connection, Handle, Message, Opening, Peer, Server};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

pub type WebSocket = Connection<TcpStream, ws::Connection>;

pub const SECOND: Duration = Duration::from_secs(1);

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Nothing here takes long; what hangs has lost a wakeup.
pub async fn soon<F: Future>(future: F) -> F::Output {
    timeout(10 * SECOND, future).await.expect("this takes too long: was a wakeup lost?")
}

/// Waits for something that another task does.
pub async fn until(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(millis(2)).await;
        }
    };
    assert!(timeout(10 * SECOND, wait).await.is_ok(), "waited for {what}");
}

pub async fn start(config: Config) -> (Server, Handle, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, handle) = Server::new(listener, config);
    (server, handle, address)
}

/// A server whose peers are all in the room `all` and hear their own messages again.
pub async fn echoing(config: Config) -> (Handle, SocketAddr) {
    let (server, handle, address) = start(config).await;
    tokio::spawn(server.serve(echo));
    (handle, address)
}

pub async fn echo(mut peer: Peer) {
    peer.join("all");
    while let Ok(Some(message)) = peer.recv().await {
        if peer.send(message).await.is_err() {
            break;
        }
    }
}

// --- HTTP ---

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.body).unwrap()
    }
}

/// An HTTP connection that is kept.
pub struct Http(pub BufReader<TcpStream>);

impl Http {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(soon(TcpStream::connect(address)).await.unwrap()))
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// `line`: `GET /path`.
    pub async fn send(&mut self, line: &str, body: &str) {
        let length = if body.is_empty() && !line.starts_with("POST") {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        self.say(format!("{line} HTTP/1.1\r\nhost: test\r\n{length}\r\n{body}")).await;
    }

    pub async fn ask(&mut self, line: &str, body: &str) -> Answer {
        self.send(line, body).await;
        self.answer(line.starts_with("HEAD")).await
    }

    pub async fn head(&mut self) -> String {
        soon(async {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(self.0.read_line(&mut head).await.unwrap() > 0, "it ended after {head:?}");
            }
            head
        })
        .await
    }

    pub async fn answer(&mut self, to_head: bool) -> Answer {
        let head = self.head().await;
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if to_head {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line().await;
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let mut chunk = vec![0; size + 2];
                soon(self.0.read_exact(&mut chunk)).await.unwrap();
                if size == 0 {
                    return answer;
                }
                answer.body.extend_from_slice(&chunk[..size]);
            }
        }
        let length = answer.header("content-length").map_or(0, |n| n.parse().unwrap());
        answer.body.resize(length, 0);
        soon(self.0.read_exact(&mut answer.body)).await.unwrap();
        answer
    }

    /// A line with its end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(soon(self.0.read_line(&mut line)).await.unwrap() > 0, "it ended");
        line
    }

    /// What still comes before the server's end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = soon(self.0.read_to_end(&mut rest)).await; // a reset is an end, too
        rest
    }
}

// --- WebSocket ---

pub async fn websocket(address: SocketAddr) -> WebSocket {
    let stream = soon(TcpStream::connect(address)).await.unwrap();
    soon(Opening::new("test", "/ws").open(stream)).await.unwrap().0
}

/// One whose kernel takes little for it: it is slow as soon as it does not read.
pub async fn narrow(address: SocketAddr) -> WebSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = soon(socket.connect(address)).await.unwrap();
    soon(Opening::new("test", "/ws").open(stream)).await.unwrap().0
}

pub fn say(socket: &mut WebSocket, text: &str) {
    socket.link.machine.send_text(text, &mut socket.link.outbox).unwrap();
}

/// The next text, or what else came, as text.
pub async fn heard(socket: &mut WebSocket) -> String {
    soon(async {
        loop {
            return match socket.next().await {
                Ok(Some((ws::Event::Text(text), _))) => text.to_string(),
                Ok(Some((ws::Event::Binary(bytes), _))) => format!("binary {bytes:?}"),
                Ok(Some((ws::Event::Closed { code, reason }, _))) => format!("closed {code} {reason}"),
                Ok(Some(_)) => continue,
                Ok(None) => "end".to_owned(),
                Err(error) => format!("error {error}"),
            };
        }
    })
    .await
}

pub const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

// --- event streams ---

pub async fn events(address: SocketAddr) -> Http {
    let mut http = Http::connect(address).await;
    http.send("GET /events", "").await;
    let head = http.head().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
    http
}

impl Http {
    /// The data of the next event; other lines as they stand.
    pub async fn event(&mut self) -> String {
        loop {
            let line = self.line().await;
            match line.trim_end() {
                "" | ":" => {}
                line => return line.strip_prefix("data: ").unwrap_or(line).to_owned(),
            }
        }
    }
}

// --- polling ---

/// A polling client with two kept connections.
pub struct Poll {
    pub address: SocketAddr,
    pub down: Http,
    pub up: Http,
    pub sid: String,
    pub after: u64,
    pub seq: u64,
}

#[derive(Debug)]
pub struct Batch {
    pub status: u16,
    pub last: u64,
    pub messages: Vec<String>,
    pub closed: Option<u64>,
}

impl Poll {
    pub async fn open(address: SocketAddr) -> Self {
        let (mut down, up) = (Http::connect(address).await, Http::connect(address).await);
        let answer = down.ask("POST /poll/open", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let opened: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let sid = opened["sid"].as_str().unwrap().to_owned();
        Self { address, down, up, sid, after: 0, seq: 1 }
    }

    /// The same session on two more connections.
    pub async fn twin(&self) -> Self {
        let (down, up) = (Http::connect(self.address).await, Http::connect(self.address).await);
        Self { down, up, sid: self.sid.clone(), ..*self }
    }

    /// Begins to wait.
    pub async fn sit(&mut self) {
        self.down.send(&format!("GET /poll/{}?after={}", self.sid, self.after), "").await;
    }

    /// What came of the wait. The next one acknowledges it.
    pub async fn batch(&mut self) -> Batch {
        let answer = self.down.answer(false).await;
        if answer.status != 200 {
            return Batch { status: answer.status, last: self.after, messages: Vec::new(), closed: None };
        }
        let batch: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let last = batch["last"].as_u64().unwrap();
        let messages = batch["messages"].as_array().unwrap();
        let messages =
            messages.iter().map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned));
        self.after = last;
        Batch { status: 200, last, messages: messages.collect(), closed: batch["closed"]["code"].as_u64() }
    }

    pub async fn receive(&mut self) -> Batch {
        self.sit().await;
        self.batch().await
    }

    pub async fn post(&mut self, texts: &[&str]) -> Answer {
        let body = serde_json::json!({"seq": self.seq, "messages": texts}).to_string();
        let answer = self.up.ask(&format!("POST /poll/{}", self.sid), &body).await;
        if answer.status == 200 {
            self.seq += texts.len() as u64;
        }
        answer
    }

    pub async fn delete(&mut self) -> u16 {
        self.up.ask(&format!("DELETE /poll/{}", self.sid), "").await.status
    }
}

pub fn text(message: &Message) -> &str {
    match message {
        Message::Text(text) => text,
        Message::Binary(_) => panic!("{message:?}"),
    }
}

/// Numbers that nobody needs to guess.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
