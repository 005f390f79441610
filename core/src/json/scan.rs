//! Reading.

use super::{
    Invalid,
    string::{Lone, hex4, integer, plain, unescape},
};

/// Arrays and objects inside each other that [`Scanner::value`] follows; one more is refused. RFC 8259 §9 allows
/// such a limit.
pub const MAX_DEPTH: usize = 64;

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

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
    fn names_are_compared_unescaped() {
        let key = |json: &'static str| Scanner::new(json.as_bytes()).key().unwrap();
        assert!(key(r#""seq":1"#).is("seq"));
        assert!(key(r#""\u0073eq" : 1"#).is("seq"));
        assert!(!key(r#""seq\u0000":1"#).is("seq"));
        assert!(!key(r#""":1"#).is("seq"));
    }
}
