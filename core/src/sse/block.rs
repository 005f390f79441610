//! Writing blocks: what is written says to the reader what it says here, or it is refused.

use core::time::Duration;

use super::error::BlockError;
use crate::{
    Outbox, SendError, decimal,
    find::{memchr2, memchr3},
};

/// The data of an event to send, one part behind the other; no separator is put between them.
pub type Parts<'a> = &'a [&'a [u8]];

/// One block of a stream: lines, and the empty line that ends them (HTML 9.2.5).
///
/// ```
/// use stillwire::{Outbox, sse::Block};
///
/// let mut room = [0; 64];
/// let mut outbox = Outbox::new(&mut room);
/// let block = Block { event: Some("price"), id: Some("7"), data: Some(&[b"12.50\n", b"EUR"]), ..Block::default() };
/// block.write(&mut outbox)?;
/// assert_eq!(outbox.chunk(), b"event: price\nid: 7\ndata: 12.50\ndata: EUR\n\n");
///
/// // Text that would make lines of its own is refused (event, id) or stays what it is (data, comment).
/// assert!(Block { id: Some("7\ndata: forged"), ..Block::default() }.check().is_err());
/// # Ok::<(), stillwire::SendError>(())
/// ```
///
/// Fields that are `None` are left out. A block without data makes no event, but its ID and its reconnection time take
/// effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Block<'a> {
    /// Text that readers ignore, in front. It may have several lines.
    pub comment: Option<&'a str>,
    /// The event type, without CR, LF or NUL; `None` and the empty one are `message`.
    pub event: Option<&'a str>,
    /// The event ID, without CR, LF or NUL; the empty one means that there is none any more.
    pub id: Option<&'a str>,
    /// How long to wait before connecting again, in whole milliseconds: a rest is rounded up, more than
    /// `u64::MAX` of them are that many.
    pub retry: Option<Duration>,
    /// The data, which must be UTF-8 as a whole: what is not reaches the reader as U+FFFD. CR, LF and CR LF all end a
    /// line of it, and all reach the reader as LF; everything else reaches it as it is, the empty line behind a last
    /// line end, too.
    pub data: Option<Parts<'a>>,
}

impl<'a> Block<'a> {
    /// An event of type `message`.
    #[must_use]
    pub const fn message(data: Parts<'a>) -> Self {
        Self { comment: None, event: None, id: None, retry: None, data: Some(data) }
    }

    /// Whether it can be sent.
    ///
    /// # Errors
    /// [`BlockError`]: which field cannot, and why.
    pub fn check(&self) -> Result<(), BlockError> {
        let forbidden = |text: &str| {
            let text = text.as_bytes();
            memchr3(b'\n', b'\r', 0, text).and_then(|at| text.get(at).copied())
        };
        if let Some(byte) = self.event.and_then(forbidden) {
            return Err(BlockError::Event(byte));
        }
        if let Some(byte) = self.id.and_then(forbidden) {
            return Err(BlockError::Id(byte));
        }
        Ok(())
    }

    /// The number of bytes that [`emit`](Self::emit) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        // What is measured is written to nowhere: twice the same code would be twice the flash.
        if cfg!(target_os = "none") {
            return self.put(&mut []).0;
        }
        let mut len = 0_usize;
        self.pieces(&mut |pieces| {
            len = pieces.iter().fold(len, |len, piece| len.saturating_add(piece.len()));
        });
        len
    }

    /// Writes it to the beginning of `room`, which is at least [`encoded_len`](Self::encoded_len) long, and returns the
    /// rest of `room`. What does not fit is left out.
    ///
    /// It writes what it is given: [`check`](Self::check) first.
    pub fn emit<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.put(room).1
    }

    /// How long it is, and the rest of `room`.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    fn put<'r>(&self, room: &'r mut [u8]) -> (usize, &'r mut [u8]) {
        let (mut len, mut rest) = (0_usize, room);
        self.pieces(&mut |pieces| {
            for piece in pieces {
                len = len.saturating_add(piece.len());
                let (now, later) =
                    core::mem::take(&mut rest).split_at_mut_checked(piece.len()).unwrap_or_default();
                now.copy_from_slice(piece.get(..now.len()).unwrap_or_default());
                rest = later;
            }
        });
        (len, rest)
    }

    /// Checks it and writes it to an outbox, whole or not at all.
    ///
    /// # Errors
    /// [`SendError::Unsuitable`] when [`check`](Self::check) fails, [`SendError::Full`] when there is no room.
    pub fn write(&self, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check()?;
        self.emit(outbox.claim(self.encoded_len())?);
        Ok(())
    }

    /// Checks it and encodes it once for many: see [`Feed::send_shared`](super::Feed::send_shared).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    #[cfg(feature = "alloc")]
    pub fn to_bytes(&self) -> Result<bytes::Bytes, BlockError> {
        self.check()?;
        let mut bytes = alloc::vec![0; self.encoded_len()];
        self.emit(&mut bytes);
        Ok(bytes.into())
    }

    /// Everything that is written, in order.
    fn pieces(&self, put: &mut impl FnMut(&[&[u8]])) {
        if let Some(comment) = self.comment {
            lines(b": ", &[comment.as_bytes()], put);
        }
        if let Some(event) = self.event {
            put(&[b"event: ", event.as_bytes(), b"\n"]);
        }
        if let Some(id) = self.id {
            put(&[b"id: ", id.as_bytes(), b"\n"]);
        }
        if let Some(retry) = self.retry {
            let rest = u64::from(retry.subsec_nanos().div_ceil(1_000_000));
            let millis = retry.as_secs().saturating_mul(1000).saturating_add(rest);
            put(&[b"retry: ", decimal::write(millis, &mut [0; 20]), b"\n"]);
        }
        if let Some(data) = self.data {
            lines(b"data: ", data, put);
        }
        put(&[b"\n"]);
    }
}

