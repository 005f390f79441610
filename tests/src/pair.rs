//! Two machines that talk: a simulated clock, and a pipe each way that delays, holds back, stalls and is cut.
//!
//! The drivers are [`Link`]s, as in a real program. What arrives is compared with what was sent at once: it must be the
//! same messages in the same order, and nothing may come behind the end.

use core::{fmt::Debug, time::Duration};
use std::collections::VecDeque;

use stillwire::{Inbox, Incoming, Instant, Kind, Link, Outbox, SendError, Transport, Want, polling, ws};

/// What is sent besides whole messages, where the protocol has it.
pub trait Talks: Transport<Error: Debug> + Debug {
    /// A ping; nothing where there is none.
    ///
    /// # Errors
    /// As the machine's own.
    fn ping(&mut self, payload: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        let _ = (payload, outbox);
        Ok(())
    }

    /// A part of a message; `None` where there are none.
    fn part(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        first: bool,
        last: bool,
        outbox: &mut Outbox<'_>,
    ) -> Option<Result<(), SendError>> {
        let _ = (kind, bytes, first, last, outbox);
        None
    }
}

impl Talks for ws::Connection {
    fn ping(&mut self, payload: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send_ping(payload, outbox)
    }

    fn part(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        first: bool,
        last: bool,
        outbox: &mut Outbox<'_>,
    ) -> Option<Result<(), SendError>> {
        Some(self.send_fragment(kind, bytes, first, last, outbox))
    }
}

impl Talks for polling::Connection {}

/// A message that was sent.
pub type Message = (Kind, Vec<u8>);

/// Message number `n` of some sender: its content tells which one it is. Text is full of characters of all lengths.
#[must_use]
pub fn message(kind: Kind, n: usize, len: usize) -> Message {
    let bytes = match kind {
        Kind::Binary => (0..len).map(|i| (i * 7 + n * 31) as u8).collect(),
        Kind::Text => {
            let mut text = n.to_string();
            text.extend("a\"ü\\€\n😀\u{1}".chars().cycle().skip(n % 8).take(len));
            let mut end = len.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.into_bytes()
        }
    };
    (kind, bytes)
}

/// One direction of the network: bytes on their way, each piece with the moment of its arrival.
#[derive(Debug)]
struct Pipe {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    held: usize,
    capacity: usize,
    delay: Duration,
    /// When the end of the stream arrives.
    end: Option<Instant>,
    /// Nothing arrives any more.
    stalled: bool,
    /// Nobody reads any more: what is written vanishes.
    deaf: bool,
}

impl Pipe {
    fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.deaf {
            return bytes.len();
        }
        let n = bytes.len().min(self.capacity.saturating_sub(self.held));
        if n > 0 {
            // A shorter delay lets no byte overtake another.
            let due = (now + self.delay).max(self.pieces.back().map_or(now, |(due, _)| *due));
            self.pieces.push_back((due, bytes[..n].to_vec()));
            self.held += n;
        }
        n
    }

    fn read(&mut self, now: Instant, most: usize, inbox: &mut Inbox<'_>) -> usize {
        let mut taken = 0;
        while let Some((due, piece)) = self.pieces.front_mut() {
            if self.stalled || *due > now || taken == most {
                break;
            }
            let n = inbox.push(&piece[..piece.len().min(most - taken)]);
            piece.drain(..n);
            (taken, self.held) = (taken + n, self.held - n);
            if n == 0 || !piece.is_empty() {
                break;
            }
            self.pieces.pop_front();
        }
        taken
    }

    fn finish(&mut self, now: Instant) {
        let due = (now + self.delay).max(self.pieces.back().map_or(now, |(due, _)| *due));
        self.end.get_or_insert(due);
    }

    fn has_ended(&self, now: Instant) -> bool {
        !self.stalled && self.pieces.is_empty() && self.end.is_some_and(|at| at <= now)
    }

    /// When the next thing arrives.
    fn due(&self) -> Option<Instant> {
        if self.stalled { None } else { self.pieces.front().map(|(due, _)| *due).or(self.end) }
    }

    fn cut(&mut self, now: Instant) {
        self.pieces.clear();
        (self.held, self.end, self.deaf, self.stalled) = (0, Some(now), true, false);
    }
}

/// One end: a machine with its boxes, and what its application saw and did.
#[derive(Debug)]
pub struct End<T: Transport> {
    /// The connection.
    pub link: Link<'static, T>,
    /// What was sent from here.
    pub sent: Vec<Message>,
    /// How many of the other end's messages came.
    pub received: usize,
    /// The event that ends it came.
    pub closed: bool,
    /// The application closed it.
    pub asked: bool,
    /// Messages are sent back.
    pub echo: bool,
    /// What the driver was told in the end.
    pub error: Option<T::Error>,
    /// The driver has closed the connection.
    pub over: bool,
    /// The message whose parts are being sent, and how much of it was.
    partial: Option<(Message, usize)>,
    until: Option<Instant>,
}

