//! Whole numbers as text, without an allocator and without `core::fmt`.

/// The most digits of a `u64`.
pub(crate) type Digits = [u8; 20];

/// The decimal digits of a number, at the end of `digits`.
pub(crate) fn write(mut number: u64, digits: &mut Digits) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        let (tenth, rest) = by_ten(number);
        *digit = b'0' + rest;
        (number, start) = (tenth, start - 1);
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

/// As [`write`], for what fits a word.
pub(crate) fn write_word(mut number: usize, digits: &mut Digits) -> &[u8] {
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        (number, start) = (number / 10, start - 1);
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

/// A tenth, and what is left. Where words have 32 bits, as people divide on paper, four digits of 16 bits each: the division
/// that a compiler brings for 64 bits is a kilobyte.
fn by_ten(number: u64) -> (u64, u8) {
    if cfg!(target_pointer_width = "64") {
        return (number / 10, (number % 10) as u8);
    }
    let (mut tenth, mut rest) = (0, 0);
    for shift in [48, 32, 16, 0] {
        let part = rest << 16 | (number >> shift) as u32 & 0xffff;
        (tenth, rest) = (tenth << 16 | u64::from(part / 10), part % 10);
    }
    (tenth, rest as u8)
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits() {
        for number in [0, 9, 10, 99, 100, 65_535, u64::from(u32::MAX), u64::MAX] {
            let expected = std::format!("{number}");
            assert_eq!(super::write(number, &mut [0; 20]), expected.as_bytes());
            if let Ok(number) = usize::try_from(number) {
                assert_eq!(super::write_word(number, &mut [0; 20]), expected.as_bytes());
            }
        }
    }
}
