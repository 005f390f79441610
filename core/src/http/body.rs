//! Where a body ends, and its bytes: one decoder for both sides (RFC 9112, 6 and 7).

use core::ops::Range;

use super::error::Error;
use crate::{Inbox, find::memchr};

/// The longest line of chunked framing: a size with its extensions, or a trailer.
const MAX_LINE: usize = 1024;
/// Extensions and trailers may cost so many bytes more than 16 for each chunk and two for each byte of data.
const MAX_EXCESS: u32 = 16 * 1024;

/// How a head says where its body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    Exactly(u64),
    Chunked,
    /// Only an answer: with the connection.
    UntilEnd,
}

/// What a step through the body came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// So many bytes of data were taken to what is held; they wait in [`Window::held`] unless they are dropped.
    Data(usize),
    /// More bytes are needed.
    Starved,
    Complete,
}

/// The places in the inbox: `[used up][held][gap][raw]`.
///
/// What is used up is not always given back at once: a peer that sends many requests at a time would make the
/// inbox move all of them forward for each one that is answered.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: usize,
    end: usize,
    /// Where the bytes begin that were not looked at yet.
    raw: usize,
}

impl Window {
    /// The head that is shown, or the piece of a body, or what was collected of it.
    pub(super) fn held(&self) -> Range<usize> {
        self.start..self.end
    }

    pub(super) fn raw(&self) -> usize {
        self.raw
    }

    /// Takes the next `n` raw bytes to what is held; moves them only if something lies between.
    pub(super) fn hold(&mut self, n: usize, inbox: &mut Inbox<'_>) {
        if self.held().is_empty() {
            (self.start, self.end) = (self.raw, self.raw);
        }
        let from = self.raw..self.raw + n;
        self.raw = from.end;
        inbox.move_down(from, self.end);
        self.end += n;
    }

    pub(super) fn skip(&mut self, n: usize) {
        self.raw += n;
    }

    /// What is held was seen.
    pub(super) fn release(&mut self) {
        (self.start, self.end) = (self.raw, self.raw);
    }

    /// Gives the inbox back what is used up: all of it, or only if that pays for moving the rest.
    pub(super) fn give_back(&mut self, all: bool, inbox: &mut Inbox<'_>) {
        let used = if self.held().is_empty() { self.raw } else { self.start };
        if all || used >= inbox.unread().len().saturating_sub(used) {
            inbox.consume(used);
            *self = Self {
                start: self.start.saturating_sub(used),
                end: self.end.saturating_sub(used),
                raw: self.raw - used,
            };
        }
    }

    /// Makes what room there is for more raw bytes; `false` if there is none.
    pub(super) fn make_room(&mut self, inbox: &mut Inbox<'_>) -> bool {
        self.give_back(true, inbox);
        if inbox.unread().len() == inbox.capacity() && !self.held().is_empty() {
            inbox.close_gap(self.end..self.raw);
            self.raw = self.end;
        }
        inbox.unread().len() < inbox.capacity()
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Exactly(u64),
    UntilEnd,
    /// The line with the size of the next chunk comes.
    Size,
    Chunk(u64),
    /// CR LF comes.
    ChunkEnd,
    Trailers,
    Complete,
}

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// How much of an incomplete line was searched for its end.
    searched: usize,
    excess: u32,
    limit: Option<usize>,
}

impl Body {
    pub(super) fn new(length: Length) -> Self {
        let state = match length {
            Length::Exactly(0) => State::Complete,
            Length::Exactly(n) => State::Exactly(n),
            Length::Chunked => State::Size,
            Length::UntilEnd => State::UntilEnd,
        };
        Self { state, searched: 0, excess: 0, limit: None }
    }

    /// The whole body is wanted in one piece, if it is no larger than that.
    pub(super) fn collect(&mut self, limit: usize) {
        self.limit = Some(limit);
    }

