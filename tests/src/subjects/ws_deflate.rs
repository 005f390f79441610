//! WebSocket with permessage-deflate: `ws/server-deflate`, `ws/client-deflate`, and `ws/pieces-deflate`, a server that
//! takes large messages in pieces.
//!
//! `frame text+ …` and `frame binary+ …` have RSV1: their data is spelled out as deflate data.

use proptest::{collection::vec, prelude::*, sample::select};
use stillwire::{
    Entropy, Kind, Outbox,
    http::{RequestView, ResponseView},
    ws::{Accept, Agreement, Compress, Config, Connection, Deflate, Event, Offer, Opcode, UpgradeError},
};
use zlib_rs::{DeflateConfig, DeflateFlush};

use super::ws::{
    KEY, answer, command, config, control, entropy, frame, framed, input, payload, seen, subject,
};
use crate::subject::{Options, Seen, Subject};

/// `ws/server-deflate`.
#[derive(Debug)]
pub struct Server;

/// `ws/client-deflate`.
#[derive(Debug)]
pub struct Client;

/// `ws/pieces-deflate`.
#[derive(Debug)]
pub struct Pieces;

/// The inbox keeps 1,024 bytes for input.
const INBOXES: [usize; 2] = [1536, 5120];

subject!(Server, "ws/server-deflate", true, 4, INBOXES, |options| connections(set(options)).0, talk, stream);
subject!(Client, "ws/client-deflate", false, 4, INBOXES, |options| connections(set(options)).1, talk, stream);
// A byte becomes up to 1,032, so ten pieces, and each leaves up to four bytes behind that move.
subject!(
    Pieces,
    "ws/pieces-deflate",
    true,
    48,
    INBOXES,
    |options| {
        let mut config = set(options);
        config.piece = config.piece.or(Some(100));
        connections(config).0
    },
    talk,
    stream
);

/// `always TEXT`, and those of every WebSocket.
fn talk(machine: &mut Connection, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
    let Some(text) = words.strip_prefix("always ") else { return command(machine, words, outbox) };
    let sent = machine.send_with(Kind::Text, &[text.as_bytes()], Compress::Always, outbox);
    sent.map_err(|error| format!("{error:?}"))
}

/// `lend`, `no_takeover`, `at_least=N`, `window_bits=N`.
fn set(options: &Options) -> Config {
    let mut config = config(options);
    let mut deflate = if options.has("lend") { Deflate::LEND } else { Deflate::default() };
    deflate.at_least = options.get("at_least").unwrap_or(deflate.at_least);
    deflate.window_bits = options.get("window_bits").unwrap_or(deflate.window_bits);
    deflate.takeover &= !options.has("no_takeover");
    deflate.peer_takeover = deflate.takeover;
    config.deflate = Some(deflate);
    config
}

/// Server and client, both configured like that, behind a handshake.
///
/// # Panics
/// When they do not agree.
#[must_use]
pub fn connections(config: Config) -> (Connection, Connection) {
    let (accept, agreement) = handshake(&config, &config);
    let agreement = agreement.expect("an agreement");
    (accept.connection(config.clone()), agreement.connection(config, entropy()))
}

/// What a server and a client make of each other.
///
/// # Panics
/// When the server refuses.
pub fn handshake(server: &Config, client: &Config) -> (Accept<'static>, Result<Agreement, UpgradeError>) {
    let offer = Offer::new(&mut Entropy::insecure_seeded(1), client);
    let mut headers = vec![
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", offer.key()),
    ];
    headers.extend(offer.extensions().map(|value| ("sec-websocket-extensions", value)));
    let accept = Accept::new(&Head(headers), &[], server).expect("a good request");
    let agreement = offer.check(&Head(accept.headers().collect()), &[]);
    (accept, agreement)
}

/// A head of either kind, as another HTTP stack shows it.
#[derive(Clone, Debug)]
pub struct Head<'h>(pub Vec<(&'h str, &'h str)>);

impl Head<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |header| header.0.eq_ignore_ascii_case(name));
        named.map(|header| header.1.as_bytes())
    }
}

impl RequestView for Head<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn target(&self) -> &str {
        "/"
    }
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
    }
}

