//! The client: a stream over as many connections as it takes.
//!
//! It opens none. It says where to and when, and is told how it went; the driver brings any HTTP client.
//!
//! ```text
//!            next_request            answered: 200             the body ends, breaks, is silent
//!   Ready ────────────────▶ Asked ─────────────────▶ Open ──────────────────────────────────────┐
//!     ▲ ▲                    │ │ failed, 503, …      Event::Open, then Event::Message           │
//!     │ └── 301, 307, … ─────┘ └────────────────────────────────────────────────┐               │
//!     └──────────── the wait is over ──────────── Waiting ◀── Event::Lost ──────┴───────────────┘
//!
//!   Closed: 204, close(), the end of an answer that is asked for once; an error: 404, another type, too many attempts
//! ```
//!
//! ```
//! use core::time::Duration;
//! use stillwire::{Entropy, Inbox, Instant, Machine, Outbox, sse::{EventSource, SourceConfig, SourceEvent}};
//!
//! let (mut inbox, mut none) = (Inbox::with_limit(100_000), Outbox::with_limit(0));
//! let entropy = Entropy::insecure_seeded(1); // in production: Entropy::from_fn
//! let mut source = EventSource::new("http://a.example/prices", SourceConfig::default(), entropy)?;
//! let start = Instant::EPOCH;
//!
//! let ask = source.next_request(start, &inbox).unwrap();
//! assert_eq!((ask.url().host(), ask.url().port()), ("a.example", 80)); // connect there, then:
//! let mut outbox = Outbox::with_limit(4096);
//! let fetch = ask.send(&mut outbox)?; // a machine for that connection
//! assert!(outbox.chunk().starts_with(b"GET /prices HTTP/1.1\r\nhost: a.example\r\naccept: text/event-stream\r\n"));
//!
//! // The head of the answer came, and some of its body:
//! # let mut table = [httparse::EMPTY_HEADER; 4];
//! # let mut head = httparse::Response::new(&mut table);
//! # head.parse(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
//! assert!(source.answered(&head));
//! inbox.push(b"id: 7\ndata: 12.50\n\n");
//! assert_eq!(source.next(start, &mut inbox, &mut none)?, Some(SourceEvent::Open));
//! let Some(SourceEvent::Message(event)) = source.next(start, &mut inbox, &mut none)? else { panic!() };
//! assert_eq!(event.data, "12.50");
//!
//! source.failed(); // the connection broke
//! let Some(SourceEvent::Lost { wait, .. }) = source.next(start, &mut inbox, &mut none)? else { panic!() };
//! assert!(source.next_request(start, &inbox).is_none()); // later:
//! let ask = source.next_request(start + wait, &inbox).unwrap();
//! assert!(ask.headers().any(|header| header == ("last-event-id", "7")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::{borrow::ToOwned, string::ToString, vec::Vec};
use core::time::Duration;

use super::{
    answer::{self, Place},
    ask::{Ask, Wanted},
    config::SourceConfig,
    error::SourceError,
    event::{Lost, SourceEvent},
    stream::Stream,
};
use crate::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress, SendError, Text,
    http::{self, ResponseView, Url, UrlError},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The request is to be made.
    Ready,
    /// It was handed out, and the head of its answer has not come.
    Asked,
    /// The body is coming.
    Open,
    /// Until `due`.
    Waiting,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    Open,
    Message,
    Lost { why: Lost, wait: Duration },
}

