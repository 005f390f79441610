//! WebSocket: two machines talk, limits are exact, work is bounded.

use proptest::{collection::vec, prelude::*};
use stillwire::{
    Entropy, Inbox, Instant, Kind, Machine, Outbox, Progress, SendError,
    ws::{Config, Connection, Error, Event, Header, Opcode, encode, is_close_code},
};
use stillwire_tests::subjects::ws::{KEY, entropy, frame};

/// A connection with its boxes.
struct End {
    machine: Connection,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
}

impl End {
    fn new(machine: Connection, inbox: usize, outbox: usize) -> Self {
        Self { machine, inbox: Inbox::with_limit(inbox), outbox: Outbox::with_limit(outbox) }
    }

    /// Advances until nothing happens; events go to `see`.
    fn settle(&mut self, mut see: impl FnMut(Event<'_>)) -> Result<Progress, Error> {
        loop {
            match self.machine.advance(Instant::EPOCH, &mut self.inbox, &mut self.outbox)? {
                Progress::Event => see(self.machine.event(&self.inbox).expect("the promised event")),
                other => return Ok(other),
            }
        }
    }

    /// Feeds all of `input` in chunks of `size`.
    fn feed(&mut self, input: &[u8], size: usize, mut see: impl FnMut(Event<'_>)) -> Result<(), Error> {
        let _ = self.settle(&mut see)?;
        for chunk in input.chunks(size) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let n = self.inbox.push(rest);
                assert!(n > 0, "it goes on");
                rest = &rest[n..];
                let _ = self.settle(&mut see)?;
            }
        }
        Ok(())
    }
}

fn server(config: Config, inbox: usize) -> End {
    End::new(Connection::server(config), inbox, 1 << 16)
}

