//! A session on the server: a desk, and the numbers that make delivery exactly-once in both directions.
//!
//! It is TCP's idea. Every message has a number, and whoever sends one keeps it until the other end has said that it
//! came: down, `after=N` says it; up, `{"ack":T}` does. What comes twice is dropped, what is missing is refused.
//!
//! ```
//! use stillwire::{Entropy, Instant, Outbox, polling::{Config, Served, Session, Sid}};
//!
//! let now = Instant::EPOCH;
//! let sid = Sid::new(&mut Entropy::insecure_seeded(1)); // in production: Entropy::from_fn
//! let mut session = Session::new(sid, &Config::default(), now);
//!
//! // Exchanges:
//! let ack = session.post(br#"{"seq":1,"messages":["up"]}"#).unwrap();
//! assert_eq!(ack.answer().body(), br#"{"ack":1}"#);
//! let seat = session.sit(0, now).unwrap();
//!
//! // The owner moves bytes between the session and the boxes of `session.connection()`:
//! let mut buffer = [0; 100];
//! assert_eq!(session.read(&mut buffer), Some(6));
//! assert_eq!(&buffer[..6], b"\"up\",\n");
//! session.write(b"\"down\",\n");
//!
//! // The waiting exchange:
//! let Served::Batch(batch) = session.serve(seat, now) else { panic!() };
//! assert_eq!(batch.to_vec(), br#"{"last":1,"messages":["down"]}"#);
//! session.done(seat, now); // `abort` when its connection broke
//! ```

use super::{
    Config, Connection,
    answer::{
        Answer,
        Part::{Number, Text},
    },
    batch::{self, AROUND, Batch, Body},
    desk::{Desk, Policy, Ticket, Tray, Turned},
    record::{self, GOODBYE},
    request::{Refused, Sid},
};
use crate::{
    Inbox, Instant,
    find::{memchr_iter, memrchr},
};

/// What a receiver finds.
#[derive(Clone, Copy, Debug)]
pub enum Served<'a> {
    /// Nothing yet: look again when the session was written to, and at this moment.
    Nothing {
        /// When the wait ends.
        until: Instant,
    },
    /// Messages: answer with them (200). They stay until a later `after` acknowledges them.
    Batch(Batch<'a>),
    /// The wait ended with nothing: answer 204.
    TimedOut,
    /// Another receiver has come: answer 204.
    Replaced,
    /// The session is over: answer 204. Whoever asks again finds no session.
    Over,
}

/// The client's messages came, up to this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack(u64);

impl Ack {
    /// The number of the last message that came.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// What to answer: 200 with `{"ack":T}`.
    #[must_use]
    pub fn answer(self) -> Answer {
        Answer::new(200, &[Text("{\"ack\":"), Number(self.0), Text("}")])
    }
}

/// One client's session: what its exchanges and its owner meet at.
#[derive(Debug)]
pub struct Session<'s> {
    sid: Sid,
    config: Config,
    desk: Desk<'s>,
    /// The number of the next message from the client.
    expected: u64,
    /// The client has everything up to here; the down pipe begins with the one behind it.
    acked: u64,
    /// The number of the last whole record in the down pipe, and where it ends.
    written: u64,
    whole: usize,
    /// The owner found the down pipe full.
    crowded: bool,
    /// The number of the last record that was ever served.
    served: u64,
    /// The last batch: the number of its last record, and the bytes of its records.
    batch: (u64, usize),
    /// When the receiver's wait ends.
    until: Instant,
}

#[cfg(feature = "alloc")]
impl Session<'static> {
    /// A session whose pipes grow when they are needed, each up to twice [`Config::max_bytes`]: an idle one holds no
    /// buffer.
    #[must_use]
    pub fn new(sid: Sid, config: &Config, now: Instant) -> Self {
        let limit = config.max_bytes.max(128).saturating_mul(2).saturating_add(config.max_messages);
        Self::over(sid, config, Inbox::with_limit(limit), Inbox::with_limit(limit), now)
    }
}

impl<'s> Session<'s> {
    /// A session over two pipes: `up` from the client to the owner, `down` to the client.
    ///
    /// The up pipe must hold any legal body: [`Config::max_bytes`] is lowered until `up` holds it with `max_messages`
    /// and 38 bytes more, and until `down` holds the largest record.
    #[must_use]
    pub fn over(sid: Sid, config: &Config, up: Inbox<'s>, down: Inbox<'s>, now: Instant) -> Self {
        let mut config = config.clone();
        config.max_messages = config.max_messages.max(1);
        let up_holds = up.capacity().saturating_sub(config.max_messages.saturating_add(GOODBYE));
        config.max_bytes =
            config.max_bytes.max(128).min(up_holds).min(down.capacity().saturating_add(AROUND));
        let policy = Policy { empty_within: config.empty_within, ..Policy::default() };
        Self {
            sid,
            config,
            desk: Desk::new(up, down, policy, now),
            expected: 1,
            acked: 0,
            written: 0,
            whole: 0,
            crowded: false,
            served: 0,
            batch: (0, 0),
            until: now,
        }
    }

