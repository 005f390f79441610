//! permessage-deflate beside zlib-rs alone, which does nothing but compress or inflate the same messages: level 6, the
//! largest window, with takeover.

use std::rc::Rc;

use stillwire::{Inbox, Instant, Kind, Link, Machine, Outbox, Want, http, ws};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use super::{Contenders, FLUSH, Role, next, write_frame};
use crate::measure::{AnyContender, Contender, Digest, Eat};
use crate::pipe::{Kept, Pipe};

/// What ends the data of each message, and is not sent (RFC 7692 §7.2.1).
const END: [u8; 4] = [0, 0, 0xff, 0xff];
const LAP: usize = 2 << 20;

/// Messages such as programs send them: JSON, with numbers that change.
fn messages(len: usize) -> Vec<Vec<u8>> {
    let mut random = 7;
    let mut all = Vec::new();
    for i in 0..(LAP / len).max(2) {
        let mut text = String::with_capacity(len + 80);
        while text.len() < len {
            let n = next(&mut random);
            text += &format!(
                "{{\"id\":{i},\"user\":\"u{}\",\"price\":{}.{:02},\"side\":\"buy\"}},",
                n % 997,
                n % 5000,
                n % 100
            );
        }
        text.truncate(len);
        all.push(text.into_bytes());
    }
    all
}

fn compressor() -> Deflate {
    let mut config = DeflateConfig::new(6);
    (config.window_bits, config.mem_level) = (-15, 8);
    Deflate::new_with_config(config)
}

/// Compresses into `out` and returns how much that is, the end cut off.
fn compress(state: &mut Deflate, message: &[u8], out: &mut [u8]) -> usize {
    let before = state.total_out();
    state.compress(message, out, DeflateFlush::SyncFlush).unwrap();
    (state.total_out() - before) as usize - END.len()
}

/// Inflates what ends with `END` into `out`, and returns how much that is.
fn inflate(state: &mut Inflate, message: &[u8], out: &mut [u8]) -> usize {
    let before = state.total_out();
    state.decompress(message, out, InflateFlush::SyncFlush).unwrap();
    (state.total_out() - before) as usize
}

/// A server's machine that has agreed on compression in an opening handshake.
fn server() -> ws::Connection {
    let mut config = ws::Config::default();
    config.deflate = Some(ws::Deflate::default());
    let boxes = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    let mut link = Link::new(http::Exchange::new(http::Config::default()), boxes.0, boxes.1);
    link.inbox.push(
        b"GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
    assert_eq!(link.want(Instant::EPOCH).unwrap(), Want::Deliver);
    let Some((http::Event::Head(head), _)) = link.turn() else { unreachable!() };
    let accept = ws::Accept::new(&head, &[], &config).unwrap();
    assert!(accept.extensions().is_some());
    accept.connection(config)
}

pub fn receivers(len: usize) -> Contenders {
    let (mut random, mut state, mut out) = (7, compressor(), vec![0; 2 * len + 1024]);
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    for message in messages(len) {
        let n = compress(&mut state, &message, &mut out);
        let start = wire.len();
        write_frame(Role::Client, true, &out[..n], &mut random, &mut wire);
        wire[start] |= 0x40;
        plain.push([&out[..n], &END].concat());
    }
    let ours = Ours {
        machine: server(),
        inbox: Inbox::with_limit(2 << 20),
        outbox: Outbox::with_limit(4096),
        pipe: Pipe::new(&wire.into()),
    };
    let alone = Alone { state: Inflate::new(false, 15), plain, at: 0, out: vec![0; len + 1024] };
    vec![("stillwire", Box::new(ours)), ("zlib-rs alone", Box::new(alone))]
}

struct Ours {
    machine: ws::Connection,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl Contender for Ours {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            match self.machine.next(Instant::EPOCH, &mut self.inbox, &mut self.outbox).unwrap() {
                Some(ws::Event::Text(text)) => {
                    eat.eat(text.as_bytes());
                    left -= 1;
                }
                Some(_) => unreachable!(),
                None => {
                    let n = self.pipe.pull(self.inbox.spare());
                    self.inbox.filled(n);
                }
            }
        }
    }
}