/// The client's side of an event stream: HTML's `EventSource` without the browser (HTML 9.2.2 and 9.2.3).
///
/// Its inbox holds the bodies of the answers, decoded of any chunks, and nothing else. The loop of a driver:
/// 1. take events ([`next`](Machine::next)) until there is none; after an error or [`Progress::Closed`], stop;
/// 2. drop the connection that it has, unless [`is_connected`](Self::is_connected);
/// 3. if there is a [`next_request`](Self::next_request), make a connection for it;
/// 4. wait for the connection, or for the [`deadline`](Machine::deadline), and tell what came: the
///    [head](Self::answered), the body (push it into the inbox), its [end](Self::ended), a [failure](Self::failed).
///
/// The event ID in force lives in the inbox: use one and the same for all connections. An inbox that is
/// [finished](Inbox::finish) ends the source: there will be no more connections.
pub struct EventSource {
    stream: Stream,
    config: SourceConfig,
    entropy: Entropy,
    wanted: Wanted,
    /// Where it is connected to, or will be.
    place: Place,
    /// Where a new attempt begins.
    home: Place,
    redirects: u8,
    phase: Phase,
    shown: Shown,
    /// The connection has ended; it is told when what came before is parsed.
    over: Option<Lost>,
    error: Option<SourceError>,
    /// What the server wants at least, from `Retry-After`.
    retry_after: Duration,
    /// The end of the wait that is under way; set by `advance` when it begins.
    due: Option<Instant>,
    wait: Duration,
    /// When the stream was opened, once that was told.
    opened: Option<Instant>,
    /// Attempts in a row that opened no stream.
    attempts: u32,
    /// Connections in a row that did not last.
    brief: u32,
    /// The length of the unread bytes when they were last looked at.
    seen: usize,
}

impl EventSource {
    /// A source of the events of this URL. The first request is due at once.
    ///
    /// `entropy` is for the length of waits.
    ///
    /// # Errors
    /// [`UrlError`]: it is no `http` or `https` URL.
    pub fn new(url: &str, config: SourceConfig, entropy: Entropy) -> Result<Self, UrlError> {
        let place = Place::new(url)?;
        Ok(Self {
            stream: Stream::new(config.stream),
            config,
            entropy,
            wanted: Wanted { method: "GET".to_owned(), ..Wanted::default() },
            home: place.clone(),
            place,
            redirects: 0,
            phase: Phase::Ready,
            shown: Shown::Nothing,
            over: None,
            error: None,
            retry_after: Duration::ZERO,
            due: None,
            wait: Duration::ZERO,
            opened: None,
            attempts: 0,
            brief: 0,
            seen: 0,
        })
    }

