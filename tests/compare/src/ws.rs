//! WebSocket: receiving as a server, sending as a server and as a client, in memory.
//!
//! Everybody reads the same frames, up to 64 KiB at a time, and writes into the same kind of sink. Senders may batch.
//! The limits are one copy of all the bytes of the wire, and one copy and one xor.

mod deflated;
mod more_peers;
mod ours;
mod peers;

use std::rc::Rc;

use crate::measure::{AnyContender, Case, Contender, Digest, Eat};
use crate::pipe::{Kept, Pipe};

/// Senders that can choose write so much at a time: half a first level cache.
const FLUSH: usize = 16 << 10;
/// So many bytes come before they come again.
const LAP: usize = 2 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Server,
    Client,
}

/// What messages are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Binary,
    Ascii,
    /// Text of which every other character is not ASCII.
    Mixed,
}

impl Content {
    pub fn is_text(self) -> bool {
        self != Self::Binary
    }
}

/// What is sent, again and again, and who sends it. It lives for ever, so that those who count references have none
/// to count.
#[derive(Clone, Copy)]
pub struct Message {
    pub role: Role,
    pub payload: &'static [u8],
}

const SIZES: [(usize, &str); 5] =
    [(16, "16 B"), (128, "128 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (1 << 20, "1 MiB")];

const NONE: f64 = 0.0;

/// What we want to be, in relation to the fastest peer in Rust, for each size. They are told, and gate nothing: how fast a
/// machine copies and how fast it computes differ too much.
const BARS: [(&str, [f64; 5]); 7] = [
    ("ws receive, binary", [2.75, 2.3, 1.5, 0.95, 1.8]),
    ("ws receive, ASCII text", [2.5, 2.4, 1.4, 0.95, 1.5]),
    ("ws receive, mixed text", [1.8, 2.1, 1.25, 0.95, 1.3]),
    ("ws send, server", [1.9, 1.8, 1.1, 0.95, 0.95]),
    ("ws send, client", [1.2, 1.1, 0.95, 0.95, 1.1]),
    // Here the peer is the compressor itself; smaller messages are not worth it.
    ("ws receive, deflate", [NONE, NONE, 0.95, 0.95, 0.95]),
    ("ws send, deflate", [NONE, NONE, 0.95, 0.95, 0.95]),
];

pub fn bar(bench: &str, case: &str) -> Option<f64> {
    let column = SIZES.iter().position(|(_, size)| *size == case)?;
    let bar = BARS.iter().find(|(row, _)| *row == bench).map(|(_, bars)| bars[column]);
    bar.filter(|bar| *bar > NONE)
}

/// All of them; each is made when its turn comes.
pub fn cases() -> impl Iterator<Item = Case> {
    BARS.iter().enumerate().flat_map(|(row, (bench, _))| {
        SIZES.into_iter().map(move |(len, size)| {
            let (contenders, limit) = match row {
                0 => receivers(Content::Binary, len),
                1 => receivers(Content::Ascii, len),
                2 => receivers(Content::Mixed, len),
                3 => senders(Role::Server, len),
                4 => senders(Role::Client, len),
                5 => (deflated::receivers(len), None),
                _ => (deflated::senders(len), None),
            };
            let (bench, case) = ((*bench).to_owned(), size.to_owned());
            Case { bench, case, contenders, limit, bytes_per_op: len }
        })
    })
}

type Contenders = Vec<(&'static str, Box<dyn AnyContender>)>;

fn receivers(content: Content, len: usize) -> (Contenders, Option<Box<dyn AnyContender>>) {
    let mut random = 7;
    let frame = head_len(Role::Client, len) + len;
    let mut wire = Vec::with_capacity(LAP + frame);
    for _ in 0..(LAP / frame).max(2) {
        let payload = payload(content, len, &mut random);
        write_frame(Role::Client, content.is_text(), &payload, &mut random, &mut wire);
    }
    let wire: Rc<[u8]> = wire.into();
    let pipe = || Pipe::new(&wire);
    let mut all: Contenders = vec![("stillwire", Box::new(ours::Receiver::<false>::new(pipe())))];
    if content.is_text() {
        all.push(("stillwire, as &str", Box::new(ours::Receiver::<true>::new(pipe()))));
    }
    all.push(("tungstenite", Box::new(peers::Tungstenite::new(Role::Server, pipe()))));
    all.push(("fastwebsockets", Box::new(peers::Fast::new(Role::Server, pipe()))));
    all.push(("tokio-websockets", Box::new(peers::TokioWs::new(Role::Server, pipe()))));
    all.push(("yawc", Box::new(peers::Yawc::new(Role::Server, pipe()))));
    all.push(("sockudo-ws", Box::new(more_peers::Sockudo::new(Role::Server, pipe()))));
    all.push(("soketto", Box::new(more_peers::Soketto::new(Role::Server, pipe()))));
    all.push(("websocket-sans-io", Box::new(more_peers::SansIo::new(Role::Server, pipe()))));
    let copy = CopyIn::<false> { pipe: pipe(), into: vec![1; 64 << 10], frame, ahead: 0 };
    all.push((
        "limit: copy, xor",
        Box::new(CopyIn::<true> { pipe: pipe(), into: vec![1; 64 << 10], frame, ahead: 0 }),
    ));
    (all, Some(Box::new(copy)))
}

fn senders(role: Role, len: usize) -> (Contenders, Option<Box<dyn AnyContender>>) {
    let payload: &'static [u8] = payload(Content::Binary, len, &mut 7).leak();
    let message = Message { role, payload };
    let nothing: Rc<[u8]> = Rc::new([0]);
    let mut all: Contenders = Vec::new();
    let mut add = |who, contender: &dyn Fn(Pipe) -> Box<dyn Sends>| {
        let pipe = Pipe::new(&nothing);
        let kept = pipe.kept();
        all.push((
            who,
            Box::new(Sending { sender: contender(pipe), message, kept }) as Box<dyn AnyContender>,
        ));
    };
    add("stillwire", &|pipe| Box::new(ours::Sender::new(message, pipe)));
    add("tungstenite", &|pipe| Box::new(peers::Tungstenite::new(role, pipe)));
    add("fastwebsockets", &|pipe| Box::new(peers::Fast::new(role, pipe)));
    add("tokio-websockets", &|pipe| Box::new(peers::TokioWs::new(role, pipe)));
    add("yawc", &|pipe| Box::new(peers::Yawc::new(role, pipe)));
    add("sockudo-ws", &|pipe| Box::new(more_peers::Sockudo::new(role, pipe)));
    add("soketto", &|pipe| Box::new(more_peers::Soketto::new(role, pipe)));
    add("websocket-sans-io", &|pipe| Box::new(more_peers::SansIo::new(role, pipe)));
    let mut frame = Vec::new();
    write_frame(role, false, payload, &mut 7, &mut frame);
    let frames = frame.repeat((FLUSH / frame.len()).max(1));
    let copy = |pipe| CopyOut { pipe, frames: frames.clone(), frame: frame.len(), masked: false };
    if role == Role::Client {
        let masked = CopyOut { masked: true, ..copy(Pipe::new(&nothing)) };
        all.push(("limit: copy, xor", Box::new(masked)));
    }
    (all, Some(Box::new(copy(Pipe::new(&nothing)))))
}

pub trait Sends {
    fn send(&mut self, message: Message, n: usize);
}

/// Somebody, what it sends, and what it wrote.
struct Sending {
    sender: Box<dyn Sends>,
    message: Message,
    kept: Kept,
}

impl Contender for Sending {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        self.sender.send(self.message, n);
    }

    fn check(&mut self, n: usize) -> Digest {
        let sent = self.kept.during(|| self.sender.send(self.message, n));
        read_frames(self.message, &sent)
    }
}

/// The limit for receivers: the reads alone, or with an xor of all that was read.
struct CopyIn<const XOR: bool> {
    pipe: Pipe,
    into: Vec<u8>,
    frame: usize,
    /// Bytes that were read too many.
    ahead: usize,
}

impl<const XOR: bool> Contender for CopyIn<XOR> {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let bytes = n * self.frame;
        while self.ahead < bytes {
            let n = self.pipe.pull(&mut self.into);
            if XOR {
                widest_xor(&mut self.into[..n]);
            }
            self.ahead += n;
            eat.eat(&self.into);
        }
        self.ahead -= bytes;
    }
}

/// The limit for senders: the writes alone, or an xor of all that is written and then the writes.
struct CopyOut {
    pipe: Pipe,
    frames: Vec<u8>,
    frame: usize,
    masked: bool,
}

impl Contender for CopyOut {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        let mut left = n * self.frame;
        while left > 0 {
            let now = left.min(self.frames.len());
            if self.masked {
                widest_xor(&mut self.frames[..now]);
            }
            self.pipe.push(&self.frames[..now]);
            left -= now;
        }
    }
}

