//! Text that was checked once.
//!
//! A machine checks text as it arrives and then shows it as [`Text`]: bytes that are known to be UTF-8. Looking at
//! them as bytes, comparing them and sending them on is free; a `&str` costs a second check, because without
//! unsafe code there is no other way to make one.
//!
//! ```
//! use stillwire::Text;
//!
//! let text = Text::check("grüße".as_bytes()).unwrap();
//! assert_eq!(text, "grüße");              // compared by bytes
//! assert_eq!(text.as_bytes().len(), 7);   // free
//! assert_eq!(text.as_str(), "grüße");     // checked again
//! assert!(Text::check(b"\xff").is_none());
//! ```

/// Bytes that are known to be UTF-8, borrowed from an inbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<'i>(&'i [u8]);

impl<'i> Text<'i> {
    /// `bytes` as text, or `None` when they are not UTF-8.
    #[must_use]
    pub fn check(bytes: &'i [u8]) -> Option<Self> {
        is_utf8(bytes).then_some(Self(bytes))
    }

    /// For machines, which know what they have checked.
    #[inline]
    #[allow(dead_code)]
    pub(crate) const fn checked(bytes: &'i [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes: free.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'i [u8] {
        self.0
    }

    /// The text as a `&str`, at the price of a second check (about 20 GB/s for long text).
    #[inline]
    #[must_use]
    pub fn as_str(self) -> &'i str {
        if self.0.len() < SHORT {
            core::str::from_utf8(self.0).unwrap_or_default()
        } else {
            simdutf8::basic::from_utf8(self.0).unwrap_or_default()
        }
    }

    /// Writes a copy over what a string holds; nothing is allocated when it is long enough.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn clone_into(self, string: &mut alloc::string::String) {
        let mut bytes = core::mem::take(string).into_bytes();
        bytes.clear();
        if self.len() < SHORT {
            bytes.extend_from_slice(self.0);
            // What an allocation begins with is aligned, and core's check is fast there.
            *string = alloc::string::String::from_utf8(bytes).unwrap_or_default();
        } else {
            *string = copied(self.0, alloc::string::String::from_utf8(bytes).unwrap_or_default());
        }
    }

    /// The number of bytes.
    #[inline]
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'i> From<&'i str> for Text<'i> {
    fn from(text: &'i str) -> Self {
        Self(text.as_bytes())
    }
}

#[cfg(feature = "alloc")]
impl<'i> From<&'i alloc::string::String> for Text<'i> {
    fn from(text: &'i alloc::string::String) -> Self {
        Self(text.as_bytes())
    }
}

/// A copy, which is checked again.
#[cfg(feature = "alloc")]
impl From<Text<'_>> for alloc::string::String {
    #[inline]
    fn from(text: Text<'_>) -> Self {
        // As in `clone_into`.
        if text.len() < SHORT {
            Self::from_utf8(text.0.to_vec()).unwrap_or_default()
        } else {
            copied(text.0, Self::new())
        }
    }
}

/// Text behind an empty string: each piece is checked while it is in the cache, then copied.
#[cfg(feature = "alloc")]
fn copied(bytes: &[u8], mut copy: alloc::string::String) -> alloc::string::String {
    const PIECE: usize = 16 << 10;
    copy.reserve_exact(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut end = PIECE.min(rest.len());
        // Not within a character.
        while rest.get(end).is_some_and(|byte| (0x80..0xc0).contains(byte)) && end > 0 {
            end -= 1;
        }
        let (piece, later) = rest.split_at_checked(end).unwrap_or_default();
        copy.push_str(Text(piece).as_str());
        rest = later;
    }
    copy
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl core::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.as_str())
    }
}

/// From here on, the vectorised check wins.
const SHORT: usize = 64;

/// Whether `bytes` are UTF-8. Short text is mostly ASCII, and that check does not care for alignment.
#[inline]
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    if cfg!(target_os = "none") {
        // Everybody else calls it, too, so it costs no flash.
        core::str::from_utf8(bytes).is_ok()
    } else if bytes.len() < SHORT {
        bytes.is_ascii() || is_short_utf8(bytes)
    } else {
        simdutf8::basic::from_utf8(bytes).is_ok()
    }
}

/// With zeros behind it, it is long enough for the vectorised check, which has no branches to predict: what the end of the
/// text cuts, a zero does not complete.
#[cfg(feature = "std")]
fn is_short_utf8(bytes: &[u8]) -> bool {
    let mut padded = [0; SHORT];
    padded.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
    bytes.len() <= SHORT && simdutf8::basic::from_utf8(&padded).is_ok()
}

#[cfg(not(feature = "std"))]
fn is_short_utf8(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok()
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    /// The copy is the text, whatever lies where the pieces meet.
    #[test]
    fn copies() {
        let text: String = "aé€🦀ß\u{10ffff}zz\u{7ff}".chars().cycle().take(20_000).collect();
        let mut used = String::new();
        for start in [0, 1, 3, 6, 10, 12, 16, 17] {
            for len in [0, 1, 3, 63, 64, 65, 1000, 40_000] {
                let end = (start..=start + len).rev().find(|end| text.is_char_boundary(*end)).unwrap();
                let part = Text(&text.as_bytes()[start..end]);
                assert_eq!(String::from(part), text[start..end]);
                part.clone_into(&mut used);
                assert_eq!(used, text[start..end]);
            }
        }
    }

    /// Every cut of a text with characters of all lengths, with every byte of it replaced by some telling ones.
    #[test]
    fn the_same_verdict_as_core() {
        let text: String = "aé€🦀ß\u{10ffff}zz\u{7ff}\u{800}\u{ffff}".chars().cycle().take(60).collect();
        for end in 0..text.len() {
            let bytes = &text.as_bytes()[..end];
            assert_eq!(is_utf8(bytes), core::str::from_utf8(bytes).is_ok(), "cut at {end}");
            for bad in [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xe0, 0xed, 0xf4, 0xff] {
                let mut bytes: Vec<u8> = bytes.to_vec();
                if let Some(byte) = bytes.get_mut(end / 2) {
                    *byte = bad;
                }
                assert_eq!(is_utf8(&bytes), core::str::from_utf8(&bytes).is_ok(), "{bad:x}, {bytes:x?}");
            }
        }
    }
}
