//! The client: a connection, and the requests that carry it.
//!
//! It makes no requests. It says which one is due, and is told how it went; the driver brings any HTTP client, two
//! requests at a time: one that waits for messages, one that sends.
//!
//! ```
//! use stillwire::{Entropy, Inbox, Instant, Machine, Outbox, polling::{Client, Config, Event, What}};
//!
//! let (mut inbox, mut outbox) = (Inbox::with_limit(100_000), Outbox::with_limit(100_000));
//! let mut client = Client::new(&Config::default(), Entropy::insecure_seeded(1)); // in production: Entropy::from_fn
//! let now = Instant::EPOCH;
//! client.send_text("hello", &mut outbox)?;
//!
//! let ask = client.next_request(now, &inbox, &outbox).unwrap();
//! assert_eq!((ask.method(), ask.path().as_str()), ("POST", "/open"));
//! let opened = br#"{"sid":"AbCdEfGhIjKlMnOpQrStUv","wait_ms":25000,"max_bytes":65536,"max_messages":64}"#;
//! client.answered(What::Open, 200, opened, &mut inbox, &mut outbox, now);
//!
//! let ask = client.next_request(now, &inbox, &outbox).unwrap();
//! assert_eq!((ask.method(), ask.path().as_str()), ("GET", "/AbCdEfGhIjKlMnOpQrStUv?after=0"));
//! let ask = client.next_request(now, &inbox, &outbox).unwrap();
//! assert_eq!(ask.body().unwrap().to_vec(), br#"{"seq":1,"messages":["hello"]}"#);
//! assert!(client.next_request(now, &inbox, &outbox).is_none()); // both are under way
//!
//! client.answered(What::Send, 200, br#"{"ack":1}"#, &mut inbox, &mut outbox, now);
//! assert!(outbox.is_empty()); // what is acknowledged is forgotten
//! client.answered(What::Receive, 200, br#"{"last":1,"messages":["hi"]}"#, &mut inbox, &mut outbox, now);
//! let Some(Event::Text(text)) = client.next(now, &mut inbox, &mut outbox)? else { panic!() };
//! assert_eq!(text, "hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::time::Duration;

use super::{
    Config, Connection, Error, Event,
    ask::{Ask, Lane, What},
    batch::{self, Batch, Body, Cut},
    record,
    request::Sid,
};
use crate::{
    Entropy, Inbox, Incoming, Instant, Kind, Machine, Outbox, Progress, SendError, Text, Transport,
    find::{memchr_iter, memrchr},
    json::{Invalid, Scanner},
};

/// The client's end: a [`Connection`] whose boxes are moved by HTTP requests.
///
/// The loop of a driver: take events ([`next`](Machine::next)) until there is none, make every
/// [`next_request`](Self::next_request) until there is none, then wait for an answer ([`answered`](Self::answered)), a
/// failure ([`failed`](Self::failed)), the [`deadline`](Machine::deadline) or a command.
///
/// The outbox is not a queue to drain: it holds what the server has not acknowledged, and only the client takes from it.
/// A failed request is tried again, later each time ([`Config::retry_min`]), and still every message arrives once.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    entropy: Entropy,
    config: Config,
    sid: Option<Sid>,
    max_body: usize,
    /// Everything up to this number is in the inbox, or was.
    after: u64,
    /// The server has everything up to this number; the outbox begins with the one behind it.
    acked: u64,
    /// What the last send carried, and whether that ended with our close record.
    sent: Cut,
    said_goodbye: bool,
    /// GET.
    down: Lane,
    /// Everything else.
    up: Lane,
    /// The server's end came: it is to be told so.
    owes_delete: bool,
    /// There will be no requests but that.
    over: bool,
    failed: Option<Error>,
}

impl Client {
    /// A client that will first open a session. Messages may be sent at once: they wait in the outbox.
    ///
    /// `entropy` is for the length of waits.
    #[must_use]
    pub fn new(config: &Config, entropy: Entropy) -> Self {
        Self {
            connection: Connection::new(config),
            entropy,
            config: Config { max_bytes: config.max_bytes.max(128), ..config.clone() },
            sid: None,
            max_body: 1024,
            after: 0,
            acked: 0,
            sent: Cut { bytes: 0, count: 0 },
            said_goodbye: false,
            down: Lane::default(),
            up: Lane::default(),
            owes_delete: false,
            over: false,
            failed: None,
        }
    }

