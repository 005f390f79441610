//! Moving bytes within a buffer.

use core::ops::Range;

/// Moves bytes down, in place. What does not fit is not moved: there is no panic, not even one that never happens, in an
/// image that counts its bytes.
#[cfg_attr(not(target_os = "none"), inline)]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn slide(bytes: &mut [u8], from: Range<usize>, to: usize) {
    let window = bytes.get_mut(to..from.end);
    let (Some(window), Some(start)) = (window, from.start.checked_sub(to)) else {
        debug_assert!(false, "bytes are moved from or to where there are none");
        return;
    };
    if start <= window.len() {
        window.copy_within(start.., 0);
    }
}