/// With the widest instructions there are, chosen when it runs.
fn widest_xor(bytes: &mut [u8]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for word in bytes.as_chunks_mut::<8>().0 {
                *word = (u64::from_ne_bytes(*word) ^ 0x1234_5678_1234_5678).to_ne_bytes();
            }
        },
    );
}

// --- frames, as RFC 6455 has them ---

/// A payload that looks random.
fn payload(content: Content, len: usize, random: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 4);
    while bytes.len() < len {
        let letter = char::from(b'a' + (next(random) % 26) as u8);
        let other = ['ä', 'ж', '語', '界', '€', '🦀'][(next(random) % 6) as usize];
        let now = if content == Content::Mixed && next(random).is_multiple_of(2) { other } else { letter };
        let now = if bytes.len() + now.len_utf8() > len { letter } else { now };
        bytes.extend_from_slice(now.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

fn head_len(from: Role, len: usize) -> usize {
    let wide = if len < 126 {
        0
    } else if len < 1 << 16 {
        2
    } else {
        8
    };
    2 + wide + if from == Role::Client { 4 } else { 0 }
}

fn write_frame(from: Role, text: bool, payload: &[u8], random: &mut u64, wire: &mut Vec<u8>) {
    let bit = if from == Role::Client { 0x80 } else { 0 };
    wire.push(if text { 0x81 } else { 0x82 });
    match payload.len() {
        len @ 0..126 => wire.push(bit | len as u8),
        len @ 126..0x1_0000 => {
            wire.push(bit | 126);
            wire.extend((len as u16).to_be_bytes());
        }
        len => {
            wire.push(bit | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    if from == Role::Server {
        wire.extend(payload);
        return;
    }
    let key = (next(random) as u32).to_ne_bytes();
    wire.extend(key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Whole frames of `message`, read back.
fn read_frames(message: Message, mut wire: &[u8]) -> Digest {
    let mut digest = Digest::default();
    while let [first, second, rest @ ..] = wire {
        assert_eq!(*first, 0x82);
        assert_eq!(second & 0x80 != 0, message.role == Role::Client);
        let (len, rest) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(rest[..2].try_into().unwrap())), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()), &rest[8..]),
            len => (u64::from(len), rest),
        };
        let (key, rest) = if message.role == Role::Client { rest.split_at(4) } else { (&[0; 4][..], rest) };
        let (payload, rest) = rest.split_at(len as usize);
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        digest.eat(&payload);
        wire = rest;
    }
    digest
}
