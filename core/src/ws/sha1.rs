//! SHA-1 (RFC 3174) for the handshake, in a loop: a tenth of the flash that the unrolled rounds of sha1_smol take, for one or
//! two blocks per connection. On larger machines that crate is used, which is faster.

/// The hash of `parts`, one behind the other.
pub(super) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    if cfg!(target_os = "none") {
        return rolled(parts);
    }
    let mut sha = sha1_smol::Sha1::new();
    parts.iter().for_each(|part| sha.update(part));
    sha.digest().bytes()
}

fn rolled(parts: &[&[u8]]) -> [u8; 20] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let (mut block, mut length) = ([0_u32; 16], 0_usize);
    let mut bytes = parts.iter().flat_map(|part| part.iter().copied());
    let mut ended = false;
    loop {
        // §4: a one, zeros, and the number of bits in the last eight bytes.
        let mut fits = false;
        for word in &mut block {
            *word = 0;
            for shift in [24, 16, 8, 0] {
                let byte = match bytes.next() {
                    Some(byte) => {
                        length += 1;
                        byte
                    }
                    None if !ended => {
                        // In front of the last two words?
                        (ended, fits) = (true, length % 64 < 56);
                        0x80
                    }
                    None => 0,
                };
                *word |= u32::from(byte) << shift;
            }
        }
        // The end may have come in the block before.
        fits |= ended && block.iter().all(|word| *word == 0);
        if fits && let [.., high, low] = &mut block {
            let bits = length as u64 * 8;
            (*high, *low) = ((bits >> 32) as u32, bits as u32);
        }
        state = add(&block, state);
        if fits {
            break;
        }
    }
    let mut hash = [0; 20];
    hash.chunks_mut(4).zip(state).for_each(|(to, word)| to.copy_from_slice(&word.to_be_bytes()));
    hash
}

/// One block, as §6.2 has it: sixteen words are kept, not eighty.
fn add(block: &[u32; 16], state: [u32; 5]) -> [u32; 5] {
    let (mut words, [mut a, mut b, mut c, mut d, mut e]) = (*block, state);
    for round in 0..80 {
        let at = |back: usize| words.get((round + 16 - back) & 15).copied().unwrap_or_default();
        let word = match round {
            0..16 => at(16),
            _ => (at(3) ^ at(8) ^ at(14) ^ at(16)).rotate_left(1),
        };
        if let Some(place) = words.get_mut(round & 15) {
            *place = word;
        }
        let (mix, constant) = match round {
            0..20 => ((b & c) | (!b & d), 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next: u32 =
            a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(word).wrapping_add(constant);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    let mut sum = state;
    sum.iter_mut().zip([a, b, c, d, e]).for_each(|(to, word)| *to = to.wrapping_add(word));
    sum
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Against sha1_smol, around every length where the padding changes, cut anywhere.
    #[test]
    fn rolled_and_unrolled_agree() {
        for length in 0..300_usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
            let expected = sha1_smol::Sha1::from(&bytes).digest().bytes();
            let (front, back) = bytes.split_at(length * 2 / 3);
            assert_eq!(rolled(&[front, back]), expected, "{length}");
            assert_eq!(sha1(&[&bytes]), expected, "{length}");
        }
        let zeros = [0; 200];
        assert_eq!(rolled(&[&zeros]), sha1_smol::Sha1::from(zeros).digest().bytes());
    }
}
