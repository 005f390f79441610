//! Transcripts: what bytes, moments and commands lead to, as text.
//!
//! ```text
//! # A server answers a ping.                                  (a comment)
//! machine ws/server max_message=100                          the subject and its options; inbox=N, outbox=N
//! on head collect 100                                        a command that follows each such event at once
//!
//! < 89 82 00 00 00 00 "hi"                                    bytes from the peer: hex, "text \r\n \x00", repeats: 00*300
//! < frame ping "hi"                                           or bytes that the subject knows by name
//! ! Ping "hi"                                                 the next event, as the subject shows it
//! > 8a 02 "hi"                                                the next bytes to the peer
//! = send_text hello                                           a command; `=! NotOpen send_text hello` when it must fail
//! @ 25s                                                       time passes (ms, s)
//! < eof                                                       the peer ends its side
//! > eof                                                       the machine has ended its side
//! ! error TimedOut                                            `advance` failed
//! ! closed                                                    `Progress::Closed`
//! ```
//! Bytes that follow each other are fed in chunks of every size; whatever was seen or written must be told before
//! the next cause.

use core::time::Duration;
use std::{collections::VecDeque, fmt::Write as _};

use stillwire::{Inbox, Outbox};

use crate::{
    stage::{End, Stage},
    subject::{Options, Seen, Subject},
};

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// `ws/server`.
    pub subject: String,
    options: String,
    on: Vec<(String, String)>,
    lines: Vec<(usize, char, String)>,
}

impl Transcript {
    /// Parses a file.
    ///
    /// # Panics
    /// With the number of the line that is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self { subject: String::new(), options: String::new(), on: vec![], lines: vec![] };
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            let rest = line.get(1..).unwrap_or_default().trim();
            match line.chars().next() {
                None | Some('#') => {}
                Some(mark @ ('<' | '>' | '!' | '=' | '@')) => {
                    parsed.lines.push((n + 1, mark, rest.to_owned()));
                }
                Some(_) => match line.split_once(' ') {
                    Some(("machine", rest)) => {
                        let (subject, options) = rest.split_once(' ').unwrap_or((rest, ""));
                        (parsed.subject, parsed.options) = (subject.to_owned(), options.to_owned());
                    }
                    Some(("on", rest)) => {
                        let (event, command) = rest.split_once(' ').expect("on EVENT COMMAND");
                        parsed.on.push((event.to_owned(), command.to_owned()));
                    }
                    _ => panic!("line {}: what is {line:?}?", n + 1),
                },
            }
        }
        assert!(!parsed.subject.is_empty(), "the line `machine …` is missing");
        assert!(parsed.lines.iter().any(|(_, mark, _)| matches!(mark, '>' | '!')), "it expects nothing");
        parsed
    }

    /// All bytes of the peer in one piece: a seed for fuzzing, and the longest chunk that makes a difference.
    #[must_use]
    pub fn input<S: Subject>(&self) -> Vec<u8> {
        let data = self.lines.iter().filter(|(_, mark, rest)| *mark == '<' && rest != "eof");
        data.flat_map(|(_, _, rest)| bytes::<S>(rest)).collect()
    }

    /// Replays it at every chunk size, over a growing inbox and over a lent one.
    ///
    /// # Panics
    /// At the first line that does not hold.
    pub fn replay<S: Subject>(&self) {
        let longest = self.input::<S>().len().max(1);
        // Every size up to 300 bytes; above, the sizes that meet each boundary of a long message differently.
        let sizes = (1..=longest.min(300))
            .chain([511, 512, 1000, 4096, longest].into_iter().filter(|n| *n <= longest));
        for size in sizes {
            for lent in [false, true] {
                self.play::<S>(size, lent);
            }
        }
    }

    fn play<S: Subject>(&self, size: usize, lent: bool) {
        let options = Options::parse(&self.options);
        let capacity = options.get("inbox").unwrap_or(S::INBOXES[S::INBOXES.len() - 1]);
        let room = options.get("outbox").unwrap_or(1 << 16);
        let (mut from_peer, mut to_peer) = (vec![0; capacity], vec![0; room]);
        let (inbox, outbox) = match lent {
            true => (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer)),
            false => (Inbox::with_limit(capacity), Outbox::with_limit(room)),
        };
        let mut stage = Stage::<S>::new(&options, inbox, outbox);
        assert!(options.unknown().is_empty(), "unknown options: {:?}", options.unknown());
        stage.on.clone_from(&self.on);
        stage.settle(usize::MAX); // as a driver does before it reads
        let mut player = Player { stage, events: VecDeque::new(), told_end: false, context: String::new() };
        let mut group = Vec::new();
        for (number, mark, rest) in &self.lines {
            player.context =
                format!("line {number}, chunks of {size}{}", if lent { ", lent boxes" } else { "" });
            if *mark == '<' && rest != "eof" {
                if group.is_empty() {
                    player.all_told();
                }
                group.extend(bytes::<S>(rest));
                continue;
            }
            if !group.is_empty() {
                let taken = player.stage.feed(&group, size);
                assert!(
                    taken == group.len()
                        || player.stage.end != End::Open
                        || S::waits_for_you(&player.stage.machine),
                    "{}: only {taken} of {} bytes were taken",
                    player.context,
                    group.len()
                );
                group.clear();
            }
            player.line(*mark, rest);
        }
        if !group.is_empty() {
            player.stage.feed(&group, size);
        }
        player.context = format!("the end, chunks of {size}");
        player.all_told();
    }
}

