//! Masking (RFC 6455 §5.3): payload xor a key of four bytes, over and over. Loops that compilers vectorise.

use core::ops::Range;

/// Below this length the short loop is inlined, from it on a wide loop is called.
const LONG: usize = 256;

/// Masks or unmasks `bytes` in place; doing it twice gives the same bytes again.
#[inline]
pub fn apply_mask(key: [u8; 4], bytes: &mut [u8]) {
    if bytes.len() < LONG { xor(key, bytes) } else { xor_long(key, bytes) }
}

/// Masks `from` into `to` in one pass; they have the same length (what is longer is left alone).
#[inline]
pub(super) fn copy_masked(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    if from.len() < LONG { copy_xor(key, from, to) } else { copy_xor_long(key, from, to) }
}

/// Unmasks `from` and moves it to `to`, which lies at or before it. In blocks, so that each byte is masked while it
/// is in the first cache.
pub(super) fn unmask_to(key: [u8; 4], bytes: &mut [u8], from: Range<usize>, to: usize) {
    const BLOCK: usize = 4096; // a multiple of the key
    if from.start == to {
        return bytes.get_mut(from).map_or((), |bytes| apply_mask(key, bytes));
    }
    if to > from.start || from.end > bytes.len() {
        return;
    }
    let (mut from, mut to) = (from, to);
    while from.start < from.end {
        let n = BLOCK.min(from.end - from.start);
        crate::inbox::slide(bytes, from.start..from.start + n, to);
        if let Some(block) = bytes.get_mut(to..to + n) {
            apply_mask(key, block);
        }
        from.start += n;
        to += n;
    }
}

/// The key for the bytes that follow `n` masked ones.
pub(super) const fn rotated(key: [u8; 4], n: usize) -> [u8; 4] {
    let [a, b, c, d] = key;
    match n % 4 {
        0 => key,
        1 => [b, c, d, a],
        2 => [c, d, a, b],
        _ => [d, a, b, c],
    }
}

#[inline(always)]
fn xor(key: [u8; 4], bytes: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for chunk in halves {
        *chunk = (u32::from_ne_bytes(*chunk) ^ half).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[inline(never)]
fn xor_long(key: [u8; 4], bytes: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (chunks, rest) = bytes.as_chunks_mut::<64>();
    for chunk in chunks {
        for word_of in chunk.as_chunks_mut::<8>().0 {
            *word_of = (u64::from_ne_bytes(*word_of) ^ word).to_ne_bytes();
        }
    }
    xor(key, rest);
}

#[inline(always)]
fn copy_xor(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (sources, from) = from.as_chunks::<8>();
    let (targets, to) = to.as_chunks_mut::<8>();
    for (target, source) in targets.iter_mut().zip(sources) {
        *target = (u64::from_ne_bytes(*source) ^ word).to_ne_bytes();
    }
    let (sources, from) = from.as_chunks::<4>();
    let (targets, to) = to.as_chunks_mut::<4>();
    for (target, source) in targets.iter_mut().zip(sources) {
        *target = (u32::from_ne_bytes(*source) ^ half).to_ne_bytes();
    }
    for ((target, source), key) in to.iter_mut().zip(from).zip(key) {
        *target = source ^ key;
    }
}

#[inline(never)]
fn copy_xor_long(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) << 32 | u64::from(half);
    let (sources, from) = from.as_chunks::<64>();
    let (targets, to) = to.as_chunks_mut::<64>();
    for (target, source) in targets.iter_mut().zip(sources) {
        for (target, source) in target.as_chunks_mut::<8>().0.iter_mut().zip(source.as_chunks::<8>().0) {
            *target = (u64::from_ne_bytes(*source) ^ word).to_ne_bytes();
        }
    }
    copy_xor(key, from, to);
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const KEY: [u8; 4] = [0x12, 0xab, 0x00, 0xff];

    fn plain(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 31 % 251) as u8).collect()
    }

    fn by_the_rfc(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4]).collect()
    }

    #[test]
    fn every_loop_does_what_the_rfc_says() {
        for n in (0..600).chain([4095, 4096, 4097, 10_001]) {
            let bytes = plain(n);
            let masked = by_the_rfc(&bytes);
            let mut in_place = bytes.clone();
            apply_mask(KEY, &mut in_place);
            assert_eq!(in_place, masked, "in place, {n}");
            let mut copied = alloc::vec![0; n];
            copy_masked(KEY, &bytes, &mut copied);
            assert_eq!(copied, masked, "copied, {n}");
            for gap in [0, 1, 7, 300] {
                let mut moved = alloc::vec![9; 3 + gap];
                moved.extend_from_slice(&bytes);
                unmask_to(KEY, &mut moved, 3 + gap..3 + gap + n, 3);
                assert_eq!(&moved[3..3 + n], masked, "moved by {gap}, {n}");
                assert_eq!(&moved[..3], [9; 3]);
            }
            for cut in [0, 1, 2, 3, 5, n / 2].into_iter().filter(|cut| *cut <= n) {
                let mut halves = bytes.clone();
                apply_mask(KEY, &mut halves[..cut]);
                apply_mask(rotated(KEY, cut), &mut halves[cut..]);
                assert_eq!(halves, masked, "cut at {cut}, {n}");
            }
        }
    }
}
