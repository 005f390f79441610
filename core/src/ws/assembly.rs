//! The message that is being received, and its text, checked as it arrives.

use super::Error;
use crate::{Kind, text::is_utf8};

/// A message of which not all frames have arrived. Its payload so far is the `held` part of the inbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Frames so far.
    pub(super) fragments: u32,
    /// Bytes of the message so far: declared ones, or inflated ones.
    pub(super) total: usize,
    /// A piece of it was shown.
    pub(super) begun: bool,
    #[cfg(feature = "deflate")]
    pub(super) compressed: bool,
    /// So many bytes of what is held are known to be whole characters.
    pub(super) checked: usize,
}

/// A data frame of which not all payload has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) fin: bool,
    /// Bytes of payload that are still to come.
    pub(super) left: u64,
    /// The key for the next one.
    pub(super) key: [u8; 4],
}

impl Message {
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            fragments: 0,
            total: 0,
            begun: false,
            #[cfg(feature = "deflate")]
            compressed: false,
            checked: 0,
        }
    }

    /// The length of the next piece, at most `piece` bytes: a text is cut between characters. One byte more is there.
    pub(super) fn cut(&self, held: &[u8], piece: usize) -> usize {
        let is_inside = |at: usize| held.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        match self.kind {
            Kind::Binary => piece,
            Kind::Text => (piece.saturating_sub(3)..=piece).rev().find(|at| !is_inside(*at)).unwrap_or(piece),
        }
    }

    /// Checks what is new in `held`. It fails at the first byte that cannot be part of UTF-8; at the end of the
    /// message a character must not be cut either (§8.1).
    pub(super) fn check(&mut self, held: &[u8], ended: bool) -> Result<(), Error> {
        if self.kind == Kind::Text {
            self.checked += whole_characters(held.get(self.checked..).unwrap_or_default())?;
            if ended && self.checked < held.len() {
                return Err(Error::NotUtf8);
            }
        }
        Ok(())
    }
}

/// The length of the whole characters in front. At most three bytes follow, which can still become one.
fn whole_characters(bytes: &[u8]) -> Result<usize, Error> {
    // From the front where flash is scarce: the check of core finds the cut by itself.
    let cut = if cfg!(target_os = "none") { 0 } else { cut_character(bytes) };
    let (whole, rest) = bytes.split_at_checked(cut).unwrap_or((bytes, &[]));
    if !is_utf8(whole) {
        return Err(Error::NotUtf8);
    }
    match core::str::from_utf8(rest) {
        Ok(_) => Ok(bytes.len()),
        // No length: the end came too early, nothing else is wrong.
        Err(error) if error.error_len().is_none() => Ok(whole.len() + error.valid_up_to()),
        Err(_) => Err(Error::NotUtf8),
    }
}

/// Where a character begins that the end of `bytes` cuts; the end when it cuts none.
fn cut_character(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let size = match byte {
            0x80..=0xbf => continue,
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0.. => 4,
        };
        return if size > back + 1 { bytes.len() - back - 1 } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn verdict(bytes: &[u8]) -> Result<usize, Error> {
        match core::str::from_utf8(bytes) {
            Ok(_) => Ok(bytes.len()),
            Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
            Err(_) => Err(Error::NotUtf8),
        }
    }

    #[test]
    fn same_verdict_as_core_on_every_short_string_of_telling_bytes() {
        const TELLING: [u8; 19] = [
            b'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xf0,
            0xf4, 0xf5, 0xff,
        ];
        let n = TELLING.len();
        for len in 0..=4 {
            for number in 0..n.pow(len) {
                let bytes: Vec<u8> = (0..len).map(|i| TELLING[number / n.pow(i) % n]).collect();
                assert_eq!(whole_characters(&bytes), verdict(&bytes), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn fails_at_the_bad_byte_and_never_before() {
        for bad in
            ["grü\u{10ffff}€x".as_bytes(), b"\xf4\x8f\xbf\xbf\xf4\x90", b"a\xed\x9f\xbf\xed\xa0", b"\xe0\x80"]
        {
            let mut message = Message::new(Kind::Text);
            let failed = (1..=bad.len()).find(|end| message.check(&bad[..*end], false).is_err());
            let expected = (1..=bad.len()).find(|end| verdict(&bad[..*end]).is_err());
            assert_eq!(failed, expected, "{bad:x?}");
        }
        let mut message = Message::new(Kind::Text);
        assert_eq!(message.check(b"a\xe2\x82", false), Ok(()));
        assert_eq!(message.check(b"a\xe2\x82", true), Err(Error::NotUtf8));
    }
}
