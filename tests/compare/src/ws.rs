//! WebSocket: receiving and sending, as a server and as a client, in memory.
//!
//! Everybody reads the same frames, up to 64 KiB at a time, and writes into the same kind of sink. Senders may batch.
//! The limit is one copy of all the bytes of the wire.

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

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

/// What is sent, again and again, and who sends it. It lives for ever, so that those who count references have none
/// to count.
#[derive(Clone, Copy)]
pub struct Message {
    pub role: Role,
    pub text: bool,
    pub payload: &'static str,
}

/// All of them; each is made when its turn comes.
pub fn cases() -> impl Iterator<Item = Case> {
    let both = [Role::Server, Role::Client];
    let benches = [true, false].into_iter().flat_map(move |receives| {
        both.into_iter().flat_map(move |role| [false, true].map(|text| (receives, role, text)))
    });
    benches.flat_map(|(receives, role, text)| {
        [(16, "16 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")].into_iter().map(move |(len, size)| {
            let kind = if text { "text" } else { "binary" };
            let verb = if receives { "receive" } else { "send" };
            let (contenders, limit) =
                if receives { receivers(role, text, len) } else { senders(role, text, len) };
            Case {
                bench: format!("ws {verb}, {}, {kind}", role.name()),
                case: size.to_owned(),
                contenders,
                limit: Some(limit),
                bytes_per_op: len,
            }
        })
    })
}

type Contenders = Vec<(&'static str, Box<dyn AnyContender>)>;

fn receivers(role: Role, text: bool, len: usize) -> (Contenders, Box<dyn AnyContender>) {
    let mut random = 7;
    let frame = head_len(role.other(), len) + len;
    let mut wire = Vec::with_capacity(LAP + frame);
    for _ in 0..(LAP / frame).max(16) {
        write_frame(role.other(), text, letters(len, &mut random).as_bytes(), &mut random, &mut wire);
    }
    let wire: Rc<[u8]> = wire.into();
    let pipe = || Pipe::new(&wire);
    let mut contenders: Contenders =
        vec![("stillwire", Box::new(ours::Receiver::<false>::new(role, pipe())))];
    if text {
        contenders.push(("stillwire, as &str", Box::new(ours::Receiver::<true>::new(role, pipe()))));
    }
    contenders.push(("tungstenite", Box::new(peers::Tungstenite::new(role, pipe()))));
    contenders.push(("fastwebsockets", Box::new(peers::Fast::new(role, pipe()))));
    contenders.push(("tokio-websockets", Box::new(peers::TokioWs::new(role, pipe()))));
    (contenders, Box::new(CopyIn { pipe: pipe(), into: vec![1; 64 << 10], frame, ahead: 0 }))
}

fn senders(role: Role, text: bool, len: usize) -> (Contenders, Box<dyn AnyContender>) {
    let payload: &'static str = letters(len, &mut 7).leak();
    let message = Message { role, text, payload };
    let nothing: Rc<[u8]> = Rc::new([0]);
    let mut contenders: Contenders = Vec::new();
    let mut add = |who, contender: &dyn Fn(Pipe) -> Box<dyn Sends>| {
        let pipe = Pipe::new(&nothing);
        let kept = pipe.kept();
        contenders.push((
            who,
            Box::new(Sending { sender: contender(pipe), message, kept }) as Box<dyn AnyContender>,
        ));
    };
    add("stillwire", &|pipe| Box::new(ours::Sender::<false>::new(message, pipe)));
    if role == Role::Server {
        add("stillwire, Bytes", &|pipe| Box::new(ours::Sender::<true>::new(message, pipe)));
    }
    add("tungstenite", &|pipe| Box::new(peers::Tungstenite::new(role, pipe)));
    add("fastwebsockets", &|pipe| Box::new(peers::Fast::new(role, pipe)));
    add("tokio-websockets", &|pipe| Box::new(peers::TokioWs::new(role, pipe)));
    let pipe = Pipe::new(&nothing);
    let mut frame = Vec::new();
    write_frame(role, text, payload.as_bytes(), &mut 7, &mut frame);
    (
        contenders,
        Box::new(CopyOut { pipe, frames: frame.repeat((FLUSH / frame.len()).max(1)), frame: frame.len() }),
    )
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

/// The limit for receivers: the reads alone.
struct CopyIn {
    pipe: Pipe,
    into: Vec<u8>,
    frame: usize,
    /// Bytes that were read too many.
    ahead: usize,
}

impl Contender for CopyIn {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let bytes = n * self.frame;
        while self.ahead < bytes {
            self.ahead += self.pipe.pull(&mut self.into);
            eat.eat(&self.into);
        }
        self.ahead -= bytes;
    }
}

/// The limit for senders: the writes alone.
struct CopyOut {
    pipe: Pipe,
    frames: Vec<u8>,
    frame: usize,
}

impl Contender for CopyOut {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        let mut left = n * self.frame;
        while left > 0 {
            let now = left.min(self.frames.len());
            self.pipe.push(&self.frames[..now]);
            left -= now;
        }
    }
}

// --- frames, as RFC 6455 has them ---

/// Text that looks random, in ASCII.
fn letters(len: usize, random: &mut u64) -> String {
    (0..len).map(|_| char::from(b'a' + (next(random) % 26) as u8)).collect()
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
        assert_eq!(*first, if message.text { 0x81 } else { 0x82 });
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
