//! Searches for single bytes. memchr's, or loops where flash is counted in kilobytes: it searches by words, and that is hundreds
//! of bytes wherever it is inlined.

const SMALL: bool = cfg!(target_os = "none");

/// Where the first `byte` is.
#[cfg_attr(not(target_os = "none"), inline(always))]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    if SMALL { bytes.iter().position(|other| *other == byte) } else { memchr::memchr(byte, bytes) }
}

/// Where the first of two is.
#[cfg_attr(not(target_os = "none"), inline(always))]
pub(crate) fn memchr2(a: u8, b: u8, bytes: &[u8]) -> Option<usize> {
    if SMALL { memchr3(a, b, b, bytes) } else { memchr::memchr2(a, b, bytes) }
}

/// Where the first of three is.
#[cfg_attr(not(target_os = "none"), inline(always))]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn memchr3(a: u8, b: u8, c: u8, bytes: &[u8]) -> Option<usize> {
    if SMALL {
        bytes.iter().position(|byte| *byte == a || *byte == b || *byte == c)
    } else {
        memchr::memchr3(a, b, c, bytes)
    }
}

/// Where the last `byte` is.
#[cfg_attr(not(target_os = "none"), inline(always))]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn memrchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    if SMALL { bytes.iter().rposition(|other| *other == byte) } else { memchr::memrchr(byte, bytes) }
}

/// Where all of them are.
#[cfg_attr(not(target_os = "none"), inline(always))]
pub(crate) fn memchr_iter(byte: u8, bytes: &[u8]) -> impl Iterator<Item = usize> {
    #[cfg(target_os = "none")]
    return bytes.iter().enumerate().filter_map(move |(at, other)| (*other == byte).then_some(at));
    #[cfg(not(target_os = "none"))]
    memchr::memchr_iter(byte, bytes)
}
