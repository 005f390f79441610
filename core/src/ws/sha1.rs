//! SHA-1 (RFC 3174) for the handshake, which hashes 60 bytes: in a loop, a tenth of the flash that the unrolled rounds of sha1_smol
//! take. On larger machines that crate is used, which is faster.

/// The hash of a key and what belongs behind it.
pub(super) fn hash(key: &[u8; 24], guid: &[u8; 36]) -> [u8; 20] {
    if cfg!(target_os = "none") {
        return rolled(key, guid);
    }
    let mut sha = sha1_smol::Sha1::new();
    sha.update(key);
    sha.update(guid);
    sha.digest().bytes()
}

/// §4: behind 60 bytes come a one, zeros, and in the last eight bytes of a second block the number of bits.
fn rolled(key: &[u8; 24], guid: &[u8; 36]) -> [u8; 20] {
    let mut block = [0; 16];
    let words = key.as_chunks::<4>().0.iter().chain(guid.as_chunks::<4>().0);
    block
        .iter_mut()
        .zip(words.chain(&[[0x80, 0, 0, 0]]))
        .for_each(|(to, word)| *to = u32::from_be_bytes(*word));
    let state = add(&block, [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]);
    let state = add(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 480], state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolled_and_unrolled_agree() {
        for n in 0..=255_u8 {
            let key = core::array::from_fn(|i| n.wrapping_mul(i as u8 + 1).wrapping_add(n));
            let guid = core::array::from_fn(|i| n.wrapping_mul(n).wrapping_sub(i as u8 * 7));
            let mut sha = sha1_smol::Sha1::new();
            sha.update(&key);
            sha.update(&guid);
            assert_eq!(rolled(&key, &guid), sha.digest().bytes(), "{n}");
            assert_eq!(hash(&key, &guid), sha.digest().bytes(), "{n}");
        }
    }
}