/// What is sent; the fragments of a message with pings between them.
#[derive(Clone, Debug)]
enum Say {
    Text(String),
    Binary(Vec<u8>),
    Fragments(Vec<String>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

fn say() -> impl Strategy<Value = Say> {
    let len =
        prop_oneof![4 => 0..20_usize, 2 => 120..135_usize, 1 => 0..3000_usize, 1 => 65_530..65_540_usize];
    let text = prop_oneof!["\\PC{0,40}", len.clone().prop_map(|n| "aü€".repeat(n / 6))];
    let bytes = (len, any::<u8>()).prop_map(|(n, x)| (0..n).map(|i| (i as u8) ^ x).collect::<Vec<u8>>());
    prop_oneof![
        8 => text.clone().prop_map(Say::Text),
        8 => bytes.prop_map(Say::Binary),
        4 => vec(text.clone(), 1..6).prop_map(Say::Fragments),
        2 => vec(any::<u8>(), 0..126).prop_map(Say::Ping),
        2 => vec(any::<u8>(), 0..126).prop_map(Say::Pong),
        1 => (3000..5000_u16, "\\PC{0,30}").prop_map(|(code, reason)| Say::Close(code, reason)),
    ]
}

/// Says it, and tells what the peer must see.
fn speak(say: &Say, machine: &mut Connection, outbox: &mut Outbox<'_>, expected: &mut Vec<String>) {
    match say {
        Say::Text(text) => {
            machine.send_text(text, outbox).unwrap();
            expected.push(format!("text {text}"));
        }
        Say::Binary(bytes) => {
            machine.send_binary(bytes, outbox).unwrap();
            expected.push(format!("binary {bytes:?}"));
        }
        Say::Fragments(parts) => {
            for (i, part) in parts.iter().enumerate() {
                let last = i + 1 == parts.len();
                machine.send_fragment(Kind::Text, part.as_bytes(), i == 0, last, outbox).unwrap();
                if !last {
                    machine.send_pong(&[i as u8], outbox).unwrap();
                    expected.push(format!("pong {:?}", [i as u8]));
                }
            }
            expected.push(format!("text {}", parts.concat()));
        }
        Say::Ping(bytes) => {
            machine.send_ping(bytes, outbox).unwrap();
            expected.push(format!("ping {bytes:?}"));
        }
        Say::Pong(bytes) => {
            machine.send_pong(bytes, outbox).unwrap();
            expected.push(format!("pong {bytes:?}"));
        }
        Say::Close(code, reason) => {
            machine.send_close(*code, reason, outbox).unwrap();
            let mut end = reason.len().min(123);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            expected.push(format!("closed {code} {}", &reason[..end]));
        }
    }
}

fn seen(event: Event<'_>) -> String {
    match event {
        Event::Text(text) => format!("text {text}"),
        Event::Binary(bytes) => format!("binary {bytes:?}"),
        Event::Ping(bytes) => format!("ping {bytes:?}"),
        Event::Pong(bytes) => format!("pong {bytes:?}"),
        Event::Closed { code, reason } => format!("closed {code} {reason}"),
        other => format!("{other:?}"),
    }
}

fn talk(mut from: End, mut to: End, says: &[Say], cuts: &[usize]) {
    let (mut expected, mut got, mut back) = (vec![], vec![], vec![]);
    let mut cuts = cuts.iter().cycle();
    for say in says {
        speak(say, &mut from.machine, &mut from.outbox, &mut expected);
        while !from.outbox.is_empty() {
            let n = from.outbox.chunk().len().min(*cuts.next().unwrap());
            let n = to.inbox.push(&from.outbox.chunk()[..n]);
            from.outbox.advance(n);
            let _ = to.settle(|event| got.push(seen(event))).unwrap();
            while !to.outbox.is_empty() {
                let n = from.inbox.push(to.outbox.chunk());
                to.outbox.advance(n);
                let _ = from.settle(|event| back.push(seen(event))).unwrap();
            }
        }
        if matches!(say, Say::Close(..)) {
            break;
        }
    }
    assert_eq!(got, expected);
    let answers = expected.iter().filter_map(|event| match event.split_once(' ') {
        Some(("ping", body)) => Some(format!("pong {body}")),
        Some(("closed", rest)) => Some(format!("closed {} ", rest.split(' ').next().unwrap_or_default())),
        _ => None,
    });
    assert_eq!(back, answers.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What one machine says, the other one hears, in both directions and however it is cut.
    #[test]
    fn what_is_sent_arrives(says in vec(say(), 0..12), cuts in vec(1..200_usize, 1..8), client in any::<bool>(),
            seed in any::<u64>()) {
        let client_end = || End::new(Connection::client(Config::default(), Entropy::insecure_seeded(seed)), 1 << 18, 1 << 18);
        let server_end = || End::new(Connection::server(Config::default()), 1 << 18, 1 << 18);
        let longer: Vec<_> = cuts.iter().map(|n| n * 50).collect();
        for cuts in [&cuts, &longer] {
            match client {
                true => talk(client_end(), server_end(), &says, cuts),
                false => talk(server_end(), client_end(), &says, cuts),
            }
        }
    }
}

/// RFC 6455 §5.7, the last two examples: 256 bytes and 64 KiB in one unmasked frame.
#[test]
fn long_examples_of_the_rfc() {
    for (head, len) in [(&b"\x82\x7e\x01\x00"[..], 256), (b"\x82\x7f\0\0\0\0\0\x01\0\0", 65_536)] {
        let payload: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
        let mut sender = End::new(Connection::server(Config::default()), 0, 1 << 17);
        sender.machine.send_binary(&payload, &mut sender.outbox).unwrap();
        let bytes = [head, &payload].concat();
        assert!(sender.outbox.chunk() == bytes);
        for size in [1, 2, 5, 1000, 65_536, bytes.len()] {
            let mut client = End::new(Connection::client(Config::default(), entropy()), 1 << 17, 1024);
            let mut got = 0;
            client
                .feed(&bytes, size, |event| {
                    assert!(matches!(event, Event::Binary(bytes) if bytes == payload));
                    got += 1;
                })
                .unwrap();
            assert_eq!(got, 1);
        }
    }
}

/// A message of exactly the limit passes and one byte more does not: in one frame and in fragments, in every chunk size,
/// over an inbox that is just large enough and over a larger one. The verdict comes with the header.
#[test]
fn limits_are_exact() {
    let mut config = Config::default();
    config.ping_every = None;
    for (max, inbox) in [(0, 139), (1, 140), (125, 264), (126, 265), (300, 439), (300, 4096), (1 << 20, 439)]
    {
        config.max_message = max;
        let limit = max.min(inbox - 139);
        for len in [limit, limit + 1] {
            for pieces in [1, 2, 3, 7] {
                let payload = vec![b'x'; len];
                let mut bytes = vec![];
                let mut before_verdict = 0;
                for (i, piece) in cut(&payload, pieces).enumerate() {
                    let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
                    let whole = frame(i + 1 == pieces, opcode, Some(KEY), piece);
                    if i + 1 == pieces {
                        before_verdict = bytes.len() + whole.len() - piece.len();
                    }
                    bytes.extend(whole);
                    if i + 1 < pieces {
                        bytes.extend(frame(true, Opcode::Ping, Some(KEY), &[b'p'; 125]));
                    }
                }
                for size in 1..=bytes.len() {
                    let mut messages = 0;
                    let mut see = |event: Event<'_>| {
                        if let Event::Text(text) = event {
                            assert_eq!(text.len(), limit);
                            messages += 1;
                        }
                    };
                    let mut machine = server(config.clone(), inbox);
                    if len == limit {
                        machine.feed(&bytes, size, &mut see).unwrap();
                        assert_eq!(messages, 1);
                    } else {
                        // The payload changes nothing, whether it comes or not.
                        for came in [before_verdict, bytes.len()] {
                            machine = server(config.clone(), inbox);
                            let result = machine.feed(&bytes[..came], size, &mut see);
                            assert_eq!(
                                result,
                                Err(Error::TooLarge { limit }),
                                "{max} {inbox} {pieces} {size}"
                            );
                        }
                        assert!(machine.outbox.chunk().ends_with(&[
                            0x88,
                            2,
                            1009_u16.to_be_bytes()[0],
                            0xf1
                        ]));
                        assert_eq!(messages, 0);
                    }
                }
            }
        }
    }
}

/// `bytes` in `n` parts, the last one never empty if there are any.
fn cut(bytes: &[u8], n: usize) -> impl Iterator<Item = &[u8]> {
    let size = bytes.len().saturating_sub(1) / n;
    (0..n).map(move |i| if i + 1 == n { &bytes[i * size..] } else { &bytes[i * size..(i + 1) * size] })
}

/// 100,000 fragments of one byte with a ping after each: every byte is moved a bounded number of times.
#[test]
fn tiny_fragments_with_pings_between_cost_what_they_weigh() {
    const FRAGMENTS: usize = 100_000;
    let mut config = Config::default();
    config.max_fragments = u32::MAX;
    let mut bytes = vec![];
    for i in 0..FRAGMENTS {
        let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
        bytes.extend(frame(i + 1 == FRAGMENTS, opcode, Some(KEY), b"x"));
        bytes.extend(frame(true, Opcode::Ping, Some(KEY), b""));
    }
    for (size, inbox) in
        [(1, 200_000), (13, 200_000), (1460, 200_000), (65_536, 200_000), (300, FRAGMENTS + 139 + 300)]
    {
        let mut machine = server(config.clone(), inbox);
        let (mut pings, mut texts) = (0, 0);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let n = machine.inbox.push(&rest[..size.min(rest.len())]);
            assert!(n > 0, "it goes on");
            rest = &rest[n..];
            loop {
                let progress = machine
                    .settle(|event| match event {
                        Event::Ping(_) => pings += 1,
                        Event::Text(text) => texts += usize::from(text.len() == FRAGMENTS),
                        _ => panic!("{event:?}"),
                    })
                    .unwrap();
                while !machine.outbox.is_empty() {
                    let n = machine.outbox.chunk().len();
                    machine.outbox.advance(n);
                }
                if progress != Progress::NeedRoom {
                    break;
                }
            }
        }
        assert_eq!((pings, texts), (FRAGMENTS, 1));
        let work = machine.inbox.work();
        assert!(work.moved <= work.received, "chunks of {size}: {work:?}");
    }
}

/// Every code there is, on the wire: those that may be sent are answered in kind, all others with 1002.
#[test]
fn every_close_code() {
    for code in 0..=u16::MAX {
        let mut server = server(Config::default(), 512);
        let mut closed = None;
        let result = server.feed(&frame(true, Opcode::Close, Some(KEY), &code.to_be_bytes()), 8, |event| {
            if let Event::Closed { code, .. } = event {
                closed = Some(code);
            }
        });
        let answer = if is_close_code(code) {
            assert_eq!((result, closed), (Ok(()), Some(code)));
            code
        } else {
            assert_eq!((result, closed), (Err(Error::CloseCode), None));
            1002
        };
        assert_eq!(server.outbox.chunk(), [&[0x88, 2], &answer.to_be_bytes()[..]].concat());
        assert!(server.outbox.is_finished());
    }
}

/// Every pair of first bytes, for both roles: the verdict is the same with one byte at a time.
#[test]
fn every_pair_of_first_bytes() {
    for masked in [true, false] {
        for (first, second) in (0..=255_u8).flat_map(|a| (0..=255_u8).map(move |b| (a, b))) {
            let verdict = Header::parse(&[first, second], masked).map(|header| header.is_some());
            let legal = first & 0x70 == 0
                && matches!(first & 15, 0..=2 | 8..=10)
                && (second & 0x80 != 0) == masked
                && (first & 8 == 0 || first & 0x80 != 0 && second & 0x7f < 126);
            assert_eq!(verdict.is_ok(), legal, "{first:x} {second:x}");
            let machine = if masked {
                Connection::server(Config::default())
            } else {
                Connection::client(Config::default(), entropy())
            };
            let mut end = End::new(machine, 512, 512);
            let one = end.feed(&[first, second], 1, |_| {});
            // A continuation is judged when its header is whole.
            let sequence = !masked && first & 15 == 0 && second < 126;
            assert_eq!(one.is_err(), !legal || sequence, "{first:x} {second:x}");
        }
    }
}

/// Small enough for a microcontroller to have some.
#[test]
fn a_connection_is_small() {
    assert!(size_of::<Connection>() <= 256, "{}", size_of::<Connection>());
}

/// What is encoded once for many, and what is sent without a copy, is what `send_binary` would have sent.
#[test]
fn shared_frames_are_the_same_bytes() {
    for len in [0, 1, 125, 126, 511, 512, 65_535, 65_536, 100_000] {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let copied = {
            let mut end = End::new(Connection::server(Config::default()), 0, 1 << 17);
            end.machine.send_binary(&payload, &mut end.outbox).unwrap();
            end.outbox.chunk().to_vec()
        };
        let frame = encode(Kind::Binary, &[&payload[..len / 2], &payload[len / 2..]]);
        assert!(frame == copied);
        let all = |outbox: &Outbox<'_>| outbox.chunks().collect::<Vec<_>>().concat();
        let payload = payload.into();
        // Exactly the room that is needed, with 131 bytes kept behind it, and one byte less.
        for (room, fits) in [(copied.len() + 131, true), (copied.len() + 130, false)] {
            let mut end = End::new(Connection::server(Config::default()), 0, room);
            assert_eq!(end.machine.send_encoded(&frame, &mut end.outbox).is_ok(), fits);
            assert_eq!(all(&end.outbox), if fits { &copied[..] } else { &[] });
            let mut end = End::new(Connection::server(Config::default()), 0, room);
            assert_eq!(end.machine.send_bytes(Kind::Binary, &payload, &mut end.outbox).is_ok(), fits);
            assert_eq!(all(&end.outbox), if fits { &copied[..] } else { &[] });
        }
        let mut client = End::new(Connection::client(Config::default(), entropy()), 0, 1 << 17);
        assert_eq!(client.machine.send_encoded(&frame, &mut client.outbox), Err(SendError::Unsuitable));
        client.machine.send_bytes(Kind::Binary, &payload, &mut client.outbox).unwrap();
        let mut server = server(Config::default(), 1 << 17);
        server
            .feed(&all(&client.outbox), 4096, |event| {
                assert!(matches!(event, Event::Binary(bytes) if bytes == payload));
            })
            .unwrap();
    }
    let mut end = server(Config::default(), 512);
    end.machine.send_fragment(Kind::Text, b"a", true, false, &mut end.outbox).unwrap();
    let frame = encode(Kind::Text, &[]);
    assert_eq!(end.machine.send_encoded(&frame, &mut end.outbox), Err(SendError::Unsuitable));
    end.machine.send_close(1000, "", &mut end.outbox).unwrap();
    assert_eq!(end.machine.send_encoded(&frame, &mut end.outbox), Err(SendError::NotOpen));
    assert_eq!(end.machine.send_bytes(Kind::Text, &frame, &mut end.outbox), Err(SendError::NotOpen));
}

/// However full the machine made the outbox, a close frame fits: with its reason, or without.
#[test]
fn the_goodbye_always_fits() {
    for (pong, message, room) in [(125, 0, 139), (125, 0, 150), (0, 50, 200), (3, 10, 147), (125, 100, 400)] {
        for client in [false, true] {
            let machine = if client {
                Connection::client(Config::default(), entropy())
            } else {
                Connection::server(Config::default())
            };
            let mut end = End::new(machine, 512, room);
            let ping = frame(true, Opcode::Ping, (!client).then_some(KEY), &vec![b'p'; pong]);
            while end.inbox.unread().is_empty() {
                end.inbox.push(&ping);
                let _ = end.settle(|_| {}).unwrap();
                let _ = end.machine.send_binary(&vec![0; message], &mut end.outbox);
            }
            let before = end.outbox.room();
            end.machine.send_close(1012, &"r".repeat(123), &mut end.outbox).unwrap();
            assert!(before - end.outbox.room() >= 4 && !end.machine.is_open());
        }
    }
}

/// RFC 6455 §7.1.1: the server is the first to end its side. A client does so when the server has, or has not in time; a
/// client that was failed by its server does so at once (§7.1.7).
#[test]
fn a_client_leaves_the_end_to_the_server() {
    let close = frame(true, Opcode::Close, None, &1000_u16.to_be_bytes());
    let within = Config::default().close_within;
    for (we_began, in_time) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut client = End::new(Connection::client(Config::default(), entropy()), 512, 512);
        if we_began {
            client.machine.send_close(1000, "", &mut client.outbox).unwrap();
        }
        let mut closed = 0;
        client.feed(&close, 1, |event| closed += usize::from(matches!(event, Event::Closed { .. }))).unwrap();
        assert_eq!(closed, 1);
        assert!(!client.outbox.is_finished(), "the server's turn");
        assert_eq!(client.machine.deadline(), Some(Instant::EPOCH + within));
        let now = if in_time { Instant::EPOCH } else { Instant::EPOCH + within };
        if in_time {
            client.inbox.finish();
        }
        let progress = client.machine.advance(now, &mut client.inbox, &mut client.outbox);
        assert_eq!(progress, Ok(Progress::Closed));
        assert!(client.outbox.is_finished());
    }
    let mut client = End::new(Connection::client(Config::default(), entropy()), 512, 512);
    assert_eq!(client.feed(b"\xff", 1, |_| {}), Err(Error::Reserved));
    assert!(client.outbox.is_finished());
}
