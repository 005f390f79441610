//! The common block, all of it there: at most one `event`, one `id` and one `data` line, printable ASCII in it, LF or
//! CR LF behind each line. It is looked at once and stays where it is.
//!
//! Whatever else there may be in a block (other text, more lines, an end that has not come) is nothing to this path: the
//! parser begins with the block anew.

use core::ops::Range;

use super::field::Field;

/// Where the parts of an event are in the inbox.
#[derive(Debug)]
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

/// The length of the block that `bytes` begin with, and where its parts are from `base` on, if it is a common one that keeps
/// the limits. The first `searched` bytes are known to be plain.
#[inline]
pub(super) fn lines(
    bytes: &[u8],
    searched: usize,
    base: usize,
    max_event: usize,
    max_id: usize,
) -> Result<(usize, View), Vain> {
    let (mut event, mut id, mut data) = (0..0, None, None);
    let (mut at, mut others) = (0, 0);
    let len = loop {
        let rest = bytes.get(at..).unwrap_or_default();
        // A slice is compared as words, a pattern byte by byte.
        let (field, name) = match rest.first() {
            Some(b'd') if rest.starts_with(b"data:") => (Field::Data, 5),
            Some(b'e') if rest.starts_with(b"event:") => (Field::Event, 6),
            Some(b'i') if rest.starts_with(b"id:") => (Field::Id, 3),
            Some(b'\n') => break at + 1,
            Some(b'\r') if rest.get(1) == Some(&b'\n') => break at + 2,
            _ => return Err(Vain::at(at)),
        };
        let start = at + name + usize::from(rest.get(name) == Some(&b' '));
        let known = searched.max(start);
        let unknown = bytes.get(known..).unwrap_or_default();
        let found = if field == Field::Data { special(unknown) } else { special_near(unknown) };
        let end = known + found.ok_or(Vain { looked_at: bytes.len(), is_open: at == 0 })?;
        at = match bytes.get(end..) {
            Some([b'\n', ..]) => end + 1,
            Some([b'\r', b'\n', ..]) => end + 2,
            _ => return Err(Vain::at(end)),
        };
        let value = base + start..base + end;
        match field {
            Field::Data if data.is_none() => data = Some(value),
            // No value begins at 0.
            Field::Event if event.start == 0 => event = value,
            Field::Id if id.is_none() => id = Some(value),
            _ => return Err(Vain::at(end)),
        }
        others += usize::from(field != Field::Data);
    };
    let data: Range<usize> = data.ok_or(Vain::at(len))?;
    // A byte for each line but the first.
    let id_len = id.as_ref().map_or(0, Range::len);
    if data.len() + event.len() + id_len + others > max_event || id_len > max_id {
        return Err(Vain::at(len));
    }
    Ok((len, View { event, id, data }))
}

const SHORT: usize = 32;
const WIDE: usize = 256;
const BLOCK: usize = 64;
const WORD: usize = 8;

/// The first byte that is no printable ASCII: the end of the line, or something that wants a closer look.
#[cfg_attr(not(target_os = "none"), inline(always))]
#[cfg_attr(target_os = "none", inline(never))]
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    let Some((near, far)) = bytes.split_at_checked(WIDE) else { return narrow(bytes) };
    narrow(near).or_else(|| special_far(far).map(|at| WIDE + at))
}

/// As above, for what is short more often than not.
#[inline(always)]
fn special_near(bytes: &[u8]) -> Option<usize> {
    if cfg!(target_os = "none") {
        return special(bytes);
    }
    let Some((near, far)) = bytes.split_at_checked(SHORT) else { return special_word(bytes) };
    special_word(near).or_else(|| special_far(far).map(|at| SHORT + at))
}

/// In a long line: wide blocks first. In printable ASCII less 0x20 nothing is above 0x5f, in all else something is, and
/// the greatest of many bytes is found faster than each of them is compared.
#[inline(never)]
fn special_far(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<WIDE>();
    let greatest = |block: &[u8; WIDE]| block.iter().fold(0, |most, byte| byte.wrapping_sub(0x20).max(most));
    let from = blocks.iter().take_while(|block| greatest(block) < 0x60).count() * WIDE;
    narrow(bytes.get(from..).unwrap_or_default()).map(|at| from + at)
}

#[inline(always)]
fn narrow(bytes: &[u8]) -> Option<usize> {
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
        for len in (0..100).chain([255, 256, 300, 511, 512, 600]) {
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