    /// Whether messages can be sent. They can before the session is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether nothing more comes or goes, but perhaps a last [`What::Close`]; [`advance`](Machine::advance) tells why.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The most bytes that the body of an answer may have: what the server announced.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// The session, once it is open.
    #[must_use]
    pub fn sid(&self) -> Option<Sid> {
        self.sid
    }

    /// [`Connection::send_text`].
    ///
    /// # Errors
    /// [`SendError`]: nothing was written.
    pub fn send_text<'t>(
        &mut self,
        text: impl Into<Text<'t>>,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.connection.send_text(text, outbox)
    }

    /// [`Connection::send_binary`].
    ///
    /// # Errors
    /// [`SendError`]: nothing was written.
    pub fn send_binary(&mut self, bytes: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.connection.send_binary(bytes, outbox)
    }

    /// [`Connection::send_close`].
    ///
    /// # Errors
    /// [`SendError`]: nothing was written.
    pub fn send_close(&mut self, code: u16, reason: &str, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.connection.send_close(code, reason, outbox)
    }

    // --- requests ---

    /// The next request to make, until there is none: then it waits for an answer, a failure, the deadline or a command.
    /// After [`Progress::Closed`] there may be one more, [`What::Close`], which tells the server so: a courtesy, for
    /// without it the server knows from a deadline.
    ///
    /// At most one [`What::Receive`] and one other are under way at a time. Messages are asked for while the inbox has
    /// room for a whole body, or is empty.
    pub fn next_request<'o>(
        &mut self,
        now: Instant,
        inbox: &Inbox<'_>,
        outbox: &'o Outbox<'_>,
    ) -> Option<Ask<'o>> {
        let within = self.config.answer_within;
        let mut ask = Ask { what: What::Open, sid: self.sid, after: self.after, batch: None, within };
        if self.over {
            let due = self.owes_delete && self.up.is_free(now);
            return due.then(|| {
                self.up.took_off(What::Close, now);
                ask.what = What::Close;
                ask
            });
        }
        if self.sid.is_none() {
            let due = self.failed.is_none() && self.up.is_free(now);
            return due.then(|| {
                self.up.took_off(What::Open, now);
                ask
            });
        }
        let waiting = inbox.unread().len();
        let room = inbox.capacity().saturating_sub(waiting);
        if (waiting == 0 || room >= self.config.max_bytes) && self.down.is_free(now) {
            self.down.took_off(What::Receive, now);
            ask.what = What::Receive;
            ask.within = self.config.wait + within;
            return Some(ask);
        }
        if outbox.is_empty() || !self.up.is_free(now) {
            return None;
        }
        // Whole records, not many more than can go.
        let chunk = outbox.chunk();
        let near = chunk.get(..self.config.max_bytes).unwrap_or(chunk);
        let near = near.get(..memrchr(b'\n', near)? + 1)?;
        let count = memchr_iter(b'\n', near).count() as u64;
        self.sent = batch::cut(near, count, self.config.max_bytes, self.config.max_messages);
        let lines = near.get(..self.sent.bytes)?;
        let batch = Batch::new("seq", self.acked + 1, lines, self.sent.count);
        self.said_goodbye |= batch.is_last();
        self.up.took_off(What::Send, now);
        ask.what = What::Send;
        ask.batch = Some(batch);
        Some(ask)
    }

    /// A request was answered, with this status and this body (nothing above [`max_body`](Self::max_body)
    /// need be read). An answer that nobody waits for is dropped. A redirection is [`Error::Refused`]: a session lives where
    /// it was opened, and most of them would make a GET of what is sent.
    pub fn answered(
        &mut self,
        what: What,
        status: u16,
        body: &[u8],
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
        now: Instant,
    ) {
        if !self.lane(what).landed(what) {
            return;
        }
        self.owes_delete &= what != What::Close;
        if self.over {
            return;
        }
        let result = match (what, status) {
            (What::Open, 200) => self.opened(body).map_err(|_| Error::BadAnswer),
            (What::Receive, 200) => self.receive(body, inbox),
            (What::Receive, 204) => {
                self.nothing_came();
                Ok(())
            }
            (What::Send, 200) => self.acknowledge(body, inbox, outbox),
            // Our end came, and the session is gone: only the answer that said so was lost.
            (What::Send, 404) if self.said_goodbye => {
                self.end(inbox);
                Ok(())
            }
            (What::Receive, 404) if self.said_goodbye => {
                // The answer to the other request tells more.
                self.down.not_before = Some(Instant::MAX);
                Ok(())
            }
            // "Retry-After: 1", however often it is said.
            (What::Send, 413) if has_member(body, "room") => {
                self.up.waits = self.up.waits.min(1);
                return self.wait(what, now);
            }
            (_, 404) => Err(Error::Unknown),
            (_, 409) => Err(Error::OutOfStep),
            (_, 408 | 425 | 429 | 500..) => return self.failed(what, now),
            _ => Err(Error::Refused { status }),
        };
        match result {
            Ok(()) => self.lane(what).succeeded(),
            Err(error) => self.fail(error),
        }
    }

    /// A request failed: no connection, no whole answer, or none in time. It will be tried again.
    pub fn failed(&mut self, what: What, now: Instant) {
        let retries = self.config.retries;
        let lane = self.lane(what);
        lane.flight = None;
        lane.failures = lane.failures.saturating_add(1);
        let failures = lane.failures;
        if failures <= retries {
            self.wait(what, now);
        } else if self.over {
            self.owes_delete = false;
        } else {
            self.fail(Error::Unreachable { failures });
        }
    }

    fn lane(&mut self, what: What) -> &mut Lane {
        if what == What::Receive { &mut self.down } else { &mut self.up }
    }

    /// The next request of this kind waits: `retry_min` doubled each time, up to `retry_max`; half of it is random.
    fn wait(&mut self, what: What, now: Instant) {
        let Config { retry_min, retry_max, .. } = self.config;
        let random = u32::from(u16::from_le_bytes(self.entropy.take()));
        let lane = self.lane(what);
        let most = retry_min.saturating_mul(1 << lane.waits.min(30)).min(retry_max.max(retry_min));
        lane.waits = lane.waits.saturating_add(1);
        lane.not_before = Some(now + most / 2 + (most / 2 / 0x1_0000).saturating_mul(random));
    }

    /// An answer without news that came at once must not become a hot loop.
    fn nothing_came(&mut self) {
        self.down.not_before = Some(self.down.asked_at + self.config.retry_min);
    }

    fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
        self.over = true;
        // Who is still there need not wait for a deadline.
        self.owes_delete = self.sid.is_some() && !matches!(error, Error::Unknown | Error::Unreachable { .. });
    }

    /// Nothing more will be asked, and nothing will come.
    fn end(&mut self, inbox: &mut Inbox<'_>) {
        self.over = true;
        inbox.finish();
    }

    fn opened(&mut self, body: &[u8]) -> Result<(), Invalid> {
        let mut scanner = Scanner::new(body);
        let (mut wait, mut bytes, mut messages) = (None, None, None);
        scanner.open(b'{')?;
        while scanner.more(b'}')? {
            match scanner.key()? {
                key if key.is("sid") => {
                    let name = core::str::from_utf8(scanner.string()?.as_bytes()).unwrap_or_default();
                    self.sid = Sid::parse(name);
                }
                key if key.is("wait_ms") => wait = Some(scanner.integer()?),
                key if key.is("max_bytes") => bytes = Some(scanner.integer()?),
                key if key.is("max_messages") => messages = Some(scanner.integer()?),
                _ => drop(scanner.value()?),
            }
        }
        scanner.end()?;
        let (Some(_), Some(wait), Some(bytes), Some(messages)) = (self.sid, wait, bytes, messages) else {
            self.sid = None;
            return scanner.invalid();
        };
        let least = |ours: usize, theirs: u64| ours.min(usize::try_from(theirs).unwrap_or(usize::MAX));
        // An hour is longer than any connection of a proxy lives.
        self.config.wait = Duration::from_millis(wait.min(3_600_000));
        self.max_body = least(usize::MAX, bytes).max(self.max_body);
        self.config.max_bytes = least(self.config.max_bytes, bytes);
        self.config.max_messages = least(self.config.max_messages, messages).max(1);
        self.connection.limit(self.config.max_bytes);
        Ok(())
    }

    /// Takes as many whole messages as the inbox has room for; the rest will be asked for again.
    fn receive(&mut self, body: &[u8], inbox: &mut Inbox<'_>) -> Result<(), Error> {
        let body = Body::parse(body, "last").map_err(|_| Error::BadAnswer)?;
        let before = body.number.checked_sub(body.total()).ok_or(Error::BadAnswer)?;
        let seen = self.after.checked_sub(before).ok_or(Error::OutOfStep)?;
        if body.number <= self.after {
            self.nothing_came();
            return Ok(());
        }
        for record in body.records(seen) {
            if !push(inbox, &record) {
                return inbox_is_full(inbox);
            }
            self.after += 1;
        }
        if let Some((code, reason)) = body.closed {
            let mut digits = [0; 20];
            if !push(inbox, &record::closed_parts(code, reason, &mut digits)) {
                return inbox_is_full(inbox);
            }
            self.after += 1;
            self.owes_delete = true;
            self.end(inbox);
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        body: &[u8],
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), Error> {
        let ack = member(body, "ack").ok_or(Error::BadAnswer)?;
        let count = ack.checked_sub(self.acked).ok_or(Error::BadAnswer)?;
        if count == 0 || count > self.sent.count {
            return Err(Error::BadAnswer);
        }
        let bytes = if count == self.sent.count {
            self.sent.bytes
        } else {
            let ends = memchr_iter(b'\n', outbox.chunk());
            ends.take(usize::try_from(count).unwrap_or(usize::MAX)).last().map_or(0, |at| at + 1)
        };
        outbox.advance(bytes);
        self.acked = ack;
        if self.said_goodbye && outbox.is_empty() {
            self.end(inbox);
        }
        Ok(())
    }
}

