//! Frames of clients: each with a key of its own.

use super::{
    Header, Opcode,
    mask::{put_masked, rotated},
};
use crate::{Entropy, Full, Outbox};

/// [`masked`], as a connection holds it.
pub(super) type Masked = fn(&mut Entropy, bool, Opcode, &[&[u8]], usize, &mut Outbox<'_>) -> Result<(), Full>;

/// Writes a client's frame when `keep` bytes are free behind it.
#[inline]
pub(super) fn masked(
    entropy: &mut Entropy,
    fin: bool,
    opcode: Opcode,
    parts: &[&[u8]],
    keep: usize,
    outbox: &mut Outbox<'_>,
) -> Result<(), Full> {
    let len = total(parts);
    // The key is taken only for a frame that fits: who fails changes nothing.
    let size = Header { fin, opcode, key: Some([0; 4]), len: len as u64 }.size();
    let needed = len.saturating_add(size + keep);
    if outbox.room() < needed {
        return Err(Full { needed });
    }
    let mut key = entropy.take();
    let head = Header { fin, opcode, key: Some(key), len: len as u64 }.emit();
    outbox.put_framed(head.array(), size, &[], 0)?;
    for part in parts {
        put_masked(key, part, outbox)?;
        key = rotated(key, part.len());
    }
    Ok(())
}

/// The bytes of all parts.
#[inline]
pub(super) fn total(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()))
}
