//! Strings unescaped and escaped, and whole numbers.

use super::Invalid;
use crate::{decimal, slide::slide};

/// What to do with an escaped half of a surrogate pair without its other half, which no UTF-8 can say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lone {
    /// It is an error.
    Refused,
    /// It becomes U+FFFD, as in `WebSocket.send` of a browser (a `USVString`).
    Replaced,
}

/// Unescapes what stands between the quotes of a string, in place; returns the new length. Never grows.
///
/// # Errors
/// [`Invalid`]: an unknown or broken escape, a bare quote or control character, or a lone surrogate when that is
/// refused. The content is arbitrary then.
pub fn unescape(bytes: &mut [u8], lone: Lone) -> Result<usize, Invalid> {
    let (mut from, mut to) = (0, 0);
    loop {
        let run = plain(bytes.get(from..).unwrap_or_default());
        if to < from && run > 0 {
            slide(bytes, from..from + run, to);
        }
        (from, to) = (from + run, to + run);
        let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) else { return Ok(to) };
        let invalid = Invalid { at: from };
        if rest.first() != Some(&b'\\') {
            return Err(invalid);
        }
        let (used, character) = match rest.get(1).ok_or(invalid)? {
            same @ (b'"' | b'\\' | b'/') => (2, char::from(*same)),
            b'b' => (2, '\u{8}'),
            b'f' => (2, '\u{c}'),
            b'n' => (2, '\n'),
            b'r' => (2, '\r'),
            b't' => (2, '\t'),
            b'u' => {
                let first = rest.get(2..).and_then(hex4).ok_or(invalid)?;
                let second =
                    rest.get(6..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(hex4).unwrap_or(0);
                match (first, second) {
                    (0xd800..=0xdbff, 0xdc00..=0xdfff) => {
                        let joined = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
                        (12, char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER))
                    }
                    (0xd800..=0xdfff, _) if lone == Lone::Refused => return Err(invalid),
                    _ => (6, char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            _ => return Err(invalid),
        };
        if used == 2 {
            if let Some(place) = bytes.get_mut(to) {
                *place = character as u8;
            }
            (from, to) = (from + 2, to + 1);
            continue;
        }
        let mut utf8 = [0; 4];
        let utf8 = character.encode_utf8(&mut utf8).as_bytes();
        if let Some(place) = bytes.get_mut(to..to + utf8.len()) {
            place.copy_from_slice(utf8);
        }
        (from, to) = (from + used, to + utf8.len());
    }
}

/// How many bytes [`escape`] writes for `text`.
#[must_use]
pub fn escaped_len(text: &[u8]) -> usize {
    let mut len = text.len();
    let mut rest = text;
    while let Some((byte, behind)) = rest.get(plain(rest)..).and_then(<[u8]>::split_first) {
        len += if short(*byte).is_some() { 1 } else { 5 };
        rest = behind;
    }
    len
}

/// Writes `text` as it stands between the quotes of a string, with as few escapes as RFC 8259 §7 allows, and
/// returns how long that is: [`escaped_len`]. Shorter `out`, less is written.
pub fn escape(text: &[u8], out: &mut [u8]) -> usize {
    let mut pen = Pen { out, at: 0 };
    let mut rest = text;
    loop {
        let (run, behind) = rest.split_at_checked(plain(rest)).unwrap_or_default();
        pen.put(run);
        let Some((byte, behind)) = behind.split_first() else { return pen.at };
        match short(*byte) {
            Some(letter) => pen.put(&[b'\\', letter]),
            None => {
                let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                pen.put(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = behind;
    }
}

/// The decimal digits of a whole number in `buffer`.
pub fn write_integer(number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    decimal::write(number, buffer)
}

/// A whole number written in decimal digits and nothing else, without leading zeros.
#[must_use]
pub fn integer(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Writes bytes one behind the other and knows how many there were, also those that did not fit.
struct Pen<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Pen<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }
}

/// The letter behind the backslash of a two-byte escape.
fn short(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => return None,
    })
}

pub(super) fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>()?.iter().try_fold(0, |n, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}

/// How many bytes come before the first quote, backslash or control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Text that is JSON itself has a quote every few bytes.
    let (near, far) = bytes.split_at(bytes.len().min(16));
    if let Some(at) = near.iter().position(special) {
        return at;
    }
    // Whole blocks without an early exit become vector instructions.
    let mut at = near.len();
    for block in far.chunks_exact(32) {
        if block.iter().fold(false, |found, byte| found | special(byte)) {
            break;
        }
        at += block.len();
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;
    use alloc::{format, string::String, vec, vec::Vec};

    #[test]
    fn lone_surrogates_are_refused_or_replaced() {
        for (raw, replaced) in [
            (r"\ud800", "\u{fffd}"),
            (r"a\udc00b", "a\u{fffd}b"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\ud800\ud800\udc00", "\u{fffd}\u{10000}"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\ud800\n", "\u{fffd}\n"),
        ] {
            let mut bytes = Vec::from(raw);
            assert!(unescape(&mut bytes, Lone::Refused).is_err(), "{raw}");
            let mut bytes = Vec::from(raw);
            let n = unescape(&mut bytes, Lone::Replaced).unwrap();
            assert_eq!(&bytes[..n], replaced.as_bytes(), "{raw}");
        }
        for bad in [r"\", r"\x", r"\u12", "\"", "a\nb", r"\u00g0"] {
            assert!(unescape(&mut Vec::from(bad), Lone::Replaced).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_character_survives_writing_and_reading() {
        let text: String =
            (0..=0xffff).filter_map(char::from_u32).chain(['\u{10000}', '\u{10ffff}']).collect();
        let mut out = vec![0; escaped_len(text.as_bytes())];
        assert_eq!(escape(text.as_bytes(), &mut out), out.len());
        assert!(out.iter().all(|byte| *byte >= 0x20));
        let quoted = [b"\"", out.as_slice(), b"\""].concat();
        assert_eq!(Scanner::new(&quoted).string().unwrap().as_bytes(), out);
        let n = unescape(&mut out, Lone::Refused).unwrap();
        assert_eq!(&out[..n], text.as_bytes());
    }

    #[test]
    fn integers() {
        for number in [0, 1, 9, 10, 99, 1_000_000, u64::MAX] {
            let mut buffer = [0; 20];
            assert_eq!(write_integer(number, &mut buffer), format!("{number}").as_bytes());
            assert_eq!(integer(write_integer(number, &mut buffer)), Some(number));
        }
        for bad in ["", "-1", "+1", "01", "1.0", "1e2", "18446744073709551616", " 1"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
        for bad in ["-1", "1.0", "1e2", "18446744073709551616", "\"1\"", "null"] {
            assert!(Scanner::new(bad.as_bytes()).integer().is_err(), "{bad}");
        }
    }
}
