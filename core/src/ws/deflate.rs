//! permessage-deflate (RFC 7692): what can be set, and what both sides agree on.

use super::{
    params::{Param, Params, extensions},
    upgrade::Text128,
};

/// The name of the extension (RFC 7692 §7).
const NAME: &str = "permessage-deflate";
/// The largest window, in bits: 32 KiB.
const MAX_BITS: u8 = 15;
/// The smallest window of the standard. zlib cannot compress for it.
const MIN_BITS: u8 = 8;

/// How messages are compressed, if the peer agrees (RFC 7692): the value of [`Config::deflate`](super::Config::deflate).
///
/// # Memory
/// All of it is allocated when the first compressed message is sent or received, not before:
/// * receiving: 47 KiB, whatever the window;
/// * sending, for [`window_bits`](Self::window_bits) of 9, 12, 15: 251, 265, 380 KB with the default
///   [`mem_level`](Self::mem_level) of 8, and 137, 152, 266 KB with 1.
///
/// It stays until the connection ends, or, with [`lend`](Self::lend), until the message is done.
///
/// # Limits
/// [`max_message`](super::Config::max_message) counts inflated bytes, and inflating stops at the byte that exceeds it: a
/// bomb costs no more memory than any other message. Messages are inflated in the inbox, which needs 1,024 bytes more than
/// the largest of them; with 64 KiB more, reads are large, too.
///
/// Compression mixes what is secret with what an attacker chose and shows the length (CRIME, BREACH): send secrets with
/// [`Compress::Never`], or without takeover.
///
/// ```
/// use stillwire::ws;
///
/// let mut config = ws::Config::default();
/// config.deflate = Some(ws::Deflate::default()); // or `LEND`, where memory counts
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Deflate {
    /// The window of our compressor, 9 to 15 (512 bytes to 32 KiB): the peer may ask for less. Default: 15.
    pub window_bits: u8,
    /// The largest window that the peer is asked to use, 8 to 15: it saves memory over there, not here. Default: 15.
    pub peer_window_bits: u8,
    /// Whether what we send may refer to earlier messages: small ones get much smaller. Default: true.
    pub takeover: bool,
    /// Whether what the peer sends may. Default: true.
    pub peer_takeover: bool,
    /// From 1, fast, to 9, small. Default: 6.
    pub level: u8,
    /// The memory of our compressor beside its window, 1 to 9. Default: 8.
    pub mem_level: u8,
    /// Messages of fewer bytes are sent as they are. Default: 64.
    pub at_least: usize,
    /// Nothing is kept between messages, so an idle connection costs no memory for it; each message pays for a new state
    /// (3 to 5 µs to send, 0.3 µs to receive). There is no takeover then, in either direction. Default: false.
    pub lend: bool,
}

/// Whether to compress one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Compress {
    /// From [`Deflate::at_least`] on. What the other commands do.
    #[default]
    Auto,
    /// Whatever its size (but not empty), if compression was agreed on and the outbox has room for its worst case.
    Always,
    /// As it is: what is secret, or compressed already.
    Never,
}

impl Deflate {
    /// For many connections: [`lend`](Self::lend), level 1, a window of 4 KiB, a compressor of 150 KB while it works.
    pub const LEND: Self =
        Self { window_bits: 12, level: 1, mem_level: 1, at_least: 256, lend: true, ..Self::DEFAULT };

    const DEFAULT: Self = Self {
        window_bits: MAX_BITS,
        peer_window_bits: MAX_BITS,
        takeover: true,
        peer_takeover: true,
        level: 6,
        mem_level: 8,
        at_least: 64,
        lend: false,
    };

    /// The settings as they are obeyed.
    fn in_force(self) -> Self {
        Self {
            window_bits: self.window_bits.clamp(MIN_BITS + 1, MAX_BITS),
            peer_window_bits: self.peer_window_bits.clamp(MIN_BITS, MAX_BITS),
            takeover: self.takeover && !self.lend,
            peer_takeover: self.peer_takeover && !self.lend,
            ..self
        }
    }

    /// Whether we can compress at all with what was agreed on: zlib has no raw window of 8 bits.
    pub(super) const fn can_send(&self) -> bool {
        self.window_bits > MIN_BITS
    }

