//! The body that carries messages, the same in both directions but for the name of its number.
//!
//! ```text
//! {"last":7,"messages":["text",{"b64":"AAEC"}]}                                      down: the number of the last
//! {"seq":6,"messages":["text",{"b64":"AAEC"}],"closed":{"code":1000,"reason":""}}    up: the number of the first
//! ```
//! `closed` is the end, has the number behind the last message, and like it is delivered until it is acknowledged.
//! Writing takes records as they lie in a pipe, without a copy; reading takes whatever formatting JSON allows.

use super::record;
use crate::{
    find::{memchr_iter, memrchr},
    json::{self, Invalid, Scanner},
};

/// What a body may need around one record: the longest number, names and brackets.
pub(super) const AROUND: usize = 41;

/// So many records from the front of a pipe fit into one body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    /// Bytes of records.
    pub(super) bytes: usize,
    pub(super) count: u64,
}

/// Takes whole records from `lines` (which ends with a whole one, and holds `count` of them) while a body of
/// `max_bytes` and `max_messages` holds them.
pub(super) fn cut(lines: &[u8], count: u64, max_bytes: usize, max_messages: usize) -> Cut {
    let room = max_bytes.saturating_sub(AROUND);
    let max_messages = u64::try_from(max_messages).unwrap_or(u64::MAX).max(1);
    if lines.len() <= room && count <= max_messages {
        return Cut { bytes: lines.len(), count };
    }
    let mut cut = Cut { bytes: 0, count: 0 };
    for end in memchr_iter(b'\n', lines).map(|at| at + 1) {
        // The first always fits: nobody writes a larger one.
        if cut.count == max_messages || (end > room && cut.count > 0) {
            break;
        }
        cut = Cut { bytes: end, count: cut.count + 1 };
    }
    cut
}

/// Messages as a body, in parts that lie where they lay before.
///
/// Write the [`parts`](Self::parts) one behind the other, or take [`to_vec`](Self::to_vec).
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    head: [u8; AROUND],
    head_len: usize,
    lines: &'a [u8],
    closed: Option<&'a [u8]>,
    count: u64,
}

impl<'a> Batch<'a> {
    /// `lines` are whole records, at least one; `number` is what stands under `name`.
    pub(super) fn new(name: &str, number: u64, lines: &'a [u8], count: u64) -> Self {
        let inside = lines.strip_suffix(record::END).unwrap_or(lines);
        let last = memrchr(b'\n', inside).map_or(0, |at| at + 1);
        let closed = lines.get(last..).filter(|line| record::is_closed(line));
        let lines = match closed {
            Some(_) => lines.get(..last.saturating_sub(record::END.len())).unwrap_or_default(),
            None => inside,
        };
        let mut batch = Self {
            head: [0; AROUND],
            head_len: 0,
            lines,
            closed: closed.map(record::closed_member),
            count: count - u64::from(closed.is_some()),
        };
        for part in
            [b"{\"", name.as_bytes(), b"\":", json::write_integer(number, &mut [0; 20]), b",\"messages\":["]
        {
            let end = batch.head_len + part.len();
            if let Some(place) = batch.head.get_mut(batch.head_len..end) {
                place.copy_from_slice(part);
                batch.head_len = end;
            }
        }
        batch
    }

    /// The body, in order. Some parts may be empty.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 5] {
        let head = self.head.get(..self.head_len).unwrap_or_default();
        match self.closed {
            Some(closed) => [head, self.lines, b"],", closed, b"}"],
            None => [head, self.lines, b"]", b"", b"}"],
        }
    }

    /// The bytes of the body: what `Content-Length` says. Never above `Config::max_bytes`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Never: even the body around nothing but an end has bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages it carries; the end is not one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether it says that the session is over.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.closed.is_some()
    }

    /// The whole body in one piece.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_vec(&self) -> alloc::vec::Vec<u8> {
        self.parts().concat()
    }
}

/// A body that came, checked whole.
#[derive(Clone, Debug)]
pub(super) struct Body<'b> {
    pub(super) number: u64,
    /// How many messages there are, the end not counted.
    pub(super) count: u64,
    pub(super) closed: Option<(u16, &'b [u8])>,
    /// Stands at the first message.
    messages: Scanner<'b>,
}

impl<'b> Body<'b> {
    /// Reads an object with an integer under `name`, an array under `messages`, perhaps `closed`. Other members are
    /// skipped, so that later versions may add some; two of the same name are refused.
    pub(super) fn parse(bytes: &'b [u8], name: &str) -> Result<Self, Invalid> {
        let mut scanner = Scanner::new(bytes);
        let (mut number, mut messages, mut closed) = (None, None, None);
        if !crate::text::is_utf8(bytes) {
            return scanner.invalid();
        }
        scanner.open(b'{')?;
        while scanner.more(b'}')? {
            match scanner.key()? {
                key if key.is(name) && number.is_none() => number = Some(scanner.integer()?),
                key if key.is("messages") && messages.is_none() => {
                    scanner.open(b'[')?;
                    let first = scanner.clone();
                    let mut count = 0;
                    while scanner.more(b']')? {
                        record::canonical(&mut scanner)?;
                        count += 1;
                    }
                    messages = Some((first, count));
                }
                key if key.is("closed") && closed.is_none() => {
                    closed = Some(record::canonical_closed(&mut scanner)?);
                }
                key if [name, "messages", "closed"].iter().any(|known| key.is(known)) => {
                    return scanner.invalid();
                }
                _ => drop(scanner.value()?),
            }
        }
        scanner.end()?;
        match (number, messages) {
            (Some(number), Some((messages, count))) => Ok(Self { number, count, closed, messages }),
            _ => scanner.invalid(),
        }
    }

