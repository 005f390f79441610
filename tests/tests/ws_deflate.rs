//! permessage-deflate (RFC 7692): that what goes in comes out, exact limits, bombs, memory.

use proptest::{collection::vec, prelude::*, sample::select};
use stillwire::{
    Entropy, Inbox, Instant, Kind, Machine, Outbox, Progress, SendError,
    ws::{Compress, Config, Connection, Deflate, Error, Event, Opcode},
};
use stillwire_tests::subjects::{
    ws::{KEY, frame},
    ws_deflate::{Squeeze, connections, handshake},
};

fn config(change: impl FnOnce(&mut Deflate)) -> Config {
    let (mut config, mut deflate) = (Config::default(), Deflate::default());
    deflate.at_least = 0;
    change(&mut deflate);
    config.deflate = Some(deflate);
    config
}

/// A machine with boxes.
struct End {
    machine: Connection,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
}

impl End {
    fn new(machine: Connection, inbox: usize) -> Self {
        Self { machine, inbox: Inbox::with_limit(inbox), outbox: Outbox::with_limit(1 << 20) }
    }

    fn settle(&mut self, see: &mut impl FnMut(Event<'_>)) -> Result<(), Error> {
        loop {
            match self.machine.advance(Instant::EPOCH, &mut self.inbox, &mut self.outbox)? {
                Progress::Event => see(self.machine.event(&self.inbox).expect("the promised event")),
                _ => return Ok(()),
            }
        }
    }

    fn feed(&mut self, input: &[u8], size: usize, mut see: impl FnMut(Event<'_>)) -> Result<(), Error> {
        self.settle(&mut see)?;
        for chunk in input.chunks(size) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let n = self.inbox.push(rest);
                assert!(n > 0, "it goes on");
                rest = &rest[n..];
                self.settle(&mut see)?;
            }
        }
        Ok(())
    }
}

/// Bytes that compress in different ways.
fn data(n: usize, how: u8) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(how) << 32 ^ n as u64;
    let mut noise = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    match how % 3 {
        0 => (0..n).map(|_| noise()).collect(),
        1 => b"{\"id\":17,\"price\":\"4,25 \xe2\x82\xac\"},".iter().copied().cycle().take(n).collect(),
        _ => vec![0; n],
    }
}

fn text(n: usize) -> String {
    "grüße €\u{1f600} ".chars().cycle().take(n).collect()
}

#[derive(Clone, Debug)]
enum Say {
    Text(usize),
    Binary(usize, u8, Compress),
    Fragments(Vec<usize>, u8, Compress),
    Ping,
}

fn say() -> impl Strategy<Value = Say> {
    let n = prop_oneof![4 => 0..40_usize, 3 => 100..3000_usize, 1 => 30_000..70_000_usize];
    let compress = select(vec![Compress::Auto, Compress::Always, Compress::Never]);
    prop_oneof![
        4 => n.clone().prop_map(|n| Say::Text(n.min(20_000))),
        4 => (n.clone(), any::<u8>(), compress.clone()).prop_map(|(n, how, c)| Say::Binary(n, how, c)),
        2 => (vec(n, 1..5), any::<u8>(), compress).prop_map(|(all, how, c)| Say::Fragments(all, how, c)),
        1 => Just(Say::Ping),
    ]
}

/// Says it, and what the other side must hear.
fn speak(say: &Say, end: &mut End, expected: &mut Vec<Vec<u8>>) {
    let (machine, outbox) = (&mut end.machine, &mut end.outbox);
    match say {
        Say::Text(n) => {
            machine.send_text(&text(*n), outbox).unwrap();
            expected.push(text(*n).into_bytes());
        }
        Say::Binary(n, how, compress) => {
            let bytes = data(*n, *how);
            let (front, back) = bytes.split_at(n / 3);
            machine.send_with(Kind::Binary, &[front, b"", back], *compress, outbox).unwrap();
            expected.push(bytes);
        }
        Say::Fragments(parts, how, compress) => {
            let mut whole = vec![];
            for (i, n) in parts.iter().enumerate() {
                let (part, last) = (data(*n, *how), i + 1 == parts.len());
                machine.send_fragment_with(Kind::Binary, &part, i == 0, last, *compress, outbox).unwrap();
                machine.send_pong(b"between", outbox).unwrap();
                whole.extend(part);
            }
            expected.push(whole);
        }
        Say::Ping => machine.send_pong(b"x", outbox).unwrap(),
    }
}

