//! Just enough JSON (RFC 8259), without memory of its own: a strict scanner over bytes, strings unescaped in place,
//! strings and integers written.
//!
//! What an application puts inside its messages stays text for the application's own parser; this is for the
//! envelopes of the protocols here.
//!
//! ```
//! use stillwire::json::{Lone, Scanner, unescape};
//!
//! let mut scanner = Scanner::new(br#"{"seq": 7, "messages": ["a\n", [1, {"b": null}]]}"#);
//! scanner.open(b'{')?;
//! while scanner.more(b'}')? {
//!     match scanner.key()? {
//!         key if key.is("seq") => assert_eq!(scanner.integer()?, 7),
//!         _ => {
//!             scanner.open(b'[')?;
//!             while scanner.more(b']')? {
//!                 let raw = scanner.value()?; // skipped, and checked
//!                 assert!(raw == br#""a\n""# || raw == br#"[1, {"b": null}]"#);
//!             }
//!         }
//!     }
//! }
//! scanner.end()?;
//!
//! let mut inside = *br"\u00fc\ud83d\ude00";
//! let n = unescape(&mut inside, Lone::Refused)?;
//! assert_eq!(&inside[..n], "ü😀".as_bytes());
//! # Ok::<(), stillwire::json::Invalid>(())
//! ```

/// Arrays and objects inside each other that [`Scanner::value`] follows; one more is refused. RFC 8259 §9 allows
/// such a limit.
pub const MAX_DEPTH: usize = 64;

/// This is not JSON, or it is nested deeper than [`MAX_DEPTH`], or a number is above what fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invalid JSON at byte {at}")]
pub struct Invalid {
    /// Where, in bytes from the beginning.
    pub at: usize,
}

/// Reads JSON from front to back. Nothing is copied, nothing is kept but a position.
///
/// It checks the grammar (RFC 8259 §2 to §7), not that strings are UTF-8: check the whole text once before.
#[derive(Clone, Debug)]
pub struct Scanner<'j> {
    bytes: &'j [u8],
    at: usize,
    /// An array or object was just opened: no comma before what comes next.
    fresh: bool,
}

/// What stands between the quotes of a string, still escaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw<'j>(&'j [u8]);

impl<'j> Raw<'j> {
    /// The bytes between the quotes, escapes and all.
    #[must_use]
    pub const fn as_bytes(self) -> &'j [u8] {
        self.0
    }

    /// Whether it says `name`, in whatever way it is escaped. For names of up to 16 bytes.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        if self.0 == name.as_bytes() {
            return true;
        }
        let mut copy = [0; 16 * 6];
        let Some(copy) = copy.get_mut(..self.0.len()) else { return false };
        copy.copy_from_slice(self.0);
        unescape(copy, Lone::Refused).is_ok_and(|n| copy.get(..n) == Some(name.as_bytes()))
    }
}