    /// The server's answer to what a client offers, in its order of preference: the first offer that can be accepted, and
    /// the settings that follow from it (RFC 7692 §5 and §7.1).
    pub(super) fn accept<'v>(self, values: impl Iterator<Item = &'v [u8]>) -> Option<(Self, Text128)> {
        values.flat_map(extensions).find_map(|offer| self.accept_one(&Asked::parse(offer)?))
    }

    fn accept_one(self, offer: &Asked) -> Option<(Self, Text128)> {
        // §7.1.2.1: our window is at most what the client says.
        let mut agreed = self.in_force();
        agreed.window_bits = agreed.window_bits.min(offer.server_bits.unwrap_or(MAX_BITS));
        if !agreed.can_send() {
            return None;
        }
        agreed.takeover &= !offer.server_no_takeover;
        agreed.peer_takeover &= !offer.client_no_takeover;
        // §7.1.2.2: only a client that says so lets its window be limited.
        let limit = offer.client_bits.map(|bits| bits.unwrap_or(MAX_BITS).min(agreed.peer_window_bits));
        agreed.peer_window_bits = limit.unwrap_or(MAX_BITS);
        let mut answer = Text128::new(NAME);
        answer.push_if(!agreed.takeover, "; server_no_context_takeover");
        answer.push_if(!agreed.peer_takeover, "; client_no_context_takeover");
        if offer.server_bits.is_some() || agreed.window_bits < MAX_BITS {
            answer.push_number("; server_max_window_bits=", agreed.window_bits);
        }
        if agreed.peer_window_bits < MAX_BITS {
            answer.push_number("; client_max_window_bits=", agreed.peer_window_bits);
        }
        Some((agreed, answer))
    }

    /// What a client offers.
    pub(super) fn offer(self) -> Text128 {
        let wanted = self.in_force();
        let mut offer = Text128::new(NAME);
        offer.push_if(!wanted.peer_takeover, "; server_no_context_takeover");
        offer.push_if(!wanted.takeover, "; client_no_context_takeover");
        if wanted.peer_window_bits < MAX_BITS {
            offer.push_number("; server_max_window_bits=", wanted.peer_window_bits);
        }
        match wanted.window_bits {
            MAX_BITS => offer.push("; client_max_window_bits"),
            bits => offer.push_number("; client_max_window_bits=", bits),
        }
        offer
    }

    /// What follows from the server's answer to [`offer`](Self::offer): `None` when it is not one (RFC 7692 §7.1).
    pub(super) fn agree<'v>(self, values: impl Iterator<Item = &'v [u8]>) -> Option<Self> {
        let mut all = values.flat_map(extensions);
        let answer = Asked::parse(all.next()?)?;
        if all.next().is_some() {
            return None;
        }
        let mut agreed = self.in_force();
        let (asked_peer, asked_bits) = (agreed.peer_takeover, agreed.peer_window_bits);
        agreed.peer_takeover &= !answer.server_no_takeover;
        agreed.takeover &= !answer.client_no_takeover;
        // §7.1.1.1: what we asked for must be in the answer. What we did not ask for may be.
        let takeover_is_kept = !asked_peer && !answer.server_no_takeover;
        let bits = answer.server_bits.unwrap_or(MAX_BITS);
        if takeover_is_kept || bits > asked_bits {
            return None;
        }
        agreed.peer_window_bits = bits;
        // §7.1.2.2: in an answer it has a value, at most ours.
        match answer.client_bits {
            Some(None) => return None,
            Some(Some(bits)) if bits > agreed.window_bits => return None,
            Some(Some(bits)) => agreed.window_bits = bits,
            None => {}
        }
        Some(agreed)
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The parameters of one offer or answer.
#[derive(Default)]
struct Asked {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// In an offer it may stand without a value.
    client_bits: Option<Option<u8>>,
}

impl Asked {
    /// `None` for another extension, a parameter that is unknown or came twice, and a value that is wrong (§7).
    fn parse(extension: Params<'_>) -> Option<Self> {
        if extension.name != NAME.as_bytes() {
            return None;
        }
        let mut asked = Self::default();
        for param in extension {
            let Param { name, value } = param?;
            let twice = match (name, value) {
                (b"server_no_context_takeover", None) => {
                    core::mem::replace(&mut asked.server_no_takeover, true)
                }
                (b"client_no_context_takeover", None) => {
                    core::mem::replace(&mut asked.client_no_takeover, true)
                }
                (b"server_max_window_bits", Some(value)) => {
                    asked.server_bits.replace(window_bits(value)?).is_some()
                }
                (b"client_max_window_bits", None) => asked.client_bits.replace(None).is_some(),
                (b"client_max_window_bits", Some(value)) => {
                    asked.client_bits.replace(Some(window_bits(value)?)).is_some()
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        Some(asked)
    }
}

/// 8 to 15, in decimal, without a zero in front (§7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}
