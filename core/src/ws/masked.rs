//! Frames of clients: each with a key of its own.

use super::{
    Header, Opcode,
    mask::{copy, rotated},
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
    let mut header = Header { fin, opcode, key: Some([0; 4]), len: len as u64 };
    let needed = len.saturating_add(header.size() + keep);
    if outbox.room() < needed {
        return Err(Full { needed });
    }
    // The key is taken only for a frame that fits: who fails changes nothing.
    let mut key = entropy.take();
    header.key = Some(key);
    outbox.put(&[header.emit().as_bytes()])?;
    for mut part in parts.iter().copied() {
        outbox.put_with(part.len(), |to| {
            let (now, later) = part.split_at_checked(to.len()).unwrap_or_default();
            copy(Some(key), now, to);
            (part, key) = (later, rotated(key, now.len()));
        })?;
    }
    Ok(())
}

/// The bytes of all parts.
#[inline]
pub(super) fn total(parts: &[&[u8]]) -> usize {
    parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()))
}