/// The rest is asked for again when there is room, if there ever will be.
fn inbox_is_full(inbox: &Inbox<'_>) -> Result<(), Error> {
    if inbox.unread().is_empty() { Err(Error::TooLarge { limit: inbox.capacity() }) } else { Ok(()) }
}

/// All parts or none.
fn push(inbox: &mut Inbox<'_>, parts: &[&[u8]]) -> bool {
    let fits = parts.iter().map(|part| part.len()).sum::<usize>() <= inbox.capacity() - inbox.unread().len();
    if fits {
        for part in parts {
            inbox.push(part);
        }
    }
    fits
}

/// A whole number in an object.
fn member(body: &[u8], name: &str) -> Option<u64> {
    let mut scanner = Scanner::new(body);
    let mut number = None;
    scanner.open(b'{').ok()?;
    while scanner.more(b'}').ok()? {
        if scanner.key().ok()?.is(name) {
            number = Some(scanner.integer().ok()?);
        } else {
            scanner.value().ok()?;
        }
    }
    number
}

fn has_member(body: &[u8], name: &str) -> bool {
    member(body, name).is_some()
}

impl Machine for Client {
    type Event<'i> = Event<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.down.pass(now);
        self.up.pass(now);
        let progress = self.connection.advance(now, inbox, outbox)?;
        match (progress, self.failed) {
            // What came before the failure was shown before it.
            (Progress::NeedInput | Progress::NeedRoom, Some(error)) => {
                self.failed = None;
                inbox.finish();
                self.connection.abandon(outbox);
                return Err(error);
            }
            // Nobody heard our close in time.
            (Progress::Closed, _) if !self.over => {
                self.over = true;
                self.owes_delete = self.sid.is_some();
            }
            _ => {}
        }
        Ok(progress)
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        self.connection.event(inbox)
    }

    fn deadline(&self) -> Option<Instant> {
        let down = self.down.not_before.filter(|at| !self.over && *at < Instant::MAX);
        let up = self.up.not_before.filter(|_| !self.over || self.owes_delete);
        [down, up, self.connection.deadline()].into_iter().flatten().min()
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.connection.release(inbox);
    }
}

impl Transport for Client {
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        self.connection.incoming(inbox)
    }

    fn send(&mut self, kind: Kind, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.connection.send(kind, parts, outbox)
    }

    fn close(&mut self, reason: &str, outbox: &mut Outbox<'_>) {
        self.connection.close(reason, outbox);
    }
}
