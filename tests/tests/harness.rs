//! The harness itself: a good machine passes, and one that breaks a law is caught, law by law.

use core::time::Duration;

use proptest::prelude::*;
use stillwire::{Inbox, Instant, Machine, Outbox, Progress};
use stillwire_tests::{Options, Seen, Subject, laws, transcript::Transcript};

/// What is wrong with a machine.
const NOTHING: u8 = 0;
const SHOWS_CHUNKS: u8 = 1;
const SEARCHES_AGAIN: u8 = 2;
const ENDS_TWICE: u8 = 3;
const FORGETS_ITS_DEADLINE: u8 = 4;
const LOSES_REPLIES: u8 = 5;
const WAKES_UP: u8 = 6;

/// Lines, echoed with `>` in front; `quit` ends it; silence ends it after ten seconds.
#[derive(Debug, Default)]
struct Lines<const FAULT: u8> {
    searched: usize,
    shown: Option<usize>,
    used: usize,
    quit: bool,
    heard: Option<Instant>,
    closings: u8,
}

#[derive(Debug, thiserror::Error)]
#[error("a line is too long")]
struct TooLong;

impl<const FAULT: u8> Machine for Lines<FAULT> {
    type Event<'i> = &'i [u8];
    type Error = TooLong;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, TooLong> {
        self.release(inbox);
        let due = *self.heard.get_or_insert(now) + Duration::from_secs(10);
        if self.quit || now >= due && FAULT != FORGETS_ITS_DEADLINE {
            inbox.consume(inbox.unread().len());
            self.quit = true;
            if FAULT == ENDS_TWICE && self.closings < 2 {
                self.closings += 1;
                return if self.closings == 1 { Ok(Progress::Closed) } else { Err(TooLong) };
            }
            return Ok(Progress::Closed);
        }
        if outbox.room() < 64 && FAULT != LOSES_REPLIES {
            return Ok(Progress::NeedRoom);
        }
        let from = if FAULT == SEARCHES_AGAIN { 0 } else { self.searched };
        let Some(end) = inbox.search(from, |bytes| bytes.iter().position(|b| *b == b'\n')) else {
            let before = std::mem::replace(&mut self.searched, inbox.unread().len());
            if FAULT == SHOWS_CHUNKS && self.searched > before {
                self.shown = Some(self.searched);
                return Ok(Progress::Event);
            }
            if inbox.unread().len() >= 60 {
                self.quit = true;
                return Err(TooLong);
            }
            self.quit |= inbox.is_finished();
            return Ok(if self.quit { Progress::Closed } else { Progress::NeedInput });
        };
        if end >= 60 {
            self.quit = true;
            return Err(TooLong);
        }
        (self.searched, self.heard) = (0, Some(now));
        (self.shown, self.used) = (Some(end), end + 1);
        self.quit = inbox.unread().get(..end) == Some(b"quit");
        let _ = outbox.put(&[b">", inbox.unread().get(..end).unwrap_or_default(), b"\n"]);
        Ok(Progress::Event)
    }
    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.shown = None;
        inbox.consume(std::mem::take(&mut self.used));
    }
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<&'i [u8]> {
        inbox.unread().get(..self.shown?)
    }
    fn deadline(&self) -> Option<Instant> {
        let spins = if FAULT == WAKES_UP { Duration::ZERO } else { Duration::from_secs(10) };
        (!self.quit).then(|| self.heard.map(|at| at + spins))?
    }
}

impl<const FAULT: u8> Subject for Lines<FAULT> {
    const NAME: &'static str = "lines";
    const INBOXES: &'static [usize] = &[64, 1024];
    type Machine = Self;

    fn build(_: &Options) -> Self {
        Self::default()
    }
    fn show(event: &[u8]) -> Seen {
        Seen::Whole(String::from_utf8_lossy(event).into_owned())
    }
    fn input() -> BoxedStrategy<Vec<u8>> {
        prop_oneof![9 => "([a-z]{0,20}\n){0,40}", 1 => "[a-z\n]{0,99}", 1 => "(quit|[a-z]{0,9}\n){0,9}"]
            .prop_map(String::into_bytes)
            .boxed()
    }
}

#[test]
fn a_good_machine_keeps_every_law() {
    laws::check::<Lines<NOTHING>>(500);
}

/// Lines that are as long as the generated ones may be.
const LONG: &[u8] =
    b"abcdefghijklmnopqrst\nabcdefghijklmnopqrst\nabcdefghijklmnopqrst\nabcdefghijklmnopqrst\n";

/// Each fault on an input that brings it out for certain, and the words of the law that it breaks.
macro_rules! caught {
    ($($name:ident: $fault:ident, $input:expr, cut by $cut:literal, $waits:expr, $law:literal;)*) => {
        $(
            #[test]
            #[should_panic(expected = $law)]
            fn $name() {
                if let Err(broken) = laws::case::<Lines<$fault>>($input, &[$cut], &$waits, 64, false) {
                    panic!("{broken}");
                }
            }
        )*
    };
}
caught! {
    chunks_that_show_are_caught: SHOWS_CHUNKS, LONG, cut by 1, [0], "chunking shows";
    repeated_searches_are_caught: SEARCHES_AGAIN, LONG, cut by 1, [0], "too much work";
    a_second_end_is_caught: ENDS_TWICE, b"quit\nmore\n", cut by 1, [0], "not closed any more";
    a_forgotten_deadline_is_caught: FORGETS_ITS_DEADLINE, b"one\n", cut by 1, [0, 20_000], "a deadline that is past, and was not acted on";
    lost_replies_are_caught: LOSES_REPLIES, &LONG.repeat(9), cut by 63, [0], "a slow reader gets other bytes";
    spinning_is_caught: WAKES_UP, b"one\ntwo\n", cut by 1, [0], "a deadline that is past, and was not acted on";
}

const GOOD: &str = r#"
machine lines
< "one\ntw" 6f 0a
! one
! two
> ">one\n>two\n"
@ 9999ms
@ 1ms
! closed
"#;

#[test]
fn a_transcript_is_replayed() {
    Transcript::parse(GOOD).replay::<Lines<NOTHING>>();
}

#[test]
fn a_transcript_that_does_not_hold_is_caught() {
    for (right, wrong) in [
        ("! two", "! tow"),
        ("! two", ""),
        ("! one", "! one\n! one"),
        (">one\\n>two\\n", ">one\\n>two"),
        (">one\\n", ">one\\n>"),
        ("@ 1ms", ""),
        ("! closed", ""),
        ("lines", "lines what=1"),
    ] {
        let text = GOOD.replacen(right, wrong, 1);
        assert_ne!(text, GOOD, "the test changes something");
        let result = std::panic::catch_unwind(|| Transcript::parse(&text).replay::<Lines<NOTHING>>());
        assert!(result.is_err(), "not caught: {right:?} -> {wrong:?}");
    }
}
