//! UTF-8 decoding with U+FFFD, as the Encoding Standard has it: one for each maximal subpart, never an error.

use core::ops::Range;

/// U+FFFD in UTF-8.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// How many bytes at the end of `bytes` begin a character that later bytes could complete (at most 3).
pub(super) fn incomplete(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let last = bytes.get(from..).unwrap_or_default();
    // The last byte that is no continuation may begin a character.
    let Some(lead) = last.iter().rposition(|byte| !matches!(byte, 0x80..=0xbf)) else { return 0 };
    let tail = last.get(lead..).unwrap_or_default();
    match core::str::from_utf8(tail) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => tail.len(),
        _ => 0,
    }
}

/// The length of `bytes` once decoded.
pub(super) fn decoded_len(bytes: &[u8]) -> usize {
    let replaced = |invalid: &[u8]| if invalid.is_empty() { 0 } else { REPLACEMENT.len() };
    bytes.utf8_chunks().map(|chunk| chunk.valid().len() + replaced(chunk.invalid())).sum()
}

/// Decodes `bytes[from]` to `to`, in place, and returns where it ends. There must be room: from `to` to the end of
/// `from`, at least as much as [`decoded_len`] says.
pub(super) fn decode(bytes: &mut [u8], from: Range<usize>, to: usize) -> usize {
    let (mut from, end, mut to) = (from.start, from.end, to);
    while from < end {
        let rest = bytes.get(from..end).unwrap_or_default();
        let Some(chunk) = rest.utf8_chunks().next() else { break };
        let (valid, invalid) = (chunk.valid().len(), chunk.invalid().len());
        bytes.copy_within(from..from + valid, to);
        (from, to) = (from + valid + invalid, to + valid);
        if invalid > 0 {
            if let Some(room) = bytes.get_mut(to..to + REPLACEMENT.len()) {
                room.copy_from_slice(&REPLACEMENT);
            }
            to += REPLACEMENT.len();
        }
    }
    to
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{string::String, vec, vec::Vec};

    /// Every string of up to four bytes out of the ones that UTF-8 cares for, against the standard library.
    #[test]
    fn decodes_as_the_standard_library_does() {
        let alphabet =
            [b'x', 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5];
        let mut strings: Vec<Vec<u8>> = vec![vec![]];
        for _ in 0..4 {
            let longer = strings.iter().flat_map(|s| alphabet.map(|byte| [s.as_slice(), &[byte]].concat()));
            strings = longer.chain([vec![]]).collect();
            for bytes in &strings {
                let expected = String::from_utf8_lossy(bytes);
                let room = 3 * bytes.len();
                let mut place = vec![0; room];
                place.extend_from_slice(bytes);
                let end = decode(&mut place, room..room + bytes.len(), 0);
                assert_eq!(&place[..end], expected.as_bytes(), "{bytes:x?}");
                assert_eq!(decoded_len(bytes), expected.len(), "{bytes:x?}");
            }
        }
    }

    /// Cut anywhere, with the incomplete tail put off to the next piece, it decodes to the same.
    #[test]
    fn a_cut_changes_nothing() {
        let text = "a€\u{10ffff}ü".as_bytes();
        let bad = [0xe2, 0x82, b'x', 0xf0, 0x9f, 0x98, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0xc2];
        for bytes in [text, &bad, &[text, &bad].concat()] {
            for cut in 0..=bytes.len() {
                let first = cut - incomplete(&bytes[..cut]);
                let joined = [&bytes[..first], &bytes[first..]].map(String::from_utf8_lossy).concat();
                assert_eq!(joined, String::from_utf8_lossy(bytes), "{bytes:x?} at {cut}");
                assert!(cut - first < 4);
            }
        }
    }
}
