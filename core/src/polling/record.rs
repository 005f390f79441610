//! One message as one line of JSON.
//!
//! ```text
//! "text",\n
//! {"b64":"AAEC"},\n
//! {"closed":{"code":1000,"reason":"bye"}},\n      the last one
//! ```
//! A string of JSON holds no line break, and a line break between values means nothing to JSON. So records are split
//! by searching for one byte, and any run of them without its last two bytes is the inside of an array: a batch is
//! composed around the bytes as they lie there.

use core::ops::Range;

use ::base64::{Engine, engine::general_purpose::STANDARD};

use super::Error;
use crate::{
    json::{self, Invalid, Lone, Scanner},
    text::is_utf8,
};

/// What ends every record.
pub(super) const END: &[u8] = b",\n";
const BINARY: (&[u8], &[u8]) = (b"{\"b64\":\"", b"\"},\n");
const CLOSED: (&[u8], &[u8], &[u8]) = (b"{\"closed\":{\"code\":", b",\"reason\":\"", b"\"}},\n");

/// The length of a close record without a reason: the room that every outbox keeps for it.
pub(super) const GOODBYE: usize = CLOSED.0.len() + 4 + CLOSED.1.len() + CLOSED.2.len();

/// Where in its line the content of a record lies, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Text(Range<usize>),
    Binary(Range<usize>),
    Closed { code: u16, reason: Range<usize> },
}

/// Reads a whole line, its end included, and decodes it in place.
pub(super) fn parse(line: &mut [u8]) -> Result<Content, Error> {
    if line.first() == Some(&b'"') {
        return Ok(Content::Text(string(line, 1, b"\",\n")?));
    }
    if line.starts_with(BINARY.0) {
        let range = string(line, BINARY.0.len(), BINARY.1)?;
        let n = line.get_mut(range.clone()).and_then(decode).ok_or(Error::NotBase64)?;
        return Ok(Content::Binary(range.start..range.start + n));
    }
    let digits = line.strip_prefix(CLOSED.0).and_then(|rest| rest.get(..4)).and_then(json::integer);
    let code = digits.and_then(|code| u16::try_from(code).ok()).filter(|code| is_close_code(*code));
    let reason = CLOSED.0.len() + 4;
    match code {
        Some(code) if line.get(reason..).is_some_and(|rest| rest.starts_with(CLOSED.1)) => {
            Ok(Content::Closed { code, reason: string(line, reason + CLOSED.1.len(), CLOSED.2)? })
        }
        _ => Err(Error::NotARecord),
    }
}

/// Unescapes what stands between `start` and the `end` of the line.
fn string(line: &mut [u8], start: usize, end: &[u8]) -> Result<Range<usize>, Error> {
    let stop = line.len().saturating_sub(end.len());
    if !line.ends_with(end) {
        return Err(Error::NotARecord);
    }
    let inside = line.get_mut(start..stop).ok_or(Error::NotARecord)?;
    let n = json::unescape(inside, Lone::Replaced).map_err(|_| Error::NotARecord)?;
    if !is_utf8(inside.get(..n).unwrap_or_default()) {
        return Err(Error::NotUtf8);
    }
    Ok(start..start + n)
}

/// The codes that may be said (RFC 6455 §7.4).
pub(super) fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=4999) && !matches!(code, 1004..=1006 | 1015)
}

/// Whether a line is a close record.
pub(super) fn is_closed(line: &[u8]) -> bool {
    line.starts_with(CLOSED.0)
}

/// What stands in a close record between the outer braces: `"closed":{…}`.
pub(super) fn closed_member(line: &[u8]) -> &[u8] {
    line.get(1..line.len().saturating_sub(3)).unwrap_or_default()
}

// --- writing ---

pub(super) fn text_len(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| json::escaped_len(part)).sum::<usize>() + 2 + END.len()
}

pub(super) fn write_text(parts: &[&[u8]], out: &mut [u8]) {
    let mut at = put(out, 0, b"\"");
    for part in parts {
        at += json::escape(part, out.get_mut(at..).unwrap_or_default());
    }
    put(out, at, b"\",\n");
}

pub(super) fn binary_len(parts: &[&[u8]]) -> usize {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    BINARY.0.len() + len.div_ceil(3).saturating_mul(4) + BINARY.1.len()
}