fn settings() -> impl Strategy<Value = Deflate> {
    (9..=15_u8, 8..=15_u8, any::<[bool; 3]>(), 1..=9_u8, 1..=9_u8, select(vec![0_usize, 1, 100])).prop_map(
        |(bits, peer_bits, [takeover, peer_takeover, lend], level, mem_level, at_least)| {
            let mut deflate = Deflate::default();
            (deflate.window_bits, deflate.peer_window_bits) = (bits, peer_bits);
            (deflate.takeover, deflate.peer_takeover) = (takeover, peer_takeover);
            (deflate.level, deflate.mem_level, deflate.at_least) = (level, mem_level, at_least);
            deflate.lend = lend && takeover;
            deflate
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever both sides want, what one says is what the other hears, whole or in pieces, in chunks of every size.
    #[test]
    fn what_is_said_is_heard(
        settings in [settings(), settings()],
        says in vec((any::<bool>(), say()), 1..12),
        size in prop_oneof![1..20_usize, 20..5000_usize],
        piece in select(vec![None, Some(7), Some(1000)]),
    ) {
        let [mut for_server, mut for_client] = [Config::default(), Config::default()];
        (for_server.deflate, for_client.deflate) = (Some(settings[0]), Some(settings[1]));
        (for_server.piece, for_client.max_message) = (piece, 1 << 19);
        let (accept, agreement) = handshake(&for_server, &for_client);
        let agreement = agreement.unwrap();
        prop_assert_eq!(accept.extensions().is_some(), settings[1].peer_window_bits > 8);
        let server = End::new(accept.connection(for_server), (1 << 20) + 1024);
        let client = End::new(agreement.connection(for_client, Entropy::insecure_seeded(3)), (1 << 19) + 1024);
        let mut ends = [server, client];
        let (mut told, mut heard) = ([vec![], vec![]], [vec![], vec![]]);
        for (from_client, say) in &says {
            let (from, to) = (usize::from(*from_client), usize::from(!*from_client));
            speak(say, &mut ends[from], &mut told[from]);
            let wire: Vec<u8> = ends[from].outbox.chunks().flatten().copied().collect();
            ends[from].outbox.advance(wire.len());
            let heard = &mut heard[from];
            let mut part = vec![];
            ends[to].feed(&wire, size, |event| match event {
                Event::Text(text) => heard.push(text.as_bytes().to_vec()),
                Event::Binary(bytes) => heard.push(bytes.to_vec()),
                Event::Piece { kind, bytes, first, last } => {
                    assert_eq!(first, part.is_empty());
                    assert!(kind == Kind::Binary || core::str::from_utf8(bytes).is_ok());
                    assert!(!bytes.is_empty() && bytes.len() <= piece.unwrap());
                    part.extend_from_slice(bytes);
                    if last {
                        heard.push(core::mem::take(&mut part));
                    }
                }
                _ => {}
            }).unwrap();
            prop_assert_eq!(ends[to].outbox.chunk(), b"");
        }
        prop_assert!(told == heard);
    }
}

/// Messages of a peer's zlib, one stream, with pings between the fragments.
fn stream(bits: u8, takeover: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut squeeze, mut wire, mut expected) = (Squeeze::new(bits, 6), vec![], vec![]);
    for (i, n) in [5_usize, 300, 1, 4000, 70, 9000, 2, 0].into_iter().enumerate() {
        let bytes = data(n, i as u8);
        if !takeover {
            squeeze = Squeeze::new(bits, 6);
        }
        let payload = squeeze.message(&bytes);
        let begin = wire.len();
        if i % 2 == 0 {
            wire.extend(frame(true, Opcode::Binary, Some(KEY), &payload));
        } else {
            let mut opcode = Opcode::Binary;
            for part in payload.chunks(payload.len() / 4 + 1) {
                wire.extend(frame(false, opcode, Some(KEY), part));
                wire.extend(frame(true, Opcode::Pong, Some(KEY), &[7; 100]));
                opcode = Opcode::Continuation;
            }
            wire.extend(frame(true, opcode, Some(KEY), b""));
        }
        wire[begin] |= 0x40;
        wire.extend(frame(true, Opcode::Binary, Some(KEY), b"plain"));
        expected.extend([bytes, b"plain".to_vec()]);
    }
    (wire, expected)
}

/// Every window, with and without takeover, in a tight inbox and in a large one, in chunks of every size.
#[test]
fn every_window_in_chunks_of_every_size() {
    for bits in 9..=15 {
        for takeover in [true, false] {
            let (wire, expected) = stream(bits, takeover);
            let mut config = config(|deflate| deflate.peer_takeover = takeover);
            config.max_message = 9000;
            for size in [1, 2, 3, 7, 64, 1000, 1400, 1 << 20] {
                for inbox in [9000 + 1024, 70_000] {
                    let mut end = End::new(connections(config.clone()).0, inbox);
                    let mut heard = vec![];
                    end.feed(&wire, size, |event| {
                        if let Event::Binary(bytes) = event {
                            heard.push(bytes.to_vec());
                        }
                    })
                    .unwrap();
                    assert!(heard == expected, "{bits} bits, takeover {takeover}, {size}, {inbox}");
                    let work = end.inbox.work();
                    assert!(work.moved <= 2 * work.received + 64, "{work:?}");
                }
            }
        }
    }
}

/// The limit counts inflated bytes (RFC 7692 §8.1): 5,000 pass and 5,001 do not, in chunks of every size, whatever it is.
#[test]
fn the_limit_is_exact() {
    for n in [4999, 5000, 5001, 5002, 500_000] {
        for how in 0..3 {
            let payload = Squeeze::new(15, 9).message(&data(n, how));
            let mut wire = frame(true, Opcode::Binary, Some(KEY), &payload);
            wire[0] |= 0x40;
            // By configuration, and by the inbox.
            for (max_message, inbox) in [(5000, 6024), (5000, 20_000), (1 << 20, 6024)] {
                let mut config = config(|_| {});
                config.max_message = max_message;
                for size in [1, 3, 97, 1 << 20] {
                    let mut end = End::new(connections(config.clone()).0, inbox);
                    let mut heard = vec![];
                    let result = end.feed(&wire, size, |event| match event {
                        Event::Binary(bytes) => heard.push(bytes.len()),
                        event => panic!("{event:?}"),
                    });
                    if n <= 5000 {
                        assert_eq!((result, heard), (Ok(()), vec![n]));
                    } else {
                        assert_eq!(
                            (result, heard),
                            (Err(Error::TooLarge { limit: 5000 }), vec![]),
                            "{n} {how} {size}"
                        );
                    }
                    assert!(end.inbox.allocated() <= inbox);
                }
            }
        }
    }
}

/// A bomb of 1,000 to 1 ends at the limit; in pieces it goes through a small inbox, as far as `max_message` lets it.
#[test]
fn bombs() {
    let mut squeeze = Squeeze::new(15, 9);
    let payload = squeeze.message(&vec![0; 64 << 20]);
    assert!(payload.len() < 70_000);
    let mut wire = frame(true, Opcode::Binary, Some(KEY), &payload);
    wire[0] |= 0x40;
    let mut end = End::new(connections(config(|_| {})).0, (1 << 20) + 4096);
    assert_eq!(end.feed(&wire, 4096, |_| panic!()), Err(Error::TooLarge { limit: 1 << 20 }));
    assert!(end.inbox.allocated() <= (1 << 20) + 4096);

    let mut config = config(|_| {});
    (config.max_message, config.piece) = (16 << 20, Some(16 << 10));
    let mut end = End::new(connections(config.clone()).0, 20 << 10);
    let mut total = 0;
    let result = end.feed(&wire, 4096, |event| match event {
        Event::Piece { bytes, last: false, .. } => total += bytes.len(),
        event => panic!("{event:?}"),
    });
    assert_eq!(result, Err(Error::TooLarge { limit: 16 << 20 }));
    assert_eq!(total, (16 << 20) - (16 << 10));

    config.max_message = 64 << 20;
    let mut end = End::new(connections(config).0, 20 << 10);
    let mut total = 0;
    let count = |event: Event<'_>| match event {
        Event::Piece { bytes, .. } => total += bytes.len(),
        event => panic!("{event:?}"),
    };
    end.feed(&wire, 4096, count).unwrap();
    assert_eq!(total, 64 << 20);
    assert!(end.inbox.allocated() <= 20 << 10);
}

