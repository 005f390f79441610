//! Frame headers (RFC 6455 §5.2): 2 to 14 bytes.

use super::Error;

/// The bit RSV1 in the first byte: with permessage-deflate, the message is compressed (RFC 7692 §6).
#[cfg(feature = "deflate")]
pub(super) const COMPRESSED: u8 = 0x40;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// The answer to a ping, or a sign of life.
    Pong = 10,
}

impl Opcode {
    const fn new(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping and pong: short, whole, and allowed between the fragments of a message (§5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// A frame header, for those who frame by hand: a [`Connection`](super::Connection) does all of it.
///
/// ```
/// use stillwire::ws::{Header, Opcode};
///
/// let header = Header { fin: true, opcode: Opcode::Text, key: None, len: 200 };
/// assert_eq!(header.emit().as_bytes(), [0x81, 126, 0, 200]);
/// assert_eq!(Header::parse(&[0x81, 126, 0, 200], false), Ok(Some(header)));
/// assert_eq!(Header::parse(&[0x81, 126, 0], false), Ok(None)); // one byte is missing
/// assert!(Header::parse(&[0x81, 126, 0, 125], false).is_err()); // not the shortest form
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The last frame of its message.
    pub fin: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The masking key: clients have one in every frame, servers never (§5.1).
    pub key: Option<[u8; 4]>,
    /// Bytes of payload, below 2^63.
    pub len: u64,
}

/// An encoded header.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; Header::MAX],
    size: usize,
}

impl Head {
    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }
}

impl Header {
    /// The longest header.
    pub const MAX: usize = 14;

    /// The header at the beginning of `bytes`, or `None` when it is not there as a whole yet. `masked`: whether the
    /// peer must mask, that is, whether it is the client.
    ///
    /// # Errors
    /// [`Error::Reserved`], [`Error::Masking`], [`Error::Control`] or [`Error::Length`], as soon as the offending
    /// byte is there.
    pub fn parse(bytes: &[u8], masked: bool) -> Result<Option<Self>, Error> {
        Self::parse_with(bytes, masked, false)
    }

    /// As [`parse`](Self::parse). `deflate`: the first frame of a data message may have [`COMPRESSED`].
    pub(super) fn parse_with(bytes: &[u8], masked: bool, deflate: bool) -> Result<Option<Self>, Error> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, Opcode::new(first & 0x0f).ok_or(Error::Reserved)?);
        let may_be_compressed = deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & if may_be_compressed { 0x30 } else { 0x70 } != 0 {
            return Err(Error::Reserved);
        }
        if opcode.is_control() && !fin {
            return Err(Error::Control);
        }
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        if (second & 0x80 != 0) != masked {
            return Err(Error::Masking);
        }
        let short = second & 0x7f;
        if opcode.is_control() && short > 125 {
            return Err(Error::Control);
        }
        let (len, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if (short == 126 && len < 126) || (short == 127 && !(1 << 16..1 << 63).contains(&len)) {
            return Err(Error::Length);
        }
        let key = match (masked, rest.first_chunk::<4>()) {
            (false, _) => None,
            (true, Some(key)) => Some(*key),
            (true, None) => return Ok(None),
        };
        Ok(Some(Self { fin, opcode, key, len }))
    }

    /// The length of this header in bytes.
    #[inline]
    #[must_use]
    pub const fn size(&self) -> usize {
        let wide = match self.len {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        2 + wide + if self.key.is_some() { 4 } else { 0 }
    }

    /// The header as bytes.
    #[inline]
    #[must_use]
    pub fn emit(&self) -> Head {
        let mut bytes = [0; Self::MAX];
        if let Some(word) = self.word() {
            bytes.iter_mut().zip(word.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        } else {
            let [first, second] = self.front(127);
            let [a, b, c, d, e, f, g, h] = self.len.to_be_bytes();
            let [k0, k1, k2, k3] = self.key.unwrap_or_default();
            bytes = [first, second, a, b, c, d, e, f, g, h, k0, k1, k2, k3];
        }
        Head { bytes, size: self.size() }
    }

    /// The header of a frame below 64 KiB as one word, its first byte the lowest, and zeros behind.
    #[inline(always)]
    pub(super) fn word(&self) -> Option<u64> {
        let key = u64::from(u32::from_le_bytes(self.key.unwrap_or_default()));
        let front = |short| u64::from(u16::from_le_bytes(self.front(short)));
        match self.len {
            0..=125 => Some(front(self.len as u8) | key << 16),
            126..=0xffff => Some(
                front(126) | u64::from(u16::from_le_bytes((self.len as u16).to_be_bytes())) << 16 | key << 32,
            ),
            _ => None,
        }
    }

    #[inline]
    const fn front(&self, short: u8) -> [u8; 2] {
        let (fin, bit) = (if self.fin { 0x80 } else { 0 }, if self.key.is_some() { 0x80 } else { 0 });
        [fin | self.opcode as u8, bit | short]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPCODES: [Opcode; 6] =
        [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

    #[test]
    fn what_is_emitted_is_parsed_and_is_needed_whole() {
        for len in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, u64::from(u32::MAX) + 1, (1 << 63) - 1] {
            for opcode in OPCODES {
                for (fin, key) in
                    [(true, None), (false, None), (true, Some([1, 2, 3, 4])), (false, Some([0; 4]))]
                {
                    if opcode.is_control() && (!fin || len > 125) {
                        continue;
                    }
                    let header = Header { fin, opcode, key, len };
                    let head = header.emit();
                    let bytes = head.as_bytes();
                    assert_eq!(bytes.len(), header.size());
                    assert_eq!(Header::parse(bytes, key.is_some()), Ok(Some(header)));
                    assert_eq!(Header::parse(bytes, key.is_none()), Err(Error::Masking));
                    for cut in 0..bytes.len() {
                        assert_eq!(
                            Header::parse(&bytes[..cut], key.is_some()),
                            Ok(None),
                            "{header:?} cut at {cut}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_verdict_on_the_first_byte() {
        for first in 0..=255_u8 {
            let verdict = Header::parse(&[first], true);
            let (fin, opcode) = (first & 0x80 != 0, first & 0xf);
            let expected = match opcode {
                _ if first & 0x70 != 0 => Err(Error::Reserved),
                3..=7 | 11.. => Err(Error::Reserved),
                8..=10 if !fin => Err(Error::Control),
                _ => Ok(None),
            };
            assert_eq!(verdict, expected, "{first:#x}");
        }
    }

    #[test]
    fn lengths_have_one_form() {
        for (bytes, expected) in [
            (&[0x82, 126, 0, 125][..], Err(Error::Length)),
            (&[0x82, 126, 0, 0], Err(Error::Length)),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Err(Error::Length)),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Err(Error::Length)),
            (&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Err(Error::Length)),
            (&[0x89, 126, 0, 126], Err(Error::Control)),
            (&[0x88, 127], Err(Error::Control)),
        ] {
            assert_eq!(Header::parse(bytes, false), expected, "{bytes:?}");
        }
    }
}
