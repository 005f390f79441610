//! Just enough JSON (RFC 8259), without memory of its own: a strict scanner over bytes, strings unescaped in place,
//! strings and integers written.
//!
//! What an application puts inside its messages stays text for the application's own parser; this is for the
//! envelopes of the protocols here.
//!
//! ```
//! use stillwire::json::{Lone, Scanner, unescape};
//!
//! let mut scanner = Scanner::new(br#"{"seq": 7, "messages": ["a\n", [1, {"b": null}]]}"#);
//! scanner.open(b'{')?;
//! while scanner.more(b'}')? {
//!     match scanner.key()? {
//!         key if key.is("seq") => assert_eq!(scanner.integer()?, 7),
//!         _ => {
//!             scanner.open(b'[')?;
//!             while scanner.more(b']')? {
//!                 let raw = scanner.value()?; // skipped, and checked
//!                 assert!(raw == br#""a\n""# || raw == br#"[1, {"b": null}]"#);
//!             }
//!         }
//!     }
//! }
//! scanner.end()?;
//!
//! let mut inside = *br"\u00fc\ud83d\ude00";
//! let n = unescape(&mut inside, Lone::Refused)?;
//! assert_eq!(&inside[..n], "ü😀".as_bytes());
//! # Ok::<(), stillwire::json::Invalid>(())
//! ```

/// This is not JSON, or it is nested deeper than [`MAX_DEPTH`], or a number is above what fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invalid JSON at byte {at}")]
pub struct Invalid {
    /// Where, in bytes from the beginning.
    pub at: usize,
}

mod scan;
mod string;

pub use scan::{MAX_DEPTH, Raw, Scanner};
pub use string::{Lone, escape, escaped_len, integer, unescape, write_integer};
