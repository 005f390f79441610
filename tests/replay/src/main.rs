//! Feeds what the peers of all transcripts say to the machines, in pieces of 7 and of 1000 bytes, with an application that
//! answers, and says for each what came of it: how many events, how many bytes were written, and a hash of both. The board
//! and the host must say the same, line for line.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::time::Duration;

use stillwire::{Entropy, Inbox, Instant, Kind, Machine, Outbox, Progress, http, polling, sse, ws};

static RECORDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/records"));

/// FNV-1a.
struct Hash {
    hash: u64,
    events: u32,
    written: u32,
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn event(&mut self, tag: u8, parts: &[&[u8]]) {
        self.events += 1;
        self.add(&[0xe0, tag]);
        for part in parts {
            self.add(part);
            self.add(&[0xff]);
        }
    }
}

/// What is not the same for all machines.
trait Subject: Machine {
    fn see(event: Self::Event<'_>, hash: &mut Hash);
    fn answer(&mut self, event: Self::Event<'_>, outbox: &mut Outbox<'_>);
}

impl Subject for ws::Connection {
    fn see(event: ws::Event<'_>, hash: &mut Hash) {
        match event {
            ws::Event::Text(text) => hash.event(1, &[text.as_bytes()]),
            ws::Event::Binary(bytes) => hash.event(2, &[bytes]),
            ws::Event::Ping(bytes) => hash.event(3, &[bytes]),
            ws::Event::Pong(bytes) => hash.event(4, &[bytes]),
            ws::Event::Closed { code, reason } => hash.event(5, &[&code.to_le_bytes(), reason.as_bytes()]),
            _ => hash.event(6, &[]),
        }
    }

    /// An echo, binary in two fragments with a ping between them.
    fn answer(&mut self, event: ws::Event<'_>, outbox: &mut Outbox<'_>) {
        let _ = match event {
            ws::Event::Text(text) => self.send_text(text, outbox),
            ws::Event::Binary(bytes) => {
                let (front, back) = bytes.split_at(bytes.len() / 2);
                let sent = self.send_fragment(Kind::Binary, front, true, false, outbox);
                let sent = sent.and_then(|()| self.send_ping(b"between", outbox));
                sent.and_then(|()| self.send_fragment(Kind::Binary, back, false, true, outbox))
            }
            _ => Ok(()),
        };
    }
}

impl Subject for http::Exchange {
    fn see(event: http::Event<'_>, hash: &mut Hash) {
        match event {
            http::Event::Head(head) => {
                hash.event(1, &[head.method().as_bytes(), head.target().as_bytes()]);
                head.headers().for_each(|(name, value)| hash.event(2, &[name.as_bytes(), value]));
            }
            // Where a body is cut depends on the pieces that it comes in.
            http::Event::Body(bytes) => hash.add(bytes),
            http::Event::End => hash.event(4, &[]),
            _ => hash.event(5, &[]),
        }
    }

    fn answer(&mut self, event: http::Event<'_>, outbox: &mut Outbox<'_>) {
        if let http::Event::End = event {
            let _ = self.respond(200, &[("x-board", "yes")], b"hello", outbox);
        }
    }
}

impl Subject for http::Fetch {
    fn see(event: http::Answer<'_>, hash: &mut Hash) {
        match event {
            http::Answer::Head(head) => {
                hash.event(1, &[&head.status().to_le_bytes()]);
                head.headers().for_each(|(name, value)| hash.event(2, &[name.as_bytes(), value]));
            }
            http::Answer::Body(bytes) => hash.add(bytes),
            http::Answer::End => hash.event(4, &[]),
            _ => hash.event(5, &[]),
        }
    }

    fn answer(&mut self, event: http::Answer<'_>, outbox: &mut Outbox<'_>) {
        if let http::Answer::End = event {
            let _ = self.request("GET", "/next", &[("host", "a.example")], &[], outbox);
        }
    }
}

impl Subject for sse::Stream {
    fn see(event: sse::Event<'_>, hash: &mut Hash) {
        hash.event(1, &[event.event.as_bytes(), event.data.as_bytes(), event.last_event_id.as_bytes()]);
    }

    fn answer(&mut self, _: sse::Event<'_>, _: &mut Outbox<'_>) {}
}

impl Subject for polling::Connection {
    fn see(event: polling::Event<'_>, hash: &mut Hash) {
        match event {
            polling::Event::Text(text) => hash.event(1, &[text.as_bytes()]),
            polling::Event::Binary(bytes) => hash.event(2, &[bytes]),
            polling::Event::Closed { code, reason } => {
                hash.event(3, &[&code.to_le_bytes(), reason.as_bytes()])
            }
        }
    }

