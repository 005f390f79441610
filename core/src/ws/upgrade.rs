//! What both sides of the handshake need (RFC 6455 §4): the answer to a key, token lists, and how it fails.

use super::sha1;
use crate::base64;

/// The last line of RFC 6455 §1.3.
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key in base64.
pub(super) const KEY: usize = 24;
/// A hash in base64.
const ACCEPT: usize = 28;

/// Why a request is not upgraded, or an answer is no upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The method of the request is not GET (§4.1, 1).
    #[error("the method is not GET")]
    Method,
    /// The request is HTTP/1.0 (§4.1, 2).
    #[error("HTTP/1.1 is needed")]
    HttpVersion,
    /// There is not exactly one Host header (§4.1, 4).
    #[error("there is not exactly one Host")]
    Host,
    /// `Upgrade: websocket` or `Connection: upgrade` is missing (§4.1, 5 and 6).
    #[error("there is no upgrade to websocket")]
    NoUpgrade,
    /// There is not exactly one Sec-WebSocket-Version, 13 (§4.1, 9).
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// There is not exactly one Sec-WebSocket-Key, 16 bytes in canonical base64 (§4.1, 7).
    #[error("Sec-WebSocket-Key is not one key of 16 bytes")]
    Key,
    /// The request has a body, which would be taken for frames.
    #[error("the request has a body")]
    Body,
    /// Sec-WebSocket-Protocol is no list of different tokens (§4.1, 10), or one of more than 32.
    #[error("Sec-WebSocket-Protocol is not a list of different tokens")]
    Subprotocols,
    /// An extended CONNECT is for another protocol than `websocket` (RFC 8441 §4).
    #[error("the protocol of an extended CONNECT is not websocket")]
    Protocol,
    /// An extended CONNECT has `Connection` or `Upgrade`, which must not be there (RFC 8441 §5).
    #[error("an extended CONNECT has headers of HTTP/1.1")]
    Connect,
    /// The page that asks comes from an origin that may not (§10.2). Nothing here says it by itself: it is for the check of
    /// the application.
    #[error("the origin may not connect")]
    Origin,
    /// The server answered with another status than 101 (§4.1, 1 of the answer): a redirection, a refusal.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// There is not exactly one Sec-WebSocket-Accept, the one for our key (§4.1, 4 of the answer).
    #[error("Sec-WebSocket-Accept is not the answer to our key")]
    Accept,
    /// The server uses an extension that was not offered, or with other parameters than may answer the offer (§4.1, 5 of
    /// the answer; RFC 7692 §7.1).
    #[error("the server uses an extension that was not offered so")]
    Extension,
    /// The server chose a subprotocol that was not offered, or more than one (§4.1, 6 of the answer).
    #[error("the server chose a subprotocol that was not offered")]
    Subprotocol,
}

impl UpgradeError {
    /// The status to refuse the request with. (What a client finds wrong with an answer is 502 to those behind it.)
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Origin => 403,
            // RFC 9220 §3.
            Self::Protocol => 501,
            Self::Version => 426,
            Self::Status(_) | Self::Accept | Self::Extension | Self::Subprotocol => 502,
            _ => 400,
        }
    }

    /// The headers that belong to that status. The connection must not be kept alive after a refusal, so that nothing
    /// that follows the request is taken for another one: `Connection: close`, which
    /// [`Exchange::close_after`](crate::http::Exchange::close_after) sees to.
    #[must_use]
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            // §4.2.2, 4; RFC 9110, 15.5.22.
            Self::Version => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
            _ => &[],
        }
    }
}

/// A short value of a header that we make.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Text128 {
    bytes: [u8; 128],
    len: usize,
}

#[cfg(feature = "deflate")]
impl Text128 {
    pub(super) fn new(text: &str) -> Self {
        let mut all = Self { bytes: [0; 128], len: 0 };
        all.push(text);
        all
    }

    /// What does not fit is left out: the longest one of this module has 121 bytes.
    pub(super) fn push(&mut self, text: &str) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.len += text.len();
        }
    }

    pub(super) fn push_if(&mut self, so: bool, text: &str) {
        if so {
            self.push(text);
        }
    }

    /// With a number below 100.
    pub(super) fn push_number(&mut self, text: &str, number: u8) {
        self.push(text);
        let digits = [b'0' + number / 10 % 10, b'0' + number % 10];
        let digits = if number < 10 { digits.get(1..) } else { digits.get(..) };
        self.push(core::str::from_utf8(digits.unwrap_or_default()).unwrap_or_default());
    }

    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }
}

/// The value of Sec-WebSocket-Accept for a key (§4.2.2, 5.4).
pub(super) fn accept_for(key: &[u8; KEY]) -> [u8; ACCEPT] {
    base64(&sha1::hash(key, GUID))
}

/// `bytes` in base64; `N` is the length that they have then.
pub(super) fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    base64::encode(base64::STANDARD, bytes, &mut text);
    text
}

/// The key, if it is 16 bytes in canonical base64: the last character has two bits of them, and four that are zero.
pub(super) fn key(text: &[u8]) -> Option<&[u8; KEY]> {
    let key: &[u8; KEY] = text.try_into().ok()?;
    let (characters, pad) = key.split_last_chunk::<2>()?;
    let is_good = pad == b"=="
        && characters.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && matches!(characters.last(), Some(b'A' | b'Q' | b'g' | b'w'));
    is_good.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_section_1_3() {
        assert_eq!(&accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// Against the crate that polling uses.
    #[test]
    fn base64_is_base64() {
        use ::base64::{Engine as _, engine::general_purpose::STANDARD};
        for n in 0..=255_u8 {
            let key: [u8; 16] = core::array::from_fn(|i| n.wrapping_mul(i as u8).wrapping_add(n));
            let text: [u8; KEY] = base64(&key);
            assert_eq!(STANDARD.decode_slice(text, &mut [0; 18]), Ok(16));
            assert!(super::key(&text).is_some());
            for (at, byte) in [(21, n), (5, n), (22, n)] {
                let mut other = text;
                other[at] = byte;
                let known = STANDARD.decode_slice(other, &mut [0; 18]) == Ok(16);
                assert_eq!(super::key(&other).is_some(), known, "{other:?}");
            }
            let hash: [u8; 20] = core::array::from_fn(|i| n ^ i as u8);
            let (ours, mut theirs): ([u8; ACCEPT], _) = (base64(&hash), [0; ACCEPT]);
            assert_eq!((STANDARD.encode_slice(hash, &mut theirs), ours), (Ok(ACCEPT), theirs));
        }
    }

    #[test]
    fn keys() {
        assert!(key(b"dGhlIHNhbXBsZSBub25jZQ==").is_some());
        for bad in [
            &b""[..],
            b"dGhlIHNhbXBsZSBub25jZQ",     // no padding
            b"dGhlIHNhbXBsZSBub25jZR==",   // bits that mean nothing
            b"dGhlIHNhbXBsZSBub25jZQ= ",   // no base64
            b"dGhlIHNhbXBsZSBub25jZQE=",   // 17 bytes
            b"dGhlIHNhbXBsZSBub25j",       // 15 bytes
            b"dGhlIHNhbXBsZSBub25jZQ==aa", // too long
            b"abc",
        ] {
            assert!(key(bad).is_none());
        }
    }
}
