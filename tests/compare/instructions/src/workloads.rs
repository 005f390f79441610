//! Small fixed workloads of ours. Each is prepared first; then only what it does is counted.

use bytes::Bytes;
use stillwire::{Entropy, Inbox, Instant, Kind, Machine, Outbox, http, polling, sse, ws};

const NOW: Instant = Instant::EPOCH;

/// Name, what one operation is, how many are done, and how it is prepared.
pub type Workload = (&'static str, &'static str, usize, fn(usize) -> Box<dyn FnOnce()>);

pub const ALL: &[Workload] = &[
    ("ws-receive-16", "a masked binary message of 16 B, to a server", 1000, |n| ws_receive(16, 0x82, n)),
    ("ws-receive-1k", "of 1 KiB", 500, |n| ws_receive(1 << 10, 0x82, n)),
    ("ws-receive-64k", "of 64 KiB, in pieces of 16 KiB", 30, |n| ws_receive(64 << 10, 0x82, n)),
    ("ws-receive-text-16", "a masked text of 16 B", 1000, |n| ws_receive(16, 0x81, n)),
    ("ws-receive-text-1k", "of 1 KiB", 500, |n| ws_receive(1 << 10, 0x81, n)),
    ("ws-receive-slow", "a message in four fragments with two pings between", 200, ws_slow),
    ("ws-send-16", "a binary message of 16 B, from a server", 1000, |n| ws_send(true, 16, n)),
    ("ws-send-1k", "of 1 KiB", 500, |n| ws_send(true, 1 << 10, n)),
    ("ws-send-64k", "of 64 KiB, as Bytes", 100, ws_send_shared),
    ("ws-send-client-16", "a binary message of 16 B, from a client", 1000, |n| ws_send(false, 16, n)),
    ("ws-send-client-1k", "of 1 KiB", 500, |n| ws_send(false, 1 << 10, n)),
    ("sse-parse-data", "an event of 150 B, in chunks of 4 KiB", 500, |n| sse_parse("", 4 << 10, n)),
    ("sse-parse-cut", "in chunks of 100 B", 500, |n| sse_parse("", 100, n)),
    ("sse-parse-fields", "with a type and an id", 500, |n| {
        sse_parse("event: price\nid: 000017\n", 4 << 10, n)
    }),
    ("sse-write", "an event of 150 B", 500, sse_write),
    ("http-request", "a request with eight headers, and the answer", 200, http_request),
    ("polling-post", "a body of ten messages, and reading them", 50, polling_post),
    ("polling-batch", "ten messages sent, served as one body", 50, polling_batch),
];

/// The machine's boxes and the peer's bytes, which come in pieces.
struct Feed {
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    wire: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Feed {
    fn new(wire: Vec<u8>, piece: usize) -> Self {
        Self { inbox: Inbox::with_limit(256 << 10), outbox: Outbox::with_limit(64 << 10), wire, at: 0, piece }
    }

    /// The next piece; `false` at the end.
    fn more(&mut self) -> bool {
        let spare = self.inbox.spare();
        let rest = &self.wire[self.at..];
        let n = rest.len().min(self.piece).min(spare.len());
        spare[..n].copy_from_slice(&rest[..n]);
        self.inbox.filled(n);
        self.at += n;
        n > 0
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + (i * 7 % 26) as u8).collect()
}

/// A frame from a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn ws_receive(len: usize, first: u8, n: usize) -> Box<dyn FnOnce()> {
    receive(frame(first, &text(len)).repeat(n), n)
}

fn ws_slow(n: usize) -> Box<dyn FnOnce()> {
    let mut wire = frame(0x01, &text(100));
    wire.extend(frame(0x89, b"ping"));
    wire.extend(frame(0x00, &text(300)));
    wire.extend(frame(0x89, b""));
    wire.extend(frame(0x00, &text(5)));
    wire.extend(frame(0x80, &text(50)));
    receive(wire.repeat(n), n)
}

fn receive(wire: Vec<u8>, n: usize) -> Box<dyn FnOnce()> {
    let mut machine = ws::Connection::server(ws::Config::default());
    let mut feed = Feed::new(wire, 16 << 10);
    Box::new(move || {
        let mut messages = 0;
        loop {
            match machine.next(NOW, &mut feed.inbox, &mut feed.outbox).unwrap() {
                Some(ws::Event::Text(text)) => {
                    messages += usize::from(!std::hint::black_box(text).is_empty())
                }
                Some(ws::Event::Binary(bytes)) => {
                    messages += usize::from(!std::hint::black_box(bytes).is_empty())
                }
                Some(_) => {}
                None => {
                    sent(&mut feed.outbox);
                    if !feed.more() {
                        break;
                    }
                }
            }
        }
        assert_eq!(messages, n);
    })
}

/// All of it has left.
fn sent(outbox: &mut Outbox<'static>) {
    let waiting = outbox.chunks().map(|chunk| std::hint::black_box(chunk).len()).sum();
    outbox.advance(waiting);
}

