//! The common block, all of it there: at most one `event`, one `id` and one `data` line, printable ASCII in it, LF or
//! CR LF behind each line. It is looked at once and stays where it is.
//!
//! Whatever else there may be in a block (other text, more lines, an end that has not come) is nothing to this path: the
//! parser begins with the block anew.

use core::ops::Range;

/// Where the parts of an event are in the inbox.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Empty: `message`.
    pub(super) event: Range<usize>,
    /// The ID, if this block names one.
    pub(super) id: Option<Range<usize>>,
    pub(super) data: Range<usize>,
}

/// It is no common block.
pub(super) struct Vain {
    /// How far it was looked at.
    pub(super) looked_at: usize,
    /// All of it is the beginning of one line.
    pub(super) is_open: bool,
}

impl Vain {
    fn at(looked_at: usize) -> Self {
        Self { looked_at, is_open: false }
    }
}

/// Takes the block that `bytes` begin with, if it is a common one that keeps the limits, into `view`; offsets are told
/// from `base` on. Returns the length of the block.
#[inline]
pub(super) fn whole_block(
    bytes: &[u8],
    base: usize,
    max_event: usize,
    max_id: usize,
    view: &mut View,
) -> Result<usize, Vain> {
    let [b'd', b'a', b't', b'a', b':', value @ ..] = bytes else {
        return lines(bytes, base, max_event, max_id, view);
    };
    // Nothing but data, which most streams are.
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let start = bytes.len() - value.len();
    let len = special(value).ok_or(Vain { looked_at: bytes.len(), is_open: true })?;
    let blank = match value.get(len..) {
        Some([b'\n', b'\n', ..]) => 2,
        Some([b'\r', b'\n', b'\r', b'\n', ..]) => 4,
        Some([b'\n' | b'\r', ..]) => return lines(bytes, base, max_event, max_id, view),
        _ => return Err(Vain::at(start + len)),
    };
    if len > max_event {
        return Err(Vain::at(start + len));
    }
    *view = View { event: 0..0, id: None, data: base + start..base + start + len };
    Ok(start + len + blank)
}

/// As [`whole_block`], with one line of each kind at most.
#[inline(never)]
fn lines(bytes: &[u8], base: usize, max_event: usize, max_id: usize, view: &mut View) -> Result<usize, Vain> {
    let (mut event, mut id, mut data) = (None, None, None);
    let mut rest = bytes;
    loop {
        let far = bytes.len() - rest.len();
        let (field, value) = match rest {
            [b'd', b'a', b't', b'a', b':', value @ ..] => (&mut data, value),
            [b'e', b'v', b'e', b'n', b't', b':', value @ ..] => (&mut event, value),
            [b'i', b'd', b':', value @ ..] => (&mut id, value),
            [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] => {
                rest = behind;
                break;
            }
            _ => return Err(Vain::at(far)),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let start = bytes.len() - value.len();
        let len = special(value).ok_or(Vain { looked_at: bytes.len(), is_open: far == 0 })?;
        rest = match value.get(len..) {
            Some([b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..]) => behind,
            _ => return Err(Vain::at(start + len)),
        };
        if field.replace(base + start..base + start + len).is_some() {
            return Err(Vain::at(start + len));
        }
    }
    let far = bytes.len() - rest.len();
    let data: Range<usize> = data.ok_or(Vain::at(far))?;
    // A byte for each line but the first.
    let id_len = id.as_ref().map_or(0, Range::len);
    let others = usize::from(event.is_some()) + usize::from(id.is_some());
    let event = event.unwrap_or(0..0);
    if data.len() + event.len() + id_len + others > max_event || id_len > max_id {
        return Err(Vain::at(far));
    }
    *view = View { event, id, data };
    Ok(far)
}

const BLOCK: usize = 64;
const WORD: usize = 8;

/// The first byte that is no printable ASCII: the end of the line, or something that wants a closer look.
#[inline(always)]
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut from = 0;
    for block in blocks {
        if has_special(block) {
            return special_word(block).map(|at| from + at);
        }
        from += BLOCK;
    }
    special_word(rest).map(|at| from + at)
}

/// As a signed number, a byte above 127 is below the space, too: one comparison for both, and for many bytes at once.
#[inline(always)]
fn has_special(block: &[u8; BLOCK]) -> bool {
    let mut any = false;
    for byte in block {
        any |= (*byte as i8) < 0x20;
    }
    any
}

#[inline(always)]
fn special_word(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_le_bytes([0x20; WORD]);
    const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);
    let (words, rest) = bytes.as_chunks::<WORD>();
    let mut from = 0;
    for word in words {
        // A borrow goes to bytes behind the first one that counts, only.
        let word = u64::from_le_bytes(*word);
        let found = (word.wrapping_sub(LOW) | word) & HIGH;
        if found != 0 {
            return Some(from + found.trailing_zeros() as usize / 8);
        }
        from += WORD;
    }
    let at = rest.iter().position(|byte| (*byte as i8) < 0x20)?;
    Some(from + at)
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_byte() {
        for len in 0..100 {
            let mut bytes = alloc::vec![b'x'; len];
            assert_eq!(special(&bytes), None);
            for at in 0..len {
                for special_byte in [0, b'\t', b'\n', b'\r', 0x1f, 0x80, 0xff] {
                    bytes[at] = special_byte;
                    assert_eq!(special(&bytes), Some(at), "{len} {at} {special_byte}");
                    bytes[len - 1] = 0xff;
                    assert_eq!(special(&bytes), Some(at));
                    bytes[at..].fill(0x7f);
                    bytes[..at].fill(b' ');
                }
            }
        }
    }
}