/// One line for each line of `parts`, each behind `prefix`. The space at its end stays, so that one at the beginning of the
/// text is not taken for it. A CR LF that two parts share is one line end.
fn lines(prefix: &[u8], parts: Parts<'_>, put: &mut impl FnMut(&[&[u8]])) {
    let mut after_cr = false;
    put(&[prefix]);
    for part in parts {
        let mut rest = *part;
        while let Some(first) = rest.first() {
            if core::mem::take(&mut after_cr) && *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, more) = rest.split_at_checked(end).unwrap_or_default();
            put(&[line]);
            let Some((byte, more)) = more.split_first() else { break };
            put(&[b"\n", prefix]);
            (after_cr, rest) = (*byte == b'\r', more);
        }
    }
    put(&[b"\n"]);
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{string::String, vec, vec::Vec};

    fn written(block: &Block<'_>) -> String {
        let mut room = vec![0xff; block.encoded_len() + 3];
        assert_eq!(block.emit(&mut room), [0xff; 3], "the length is exact");
        room.truncate(room.len() - 3);
        String::from_utf8(room).unwrap()
    }

    fn data(text: &str) -> String {
        written(&Block::message(&[text.as_bytes()]))
    }

    #[test]
    fn every_field_in_order() {
        let block = Block {
            comment: Some("hello"),
            event: Some("e"),
            id: Some("1"),
            retry: Some(Duration::from_secs(2)),
            data: Some(&[b"x"]),
        };
        assert_eq!(written(&block), ": hello\nevent: e\nid: 1\nretry: 2000\ndata: x\n\n");
        assert_eq!(written(&Block::default()), "\n");
        let empty = Block { event: Some(""), id: Some(""), data: Some(&[]), comment: Some(""), retry: None };
        assert_eq!(written(&empty), ": \nevent: \nid: \ndata: \n\n");
    }

    #[test]
    fn data_is_split_at_every_line_end() {
        assert_eq!(data(""), "data: \n\n");
        assert_eq!(data("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(data("a\n"), "data: a\ndata: \n\n");
        assert_eq!(data("\r\r\n\n"), "data: \ndata: \ndata: \ndata: \n\n");
        assert_eq!(data(" a\n: b"), "data:  a\ndata: : b\n\n");
    }

    /// However a text is cut into parts, the same is written.
    #[test]
    fn parts_are_joined() {
        let text = b"a\r\n\r\r\nb\n\rc";
        let whole = written(&Block::message(&[text]));
        for i in 0..=text.len() {
            for j in i..=text.len() {
                let parts: [&[u8]; 4] = [&text[..i], &text[i..j], b"", &text[j..]];
                assert_eq!(written(&Block::message(&parts)), whole);
            }
        }
    }

    #[test]
    fn numbers() {
        let retry = |time| written(&Block { retry: Some(time), ..Block::default() });
        assert_eq!(retry(Duration::ZERO), "retry: 0\n\n");
        assert_eq!(retry(Duration::from_micros(1)), "retry: 1\n\n");
        assert_eq!(retry(Duration::from_millis(1500)), "retry: 1500\n\n");
        assert_eq!(retry(Duration::MAX), "retry: 18446744073709551615\n\n");
    }

    #[test]
    fn room_that_is_too_small_is_no_panic() {
        let block = Block::message(&[b"abc"]);
        let lengths: Vec<usize> = (0..12).map(|n| block.emit(&mut vec![0; n]).len()).collect();
        assert_eq!(lengths.last(), Some(&0));
    }
}