pub(super) fn write_binary(parts: &[&[u8]], out: &mut [u8]) {
    let mut at = put(out, 0, BINARY.0);
    // Three bytes of one message may lie in three parts.
    let mut block = [0; 384];
    let mut held = 0;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(block.len() - held));
            held = put(&mut block, held, now);
            rest = later;
            if held == block.len() {
                at += encode(&block, out.get_mut(at..).unwrap_or_default());
                held = 0;
            }
        }
    }
    let rest = block.get(..held).unwrap_or_default();
    at += encode(rest, out.get_mut(at..).unwrap_or_default());
    put(out, at, BINARY.1);
}

pub(super) fn closed_len(reason: &str) -> usize {
    GOODBYE + json::escaped_len(reason.as_bytes())
}

pub(super) fn write_closed(code: u16, reason: &str, out: &mut [u8]) {
    let mut at = put(out, 0, CLOSED.0);
    at = put(out, at, json::write_integer(code.into(), &mut [0; 20]));
    at = put(out, at, CLOSED.1);
    at += json::escape(reason.as_bytes(), out.get_mut(at..).unwrap_or_default());
    put(out, at, CLOSED.2);
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
    at + bytes.len()
}

/// Writes base64 to the beginning of `out`; how much.
fn encode(bytes: &[u8], out: &mut [u8]) -> usize {
    if cfg!(target_os = "none") {
        let len = bytes.len().div_ceil(3) * 4;
        return out
            .get_mut(..len)
            .map_or(0, |out| crate::base64::encode(crate::base64::STANDARD, bytes, out));
    }
    STANDARD.encode_slice(bytes, out).unwrap_or(0)
}

/// Decodes base64 in place.
fn decode(bytes: &mut [u8]) -> Option<usize> {
    if cfg!(target_os = "none") {
        return crate::base64::decode(bytes);
    }
    let mut block = [0; 256];
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let n = block.len().min(bytes.len() - from);
        let block = block.get_mut(..n)?;
        block.copy_from_slice(bytes.get(from..from + n)?);
        from += n;
        let written = STANDARD.decode_slice(&*block, bytes.get_mut(to..from)?).ok()?;
        // Padding is for the end alone.
        if from < bytes.len() && written != 192 {
            return None;
        }
        to += written;
    }
    Some(to)
}

// --- records out of any JSON ---

/// The next message in somebody else's formatting, as the parts of our record. Both kinds of messages keep the
/// inside of their string as it is, whatever way it is escaped.
pub(super) fn canonical<'j>(scanner: &mut Scanner<'j>) -> Result<[&'j [u8]; 3], Invalid> {
    if scanner.peek() == Some(b'"') {
        return Ok([b"\"", scanner.string()?.as_bytes(), b"\",\n"]);
    }
    let mut base64 = None;
    scanner.open(b'{')?;
    while scanner.more(b'}')? {
        let known = scanner.key()?.is("b64") && base64.is_none();
        base64 = Some(if known { scanner.string()?.as_bytes() } else { return scanner.invalid() });
    }
    base64.map_or_else(|| scanner.invalid(), |base64| Ok([BINARY.0, base64, BINARY.1]))
}

/// The same for the value of `closed`: its code and its reason, the latter still escaped.
pub(super) fn canonical_closed<'j>(scanner: &mut Scanner<'j>) -> Result<(u16, &'j [u8]), Invalid> {
    let (mut code, mut reason) = (None, None);
    scanner.open(b'{')?;
    while scanner.more(b'}')? {
        match scanner.key()? {
            key if key.is("code") && code.is_none() => code = Some(scanner.integer()?),
            key if key.is("reason") && reason.is_none() => reason = Some(scanner.string()?.as_bytes()),
            _ => return scanner.invalid(),
        }
    }
    let code = code.and_then(|code| u16::try_from(code).ok()).filter(|code| is_close_code(*code));
    code.map_or_else(|| scanner.invalid(), |code| Ok((code, reason.unwrap_or_default())))
}

