//! WebSocket: `ws/server` and `ws/client`.
//!
//! Words for bytes: `frame OPCODE [part] [key=HEX] DATA` is a frame as the peer of this role sends it, `sent …` one
//! as this role sends it; `part` is without FIN. All mask keys are those of the examples in RFC 6455 §5.7.

use proptest::{collection::vec, prelude::*, sample::select};
use stillwire::{
    Entropy, Kind, Outbox, SendError, Transport as _,
    ws::{Config, Connection, Event, Header, Opcode, apply_mask},
};

use crate::{
    subject::{Covered, Options, Seen, Subject},
    transcript::{show, spelled},
};

/// The key of RFC 6455 §5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// `ws/server`.
#[derive(Debug)]
pub struct Server;

/// `ws/client`.
#[derive(Debug)]
pub struct Client;

/// `ws/pieces`: a server that takes messages above 100 bytes, or `piece` bytes, in pieces.
#[derive(Debug)]
pub struct Pieces;

impl Covered for Connection {
    type By = Server;
}

/// Makes a subject: its name, whether its peer masks, the law of work, the inboxes of the laws, how it is built, its commands,
/// and what its peer says.
macro_rules! subject {
    ($subject:ty, $name:literal, $masks:literal, $work:literal, $inboxes:expr, $build:expr, $command:path, $input:path) => {
        impl Subject for $subject {
            const NAME: &'static str = $name;
            const INBOXES: &'static [usize] = &$inboxes;
            const WORK: u64 = $work;
            type Machine = Connection;

            fn build(options: &Options) -> Connection {
                let build: fn(&Options) -> Connection = $build;
                build(options)
            }
            fn show(event: Event<'_>) -> Seen {
                seen(event)
            }
            fn command(machine: &mut Connection, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
                $command(machine, words, outbox)
            }
            fn bytes(words: &str) -> Vec<u8> {
                framed(words, $masks)
            }
            fn answer(event: Event<'_>, machine: &mut Connection, outbox: &mut Outbox<'_>) {
                answer(event, machine, outbox);
            }
            fn input() -> BoxedStrategy<Vec<u8>> {
                $input($masks.then_some(KEY))
            }
        }
    };
}
pub(super) use subject;

const INBOXES: [usize; 2] = [512, 4096];

subject!(
    Server,
    "ws/server",
    true,
    4,
    INBOXES,
    |options| Connection::server(config(options)),
    command,
    input
);
subject!(
    Client,
    "ws/client",
    false,
    4,
    INBOXES,
    |options| Connection::client(config(options), entropy()),
    command,
    input
);
subject!(
    Pieces,
    "ws/pieces",
    true,
    4,
    INBOXES,
    |options| {
        let mut config = config(options);
        config.piece = config.piece.or(Some(100));
        Connection::server(config)
    },
    command,
    input
);

/// Every key is [`KEY`].
#[must_use]
pub fn entropy() -> Entropy {
    Entropy::from_fn(|bytes| bytes.iter_mut().zip(KEY.iter().cycle()).for_each(|(to, byte)| *to = *byte))
}

pub(super) fn config(options: &Options) -> Config {
    let mut config = if options.has("tiny") { Config::TINY } else { Config::default() };
    config.piece = options.get("piece");
    config.max_message = options.get("max_message").unwrap_or(config.max_message);
    config.max_fragments = options.get("max_fragments").unwrap_or(config.max_fragments);
    config.ping_every =
        options.millis("ping_every").or(config.ping_every).filter(|_| !options.has("no_ping"));
    config.pong_within = options.millis("pong_within").unwrap_or(config.pong_within);
    config.close_within = options.millis("close_within").unwrap_or(config.close_within);
    config
}

pub(super) fn seen(event: Event<'_>) -> Seen {
    Seen::Whole(match event {
        Event::Text(text) => format!("Text {}", show(text.as_str().as_bytes())),
        Event::Binary(bytes) => format!("Binary {}", show(bytes)),
        Event::Ping(bytes) => format!("Ping {}", show(bytes)),
        Event::Pong(bytes) => format!("Pong {}", show(bytes)),
        Event::Closed { code, reason } => format!("Closed {code} {}", show(reason.as_bytes())),
        Event::Piece { kind, bytes, first, last } => {
            let which = match (first, last) {
                (true, _) => "first",
                (_, true) => "last",
                _ => "next",
            };
            format!("Piece {kind:?} {which} {}", show(bytes))
        }
        other => format!("{other:?}"),
    })
}