impl ResponseView for Head<'_> {
    fn status(&self) -> u16 {
        101
    }
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
    }
}

/// A compressor of the peer's, as zlib makes it.
#[allow(missing_debug_implementations)]
pub struct Squeeze(zlib_rs::Deflate);

impl Squeeze {
    /// With a window of so many bits.
    #[must_use]
    pub fn new(bits: u8, level: i32) -> Self {
        let mut config = DeflateConfig::new(level);
        config.window_bits = -i32::from(bits);
        Self(zlib_rs::Deflate::new_with_config(config))
    }

    /// The payload of one message.
    ///
    /// # Panics
    /// When zlib fails.
    pub fn message(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.flushed(bytes, DeflateFlush::SyncFlush);
        if out.is_empty() {
            return vec![0];
        }
        assert!(out.ends_with(&[0, 0, 255, 255]));
        out.truncate(out.len() - 4);
        out
    }

    /// The payload of one message that ends with a final block (RFC 7692 §7.2.3.4).
    pub fn last(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.flushed(bytes, DeflateFlush::Finish);
        self.0.reset();
        out.push(0);
        out
    }

    fn flushed(&mut self, bytes: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let mut out = vec![0; bytes.len() * 9 / 8 + 64];
        let before = self.0.total_out();
        self.0.compress(bytes, &mut out, flush).expect("zlib");
        out.truncate(usize::try_from(self.0.total_out() - before).expect("it fits"));
        out
    }
}

/// A compressed message: how it is cut, and what lies between the parts.
type Cuts = Vec<(prop::sample::Index, Option<Vec<u8>>)>;

/// A whole stream: what is compressed depends on what came before it.
fn stream(key: Option<[u8; 4]>) -> BoxedStrategy<Vec<u8>> {
    let cuts = vec((any::<prop::sample::Index>(), proptest::option::of(control(key))), 0..4);
    let large = (1_usize..9000, any::<u8>()).prop_map(|(n, seed)| {
        (0..n).map(|i| if i % 7 == 0 { seed.wrapping_mul(i as u8) } else { b'a' }).collect::<Vec<u8>>()
    });
    let bytes = prop_oneof![4 => payload(), 1 => large];
    let kind = select(vec![Opcode::Text, Opcode::Binary]);
    let how = prop_oneof![8 => Just(How::Whole), 1 => Just(How::Final), 1 => any::<prop::sample::Index>().prop_map(How::Spoiled)];
    let message = (kind, bytes, cuts, how);
    let items = prop_oneof![
        4 => vec(message, 0..6).prop_map(move |messages| compressed(key, messages)),
        1 => input(key),
    ];
    (vec(items, 1..3), prop_oneof![4 => Just(usize::MAX), 1 => 0..2000_usize])
        .prop_map(|(items, cut)| {
            let mut bytes = items.concat();
            bytes.truncate(cut);
            bytes
        })
        .boxed()
}

/// What is done to the payload of a compressed message.
#[derive(Clone, Debug)]
enum How {
    Whole,
    Final,
    /// A byte is another one.
    Spoiled(prop::sample::Index),
}

fn compressed(key: Option<[u8; 4]>, messages: Vec<(Opcode, Vec<u8>, Cuts, How)>) -> Vec<u8> {
    let mut squeeze = Squeeze::new(15, 6);
    let mut bytes = Vec::new();
    for (opcode, plain, cuts, how) in messages {
        let mut payload = match how {
            How::Final => squeeze.last(&plain),
            _ => squeeze.message(&plain),
        };
        if let How::Spoiled(at) = how {
            let at = at.index(payload.len());
            payload[at] ^= 0x55;
        }
        let mut cuts: Vec<_> =
            cuts.iter().map(|(at, between)| (at.index(payload.len() + 1), between)).collect();
        cuts.sort_by_key(|(at, _)| *at);
        let (begin, mut done, mut next) = (bytes.len(), 0, opcode);
        for (at, between) in cuts {
            bytes.extend(frame(false, next, key, &payload[done..at]));
            bytes.extend(between.iter().flatten());
            (done, next) = (at, Opcode::Continuation);
        }
        bytes.extend(frame(true, next, key, &payload[done..]));
        bytes[begin] |= 0x40;
    }
    bytes
}