struct Player<'s, S: Subject> {
    stage: Stage<'s, S>,
    events: VecDeque<String>,
    told_end: bool,
    context: String,
}

impl<S: Subject> Player<'_, S> {
    fn line(&mut self, mark: char, rest: &str) {
        match mark {
            '!' if rest == "closed" => {
                self.take_events();
                assert!(self.events.is_empty(), "{}: before `closed` came {:?}", self.context, self.events);
                assert!(self.stage.end == End::Closed, "{}: not closed, {:?}", self.context, self.stage.end);
                self.told_end = true;
            }
            '!' => {
                self.take_events();
                let next = self.events.pop_front();
                let next = next.as_deref().unwrap_or("(nothing)");
                assert!(next == rest, "{}: expected event\n  {rest}\nbut came\n  {next}", self.context);
            }
            '>' if rest == "eof" => {
                assert!(
                    self.stage.written.is_empty(),
                    "{}: still to be told: {}",
                    self.context,
                    self.output()
                );
                assert!(self.stage.outbox.is_finished(), "{}: its side is not finished", self.context);
            }
            '>' => {
                let expected = bytes::<S>(rest);
                let got = &self.stage.written[..expected.len().min(self.stage.written.len())];
                assert!(
                    got == expected,
                    "{}: expected output\n  {}\nbut came\n  {}",
                    self.context,
                    show(&expected),
                    self.output()
                );
                self.stage.written.drain(..expected.len());
            }
            _ => {
                self.all_told();
                match mark {
                    '<' => self.stage.finish(),
                    '@' => self.stage.wait(duration(rest)),
                    _ => self.command(rest),
                }
            }
        }
    }

    fn command(&mut self, words: &str) {
        let (failure, words) = match words.strip_prefix('!') {
            Some(rest) => rest.trim().split_once(' ').expect("=! ERROR COMMAND"),
            None => ("", words),
        };
        let result = S::command(&mut self.stage.machine, words, &mut self.stage.outbox);
        let got = result.err().unwrap_or_default();
        assert!(got == failure, "{}: the command gave {got:?}, expected {failure:?}", self.context);
        self.stage.settle(usize::MAX);
    }

    fn take_events(&mut self) {
        for seen in self.stage.log.drain(..) {
            self.events.push_back(match seen {
                Seen::Whole(text) => text,
                Seen::Piece(name, bytes) => format!("{name} {}", show(&bytes)),
            });
        }
    }

    fn output(&self) -> String {
        if self.stage.written.is_empty() { "(nothing)".to_owned() } else { show(&self.stage.written) }
    }

    /// Before the next cause, every effect of the last one must have been told.
    fn all_told(&mut self) {
        self.take_events();
        assert!(self.events.is_empty(), "{}: not told: {:?}", self.context, self.events);
        assert!(self.stage.written.is_empty(), "{}: output not told: {}", self.context, self.output());
        if self.stage.end == End::Closed {
            assert!(self.told_end, "{}: `! closed` is missing", self.context);
        }
    }
}

/// `25s`, `250ms`.
fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let n = digits.parse().unwrap_or_else(|_| panic!("not a time: {text:?}"));
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(n),
        "s" => Duration::from_secs(n),
        unit => panic!("not a unit of time: {unit:?}"),
    }
}

/// Hex pairs, quoted text and repeats of both; anything else is the subject's to know.
fn bytes<S: Subject>(words: &str) -> Vec<u8> {
    spelled(words).unwrap_or_else(|| S::bytes(words))
}

/// Bytes that are spelled out: `81 05 "hello" 00*300 "ab"*3`. `None` when there is any other word.
#[must_use]
pub fn spelled(words: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), words.trim_start());
    while !rest.is_empty() {
        let unit;
        (unit, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let byte = u8::from_str_radix(rest.get(..2)?, 16).ok()?;
            (vec![byte], &rest[2..])
        };
        let mut times = 1;
        if let Some(count) = rest.strip_prefix('*') {
            let digits = count.len() - count.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            times = count[..digits].parse().ok()?;
            rest = &count[digits..];
        }
        if !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        rest = rest.trim_start();
        (0..times).for_each(|_| out.extend_from_slice(&unit));
    }
    Some(out)
}

/// The bytes of a quoted text behind its opening quote, and what follows it.
fn unquote(text: &str) -> Option<(Vec<u8>, &str)> {
    let (mut out, mut chars) = (Vec::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'r' => out.push(b'\r'),
                'n' => out.push(b'\n'),
                't' => out.push(b'\t'),
                '0' => out.push(0),
                'x' => {
                    let (high, low) = (chars.next()?.1.to_digit(16)?, chars.next()?.1.to_digit(16)?);
                    out.push((high * 16 + low) as u8);
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}

/// Bytes as a transcript spells them: one quoted text.
#[must_use]
pub fn show(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| {
                    let _ = write!(out, "\\x{b:02x}");
                }),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| {
            let _ = write!(out, "\\x{b:02x}");
        });
    }
    out.push('"');
    out
}