struct Alone {
    state: Inflate,
    plain: Vec<Vec<u8>>,
    at: usize,
    out: Vec<u8>,
}

impl Contender for Alone {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        for _ in 0..n {
            let made = inflate(&mut self.state, &self.plain[self.at], &mut self.out);
            eat.eat(&self.out[..made]);
            self.at = (self.at + 1) % self.plain.len();
        }
    }
}

pub fn senders(len: usize) -> Contenders {
    let nothing: Rc<[u8]> = Rc::new([0]);
    let (ours, alone) = (Pipe::new(&nothing), Pipe::new(&nothing));
    let (ours_kept, alone_kept) = (ours.kept(), alone.kept());
    let outbox = Outbox::with_limit(FLUSH + 2 * len + 4096);
    let all: [(&str, Box<dyn AnyContender>); 2] = [
        (
            "stillwire",
            Box::new(Sending::new(ours_kept, len, Sends { machine: server(), outbox, pipe: ours })),
        ),
        (
            "zlib-rs alone",
            Box::new(Sending::new(
                alone_kept,
                len,
                Squeezes { state: compressor(), out: vec![0; 2 * len + 1024], pipe: alone },
            )),
        ),
    ];
    all.into()
}

trait Squeeze {
    /// `last`: nothing may wait any more.
    fn send(&mut self, message: &[u8], last: bool);
}

/// Somebody who sends, and how what was sent is read back: as messages of which each may be framed.
struct Sending<S> {
    sender: S,
    messages: Vec<Vec<u8>>,
    at: usize,
    kept: Kept,
    reader: Inflate,
}

impl<S: Squeeze> Sending<S> {
    fn new(kept: Kept, len: usize, sender: S) -> Self {
        Self { sender, messages: messages(len), at: 0, kept, reader: Inflate::new(false, 15) }
    }

    fn send(&mut self, n: usize) {
        for i in 1..=n {
            self.sender.send(std::hint::black_box(&self.messages[self.at]), i == n);
            self.at = (self.at + 1) % self.messages.len();
        }
    }
}

impl<S: Squeeze> Contender for Sending<S> {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        self.send(n);
    }

    fn check(&mut self, n: usize) -> Digest {
        let kept = self.kept.clone();
        let sent = kept.during(|| self.send(n));
        let (mut rest, mut digest) = (&sent[..], Digest::default());
        let mut out = vec![0; self.messages[0].len() + 1024];
        while let [first, second, tail @ ..] = rest {
            assert_eq!(*first, 0xc1);
            let (len, tail) = match second {
                126 => (usize::from(u16::from_be_bytes(tail[..2].try_into().unwrap())), &tail[2..]),
                127 => (u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize, &tail[8..]),
                len => (usize::from(*len), tail),
            };
            let made = inflate(&mut self.reader, &[&tail[..len], &END].concat(), &mut out);
            digest.eat(&out[..made]);
            rest = &tail[len..];
        }
        digest
    }
}

struct Sends {
    machine: ws::Connection,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl Squeeze for Sends {
    fn send(&mut self, message: &[u8], last: bool) {
        self.machine.send_with(Kind::Text, &[message], ws::Compress::Always, &mut self.outbox).unwrap();
        let waiting = self.outbox.capacity() - self.outbox.room();
        if last || waiting >= FLUSH {
            self.outbox.chunks().for_each(|chunk| self.pipe.push(chunk));
            self.outbox.advance(waiting);
        }
    }
}

struct Squeezes {
    state: Deflate,
    out: Vec<u8>,
    pipe: Pipe,
}

impl Squeeze for Squeezes {
    fn send(&mut self, message: &[u8], _: bool) {
        let n = compress(&mut self.state, message, &mut self.out);
        // A head, so that it can be read back: a few instructions.
        let head = [&[0xc1, 127][..], &(n as u64).to_be_bytes()].concat();
        self.pipe.push(&head);
        self.pipe.push(&self.out[..n]);
    }
}
