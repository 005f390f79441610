//! The four fields of HTML 9.2.6, and where a parser stands in a line.

use memchr::memchr2;

/// A field that means something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
}

impl Field {
    /// The only field whose name begins with `byte`.
    pub(super) fn by_initial(byte: u8) -> Option<Self> {
        Some(match byte {
            b'd' => Self::Data,
            b'e' => Self::Event,
            b'i' => Self::Id,
            b'r' => Self::Retry,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Data => b"data",
            Self::Event => b"event",
            Self::Id => b"id",
            Self::Retry => b"retry",
        }
    }
}

/// Where the parser stands: before the next byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// At the beginning of the stream, behind so many bytes of a byte order mark.
    Mark(u8),
    /// At the beginning of a line.
    Line,
    /// In what may become this name: so many bytes of it were there.
    Name(Field, u8),
    /// Behind the colon: one space may follow.
    Colon(Field),
    /// In the value.
    Value(Field),
    /// In the rest of a line that means nothing.
    Ignored,
}

/// The byte order mark, U+FEFF in UTF-8.
pub(super) const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Where the line ends: CR, LF or CR LF.
#[inline]
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr2(b'\n', b'\r', bytes)
}

#[inline]
pub(super) fn is_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}