fn ws_send(server: bool, len: usize, n: usize) -> Box<dyn FnOnce()> {
    let config = ws::Config::default();
    let mut machine = match server {
        true => ws::Connection::server(config),
        false => ws::Connection::client(config, Entropy::insecure_seeded(7)),
    };
    let (payload, mut outbox) = (text(len), Outbox::with_limit(64 << 10));
    Box::new(move || {
        for _ in 0..n {
            machine.send_binary(std::hint::black_box(&payload), &mut outbox).unwrap();
            if outbox.room() <= 48 << 10 {
                sent(&mut outbox);
            }
        }
    })
}

fn ws_send_shared(n: usize) -> Box<dyn FnOnce()> {
    let mut machine = ws::Connection::server(ws::Config::default());
    let (payload, mut outbox) = (Bytes::from(text(64 << 10)), Outbox::with_limit(128 << 10));
    Box::new(move || {
        for _ in 0..n {
            machine.send_bytes(Kind::Binary, &payload, &mut outbox).unwrap();
            sent(&mut outbox);
        }
    })
}

fn sse_parse(front: &str, chunk: usize, n: usize) -> Box<dyn FnOnce()> {
    let event = format!("{front}data: {}\n\n", String::from_utf8(text(150)).unwrap());
    let mut machine = sse::Stream::new(sse::Config::default());
    let mut feed = Feed::new(event.repeat(n).into_bytes(), chunk);
    let _ = machine.advance(NOW, &mut feed.inbox, &mut feed.outbox).unwrap();
    Box::new(move || {
        let mut events = 0;
        loop {
            match machine.next(NOW, &mut feed.inbox, &mut feed.outbox).unwrap() {
                Some(event) => events += usize::from(!std::hint::black_box(event).data.is_empty()),
                None => {
                    if !feed.more() {
                        break;
                    }
                }
            }
        }
        assert_eq!(events, n);
    })
}

fn sse_write(n: usize) -> Box<dyn FnOnce()> {
    let (data, mut outbox) = (text(150), Outbox::with_limit(64 << 10));
    Box::new(move || {
        for _ in 0..n {
            sse::Block::message(&[std::hint::black_box(&data)]).write(&mut outbox).unwrap();
            if outbox.room() <= 48 << 10 {
                sent(&mut outbox);
            }
        }
    })
}

fn http_request(n: usize) -> Box<dyn FnOnce()> {
    const REQUEST: &str = "GET /rooms/17/messages?after=23 HTTP/1.1\r\nHost: chat.example\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\
        Accept: text/event-stream\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCache-Control: no-cache\r\n\
        Cookie: session=0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n\r\n";
    let mut machine = http::Exchange::new(http::Config::default());
    let mut feed = Feed::new(REQUEST.repeat(n).into_bytes(), 4 << 10);
    Box::new(move || {
        let mut heads = 0;
        loop {
            let (done, owed) = match machine.next(NOW, &mut feed.inbox, &mut feed.outbox).unwrap() {
                Some(http::Event::Head(head)) => {
                    std::hint::black_box(head.target());
                    (false, true)
                }
                Some(_) => (false, false),
                None => (!feed.more(), false),
            };
            if owed {
                heads += 1;
                machine.respond(200, &[("content-type", "text/plain")], b"hello", &mut feed.outbox).unwrap();
            }
            sent(&mut feed.outbox);
            if done {
                break;
            }
        }
        assert_eq!(heads, n);
    })
}

fn session() -> polling::Session<'static> {
    polling::Session::new(
        polling::Sid::new(&mut Entropy::insecure_seeded(7)),
        &polling::Config::default(),
        NOW,
    )
}

fn polling_post(n: usize) -> Box<dyn FnOnce()> {
    let mut session = session();
    let mut machine = session.connection();
    let (mut inbox, mut outbox) = (Inbox::with_limit(64 << 10), Outbox::with_limit(64 << 10));
    let message = String::from_utf8(text(50)).unwrap();
    let messages = vec![format!("\"{message}\""); 10].join(",");
    let bodies: Vec<_> =
        (0..n).map(|i| format!("{{\"seq\":{},\"messages\":[{messages}]}}", 10 * i + 1)).collect();
    Box::new(move || {
        let mut count = 0;
        for body in &bodies {
            session.post(body.as_bytes()).unwrap();
            let read = session.read(inbox.spare()).unwrap();
            inbox.filled(read);
            while let Some(event) = machine.next(NOW, &mut inbox, &mut outbox).unwrap() {
                std::hint::black_box(event);
                count += 1;
            }
        }
        assert_eq!(count, 10 * n);
    })
}

fn polling_batch(n: usize) -> Box<dyn FnOnce()> {
    let mut session = session();
    let mut machine = session.connection();
    let (mut inbox, mut outbox) = (Inbox::with_limit(64 << 10), Outbox::with_limit(64 << 10));
    let _ = machine.advance(NOW, &mut inbox, &mut outbox).unwrap();
    let message = String::from_utf8(text(50)).unwrap();
    Box::new(move || {
        let mut after = 0;
        for _ in 0..n {
            for _ in 0..10 {
                machine.send_text(message.as_str(), &mut outbox).unwrap();
            }
            let written = session.write(outbox.chunk());
            outbox.advance(written);
            let seat = session.sit(after, NOW).unwrap();
            let polling::Served::Batch(batch) = session.serve(seat, NOW) else { unreachable!() };
            after += batch.count();
            std::hint::black_box(batch.parts());
            session.done(seat, NOW);
        }
        assert_eq!(after, 10 * n as u64);
    })
}
