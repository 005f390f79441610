//! stillwire: the machine and its two boxes, driven by hand.

use bytes::Bytes;
use stillwire::{Entropy, Inbox, Instant, Kind, Machine, Outbox, ws};

use super::{FLUSH, Message, Role, Sends};
use crate::measure::{Contender, Eat};
use crate::pipe::Pipe;

fn connection(role: Role) -> ws::Connection {
    let config = ws::Config::default();
    match role {
        Role::Server => ws::Connection::server(config),
        // The same generator as tungstenite and fastwebsockets use.
        Role::Client => ws::Connection::client(config, Entropy::from_fn(|bytes| rand::fill(bytes))),
    }
}

fn boxes() -> (Inbox<'static>, Outbox<'static>) {
    (Inbox::with_limit(2 << 20), Outbox::with_limit(256 << 10))
}

/// `AS_STR`: takes text as a `&str`, which is a second check.
pub struct Receiver<const AS_STR: bool> {
    machine: ws::Connection,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl<const AS_STR: bool> Receiver<AS_STR> {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let (inbox, outbox) = boxes();
        Self { machine: connection(role), inbox, outbox, pipe }
    }
}

impl<const AS_STR: bool> Contender for Receiver<AS_STR> {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let now = Instant::EPOCH;
        let mut left = n;
        while left > 0 {
            match self.machine.next(now, &mut self.inbox, &mut self.outbox).unwrap() {
                Some(ws::Event::Binary(bytes)) => eat.eat(bytes),
                Some(ws::Event::Text(text)) if AS_STR => eat.eat(text.as_str().as_bytes()),
                Some(ws::Event::Text(text)) => eat.eat(text.as_bytes()),
                Some(_) => unreachable!(),
                None => {
                    let n = self.pipe.pull(self.inbox.spare());
                    self.inbox.filled(n);
                    continue;
                }
            }
            left -= 1;
        }
    }
}

/// `SHARED`: sends `Bytes`, which a server does not copy when there are many.
pub struct Sender<const SHARED: bool> {
    bytes: Bytes,
    machine: ws::Connection,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl<const SHARED: bool> Sender<SHARED> {
    pub fn new(message: Message, pipe: Pipe) -> Self {
        let bytes = Bytes::from_static(message.payload.as_bytes());
        Self { bytes, machine: connection(message.role), outbox: boxes().1, pipe }
    }

    fn flush(&mut self) {
        let mut written = 0;
        for chunk in self.outbox.chunks() {
            self.pipe.push(chunk);
            written += chunk.len();
        }
        self.outbox.advance(written);
    }
}

impl<const SHARED: bool> Sends for Sender<SHARED> {
    fn send(&mut self, message: Message, n: usize) {
        let full = self.outbox.capacity() - FLUSH;
        for _ in 0..n {
            let payload = std::hint::black_box(message.payload);
            match message.text {
                _ if SHARED => {
                    let kind = if message.text { Kind::Text } else { Kind::Binary };
                    self.machine.send_bytes(kind, &self.bytes, &mut self.outbox).unwrap();
                }
                true => self.machine.send_text(payload, &mut self.outbox).unwrap(),
                false => self.machine.send_binary(payload.as_bytes(), &mut self.outbox).unwrap(),
            }
            if self.outbox.room() <= full {
                self.flush();
            }
        }
        self.flush();
    }
}