    fn answer(&mut self, event: polling::Event<'_>, outbox: &mut Outbox<'_>) {
        let _ = match event {
            polling::Event::Text(text) => self.send_text(text, outbox),
            polling::Event::Binary(bytes) => self.send_binary(bytes, outbox),
            polling::Event::Closed { .. } => Ok(()),
        };
    }
}

fn drain(outbox: &mut Outbox<'_>, hash: &mut Hash) {
    let n = outbox.chunk().len();
    hash.add(outbox.chunk());
    hash.written += n as u32;
    outbox.advance(n);
}

/// Until nothing happens any more; whether it is closed.
fn settle<M: Subject>(
    machine: &mut M,
    now: Instant,
    inbox: &mut Inbox<'_>,
    outbox: &mut Outbox<'_>,
    hash: &mut Hash,
) -> bool {
    loop {
        match machine.advance(now, inbox, outbox) {
            Ok(Progress::Event) => {
                if let Some(event) = machine.event(inbox) {
                    M::see(event, hash);
                }
                // The event again, because seeing it used it up.
                if let Some(event) = machine.event(inbox) {
                    machine.answer(event, outbox);
                }
            }
            Ok(Progress::NeedRoom) if !outbox.is_empty() => {}
            Ok(Progress::Closed) => {
                drain(outbox, hash);
                return true;
            }
            Ok(_) => {
                drain(outbox, hash);
                return false;
            }
            Err(_) => hash.event(0xee, &[]),
        }
        drain(outbox, hash);
    }
}

fn play<M: Subject>(mut machine: M, input: &[u8], size: usize, boxes: &mut [[u8; 16384]; 2]) -> Hash {
    let [from_peer, to_peer] = boxes;
    let (mut inbox, mut outbox) = (Inbox::new(from_peer), Outbox::new(to_peer));
    let mut hash = Hash { hash: 0xcbf2_9ce4_8422_2325, events: 0, written: 0 };
    let mut now = Instant::since_epoch(Duration::from_secs(1000));
    let mut closed = settle(&mut machine, now, &mut inbox, &mut outbox, &mut hash);
    for piece in input.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() && !closed {
            let n = inbox.push(rest);
            rest = &rest[n..];
            closed = settle(&mut machine, now, &mut inbox, &mut outbox, &mut hash);
            if n == 0 {
                break;
            }
        }
    }
    inbox.finish();
    for _ in 0..10 {
        closed = closed || settle(&mut machine, now, &mut inbox, &mut outbox, &mut hash);
        now = now + Duration::from_secs(30);
    }
    hash.add(&[u8::from(closed), u8::from(outbox.is_finished())]);
    hash
}

/// The keys of RFC 6455's examples.
fn entropy() -> Entropy {
    Entropy::from_fn(|bytes| {
        bytes.iter_mut().zip([0x37, 0xfa, 0x21, 0x3d].iter().cycle()).for_each(|(to, byte)| *to = *byte)
    })
}

fn replay(machine: u8, input: &[u8], size: usize, boxes: &mut [[u8; 16384]; 2]) -> Hash {
    match machine {
        0 => play(ws::Connection::server(ws::Config::default()), input, size, boxes),
        1 => play(ws::Connection::client(ws::Config::default(), entropy()), input, size, boxes),
        2 => play(http::Exchange::new(http::Config::default()), input, size, boxes),
        3 => {
            let mut fetch = http::Fetch::new(http::Config::default());
            let mut room = [0; 128];
            let _ = fetch.request("GET", "/", &[("host", "a.example")], &[], &mut Outbox::new(&mut room));
            play(fetch, input, size, boxes)
        }
        4 => play(sse::Stream::new(sse::Config::default()), input, size, boxes),
        _ => play(polling::Connection::new(&polling::Config::default()), input, size, boxes),
    }
}

fn all(boxes: &mut [[u8; 16384]; 2], mut say: impl FnMut(&[u8])) {
    let (mut rest, mut number) = (RECORDS, 0_u32);
    while let Some((&[machine, a, b, c, d], behind)) = rest.split_first_chunk::<5>() {
        let (input, behind) = behind.split_at(u32::from_le_bytes([a, b, c, d]) as usize);
        for size in [7, 1000] {
            let result = replay(machine, input, size, boxes);
            say(&line(number, machine, &result));
        }
        (rest, number) = (behind, number + 1);
    }
}

/// Six numbers in hexadecimal digits: machine, transcript, events, bytes written, and the hash in two halves.
fn line(number: u32, machine: u8, result: &Hash) -> [u8; 54] {
    let mut line = [b' '; 54];
    let numbers = [
        machine.into(),
        number,
        result.events,
        result.written,
        (result.hash >> 32) as u32,
        result.hash as u32,
    ];
    for (place, number) in line.chunks_mut(9).zip(numbers) {
        for (digit, shift) in place.iter_mut().zip((0..8).rev()) {
            *digit = b"0123456789abcdef"[(number >> (shift * 4)) as usize & 15];
        }
    }
    line[53] = b'\n';
    line
}

#[cfg(not(target_os = "none"))]
fn main() {
    use std::io::Write;
    let mut lines = Vec::new();
    all(&mut [[0; 16384]; 2], |line| lines.extend_from_slice(line));
    std::io::stdout().write_all(&lines).expect("standard output");
}

#[cfg(target_os = "none")]
mod board {
    use cortex_m_semihosting::{debug, hio};

    #[cortex_m_rt::entry]
    fn main() -> ! {
        static mut BOXES: [[u8; 16384]; 2] = [[0; 16384]; 2];
        if let Ok(mut console) = hio::hstdout() {
            super::all(BOXES, |line| {
                let _ = console.write_all(line);
            });
        }
        debug::exit(debug::EXIT_SUCCESS);
        loop {}
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        debug::exit(debug::EXIT_FAILURE);
        loop {}
    }
}