/// `send_text DATA`, `send_binary`, `send_ping`, `send_pong`, `send_close CODE DATA`, `close DATA`,
/// `fragment text|binary first|middle|last DATA`; DATA is spelled out, or taken as it is.
pub(super) fn command(machine: &mut Connection, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    let data = |words: &str| match words.starts_with('"') || words.is_empty() {
        true => spelled(words).expect("spelled bytes"),
        false => words.as_bytes().to_vec(),
    };
    let text = |words: &str| String::from_utf8(data(words)).expect("text");
    let result = match verb {
        "send_text" => machine.send_text(&text(rest), outbox),
        "send_binary" => machine.send_binary(&data(rest), outbox),
        "send_ping" => machine.send_ping(&data(rest), outbox),
        "send_pong" => machine.send_pong(&data(rest), outbox),
        "send_close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            machine.send_close(code.parse().expect("a code"), &text(reason), outbox)
        }
        "close" => {
            machine.close(&text(rest), outbox);
            Ok(())
        }
        "fragment" => {
            let mut words = rest.splitn(3, ' ');
            let kind = if words.next() == Some("text") { Kind::Text } else { Kind::Binary };
            let which = words.next().expect("first, middle or last");
            let data = data(words.next().unwrap_or_default());
            machine.send_fragment(kind, &data, which == "first", which == "last", outbox)
        }
        _ => panic!("no command {verb}"),
    };
    result.map_err(|error| match error {
        SendError::Full(_) => "Full".to_owned(),
        SendError::TooLarge { .. } => "TooLarge".to_owned(),
        error => format!("{error:?}"),
    })
}

