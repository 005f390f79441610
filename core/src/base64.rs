//! Base64 (RFC 4648) in a few lines: a tenth of the flash that the crate's engines and their tables take, which are faster with long
//! input and are used elsewhere.

/// RFC 4648, 4.
pub(crate) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// RFC 4648, 5.
pub(crate) const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `bytes` in base64 at the beginning of `text`, padded as far as it has room; returns how much of it that is.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn encode(alphabet: &[u8; 64], bytes: &[u8], text: &mut [u8]) -> usize {
    let mut len = 0;
    for (three, four) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let bits =
            three.iter().zip([16, 8, 0]).fold(0, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        len += four.len();
        for (i, (character, shift)) in four.iter_mut().zip([18, 12, 6, 0]).enumerate() {
            let letter = alphabet.get((bits >> shift) as usize & 63).filter(|_| i <= three.len());
            *character = letter.copied().unwrap_or(b'=');
        }
    }
    len
}

/// Decodes padded standard base64 in place, strictly: no other characters, no bits that mean nothing. The number of bytes.
#[allow(dead_code, reason = "where there is a system, the crate does it")]
pub(crate) fn decode(bytes: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    for from in (0..bytes.len()).step_by(4) {
        let four: [u8; 4] = *bytes.get(from..)?.first_chunk()?;
        let pads = match four {
            _ if from + 4 < bytes.len() => 0,
            [.., b'=', b'='] => 2,
            [.., b'='] => 1,
            _ => 0,
        };
        let mut bits = 0;
        for (i, byte) in four.iter().enumerate() {
            bits = bits << 6 | if i + pads < 4 { value(*byte)? } else { 0 };
        }
        let [_, decoded @ ..] = u32::to_be_bytes(bits);
        let (data, rest) = decoded.split_at_checked(3 - pads)?;
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.get_mut(len..len + data.len())?.copy_from_slice(data);
        len += data.len();
    }
    Some(len)
}

fn value(byte: u8) -> Option<u32> {
    let (first, number) = match byte {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(byte - first) + number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::base64::{Engine as _, engine::general_purpose};

    /// Against the crate: every text of telling characters, up to two groups.
    #[test]
    fn decodes_what_the_crate_decodes() {
        const TELLING: &[u8; 10] = b"AQgw/+9=-\n";
        for len in 0..=8_u32 {
            let count = 10_usize.pow(len.min(5));
            for number in 0..count {
                let mut text = [b'A'; 8];
                let tail = (len as usize).saturating_sub(5);
                for i in 0..len.min(5) as usize {
                    text[tail + i] = TELLING[number / 10_usize.pow(i as u32) % 10];
                }
                let text = &text[..len as usize];
                let (mut ours, mut theirs) = ([0; 8], [0; 8]);
                ours[..text.len()].copy_from_slice(text);
                let expected = general_purpose::STANDARD.decode_slice_unchecked(text, &mut theirs).ok();
                assert_eq!(decode(&mut ours[..text.len()]), expected, "{text:?}");
                assert!(expected.is_none_or(|n| ours[..n] == theirs[..n]), "{text:?}");
            }
        }
    }

    #[test]
    fn encodes_as_the_crate_does() {
        let bytes: [u8; 50] = core::array::from_fn(|i| (i * 89 + 3) as u8);
        for len in 0..=50 {
            let (mut ours, mut theirs) = ([0; 68], [0; 68]);
            let n = encode(STANDARD, &bytes[..len], &mut ours);
            assert_eq!(general_purpose::STANDARD.encode_slice(&bytes[..len], &mut theirs), Ok(n));
            assert_eq!(ours, theirs);
            let (mut ours, mut theirs) = ([0; 68], [0; 68]);
            let n = general_purpose::URL_SAFE_NO_PAD.encode_slice(&bytes[..len], &mut theirs).unwrap();
            assert_eq!(encode(URL_SAFE, &bytes[..len], &mut ours[..n]), n);
            assert_eq!(ours, theirs);
        }
    }
}
