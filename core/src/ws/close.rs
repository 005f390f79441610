//! The payload of close frames (RFC 6455 §5.5.1, §7.4).

use super::Error;
use crate::text::is_utf8;

/// No code was given (§7.4.1). Never on the wire.
pub(super) const NO_CODE: u16 = 1005;
/// The connection ended without a close frame (§7.4.1). Never on the wire.
pub(super) const ABNORMAL: u16 = 1006;
/// The longest payload of a control frame (§5.5).
pub(super) const MAX_CONTROL: usize = 125;
/// The longest reason.
const MAX_REASON: usize = MAX_CONTROL - 2;

/// Whether a close frame may carry `code`: the registered ones (§7.4.1, and 1012 to 1014 of the IANA registry), those
/// of libraries (3000 to 3999) and of applications (4000 to 4999). 1004 to 1006, 1015 and all others may not.
#[must_use]
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code of a close frame's payload; the reason, if any, begins at byte 2.
pub(super) fn parse(payload: &[u8]) -> Result<u16, Error> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(NO_CODE) } else { Err(Error::CloseCode) };
    };
    match u16::from_be_bytes(*code) {
        code if !is_close_code(code) => Err(Error::CloseCode),
        code if is_utf8(reason) => Ok(code),
        _ => Err(Error::NotUtf8),
    }
}

/// As much of a reason as a close frame carries, cut between characters.
pub(super) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent() {
        let allowed = (0..=u16::MAX).filter(|code| is_close_code(*code)).count();
        assert_eq!(allowed, 4 + 8 + 2000);
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(parse(&code.to_be_bytes()), Err(Error::CloseCode), "{code}");
        }
        for code in [1000_u16, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(parse(&code.to_be_bytes()), Ok(code));
        }
    }

    #[test]
    fn payloads() {
        assert_eq!(parse(b""), Ok(NO_CODE));
        assert_eq!(parse(b"\x03"), Err(Error::CloseCode));
        assert_eq!(parse(b"\x03\xe8bye"), Ok(1000));
        assert_eq!(parse(b"\x03\xe8\xc3"), Err(Error::NotUtf8));
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let long = "ü".repeat(100);
        assert_eq!(cut(&long).len(), 122);
        assert_eq!(cut(&"x".repeat(124)).len(), 123);
        assert_eq!(cut("bye"), "bye");
    }
}