pub(super) fn framed(words: &str, peer_masks: bool) -> Vec<u8> {
    let (verb, mut rest) = words.split_once(' ').unwrap_or((words, ""));
    let masks = match verb {
        "frame" => peer_masks,
        "sent" => !peer_masks,
        _ => panic!("what is {words:?}?"),
    };
    let name;
    (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let opcode = match name {
        "more" => Opcode::Continuation,
        // A compressed one is spelled out, with RSV1.
        "text+" => Opcode::Text,
        "binary+" => Opcode::Binary,
        "text" => Opcode::Text,
        "binary" => Opcode::Binary,
        "close" => Opcode::Close,
        "ping" => Opcode::Ping,
        "pong" => Opcode::Pong,
        _ => panic!("no opcode {name:?}"),
    };
    let fin = match rest.strip_prefix("part") {
        Some(behind) => {
            rest = behind;
            false
        }
        None => true,
    };
    let payload = spelled(rest).unwrap_or_else(|| panic!("not bytes: {rest:?}"));
    let mut bytes = frame(fin, opcode, masks.then_some(KEY), &payload);
    if name.ends_with('+') {
        bytes[0] |= 0x40;
    }
    bytes
}

/// One frame.
#[must_use]
pub fn frame(fin: bool, opcode: Opcode, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header { fin, opcode, key, len: payload.len() as u64 }.emit().as_bytes().to_vec();
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(key.unwrap_or_default(), &mut bytes[at..]);
    bytes
}

/// An echo that also pings, fragments and, asked for it, closes.
pub(super) fn answer(event: Event<'_>, machine: &mut Connection, outbox: &mut Outbox<'_>) {
    let _ = match event {
        Event::Text(text) if text == "bye" => machine.send_close(1000, "bye", outbox),
        Event::Text(text) => machine.send_text(text, outbox),
        Event::Binary(bytes) => {
            let (front, back) = bytes.split_at(bytes.len() / 2);
            machine
                .send_fragment(Kind::Binary, front, true, false, outbox)
                .and_then(|()| machine.send_ping(&front[..front.len().min(3)], outbox))
                .and_then(|()| machine.send_fragment(Kind::Binary, back, false, true, outbox))
        }
        _ => Ok(()),
    };
}

pub(super) fn input(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let items = prop_oneof![
        6 => message(key),
        3 => control(key),
        1 => close(key),
        1 => broken(key),
    ];
    let stream = vec(items, 0..8).prop_map(|items| items.concat());
    (stream, prop_oneof![4 => Just(usize::MAX), 1 => 0..2000_usize])
        .prop_map(|(mut bytes, cut)| {
            bytes.truncate(cut);
            bytes
        })
        .boxed()
}

/// A payload of a telling length: nothing, short, around the forms of the length, around the limits.
pub(super) fn payload() -> BoxedStrategy<Vec<u8>> {
    let len = prop_oneof![
        6 => 0_usize..20,
        2 => 120_usize..130,
        1 => 368_usize..378,
        1 => 3952_usize..3962,
    ];
    prop_oneof![
        2 => (len.clone(), any::<u8>()).prop_map(|(n, seed)| (0..n).map(|i| (i as u8).wrapping_mul(seed)).collect()),
        4 => (len, select(vec!["a", "ü", "€", "\u{10ffff}", "x€"]))
            .prop_map(|(n, unit)| unit.repeat(n / unit.len()).into_bytes()),
        1 => Just(b"bye".to_vec()),
        1 => select(vec![&b"\xc3"[..], b"\xe2\x82", b"a\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"])
            .prop_map(<[u8]>::to_vec),
    ]
    .boxed()
}

/// A message in one frame or in several, control frames between them.
fn message(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let cuts = vec((any::<prop::sample::Index>(), proptest::option::of(control(key))), 0..5);
    let kind = select(vec![Opcode::Text, Opcode::Binary]);
    (kind, payload(), prop_oneof![2 => Just(vec![]), 3 => cuts])
        .prop_map(move |(kind, payload, cuts)| {
            let mut at: Vec<_> =
                cuts.iter().map(|(at, between)| (at.index(payload.len() + 1), between)).collect();
            at.sort_by_key(|(at, _)| *at);
            let (mut bytes, mut done, mut opcode) = (Vec::new(), 0, kind);
            for (at, between) in at {
                bytes.extend(frame(false, opcode, key, &payload[done..at]));
                bytes.extend(between.iter().flatten());
                (done, opcode) = (at, Opcode::Continuation);
            }
            bytes.extend(frame(true, opcode, key, &payload[done..]));
            bytes
        })
        .boxed()
}

pub(super) fn control(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let len = prop_oneof![3 => 0_usize..8, 1 => Just(125_usize)];
    (select(vec![Opcode::Ping, Opcode::Pong]), len)
        .prop_map(move |(opcode, len)| frame(true, opcode, key, &vec![b'p'; len]))
        .boxed()
}

fn close(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let code = prop_oneof![3 => Just(1000_u16), 1 => any::<u16>()];
    let reason = select(vec![&b""[..], b"going", b"\xc3", "grü".as_bytes()]);
    let with_code = (code, reason).prop_map(move |(code, reason)| {
        frame(true, Opcode::Close, key, &[&code.to_be_bytes(), reason].concat())
    });
    prop_oneof![
        4 => with_code,
        1 => Just(frame(true, Opcode::Close, key, b"")),
        1 => Just(frame(true, Opcode::Close, key, b"x")),
    ]
    .boxed()
}

/// What nobody may send, and headers that promise what does not come.
fn broken(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let wrong_key = if key.is_some() { None } else { Some(KEY) };
    let header = (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..12))
        .prop_map(|(first, second, rest)| [vec![first, second], rest].concat());
    let opcode = select(vec![Opcode::Continuation, Opcode::Text, Opcode::Binary]);
    let long = (opcode, 100_u64..1 << 20, vec(any::<u8>(), 0..200)).prop_map(move |(opcode, len, some)| {
        [Header { fin: true, opcode, key, len }.emit().as_bytes(), &some].concat()
    });
    // Whole frames, but for their length, which is not in its shortest form.
    let wide = (any::<bool>(), 0..126_u8).prop_map(move |(wider, len)| {
        let short = frame(true, Opcode::Binary, key, &vec![b'w'; len.into()]);
        let form: &[u8] = if wider { &[127, 0, 0, 0, 0, 0, 0, 0] } else { &[126, 0] };
        [&[short[0], form[0] | short[1] & 0x80], &form[1..], &[len], &short[2..]].concat()
    });
    prop_oneof![
        header,
        long,
        wide,
        Just(frame(true, Opcode::Text, wrong_key, b"hello")),
        Just(frame(true, Opcode::Continuation, key, b"")),
        Just(frame(false, Opcode::Text, key, b"")),
        Just(frame(false, Opcode::Ping, key, b"")),
        Just(frame(true, Opcode::Pong, key, &[0; 126])),
    ]
    .boxed()
}
