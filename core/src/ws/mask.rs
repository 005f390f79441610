//! Masking (RFC 6455 §5.3): payload xor a key of four bytes, over and over. Loops that compilers vectorise; with the feature
//! `simd`, long ones take the widest instructions that the machine has.
//!
//! Flat loops over words, on purpose: ones that are cut into larger chunks come out several times slower.

use core::ops::Range;

/// Below this length the short loop is inlined, from it on a wide loop is called.
const LONG: usize = 256;
/// From this length on, to call what copies pays.
const CALL: usize = 64;
/// Short payloads are written in blocks of this: two registers of the oldest machines.
const BLOCK: usize = 32;
/// Wide instructions are up to twice as fast where a line of the cache never lies between two of them.
const ALIGN: usize = 32;
/// Where flash is counted in kilobytes there is one loop for all lengths.
const SMALL: bool = cfg!(target_os = "none");
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Masks or unmasks `bytes` in place; doing it twice gives the same bytes again.
#[inline]
pub fn apply_mask(key: [u8; 4], bytes: &mut [u8]) {
    if SMALL || bytes.len() < LONG {
        xor(key, bytes);
    } else {
        xor_long(key, bytes);
    }
}

/// The same; and whether what comes out is ASCII, and so certainly UTF-8: nearly free while the bytes are at hand.
#[inline]
pub(super) fn unmask_text(key: [u8; 4], bytes: &mut [u8]) -> bool {
    let seen = if SMALL || bytes.len() < LONG { xor(key, bytes) } else { xor_long_seen(key, bytes) };
    seen & HIGH_BITS == 0
}

/// Writes `from` into `to`, which is as long: masked, in one pass, or as it is.
#[inline(always)]
pub(super) fn copy(key: Option<[u8; 4]>, from: &[u8], to: &mut [u8]) {
    match key {
        _ if from.len() != to.len() => {}
        None if SMALL || from.len() >= CALL => to.copy_from_slice(from),
        None => copy_short([0; 4], from, to),
        Some(key) if SMALL => copy_xor(key, from, to),
        Some(key) if from.len() < LONG => copy_short(key, from, to),
        Some(key) => copy_long(key, from, to),
    }
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
        crate::slide::slide(bytes, from.start..from.start + n, to);
        if let Some(block) = bytes.get_mut(to..to + n) {
            apply_mask(key, block);
        }
        from.start += n;
        to += n;
    }
}

/// The key for the bytes that follow `n` masked ones.
#[inline]
pub(super) const fn rotated(key: [u8; 4], n: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right((n % 4 * 8) as u32).to_le_bytes()
}

/// The key, twice.
#[inline(always)]
fn word_of(key: [u8; 4]) -> u64 {
    let half = u64::from(u32::from_ne_bytes(key));
    half << 32 | half
}

/// Runs a loop with the widest instructions there are. It must be short and inlined, or it is compiled without them.
#[inline(always)]
fn widely<T>(run: impl FnOnce() -> T) -> T {
    #[cfg(feature = "simd")]
    return pulp::Arch::new().dispatch(run);
    #[cfg(not(feature = "simd"))]
    run()
}

/// Returns every bit that is set somewhere in the outcome, as it stands in its word or moved by whole bytes.
#[cfg_attr(not(target_os = "none"), inline(always))]
#[cfg_attr(target_os = "none", inline(never))]
fn xor(key: [u8; 4], bytes: &mut [u8]) -> u64 {
    let word = word_of(key);
    let mut seen = 0;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        let clear = u64::from_ne_bytes(*chunk) ^ word;
        seen |= clear;
        *chunk = clear.to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for chunk in halves {
        let clear = u32::from_ne_bytes(*chunk) ^ word as u32;
        seen |= u64::from(clear);
        *chunk = clear.to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    seen
}

/// The part before the first aligned byte, the rest, and the key for it.
#[inline(always)]
fn aligned(key: [u8; 4], bytes: &mut [u8]) -> (&mut [u8], &mut [u8], [u8; 4]) {
    let n = bytes.as_ptr().align_offset(ALIGN).min(bytes.len());
    let (front, rest) = bytes.split_at_mut(n);
    (front, rest, rotated(key, n))
}

#[inline(never)]
fn xor_long(key: [u8; 4], bytes: &mut [u8]) {
    let (front, bytes, next) = aligned(key, bytes);
    xor(key, front);
    let word = word_of(next);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    widely(
        #[inline(always)]
        || {
            for chunk in words {
                *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
            }
        },
    );
    xor(next, rest);
}

/// Returns what [`xor`] does. It is not one with `xor_long`: that is a fifth faster.
#[inline(never)]
fn xor_long_seen(key: [u8; 4], bytes: &mut [u8]) -> u64 {
    let (front, bytes, next) = aligned(key, bytes);
    let front = xor(key, front);
    let word = word_of(next);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    let seen = widely(
        #[inline(always)]
        || {
            let mut seen = 0;
            for chunk in words {
                let clear = u64::from_ne_bytes(*chunk) ^ word;
                seen |= clear;
                *chunk = clear.to_ne_bytes();
            }
            seen
        },
    );
    front | seen | xor(next, rest)
}

/// In blocks, the last of which lies over the one before it: no loop over single bytes, and no call.
#[inline(always)]
fn copy_short(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    if from.len() >= BLOCK {
        let word = word_of(key);
        for (to, from) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks::<BLOCK>().0) {
            *to = masked(word, from);
        }
        last::<BLOCK>(key, from, to);
    } else if from.len() >= 16 {
        first::<16>(key, from, to);
        last::<16>(key, from, to);
    } else if from.len() >= 8 {
        first::<8>(key, from, to);
        last::<8>(key, from, to);
    } else {
        copy_xor(key, from, to);
    }
}