    pub(super) fn is_collected(&self) -> bool {
        self.limit.is_some()
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// How many bytes of it are still to come, at least: `None` if nobody knows.
    pub(super) fn rest(&self) -> Option<u64> {
        match self.state {
            State::Exactly(n) => Some(n),
            State::Complete => Some(0),
            _ => None,
        }
    }

    /// One step. `drop`: nobody wants the data.
    pub(super) fn step(
        &mut self,
        drop: bool,
        window: &mut Window,
        inbox: &mut Inbox<'_>,
    ) -> Result<Step, Error> {
        loop {
            let raw = inbox.unread().len().saturating_sub(window.raw());
            match self.state {
                State::Complete => return Ok(Step::Complete),
                State::Exactly(left) | State::Chunk(left) => {
                    self.check_limit(left, drop, window, inbox)?;
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(raw);
                    if n == 0 {
                        return Ok(Step::Starved);
                    }
                    let left = left - n as u64;
                    self.state = match self.state {
                        State::Exactly(_) if left == 0 => State::Complete,
                        State::Exactly(_) => State::Exactly(left),
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::Chunk(left),
                    };
                    return Ok(take(n, drop, window, inbox));
                }
                State::UntilEnd if raw > 0 => {
                    self.check_limit(raw as u64, drop, window, inbox)?;
                    return Ok(take(raw, drop, window, inbox));
                }
                State::UntilEnd if inbox.is_finished() => self.state = State::Complete,
                State::UntilEnd => return Ok(Step::Starved),
                State::ChunkEnd => match inbox.unread().get(window.raw()..).unwrap_or_default() {
                    [] | [b'\r'] => return Ok(Step::Starved),
                    [b'\r', b'\n', ..] => {
                        window.skip(2);
                        self.state = State::Size;
                    }
                    _ => return Err(Error::Chunk),
                },
                State::Size | State::Trailers => {
                    let Some(end) = inbox.search(window.raw() + self.searched, |bytes| memchr(b'\n', bytes))
                    else {
                        self.searched = raw;
                        return if raw > MAX_LINE { Err(Error::Chunk) } else { Ok(Step::Starved) };
                    };
                    let line = inbox.unread().get(window.raw()..=end).unwrap_or_default();
                    if line.len() > MAX_LINE {
                        return Err(Error::Chunk);
                    }
                    let length = line.len();
                    self.state = self.read_line(line)?;
                    self.searched = 0;
                    window.skip(length);
                }
            }
        }
    }

    fn read_line(&mut self, line: &[u8]) -> Result<State, Error> {
        let text = line.strip_suffix(b"\r\n").ok_or(Error::Chunk)?;
        if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Error::Chunk);
        }
        self.excess = self.excess.saturating_add(line.len() as u32);
        let next = match self.state {
            State::Trailers if text.is_empty() => State::Complete,
            State::Trailers if is_trailer(text) => State::Trailers,
            State::Trailers => return Err(Error::Chunk),
            _ => {
                let size = chunk_size(text).ok_or(Error::Chunk)?;
                let paid = size.saturating_mul(2).saturating_add(16);
                self.excess = self.excess.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX));
                if size == 0 { State::Trailers } else { State::Chunk(size) }
            }
        };
        if self.excess > MAX_EXCESS { Err(Error::Chunk) } else { Ok(next) }
    }

    /// Refuses a body whose whole length is known to be too large.
    pub(super) fn check_declared(&self, inbox: &Inbox<'_>) -> Result<(), Error> {
        match self.state {
            State::Exactly(n) => self.check_limit(n, false, &Window::default(), inbox),
            _ => Ok(()),
        }
    }

    /// A declared length is refused before its bytes are waited for.
    fn check_limit(&self, more: u64, drop: bool, window: &Window, inbox: &Inbox<'_>) -> Result<(), Error> {
        let Some(limit) = self.limit.filter(|_| !drop) else { return Ok(()) };
        let limit = limit.min(inbox.capacity());
        let held = window.held().len() as u64;
        if held.saturating_add(more) > limit as u64 { Err(Error::TooLarge { limit }) } else { Ok(()) }
    }

    /// Called when a step was starved: room for what it waits for.
    pub(super) fn make_room(&self, window: &mut Window, inbox: &mut Inbox<'_>) -> Result<(), Error> {
        if window.make_room(inbox) {
            return Ok(());
        }
        // What is held leaves no room for a line of the framing, or nothing is held and the line is too long.
        match window.held().len() {
            0 => Err(Error::Chunk),
            limit => Err(Error::TooLarge { limit }),
        }
    }
}

fn take(n: usize, drop: bool, window: &mut Window, inbox: &mut Inbox<'_>) -> Step {
    if drop {
        window.skip(n);
    } else {
        window.hold(n, inbox);
    }
    Step::Data(n)
}

/// `chunk-size [ chunk-ext ]`: hexadecimal digits, at most 16 of them, then nothing or an extension, which is
/// ignored (RFC 9112, 7.1.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at_checked(digits)?;
    let rest = rest.trim_ascii_start();
    if digits > 16 || !(rest.is_empty() && line.len() == digits || rest.first() == Some(&b';')) {
        return None;
    }
    u64::from_str_radix(core::str::from_utf8(size).ok()?, 16).ok()
}

/// Trailers are checked for their form and dropped (RFC 9112, 7.1.2).
fn is_trailer(line: &[u8]) -> bool {
    line.iter().position(|byte| *byte == b':').and_then(|at| line.get(..at)).is_some_and(is_token)
}

/// `token` of RFC 9110, 5.6.2.
pub(crate) fn is_token(name: &[u8]) -> bool {
    let is_tchar = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(is_tchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_chunks() {
        for (line, size) in [
            (&b"0"[..], Some(0)),
            (b"1F", Some(31)),
            (b"0000000000000005", Some(5)),
            (b"ffffffffffffffff", Some(u64::MAX)),
            (b"5;a=b", Some(5)),
            (b"5 \t;a", Some(5)),
            (b"5;", Some(5)),
            (b"", None),
            (b";a", None),
            (b"00000000000000005", None),
            (b"10000000000000000", None),
            (b"+5", None),
            (b"-5", None),
            (b"0x5", None),
            (b" 5", None),
            (b"5 ", None),
            (b"5 a", None),
            (b"5,5", None),
            (b"5_0", None),
            (b"g", None),
        ] {
            assert_eq!(chunk_size(line), size, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn trailers_have_a_name() {
        assert!(is_trailer(b"a: b") && is_trailer(b"a:"));
        assert!(!is_trailer(b"a") && !is_trailer(b": b") && !is_trailer(b" a: b") && !is_trailer(b"a : b"));
    }

    #[test]
    fn tokens() {
        let is = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(
            (0..=255).all(|byte| is_token(&[byte]) == is(byte) && is_token(&[b'a', byte, b'a']) == is(byte))
        );
        assert!(!is_token(b""));
    }
}
