//! Numbers and members of JSON without `core::fmt`, which would cost more flash than a whole protocol.

/// The digits of a number.
pub fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            break;
        }
    }
    core::str::from_utf8(&digits[at..]).unwrap_or_default()
}

/// An object that is being written; what does not fit is left out.
pub struct Object<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Object<N> {
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn put(mut self, text: &str) -> Self {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.len += text.len();
        }
        self
    }

    fn name(self, name: &str) -> Self {
        let separator = if self.len == 0 { "{\"" } else { ",\"" };
        self.put(separator).put(name).put("\":")
    }

    pub fn number(self, name: &str, number: u32) -> Self {
        self.name(name).put(decimal(number, &mut [0; 10]))
    }

    /// Hundredths as a number with two places.
    pub fn hundredths(self, name: &str, number: i32) -> Self {
        let (whole, rest) = (number.unsigned_abs() / 100, number.unsigned_abs() % 100);
        let named = self.name(name).put(if number < 0 { "-" } else { "" });
        named
            .put(decimal(whole, &mut [0; 10]))
            .put(if rest < 10 { ".0" } else { "." })
            .put(decimal(rest, &mut [0; 10]))
    }

    pub fn end(self) -> Self {
        self.put("}")
    }

    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}