#[inline(always)]
fn first<const N: usize>(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut()) {
        *to = masked(word_of(key), from);
    }
}

/// `N` is a multiple of the key's length.
#[inline(always)]
fn last<const N: usize>(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let word = word_of(rotated(key, from.len()));
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut()) {
        *to = masked(word, from);
    }
}

#[inline(always)]
fn masked<const N: usize>(word: u64, from: &[u8; N]) -> [u8; N] {
    let mut to = [0; N];
    for (to, from) in to.as_chunks_mut::<8>().0.iter_mut().zip(from.as_chunks::<8>().0) {
        *to = (u64::from_ne_bytes(*from) ^ word).to_ne_bytes();
    }
    to
}

#[inline(never)]
fn copy_long(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    // The writes are aligned: they cost more than the reads.
    let (front, to, next) = aligned(key, to);
    let (first, from) = from.split_at_checked(front.len()).unwrap_or_default();
    copy_xor(key, first, front);
    let word = word_of(next);
    let ((sources, from), (targets, to)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
    widely(
        #[inline(always)]
        || {
            for (target, source) in targets.iter_mut().zip(sources) {
                *target = (u64::from_ne_bytes(*source) ^ word).to_ne_bytes();
            }
        },
    );
    copy_xor(next, from, to);
}

#[inline(always)]
fn copy_xor(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let word = word_of(key);
    let (sources, from) = from.as_chunks::<8>();
    let (targets, to) = to.as_chunks_mut::<8>();
    for (target, source) in targets.iter_mut().zip(sources) {
        *target = (u64::from_ne_bytes(*source) ^ word).to_ne_bytes();
    }
    let (sources, from) = from.as_chunks::<4>();
    let (targets, to) = to.as_chunks_mut::<4>();
    for (target, source) in targets.iter_mut().zip(sources) {
        *target = (u32::from_ne_bytes(*source) ^ word as u32).to_ne_bytes();
    }
    for ((target, source), key) in to.iter_mut().zip(from).zip(key) {
        *target = source ^ key;
    }
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
    fn one_byte_anywhere_is_enough_not_to_be_ascii() {
        for n in (0..300).chain([1000]) {
            let mut bytes = by_the_rfc(&alloc::vec![b'a'; n]);
            assert!(unmask_text(KEY, &mut bytes) && bytes.iter().all(|byte| *byte == b'a'), "{n}");
            for at in 0..n {
                let mut bytes = alloc::vec![b'a'; n];
                bytes[at] = 0x80;
                assert!(!unmask_text(KEY, &mut by_the_rfc(&bytes)), "{n}, at {at}");
            }
        }
    }

    #[test]
    fn every_loop_does_what_the_rfc_says() {
        for n in (0..600).chain([4095, 4096, 4097, 10_001]) {
            let bytes = plain(n);
            let masked = by_the_rfc(&bytes);
            let (mut in_place, mut text) = (bytes.clone(), bytes.clone());
            apply_mask(KEY, &mut in_place);
            assert_eq!(in_place, masked, "in place, {n}");
            assert_eq!(unmask_text(KEY, &mut text), masked.is_ascii(), "text, {n}");
            assert_eq!(text, masked, "text, {n}");
            let mut to = alloc::vec![9; n + 2];
            copy(Some(KEY), &bytes, &mut to[1..=n]);
            assert_eq!(&to[1..=n], masked, "written, {n}");
            assert_eq!((to[0], to[n + 1]), (9, 9));
            copy(None, &bytes, &mut to[1..=n]);
            assert_eq!(&to[1..=n], bytes, "copied, {n}");
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
