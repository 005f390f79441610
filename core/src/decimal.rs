//! Whole numbers as text, without an allocator and without `core::fmt`.

/// The most digits of a `u64`.
pub(crate) type Digits = [u8; 20];

/// The decimal digits of a number, at the end of `digits`.
pub(crate) fn write(mut number: u64, digits: &mut Digits) -> &[u8] {
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

#[cfg(test)]
mod tests {
    #[test]
    fn digits() {
        for number in [0, 9, 10, 99, 100, 65_535, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(super::write(number, &mut [0; 20]), std::format!("{number}").as_bytes());
        }
    }
}