    /// Messages and the end.
    pub(super) fn total(&self) -> u64 {
        self.count + u64::from(self.closed.is_some())
    }

    /// The messages but for the first `seen`, each as the parts of a record.
    pub(super) fn records(&self, seen: u64) -> impl Iterator<Item = [&'b [u8]; 3]> {
        let mut scanner = self.messages.clone();
        core::iter::from_fn(move || {
            scanner.more(b']').ok().filter(|more| *more)?;
            record::canonical(&mut scanner).ok()
        })
        .skip(usize::try_from(seen).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String, vec, vec::Vec};

    fn body(batch: &Batch<'_>) -> String {
        assert_eq!(batch.len(), batch.parts().concat().len());
        String::from_utf8(batch.parts().concat()).unwrap()
    }

    #[test]
    fn records_become_bodies() {
        let lines = b"\"a\",\n{\"b64\":\"\"},\n";
        let batch = Batch::new("last", 12, lines, 2);
        assert_eq!(body(&batch), "{\"last\":12,\"messages\":[\"a\",\n{\"b64\":\"\"}]}");
        assert_eq!((batch.count(), batch.is_last()), (2, false));
        let end = b"{\"closed\":{\"code\":1000,\"reason\":\"\"}},\n";
        let batch = Batch::new("last", 3, end, 1);
        assert_eq!(body(&batch), "{\"last\":3,\"messages\":[],\"closed\":{\"code\":1000,\"reason\":\"\"}}");
        assert_eq!((batch.count(), batch.is_last()), (0, true));
        let both = [&lines[..], end].concat();
        let batch = Batch::new("seq", u64::MAX, &both, 3);
        assert_eq!(
            body(&batch),
            format!(
                "{{\"seq\":{},\"messages\":[\"a\",\n{{\"b64\":\"\"}}],\"closed\":{{\"code\":1000,\"reason\":\"\"}}}}",
                u64::MAX
            )
        );
        let json = body(&batch);
        assert_eq!(Body::parse(json.as_bytes(), "seq").unwrap().closed, Some((1000, &b""[..])));
    }

    #[test]
    fn a_cut_never_passes_a_limit_and_never_starves() {
        let lines = b"\"aaaa\",\n".repeat(10); // 8 bytes each
        for max_messages in 1..12 {
            for max_bytes in 49..140 {
                let cut = cut(&lines, 10, max_bytes, max_messages);
                assert_eq!(cut.bytes as u64, cut.count * 8);
                assert!(cut.count >= 1 && cut.count <= max_messages as u64);
                let batch = Batch::new("last", u64::MAX, &lines[..cut.bytes], cut.count);
                assert!(batch.len() <= max_bytes, "{} > {max_bytes}", batch.len());
                let more = cut.bytes + 8 + AROUND;
                assert!(cut.count == 10 || cut.count == max_messages as u64 || more > max_bytes);
            }
        }
    }

    /// What a body needs around its records is never more than is kept for it.
    #[test]
    fn around_is_enough() {
        let mut end = vec![0; record::closed_len("why")];
        record::write_closed(1000, "why", &mut end);
        for lines in [b"\"\",\n".to_vec(), end.clone(), [&b"\"\",\n"[..], &end].concat()] {
            let batch = Batch::new("last", u64::MAX, &lines, 2);
            assert!(batch.len() <= lines.len() + AROUND, "{}", batch.len());
        }
    }

    #[test]
    fn bodies_are_read_in_any_formatting_and_strictly() {
        let records = |json: &str, seen| -> Vec<u8> {
            let body = Body::parse(json.as_bytes(), "seq").unwrap();
            body.records(seen).flat_map(|parts| parts.concat()).collect()
        };
        let json =
            " { \"messages\" : [ \"a\" , { \"b64\" : \"\" } ] , \"x\" : [ { } ] ,\n\"\\u0073eq\" : 3 }\t";
        assert_eq!(records(json, 0), b"\"a\",\n{\"b64\":\"\"},\n");
        assert_eq!(records(json, 1), b"{\"b64\":\"\"},\n");
        assert_eq!(records(json, 9), b"");
        for bad in [
            "",
            "[]",
            "{}",
            "{\"seq\":1}",
            "{\"messages\":[]}",
            "{\"seq\":1,\"messages\":{}}",
            "{\"seq\":-1,\"messages\":[]}",
            "{\"seq\":1.0,\"messages\":[]}",
            "{\"seq\":\"1\",\"messages\":[]}",
            "{\"seq\":1,\"seq\":1,\"messages\":[]}",
            "{\"seq\":1,\"messages\":[],\"messages\":[]}",
            "{\"seq\":1,\"messages\":[1]}",
            "{\"seq\":1,\"messages\":[\"a\",]}",
            "{\"seq\":1,\"messages\":[\"a\"]}}",
            "{\"seq\":1,\"messages\":[\"a\"]",
            "{\"seq\":1,\"messages\":[],\"closed\":null}",
            "{\"seq\":1,\"messages\":[],\"closed\":{\"code\":1005}}",
        ] {
            assert!(Body::parse(bad.as_bytes(), "seq").is_err(), "{bad}");
        }
        assert!(Body::parse(b"{\"seq\":1,\"messages\":[\"\xff\"]}", "seq").is_err());
    }
}