    /// The next session, of another client, in the same memory: nothing is left of this one but its limits.
    ///
    /// ```
    /// use stillwire::{Entropy, Inbox, Instant, polling::{Config, Session, Sid}};
    ///
    /// let (now, mut entropy) = (Instant::EPOCH, Entropy::insecure_seeded(1));
    /// let (mut up, mut down) = ([0; 600], [0; 600]);
    /// let (up, down) = (Inbox::new(&mut up), Inbox::new(&mut down));
    /// let mut session = Session::over(Sid::new(&mut entropy), &Config::TINY, up, down, now);
    /// session.post(br#"{"seq":1,"messages":["never read"]}"#).unwrap();
    /// let mut session = session.renew(Sid::new(&mut entropy), now);
    /// assert_eq!(session.read(&mut [0; 8]), None);
    /// assert_eq!(session.post(br#"{"seq":1,"messages":[]}"#).unwrap().number(), 0);
    /// ```
    #[must_use]
    pub fn renew(self, sid: Sid, now: Instant) -> Self {
        let (mut up, mut down) = self.desk.into_pipes();
        up.clear();
        down.clear();
        Self::over(sid, &self.config, up, down, now)
    }

    /// Its name.
    #[must_use]
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// The owner's machine, with the limits of this session.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::new(&self.config)
    }

    /// The most bytes of a body that [`post`](Self::post) takes: the limit for whoever collects it.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.config.max_bytes
    }

    // --- the exchanges' side ---

    /// The answer to `POST base/open`: the session's name and its limits.
    #[must_use]
    pub fn opened(&self) -> Answer {
        let Config { max_bytes, max_messages, wait, .. } = &self.config;
        let wait = wait.as_secs().saturating_mul(1000).saturating_add(u64::from(wait.subsec_millis()));
        Answer::new(
            200,
            &[
                Text("{\"sid\":\""),
                Text(self.sid.as_str()),
                Text("\",\"wait_ms\":"),
                Number(wait),
                Text(",\"max_bytes\":"),
                Number(*max_bytes as u64),
                Text(",\"max_messages\":"),
                Number(*max_messages as u64),
                Text("}"),
            ],
        )
    }

    /// `POST base/SID`: hands the messages that are new to the owner, all or none.
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken.
    pub fn post(&mut self, body: &[u8]) -> Result<Ack, Refused> {
        let Config { max_bytes, max_messages, .. } = self.config;
        let too_large = Refused::TooLarge { max_bytes, max_messages };
        if self.desk.is_lost() {
            return Err(Refused::NotFound);
        }
        if body.len() > max_bytes {
            return Err(too_large);
        }
        let body = Body::parse(body, "seq").map_err(|_| Refused::BadRequest { why: "body" })?;
        if usize::try_from(body.count).map_or(true, |count| count > max_messages) {
            return Err(too_large);
        }
        let seen = match self.expected.checked_sub(body.number) {
            _ if body.number == 0 => return Err(Refused::BadRequest { why: "seq" }),
            None => return Err(Refused::Gap { expected: self.expected }),
            Some(seen) => seen,
        };
        if let Some(new) = body.total().checked_sub(seen).filter(|new| *new > 0) {
            self.take(&body, seen)?;
            self.expected += new;
        }
        Ok(Ack(self.expected - 1))
    }

    fn take(&mut self, body: &Body<'_>, seen: u64) -> Result<(), Refused> {
        let (code, reason) = body.closed.unwrap_or_default();
        let mut digits = [0; 20];
        let end = body.closed.map(|_| record::closed_parts(code, reason, &mut digits));
        let end = end.as_ref().map_or(&[][..], |parts| &parts[..]);
        let len = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum::<usize>();
        let needed = body.records(seen).map(|record| len(&record)).sum::<usize>() + len(end);
        // Room for a DELETE is kept.
        let room = self.desk.room().saturating_sub(if end.is_empty() { GOODBYE } else { 0 });
        if self.desk.is_over() {
            return Err(Refused::NotFound);
        }
        if needed > room {
            return Err(Refused::Full { room });
        }
        for record in body.records(seen) {
            self.push(&record)?;
        }
        self.push(end)?;
        if body.closed.is_some() {
            self.desk.end();
        }
        Ok(())
    }

    fn push(&mut self, record: &[&[u8]]) -> Result<(), Refused> {
        self.desk.post(record).map_err(|turned| match turned {
            Turned::Full { room } => Refused::Full { room },
            Turned::Over | Turned::Taken => Refused::NotFound,
        })
    }

    /// `GET base/SID?after=N`: everything up to `after` has come to the client and is forgotten; a receiver that sits
    /// here already ends empty. Then [`serve`](Self::serve), and [`done`](Self::done) or [`abort`](Self::abort).
    ///
    /// # Errors
    /// [`Refused`]: the receiver did not sit down, and who sits here stays.
    pub fn sit(&mut self, after: u64, now: Instant) -> Result<Ticket, Refused> {
        if self.desk.is_over() {
            return Err(Refused::NotFound);
        }
        if after < self.acked || after > self.served {
            return Err(Refused::Before { oldest: self.acked + 1 });
        }
        let ticket = self.desk.sit().map_err(|_| Refused::NotFound)?;
        self.acknowledge(after);
        self.until = now + self.config.wait;
        Ok(ticket)
    }

    fn acknowledge(&mut self, after: u64) {
        let bytes = if after == self.batch.0 {
            self.batch.1
        } else {
            // Only part of the last batch, or one before it.
            let count = usize::try_from(after - self.acked).unwrap_or(usize::MAX);
            let ends = memchr_iter(b'\n', self.desk.waiting());
            ends.take(count).last().map_or(0, |at| at + 1)
        };
        self.acked = after;
        self.whole -= bytes.min(self.whole);
        self.batch = (after, 0);
        self.desk.delivered(bytes);
        self.end_if_all_is_said();
    }

    /// The owner has said its last byte, and it came.
    fn end_if_all_is_said(&mut self) {
        if self.desk.is_finished() && self.desk.is_delivered() {
            self.desk.end();
        }
    }

    /// What lies here for the receiver. Ask when it sat down, after the session was written to, when another receiver
    /// sat down, when the session ended, and at `until`.
    pub fn serve(&mut self, ticket: Ticket, now: Instant) -> Served<'_> {
        let until = self.until;
        match self.desk.tray(ticket) {
            Tray::Over => Served::Over,
            Tray::Replaced => Served::Replaced,
            Tray::Bytes(lines) if self.whole > 0 => {
                let lines = lines.get(..self.whole).unwrap_or_default();
                let Config { max_bytes, max_messages, .. } = self.config;
                let cut = batch::cut(lines, self.written - self.acked, max_bytes, max_messages);
                let last = self.acked + cut.count;
                self.served = self.served.max(last);
                self.batch = (last, cut.bytes);
                Served::Batch(Batch::new("last", last, lines.get(..cut.bytes).unwrap_or_default(), cut.count))
            }
            // The rest of a record will never come.
            Tray::Bytes(_) if self.desk.is_finished() => Served::Over,
            Tray::Bytes(_) | Tray::Empty if now >= until => Served::TimedOut,
            Tray::Bytes(_) | Tray::Empty => Served::Nothing { until },
        }
    }

    /// The receiver's answer went out whole. It may have been lost on the way all the same.
    pub fn done(&mut self, ticket: Ticket, now: Instant) {
        self.desk.done(ticket, now);
    }

    /// The receiver's connection broke before its answer was out. Nothing is lost: the messages stay.
    pub fn abort(&mut self, ticket: Ticket, now: Instant) {
        self.desk.abort(ticket, now);
    }

    /// `DELETE base/SID`: the client has left, or has seen our end. The answer is [`Answer::EMPTY`].
    ///
    /// # Errors
    /// [`Refused::NotFound`]: it is over already.
    pub fn end(&mut self) -> Result<(), Refused> {
        if self.desk.is_over() {
            return Err(Refused::NotFound);
        }
        if !self.desk.is_finished() {
            let mut digits = [0; 20];
            self.push(&record::closed_parts(1000, b"", &mut digits))?;
            self.expected += 1;
        }
        self.desk.end();
        Ok(())
    }

    // --- the owner's side: a byte stream, see `Desk` ---

    /// Reads records from the client. `None`: nothing yet. `Some(0)`: nothing will come any more.
    pub fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        self.desk.read(into)
    }

    /// Writes records for the client, as much as there is room for; returns how much that was.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let before = self.desk.waiting().len();
        let capacity = self.desk.capacity().1;
        // Room that is made a few bytes at a time is not used a few bytes at a time: each use may move all the rest.
        self.crowded &= self.whole > 0 && capacity - before < capacity / 4;
        if self.crowded && !self.desk.is_over() {
            return 0;
        }
        let n = self.desk.write(bytes);
        if self.desk.is_over() {
            return n;
        }
        self.crowded = n < bytes.len();
        let taken = bytes.get(..n).unwrap_or_default();
        if let Some(last) = memrchr(b'\n', taken) {
            self.written += memchr_iter(b'\n', taken).count() as u64;
            self.whole = before + last + 1;
        } else if n < bytes.len() && self.whole == 0 {
            // A record that never ends: somebody else's machine writes here.
            self.desk.lose();
        }
        n
    }

    /// The owner has said its last byte (the machine's outbox is finished and empty, or the owner is gone).
    pub fn finish(&mut self) {
        self.desk.finish();
        self.end_if_all_is_said();
    }

    /// When the owner must [`tick`](Self::tick): the session is lost then unless a receiver comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.desk.deadline()
    }

    /// Acts on the [`deadline`](Self::deadline).
    pub fn tick(&mut self, now: Instant) {
        self.desk.tick(now);
    }

    /// Whether no exchange will be served any more but to hear that: the session may be forgotten.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.desk.is_over()
    }

    /// The desk below, to look at.
    #[must_use]
    pub fn desk(&self) -> &Desk<'s> {
        &self.desk
    }
}