impl<'j> Scanner<'j> {
    /// Begins at the first byte of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'j [u8]) -> Self {
        Self { bytes, at: 0, fresh: false }
    }

    /// [`Invalid`] at this place, for a value that is JSON and still makes no sense.
    ///
    /// # Errors
    /// Always.
    pub fn invalid<T>(&self) -> Result<T, Invalid> {
        Err(Invalid { at: self.at })
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not whitespace; it stays where it is. Tells what kind of value follows.
    pub fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.byte()
    }

    fn token(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.peek() != Some(byte) {
            return self.invalid();
        }
        self.at += 1;
        Ok(())
    }

    /// Enters an array (`b'['`) or an object (`b'{'`). Walk it with [`more`](Self::more).
    ///
    /// # Errors
    /// [`Invalid`]: something else is here.
    pub fn open(&mut self, bracket: u8) -> Result<(), Invalid> {
        self.token(bracket)?;
        self.fresh = true;
        Ok(())
    }

    /// Whether another item follows in the array (`b']'`) or object (`b'}'`) that was entered; false leaves it.
    /// Read the whole item before asking again.
    ///
    /// # Errors
    /// [`Invalid`]: a comma is missing, or is there without an item.
    pub fn more(&mut self, bracket: u8) -> Result<bool, Invalid> {
        let fresh = core::mem::take(&mut self.fresh);
        if self.peek() == Some(bracket) {
            self.at += 1;
            return Ok(false);
        }
        if !fresh {
            self.token(b',')?;
            if self.peek() == Some(bracket) {
                return self.invalid();
            }
        }
        Ok(true)
    }

    /// The name of an object's next member, and the colon behind it.
    ///
    /// # Errors
    /// [`Invalid`]: no string, or no colon.
    pub fn key(&mut self) -> Result<Raw<'j>, Invalid> {
        let key = self.string()?;
        self.token(b':')?;
        Ok(key)
    }

    /// A string: what stands between its quotes, checked but not unescaped.
    ///
    /// # Errors
    /// [`Invalid`]: no string, a control character inside (RFC 8259 §7), an unknown escape, or no end.
    pub fn string(&mut self) -> Result<Raw<'j>, Invalid> {
        self.token(b'"')?;
        let start = self.at;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += plain(rest);
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => match self.bytes.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') if self.bytes.get(self.at + 2..).and_then(hex4).is_some() => self.at += 6,
                    _ => return self.invalid(),
                },
                _ => return self.invalid(),
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Raw(raw))
    }

    /// A whole number, zero or above, without fraction or exponent.
    ///
    /// # Errors
    /// [`Invalid`]: another kind of value, or one that does not fit `u64`.
    pub fn integer(&mut self) -> Result<u64, Invalid> {
        self.peek();
        let start = self.at;
        self.number()?;
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        integer(digits).ok_or(Invalid { at: start })
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        if !self.byte().is_some_and(|b| b.is_ascii_digit()) {
            return self.invalid();
        }
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// RFC 8259 §6.
    fn number(&mut self) -> Result<(), Invalid> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Invalid> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.invalid();
        }
        self.at += word.len();
        Ok(())
    }

    /// Any value: skipped, checked, and returned as it is written. Looks at every byte once and does not recurse.
    ///
    /// # Errors
    /// [`Invalid`]: not a value, or nested deeper than [`MAX_DEPTH`].
    pub fn value(&mut self) -> Result<&'j [u8], Invalid> {
        self.peek();
        let start = self.at;
        // One bit per level: whether it is an object.
        let (mut kinds, mut depth) = (0_u64, 0_usize);
        loop {
            match self.peek() {
                Some(bracket @ (b'[' | b'{')) => {
                    if depth == MAX_DEPTH {
                        return self.invalid();
                    }
                    self.open(bracket)?;
                    kinds = kinds << 1 | u64::from(bracket == b'{');
                    depth += 1;
                }
                Some(b'"') => drop(self.string()?),
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => self.number()?,
            }
            while depth > 0 {
                let object = kinds & 1 == 1;
                if self.more(if object { b'}' } else { b']' })? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                kinds >>= 1;
                depth -= 1;
            }
            if depth == 0 {
                return Ok(self.bytes.get(start..self.at).unwrap_or_default());
            }
        }
    }

    /// Nothing but whitespace may follow.
    ///
    /// # Errors
    /// [`Invalid`]: something follows.
    pub fn end(&mut self) -> Result<(), Invalid> {
        if self.peek().is_some() { self.invalid() } else { Ok(()) }
    }
}

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
        let rest = bytes.get(from..).unwrap_or_default();
        let run = plain(rest);
        if to < from {
            bytes.copy_within(from..from + run, to);
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
        let (run, behind) = rest.split_at(plain(rest));
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
pub fn write_integer(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (at, place) in buffer.iter_mut().enumerate().rev() {
        *place = b'0' + (number % 10) as u8;
        (start, number) = (at, number / 10);
        if number == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or_default()
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

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>()?.iter().try_fold(0, |n, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}

/// How many bytes come before the first quote, backslash or control character.
fn plain(bytes: &[u8]) -> usize {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Whole blocks without an early exit become vector instructions.
    let mut at = 0;
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        if block.iter().fold(false, |found, byte| found | special(byte)) {
            break;
        }
        at += 32;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String, vec, vec::Vec};

    fn value(json: &str) -> Result<(), Invalid> {
        let mut scanner = Scanner::new(json.as_bytes());
        scanner.value()?;
        scanner.end()
    }

    #[test]
    fn values_are_checked_strictly() {
        for good in [
            "0",
            "-0",
            "-1.5e+10",
            "1E2",
            "\"\"",
            "\"\\u00ff\\/\"",
            "[]",
            "{}",
            " [ 1 , 2 ] ",
            "{\"a\":{\"b\":[null,true,false]}}",
            "\"\\ud800\"",
            "\"\u{7f}\u{2028}\"",
        ] {
            assert_eq!(value(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "00",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "nul",
            "nulL",
            "truefalse",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "\"\n\"",
            "\"\t\"",
            "'a'",
            "[1",
            "[1}",
            "{]",
            "1 2",
            "NaN",
            "\u{feff}1",
            "/**/1",
            "]",
            "[]]",
        ] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_depth_limit_is_exact() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
            assert_eq!(value(&nested(MAX_DEPTH)), Ok(()));
            assert!(value(&nested(MAX_DEPTH + 1)).is_err());
            assert!(value(&open.repeat(1_000_000)).is_err());
        }
    }

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

    #[test]
    fn names_are_compared_unescaped() {
        let key = |json: &'static str| Scanner::new(json.as_bytes()).key().unwrap();
        assert!(key(r#""seq":1"#).is("seq"));
        assert!(key(r#""\u0073eq" : 1"#).is("seq"));
        assert!(!key(r#""seq\u0000":1"#).is("seq"));
        assert!(!key(r#""":1"#).is("seq"));
    }
}
