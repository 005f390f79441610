//! A machine with its boxes, watched while bytes and time come in: what every step must keep is asserted here.

use core::time::Duration;

use stillwire::{Inbox, Instant, Machine, Outbox, Progress};

use crate::subject::{Options, Seen, Subject};

/// How a machine ended, or that it did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It goes on.
    Open,
    /// `advance` failed; the machine still has to say `Closed`.
    Failed(String),
    /// `Progress::Closed`.
    Closed,
}

/// A machine under observation.
#[derive(Debug)]
pub struct Stage<'s, S: Subject> {
    /// The machine.
    pub machine: S::Machine,
    /// Its input.
    pub inbox: Inbox<'s>,
    /// Its output, until it is drained into `written`.
    pub outbox: Outbox<'s>,
    /// The time.
    pub now: Instant,
    /// What was seen and not yet taken, as transcripts show it.
    pub log: Vec<Seen>,
    /// What was written and drained.
    pub written: Vec<u8>,
    /// Whether it is over.
    pub end: End,
    /// Whether the application of the laws answers.
    pub answers: bool,
    /// Commands of a transcript that follow an event at once: prefix of the event, command.
    pub on: Vec<(String, String)>,
    failed: bool,
}

impl<'s, S: Subject> Stage<'s, S> {
    /// A new machine over two boxes.
    pub fn new(options: &Options, inbox: Inbox<'s>, outbox: Outbox<'s>) -> Self {
        Self {
            machine: S::build(options),
            inbox,
            outbox,
            now: Instant::since_epoch(Duration::from_secs(1000)),
            log: Vec::new(),
            written: Vec::new(),
            end: End::Open,
            answers: false,
            on: Vec::new(),
            failed: false,
        }
    }

    /// Feeds `input` in pieces of at most `size` bytes, settling after each; drops what a machine that is over
    /// or that waits for its application does not take. Returns how much was taken.
    pub fn feed(&mut self, input: &[u8], size: usize) -> usize {
        let mut done = 0;
        while done < input.len() {
            let piece = &input[done..input.len().min(done + size)];
            let n = self.inbox.push(piece);
            done += n;
            self.settle(usize::MAX);
            if n == 0 {
                break;
            }
        }
        done
    }

    /// The peer ends its side.
    pub fn finish(&mut self) {
        self.inbox.finish();
        self.settle(usize::MAX);
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.settle(usize::MAX);
    }

    /// Advances until nothing happens any more, draining at most `drain` bytes of output.
    pub fn settle(&mut self, mut drain: usize) {
        // Each round uses up a byte, give or take some.
        let most = 1000 + 2 * self.inbox.capacity();
        for round in 0.. {
            assert!(round < most, "it goes round and round");
            self.drain(&mut drain);
            let progress = self.step();
            let drained = self.drain(&mut drain);
            match progress {
                Progress::Event => {}
                Progress::NeedRoom if drained > 0 => {}
                Progress::NeedRoom => {
                    assert!(!self.outbox.is_empty() || drain == 0, "no room in an empty outbox");
                    return;
                }
                Progress::NeedInput => {
                    let due = self.machine.deadline();
                    assert!(
                        due.is_none_or(|at| at > self.now),
                        "a deadline that is past, and was not acted on"
                    );
                    if !self.inbox.wants() && !self.inbox.is_finished() {
                        assert!(S::waits_for_you(&self.machine), "a full inbox, and nothing happens");
                    }
                    return;
                }
                Progress::Closed => return self.stay_closed(),
            }
        }
    }

    fn step(&mut self) -> Progress {
        match self.machine.advance(self.now, &mut self.inbox, &mut self.outbox) {
            Ok(Progress::Event) => {
                assert!(self.end == End::Open, "an event after the end ({:?})", self.end);
                let event = self.machine.event(&self.inbox).expect("`advance` promised an event");
                self.push(S::show(event));
                self.react();
                Progress::Event
            }
            Ok(progress) => {
                assert!(self.machine.event(&self.inbox).is_none(), "an event that `advance` did not tell of");
                if progress == Progress::Closed {
                    self.end = End::Closed;
                }
                progress
            }
            Err(error) => {
                assert!(!self.failed && self.end == End::Open, "an error after the end: {error}");
                self.failed = true;
                let name = format!("{error:?}");
                self.log.push(Seen::Whole(format!("error {name}")));
                self.end = End::Failed(name);
                Progress::Event // come again: it has to close
            }
        }
    }

    fn react(&mut self) {
        if self.answers {
            let Self { machine, inbox, outbox, .. } = self;
            if let Some(event) = machine.event(inbox) {
                S::answer(event, machine, outbox);
            }
        }
        let Some(Seen::Whole(last)) = self.log.last() else { return };
        for (_, command) in self.on.iter().filter(|(prefix, _)| last.starts_with(prefix.as_str())) {
            S::command(&mut self.machine, command, &mut self.outbox)
                .expect("a command that follows an event");
        }
    }

    fn push(&mut self, seen: Seen) {
        match (self.log.last_mut(), seen) {
            (Some(Seen::Piece(name, bytes)), Seen::Piece(same, more)) if *name == same => bytes.extend(more),
            (_, seen) => self.log.push(seen),
        }
    }

    fn drain(&mut self, most: &mut usize) -> usize {
        let mut drained = 0;
        while !self.outbox.is_empty() && *most > 0 {
            let chunk = self.outbox.chunk();
            let n = chunk.len().min(*most);
            self.written.extend_from_slice(&chunk[..n]);
            self.outbox.advance(n);
            *most -= n;
            drained += n;
        }
        drained
    }

    /// Once closed, closed for ever: no event, no byte, no deadline that would wake anybody.
    fn stay_closed(&mut self) {
        let waiting = self.outbox.capacity() - self.outbox.room();
        for later in [0, 1, 1_000_000] {
            let now = self.now + Duration::from_secs(later);
            let again = self.machine.advance(now, &mut self.inbox, &mut self.outbox);
            assert!(matches!(again, Ok(Progress::Closed)), "not closed any more");
            assert!(self.machine.event(&self.inbox).is_none(), "an event after `Closed`");
        }
        assert_eq!(self.outbox.capacity() - self.outbox.room(), waiting, "output after `Closed`");
    }
}