impl<T: Talks> End<T> {
    /// An end with boxes of so many bytes.
    pub fn new(machine: T, inbox: usize, outbox: usize) -> Self {
        let mut link = Link::new(machine, Inbox::with_limit(inbox), Outbox::with_limit(outbox));
        link.headroom = 0; // commands come from elsewhere
        Self {
            link,
            sent: Vec::new(),
            received: 0,
            closed: false,
            asked: false,
            echo: false,
            error: None,
            over: false,
            partial: None,
            until: None,
        }
    }

    /// Sends the next message, which has `len` bytes.
    ///
    /// # Errors
    /// As the machine's own.
    pub fn send(&mut self, kind: Kind, len: usize) -> Result<(), SendError> {
        let message = message(kind, self.sent.len(), len);
        let (front, back) = message.1.split_at(message.1.len() / 3);
        self.link.machine.send(kind, &[front, back], &mut self.link.outbox)?;
        self.sent.push(message);
        Ok(())
    }

    /// Sends up to `len` bytes more of the next message, cut anywhere, also inside of a character; all that is left of it
    /// if this is the `last` part. The whole has four times the length of its first part.
    ///
    /// # Errors
    /// As the machine's own.
    pub fn part(&mut self, kind: Kind, len: usize, last: bool) -> Result<(), SendError> {
        let n = self.sent.len();
        let (whole, done) = self.partial.clone().unwrap_or_else(|| (message(kind, n, 4 * len), 0));
        let end = if last { whole.1.len() } else { whole.1.len().min(done + len) };
        let Link { machine, outbox, .. } = &mut self.link;
        let first = self.partial.is_none();
        if let Some(sent) = machine.part(whole.0, &whole.1[done..end], first, last, outbox) {
            sent?;
            if last {
                self.partial = None;
                self.sent.push(whole);
            } else {
                self.partial = Some((whole, end));
            }
        }
        Ok(())
    }

    /// Sends a ping, where there is such a thing.
    ///
    /// # Errors
    /// As the machine's own.
    pub fn ping(&mut self, len: usize) -> Result<(), SendError> {
        self.link.machine.ping(&vec![b'p'; len], &mut self.link.outbox)
    }

    /// Begins the end.
    pub fn close(&mut self, reason: &str) {
        self.asked = true;
        self.link.machine.close(reason, &mut self.link.outbox);
    }

    /// Writes at most so many bytes. Whether it wrote any.
    fn write(&mut self, out: &mut Pipe, now: Instant, most: &mut usize) -> bool {
        let chunk = self.link.outbox.chunk();
        let n = out.write(now, &chunk[..chunk.len().min(*most)]);
        self.link.outbox.advance(n);
        *most -= n;
        n > 0
    }

    /// Reads at most so many bytes. Whether anything came, if only the end.
    fn read(&mut self, back: &mut Pipe, now: Instant, most: &mut usize) -> bool {
        if !self.link.inbox.wants() {
            return false;
        }
        let n = back.read(now, *most, &mut self.link.inbox);
        *most -= n;
        let ends = n == 0 && back.has_ended(now);
        if ends {
            self.link.inbox.finish();
        }
        n > 0 || ends
    }

    /// An event, compared with what the other end sent.
    fn hear(&mut self, sent: &[Message]) {
        let Link { machine, inbox, outbox, .. } = &mut self.link;
        let (kind, bytes) = match machine.incoming(inbox).expect("`Deliver` promises an event") {
            Incoming::Other => return,
            Incoming::Closed => {
                assert!(!self.closed, "the end came twice");
                self.closed = true;
                return;
            }
            Incoming::Text(text) => (Kind::Text, text.as_bytes()),
            Incoming::Binary(bytes) => (Kind::Binary, bytes),
        };
        assert!(!self.closed, "a message behind the end");
        let expected = sent.get(self.received).unwrap_or_else(|| panic!("nobody sent {bytes:?}"));
        let is_same = kind == expected.0 && bytes == expected.1;
        assert!(is_same, "message {} is another one than was sent", self.received);
        self.received += 1;
        if self.echo && machine.send(kind, &[bytes], outbox).is_ok() {
            self.sent.push(expected.clone());
        }
    }
}

/// The two ends of a [`Pair`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The one.
    A,
    /// The other.
    B,
}

/// Two ends and the network between them.
#[derive(Debug)]
pub struct Pair<T: Transport> {
    /// The one end.
    pub a: End<T>,
    /// The other end.
    pub b: End<T>,
    /// The time.
    pub now: Instant,
    /// Whether the network was cut or stalled: then not everything arrives.
    pub broken: bool,
    to_b: Pipe,
    to_a: Pipe,
}

impl<T: Talks> Pair<T> {
    /// A pair whose network takes `capacity` bytes in each direction.
    pub fn new(a: End<T>, b: End<T>, capacity: usize) -> Self {
        let pipe = || Pipe {
            pieces: VecDeque::new(),
            held: 0,
            capacity,
            delay: Duration::ZERO,
            end: None,
            stalled: false,
            deaf: false,
        };
        let now = Instant::since_epoch(Duration::from_secs(1000));
        Self { a, b, now, broken: false, to_b: pipe(), to_a: pipe() }
    }