    /// A header for every request: authorisation, a cookie, `Content-Type` of a body; also `Accept` and
    /// `Cache-Control` instead of ours. No other origin gets it: see [`Ask::headers`].
    ///
    /// # Errors
    /// [`http::SendError::BadHeader`]: it cannot be sent, or is one that is written for you (`Host`, `Last-Event-ID`,
    /// `Content-Length`, `Transfer-Encoding`, `Connection`).
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), http::SendError> {
        let ours = ["host", "last-event-id", "content-length", "transfer-encoding", "connection"];
        http::check_headers(&[(name, value)], &ours)?;
        self.wanted.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Another method than GET, with a body: `POST` a question, and read the answer as it is made. It is sent
    /// anew for each connection; see [`SourceConfig::once`].
    ///
    /// # Errors
    /// [`http::SendError::Unsuitable`]: it is no method.
    pub fn ask(&mut self, method: &str, body: impl Into<Vec<u8>>) -> Result<(), http::SendError> {
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
            return Err(http::SendError::Unsuitable);
        }
        (self.wanted.method, self.wanted.body) = (method.to_owned(), body.into());
        Ok(())
    }

    /// Begins behind an event of an earlier source: the first request names this ID. Call it before the first request.
    ///
    /// # Errors
    /// As [`Stream::resume`].
    pub fn resume(&mut self, last_event_id: &str, inbox: &mut Inbox<'_>) -> Result<(), SendError> {
        self.stream = Stream::resume(self.config.stream, last_event_id, None, inbox)?;
        self.seen = inbox.unread().len();
        Ok(())
    }

    /// Where it is connected to, or will be: a redirection changes it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.place.url
    }

    /// Whether there is a connection, or one is being made. When not, drop the one that there was.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Asked | Phase::Open) && self.over.is_none() && self.error.is_none()
    }

    /// Whether a stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.over.is_none()
    }

    /// The event ID in force: [`Stream::last_event_id`].
    #[must_use]
    pub fn last_event_id<'i>(&self, inbox: &'i Inbox<'_>) -> Text<'i> {
        self.stream.last_event_id(inbox)
    }

    /// What the server wants to be waited before the next connection, as it said it: [`Stream::retry`].
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.stream.retry()
    }

    /// How many blocks were too large and dropped: [`Stream::dropped`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.stream.dropped()
    }

    // --- what the driver tells ---

    /// The request to make now, once; `None` when none is due.
    pub fn next_request<'a>(&'a mut self, now: Instant, inbox: &'a Inbox<'_>) -> Option<Ask<'a>> {
        let waited = self.phase == Phase::Waiting && self.due.is_some_and(|due| now >= due);
        let ready = self.phase == Phase::Ready || waited;
        if !ready || inbox.is_finished() {
            return None;
        }
        let url = Url::parse(&self.place.url).ok()?;
        (self.phase, self.due) = (Phase::Asked, None);
        Some(Ask {
            url,
            wanted: &self.wanted,
            as_get: self.place.as_get,
            foreign: self.place.foreign,
            last_event_id: self.stream.last_event_id(inbox),
        })
    }

    /// The head of the answer came. True: push its body into the inbox. False: drop the connection, there is nothing
    /// in it to read; what happens next, `advance` tells.
    pub fn answered(&mut self, head: &impl ResponseView) -> bool {
        if self.phase != Phase::Asked || self.over.is_some() {
            return false;
        }
        match head.status() {
            200 if answer::is_event_stream(head) => {
                (self.phase, self.due, self.opened) = (Phase::Open, None, None);
                (self.attempts, self.redirects) = (0, 0);
                return true;
            }
            200 => self.error = Some(SourceError::ContentType),
            204 => self.close(),
            status @ (301 | 302 | 303 | 307 | 308) => {
                if let Err(error) = self.redirect(status, head) {
                    self.error = Some(error);
                }
            }
            status @ (408 | 425 | 429 | 500..=599) if self.config.retry_statuses => {
                self.retry_after = answer::retry_after(head).unwrap_or_default();
                self.over = Some(Lost::Status(status));
            }
            status => self.error = Some(SourceError::Status(status)),
        }
        false
    }

    /// The body is complete, in order.
    pub fn ended(&mut self) {
        match self.phase {
            Phase::Open => drop(self.over.get_or_insert(Lost::Ended)),
            _ => self.failed(),
        }
    }

    /// There is no connection, or it broke.
    pub fn failed(&mut self) {
        if self.is_connected() {
            self.over = Some(Lost::Broken);
        }
    }

    /// Ends it: no more events, no more connections. Nothing happens when it has ended already.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        (self.over, self.due, self.shown) = (None, None, Shown::Nothing);
    }

    fn redirect(&mut self, status: u16, head: &impl ResponseView) -> Result<(), SourceError> {
        self.redirects = self.redirects.saturating_add(1);
        if self.redirects > self.config.max_redirects {
            return Err(SourceError::TooManyRedirects);
        }
        let to = self.place.redirected(status, head, &self.wanted.method)?;
        let permanent = matches!(status, 301 | 308) && self.place.url == self.home.url;
        self.place = to;
        if permanent || self.config.keep_redirects {
            self.home = self.place.clone();
        }
        (self.phase, self.due) = (Phase::Ready, None);
        Ok(())
    }

    // --- time ---

    /// The connection is lost: how long to wait, or whether to wait at all.
    fn lose(&mut self, why: Lost, now: Instant, inbox: &mut Inbox<'_>) -> Result<Progress, SourceError> {
        self.stream.restart(inbox);
        if why == Lost::Ended && self.config.once {
            self.close();
            return Ok(Progress::Closed);
        }
        let lasted = self.opened.take().map(|since| now.saturating_since(since));
        if lasted.is_some_and(|time| time >= self.config.stable_after) {
            self.brief = 0;
        }
        if self.config.max_attempts.is_some_and(|most| self.attempts >= most) {
            let attempts = self.attempts + 1;
            self.close();
            return Err(SourceError::GaveUp { attempts, why });
        }
        self.attempts = self.attempts.saturating_add(1);
        let wait = self.next_wait();
        self.brief = self.brief.saturating_add(1);
        self.place = self.home.clone();
        self.redirects = 0;
        (self.phase, self.wait, self.due) = (Phase::Waiting, wait, Some(now + wait));
        self.shown = Shown::Lost { why, wait };
        Ok(Progress::Event)
    }

    /// HTML 9.2.3: the reconnection time, and optionally some more.
    fn next_wait(&mut self) -> Duration {
        let SourceConfig { retry, retry_min, retry_max, backoff_max, .. } = self.config;
        let bounded = |time: Duration| time.max(retry_min).min(retry_max);
        let base = bounded(self.stream.retry().unwrap_or(retry));
        let least = base.max(bounded(core::mem::take(&mut self.retry_after)));
        let most = base.saturating_mul(1 << self.brief.min(30)).min(backoff_max);
        let random = u32::from_le_bytes(self.entropy.take());
        let share = most.as_nanos() * u128::from(random) / u128::from(u32::MAX);
        // A share of a time is no longer than the time.
        least.saturating_add(Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX)))
    }

    /// Whether the wait that is under way, or begins now, is over.
    fn is_over(&mut self, now: Instant, within: Duration) -> bool {
        now >= *self.due.get_or_insert(now + within)
    }

    fn step(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
        came: bool,
    ) -> Result<Progress, SourceError> {
        if let Some(error) = self.error.take() {
            self.close();
            return Err(error);
        }
        if self.phase != Phase::Open {
            self.stream.restart(inbox);
            if inbox.is_finished() {
                self.close();
            }
        }
        match self.phase {
            Phase::Closed => return Ok(Progress::Closed),
            Phase::Ready => {}
            Phase::Waiting => {
                if self.is_over(now, self.wait) {
                    (self.phase, self.due) = (Phase::Ready, None);
                }
            }
            Phase::Asked => {
                if self.is_over(now, self.config.answer_within) {
                    self.over.get_or_insert(Lost::NoAnswer);
                }
                if let Some(why) = self.over.take() {
                    return self.lose(why, now, inbox);
                }
            }
            Phase::Open if self.opened.is_none() => {
                self.opened = Some(now);
                self.shown = Shown::Open;
                return Ok(Progress::Event);
            }
            Phase::Open => return self.read(now, inbox, outbox, came),
        }
        Ok(Progress::NeedInput)
    }

    fn read(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
        came: bool,
    ) -> Result<Progress, SourceError> {
        if came {
            self.due = None;
        }
        match self.stream.advance(now, inbox, outbox) {
            Ok(Progress::Event) => {
                self.shown = Shown::Message;
                Ok(Progress::Event)
            }
            Ok(Progress::Closed) => {
                self.close();
                Ok(Progress::Closed)
            }
            Ok(_) => {
                if self.is_over(now, self.config.idle_within) {
                    self.over.get_or_insert(Lost::Silent);
                }
                match self.over.take() {
                    Some(why) => self.lose(why, now, inbox),
                    None => Ok(Progress::NeedInput),
                }
            }
            Err(error) => {
                self.close();
                Err(error.into())
            }
        }
    }
}

impl Machine for EventSource {
    type Event<'i> = SourceEvent<'i>;
    type Error = SourceError;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, SourceError> {
        let came = inbox.unread().len() != self.seen;
        self.shown = Shown::Nothing;
        let progress = self.step(now, inbox, outbox, came);
        if self.phase == Phase::Closed {
            // The event ID stays: it may be asked for.
            self.stream.restart(inbox);
        }
        self.seen = inbox.unread().len();
        progress
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<SourceEvent<'i>> {
        match self.shown {
            Shown::Nothing => None,
            Shown::Open => Some(SourceEvent::Open),
            Shown::Message => self.stream.event(inbox).map(SourceEvent::Message),
            Shown::Lost { why, wait } => Some(SourceEvent::Lost { why, wait }),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due.filter(|due| *due < Instant::MAX)
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.shown = Shown::Nothing;
        self.stream.release(inbox);
        self.seen = inbox.unread().len();
    }
}

/// Shows no credentials.
impl core::fmt::Debug for EventSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let origin = Url::parse(&self.place.url).map(|url| url.authority().to_string()).unwrap_or_default();
        let mut source = f.debug_struct("EventSource");
        source.field("origin", &origin).field("phase", &self.phase).finish_non_exhaustive()
    }
}