/// A close record in parts; `digits` is where its code is written.
pub(super) fn closed_parts<'a>(code: u16, reason: &'a [u8], digits: &'a mut [u8; 20]) -> [&'a [u8]; 5] {
    [CLOSED.0, json::write_integer(code.into(), digits), CLOSED.1, reason, CLOSED.2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    fn text(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; text_len(parts)];
        write_text(parts, &mut out);
        out
    }

    fn binary(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; binary_len(parts)];
        write_binary(parts, &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(text(&[b"say \"", b"hi\"\n"]), b"\"say \\\"hi\\\"\\n\",\n");
        assert_eq!(binary(&[&[0, 1], &[2]]), b"{\"b64\":\"AAEC\"},\n");
        let bytes: Vec<u8> = (0..2000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for len in (0..40).chain(180..200).chain(380..390).chain(760..780).chain([1999]) {
            for cut in [0, 1, 2, len / 2, len] {
                let (a, b) = bytes[..len].split_at(cut.min(len));
                let mut line = binary(&[a, b, b""]);
                let Ok(Content::Binary(range)) = parse(&mut line) else { panic!("{len}") };
                assert_eq!(line[range], bytes[..len]);
            }
        }
        let mut line = vec![0; closed_len("a\"b")];
        write_closed(4000, "a\"b", &mut line);
        assert_eq!(line, b"{\"closed\":{\"code\":4000,\"reason\":\"a\\\"b\"}},\n");
        assert_eq!(closed_member(&line), b"\"closed\":{\"code\":4000,\"reason\":\"a\\\"b\"}");
        let Ok(Content::Closed { code: 4000, reason }) = parse(&mut line) else { panic!() };
        assert_eq!(&line[reason], b"a\"b");
        assert_eq!(closed_len(""), GOODBYE);
    }

    #[test]
    fn a_line_is_checked_whole() {
        for (line, error) in [
            ("", Error::NotARecord),
            ("\n", Error::NotARecord),
            (",\n", Error::NotARecord),
            ("\",\n", Error::NotARecord),
            ("\"a\"\n", Error::NotARecord),
            ("\"a\\\",\n", Error::NotARecord),
            ("\"a\",\"b\",\n", Error::NotARecord),
            ("\"a\u{1}\",\n", Error::NotARecord),
            ("1,\n", Error::NotARecord),
            ("{\"b64\":\"AA\"},\n", Error::NotBase64),
            ("{\"b64\":\"AB==\"},\n", Error::NotBase64),
            ("{\"b64\":\"AA==AA==\"},\n", Error::NotBase64),
            ("{\"b64\":\"AAA-\"},\n", Error::NotBase64),
            ("{\"b64\":\"AAAA\",\"x\":1},\n", Error::NotARecord),
            ("{\"b64\":\"},\n", Error::NotARecord),
            ("{\"closed\":{\"code\":999,\"reason\":\"\"}},\n", Error::NotARecord),
            ("{\"closed\":{\"code\":1006,\"reason\":\"\"}},\n", Error::NotARecord),
            ("{\"closed\":{\"code\":10000,\"reason\":\"\"}},\n", Error::NotARecord),
            ("{\"closed\":{\"code\":1000,\"reason\":\"}},\n", Error::NotARecord),
        ] {
            assert_eq!(parse(&mut Vec::from(line)), Err(error), "{line}");
        }
        assert_eq!(parse(&mut Vec::from(*b"\"\xff\",\n")), Err(Error::NotUtf8));
    }

    /// Padding where a block of the decoder ends is still refused.
    #[test]
    fn padding_is_for_the_end_alone() {
        for blocks in 1..4 {
            let inside = [&[b'A'; 252][..], b"AA=="].concat().repeat(blocks);
            let mut line = [BINARY.0, &inside, b"AAAA", BINARY.1].concat();
            assert_eq!(parse(&mut line), Err(Error::NotBase64));
        }
    }

    #[test]
    fn other_peoples_formatting_becomes_ours() {
        let joined = |value: &str| canonical(&mut Scanner::new(value.as_bytes())).map(|parts| parts.concat());
        assert_eq!(joined(" \"a\\u0062\" ").unwrap(), b"\"a\\u0062\",\n");
        assert_eq!(joined("{ \"b\\u00364\" :\n\"AA\\/A\" }").unwrap(), b"{\"b64\":\"AA\\/A\"},\n");
        for bad in
            ["1", "{}", "null", "[]", "{\"b64\":1}", "{\"b64\":\"\",\"b64\":\"\"}", "{\"b64\":\"\",\"x\":1}"]
        {
            assert!(joined(bad).is_err(), "{bad}");
        }
        let mut line = joined("{\"b64\":\"\\/\\u002B8=\"}").unwrap();
        assert_eq!(parse(&mut line), Ok(Content::Binary(8..10)));
        let closed = |value: &'static str| canonical_closed(&mut Scanner::new(value.as_bytes()));
        assert_eq!(closed("{\"reason\":\"\\n\", \"code\":3000}"), Ok((3000, &b"\\n"[..])));
        assert_eq!(closed("{\"code\":1000}"), Ok((1000, &b""[..])));
        for bad in ["{}", "{\"code\":1006}", "{\"code\":\"1000\"}", "{\"code\":1000,\"code\":1000}", "1000"] {
            assert!(closed(bad).is_err(), "{bad}");
        }
    }
}
