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
    pub fn new(pipe: Pipe) -> Self {
        let (inbox, outbox) = boxes();
        Self { machine: connection(Role::Server), inbox, outbox, pipe }
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

/// From here on a server does not copy payloads: it sends `Bytes`.
const SHARED: usize = 4 << 10;

pub struct Sender {
    bytes: Bytes,
    shares: bool,
    machine: ws::Connection,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl Sender {
    pub fn new(message: Message, pipe: Pipe) -> Self {
        let shares = message.role == Role::Server && message.payload.len() >= SHARED;
        let bytes = Bytes::from_static(message.payload);
        // With room for a message where the mark for flushing is.
        let outbox = Outbox::with_limit(FLUSH + message.payload.len() + 1024);
        Self { bytes, shares, machine: connection(message.role), outbox, pipe }
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

impl Sends for Sender {
    fn send(&mut self, message: Message, n: usize) {
        let full = self.outbox.capacity() - FLUSH;
        for _ in 0..n {
            if self.shares {
                self.machine.send_bytes(Kind::Binary, &self.bytes, &mut self.outbox).unwrap();
            } else {
                self.machine.send_binary(std::hint::black_box(message.payload), &mut self.outbox).unwrap();
            }
            if self.outbox.room() <= full {
                self.flush();
            }
        }
        self.flush();
    }
}