    /// One of the ends.
    pub fn end(&mut self, side: Side) -> &mut End<T> {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// From now on, what `from` sends takes so long.
    pub fn delay(&mut self, from: Side, delay: Duration) {
        self.way(from).delay = delay;
    }

    /// Nothing that `from` sends arrives any more, and nobody is told.
    pub fn stall(&mut self, from: Side) {
        self.way(from).stalled = true;
        self.broken = true;
    }

    /// The connection breaks: what was on its way is lost, and both ends see it.
    pub fn cut(&mut self) {
        let now = self.now;
        self.to_a.cut(now);
        self.to_b.cut(now);
        self.broken = true;
    }

    /// Time passes. Nobody looks at the clock until something is [`driven`](Self::drive).
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// The driver of one end does all it can, and at most writes and reads so many bytes. Whether anything moved.
    ///
    /// # Panics
    /// When what arrives is not what was sent, or it goes round and round.
    pub fn drive(&mut self, side: Side, mut write: usize, mut read: usize) -> bool {
        let (end, other, out, back) = match side {
            Side::A => (&mut self.a, &self.b, &mut self.to_b, &mut self.to_a),
            Side::B => (&mut self.b, &self.a, &mut self.to_a, &mut self.to_b),
        };
        let mut moved = false;
        // As in every driver that may have been away: before it acts on a deadline that is past, it looks once.
        let deadlines = [end.link.machine.deadline(), end.link.stall_deadline(self.now)];
        if !end.over && deadlines.into_iter().flatten().any(|at| self.now >= at) {
            let wrote = end.write(out, self.now, &mut write);
            moved = end.read(back, self.now, &mut read) || wrote;
        }
        for round in 0.. {
            assert!(round < 1_000_000, "it goes round and round");
            if end.over {
                break;
            }
            let want = match end.link.want(self.now) {
                Ok(want) => want,
                Err(error) => {
                    end.error = Some(error);
                    Want::Close
                }
            };
            let (may_write, until) = match want {
                Want::Deliver => {
                    end.hear(&other.sent);
                    moved = true;
                    continue;
                }
                Want::Finish => {
                    out.finish(self.now);
                    end.link.shut();
                    moved = true;
                    continue;
                }
                Want::Close => {
                    end.over = true;
                    out.finish(self.now);
                    (back.deaf, back.held) = (true, 0);
                    back.pieces.clear();
                    return true;
                }
                Want::Write { until } => (true, until),
                Want::Read { until } => (false, until),
                Want::Wait { until } => {
                    end.until = until;
                    break;
                }
            };
            end.until = until;
            if !(may_write && end.write(out, self.now, &mut write) || end.read(back, self.now, &mut read)) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Both drivers go on until nothing moves without time.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "they go round and round");
            let a = self.drive(Side::A, usize::MAX, usize::MAX);
            let b = self.drive(Side::B, usize::MAX, usize::MAX);
            if !a && !b {
                return;
            }
        }
    }

    /// From moment to moment, for so long.
    pub fn settle_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// When something happens next, if only time passes.
    fn next_moment(&self) -> Option<Instant> {
        let until = |end: &End<T>| end.until.filter(|_| !end.over);
        let moments = [until(&self.a), until(&self.b), self.to_a.due(), self.to_b.due()];
        moments.into_iter().flatten().filter(|at| *at > self.now).min()
    }

    /// From moment to moment until both connections are closed; somebody must have begun the end.
    ///
    /// # Panics
    /// When nothing would ever happen again, or too much did.
    pub fn run_to_the_end(&mut self) {
        for _ in 0..100_000 {
            self.settle();
            if self.a.over && self.b.over {
                return self.check();
            }
            let Some(next) = self.next_moment() else {
                panic!("both wait for ever: {:?}", (&self.a, &self.b));
            };
            self.now = next;
        }
        panic!("there is no end: {:?}", (&self.a, &self.b));
    }

    /// What holds when it is over.
    fn check(&self) {
        // Who was cut off because the other end took nothing has unsent bytes, and perhaps no last word.
        let was_stalled = |end: &End<T>| !end.link.outbox.is_empty();
        let is_bad = |end: &End<T>| end.error.is_some() || was_stalled(end);
        for (end, other) in [(&self.a, &self.b), (&self.b, &self.a)] {
            assert!(!(end.closed && end.error.is_some()), "two last words: {end:?}");
            assert!(end.closed || is_bad(end), "no last word: {end:?}");
            if end.asked && !other.asked && !self.broken && !is_bad(end) && !is_bad(other) {
                assert_eq!(other.received, end.sent.len(), "everything arrives before the end");
            }
        }
    }

    fn way(&mut self, from: Side) -> &mut Pipe {
        match from {
            Side::A => &mut self.to_b,
            Side::B => &mut self.to_a,
        }
    }
}