/// Compression never makes a send fail: without room for its worst case the message goes as it is.
#[test]
fn without_room_it_goes_as_it_is() {
    let (mut server, _) = connections(config(|_| {}));
    let bytes = data(1000, 0);
    let mut outbox = Outbox::with_limit(1000 + 4 + 131);
    server.send_binary(&bytes, &mut outbox).unwrap();
    assert_eq!(outbox.chunk()[..4], [0x82, 126, 3, 0xe8]);
    let mut outbox = Outbox::with_limit(1000 + 4 + 130);
    assert!(matches!(server.send_binary(&bytes, &mut outbox), Err(SendError::Full(_))));
    assert!(outbox.is_empty());
    // In the middle of a compressed message there is no going back, so it waits for room.
    let mut outbox = Outbox::with_limit(400);
    server.send_fragment(Kind::Binary, b"first", true, false, &mut outbox).unwrap();
    assert!(outbox.chunk()[0] == 0x42);
    let before = outbox.chunk().to_vec();
    let refused = server.send_fragment(Kind::Binary, &bytes[..250], false, true, &mut outbox);
    assert!(matches!(refused, Err(SendError::Full(_))));
    assert_eq!(outbox.chunk(), before);
    server.send_fragment(Kind::Binary, &bytes[..10], false, true, &mut outbox).unwrap();
}

/// Noise without takeover is sent as it is; with it, it must be sent compressed, and what follows is understood.
#[test]
fn noise() {
    for takeover in [true, false] {
        let (server, client) =
            connections(config(|deflate| (deflate.takeover, deflate.peer_takeover) = (takeover, takeover)));
        let (mut server, mut client) = (End::new(server, 1 << 20), End::new(client, 1 << 20));
        let mut heard = vec![];
        for _ in 0..3 {
            server.machine.send_binary(&data(5000, 0), &mut server.outbox).unwrap();
            let wire = server.outbox.chunk().to_vec();
            server.outbox.advance(wire.len());
            if !takeover {
                assert_eq!(wire[0], 0x82);
            }
            client.feed(&wire, 999, |event| heard.push(event == Event::Binary(&data(5000, 0)))).unwrap();
        }
        assert_eq!(heard, [true; 3]);
    }
}

/// RFC 7692 §6: a first bit that was not agreed on is an error.
#[test]
fn rsv1_without_an_agreement() {
    let mut end = End::new(Connection::server(config(|_| {})), 4096);
    assert_eq!(end.feed(&[0xc1], 1, |_| {}), Err(Error::Reserved));
}

/// A final block ends a stream, not the message, and what follows may refer to what came before (RFC 7692 §7.2.3.5).
#[test]
fn final_blocks() {
    let mut squeeze = Squeeze::new(15, 6);
    for (payload, expected) in [
        // Two final blocks in one message.
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00".to_vec(), b"HelloHello".to_vec()),
        // The second one repeats the first: five bytes back.
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x02\x13\x00\x00".to_vec(), b"HelloHello".to_vec()),
        (squeeze.last(b"one"), b"one".to_vec()),
    ] {
        let mut wire = frame(true, Opcode::Binary, Some(KEY), &payload);
        wire[0] |= 0x40;
        for size in [1, 2, 100] {
            let mut end = End::new(connections(config(|_| {})).0, 4096);
            let mut heard = vec![];
            end.feed(&[&wire[..], &wire].concat(), size, |event| match event {
                Event::Binary(bytes) => heard.push(bytes.to_vec()),
                event => panic!("{event:?}"),
            })
            .unwrap();
            assert_eq!(heard, [expected.clone(), expected.clone()], "{payload:x?}");
        }
    }
}

/// A connection costs a pointer more until it is compressed.
#[test]
fn a_connection_stays_small() {
    assert!(size_of::<Connection>() <= 256, "{}", size_of::<Connection>());
}
