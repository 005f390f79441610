//! The sending side: an answer that does not end, and a clock.

use core::time::Duration;

#[cfg(feature = "alloc")]
use bytes::Bytes;

use super::{
    block::{Block, Parts},
    config::FeedConfig,
    event::Gone,
};
use crate::{
    Entropy, Inbox, Incoming, Instant, Kind, Machine, Outbox, Progress, SendError, Transport,
    http::{self, Exchange, Framing, RequestView, Tail},
    time::Millis,
};

/// What keeps a silent stream alive: a comment (HTML 9.2.7).
const KEEP_ALIVE: &[u8] = b":\n\n";

/// The server's side of one event stream.
///
/// Answer the request with [`begin`](Self::begin), then put the feed in the place of the exchange with
/// [`Link::switch`](crate::Link::switch). The answer ends with the connection, so the bytes of a block are the same for
/// every subscriber and can be [shared](Self::send_shared).
///
/// Where another HTTP stack writes the answer, [`as_body`](Self::as_body) is a feed for its body alone.
///
/// What waits in the outbox is bounded by the outbox: [`SendError::Full`] is how a subscriber that is too slow shows
/// itself, and whether to drop the block or the subscriber is yours to decide. The only event is [`Gone`].
#[derive(Debug)]
pub struct Feed {
    tail: Tail,
    /// How long nothing may be sent.
    keep_alive: Millis,
    /// When the next comment is due; set by `advance` after something was sent.
    due: Option<Instant>,
    /// How old the stream may become, and what the subscriber is told then.
    life: Option<Life>,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    age: Duration,
    retry: Duration,
    /// Set by `advance`.
    ends: Option<Instant>,
}

impl Feed {
    /// The headers of the answer: the type that browsers insist on, no copies in caches, and no waiting for more in
    /// proxies like nginx, which would else hold small events back.
    pub const HEADERS: [(&'static str, &'static str); 3] =
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")];

    /// The most bytes of a [`last_event_id`](Self::last_event_id).
    pub const MAX_LAST_EVENT_ID: usize = 1024;

    /// How many headers an answer has at most.
    const MOST_HEADERS: usize = 16;

    /// Begins the answer: status 200, [`HEADERS`](Self::HEADERS) and yours, of which those with the same name are sent
    /// instead of ours. At most 13 of them.
    ///
    /// To tell a browser to stop, answer with status 204 instead: any other ending makes it connect again (HTML 9.2.3).
    ///
    /// # Errors
    /// [`http::SendError`], nothing was written: it is not your turn, a header cannot be sent, there are too many
    /// (`Unsuitable`), or the outbox is full.
    pub fn begin(
        exchange: &mut Exchange,
        headers: &[(&str, &str)],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), http::SendError> {
        let replaced = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let ours = Self::HEADERS.iter().filter(|(name, _)| !replaced(name));
        let mut all = [("", ""); Self::MOST_HEADERS];
        let mut len = 0;
        for header in ours.chain(headers) {
            *all.get_mut(len).ok_or(http::SendError::Unsuitable)? = *header;
            len += 1;
        }
        exchange.begin(200, all.get(..len).unwrap_or_default(), Framing::UntilClose, outbox)
    }

    /// A feed over an exchange whose answer was begun with [`begin`](Self::begin), or a [`Single`](http::Single) whose answer
    /// was begun with [`HEADERS`](Self::HEADERS): `link.switch(|exchange| Feed::over(exchange, FeedConfig::default()))`.
    ///
    /// If the request was HEAD, the answer ends with its head. What is left of a body that it came with is dropped.
    #[must_use]
    pub fn over(answer: impl Into<Tail>, config: FeedConfig) -> Self {
        Self::new(answer.into(), config)
    }

    fn new(tail: Tail, config: FeedConfig) -> Self {
        Self { tail, keep_alive: Millis::new_or_never(config.keep_alive), due: None, life: None }
    }

    /// Refuses a subscriber: status 503, and when to come back, in whole seconds. Answer so when there are too many
    /// streams ([`Admission`](crate::hub::Admission) counts them), and with another time for each.
    ///
    /// A browser takes it for the end and tells the page; [`EventSource`](super::EventSource) comes back.
    ///
    /// # Errors
    /// [`http::SendError`], nothing was written: it is not your turn, or the outbox is full.
    #[cfg(feature = "alloc")]
    pub fn refuse(
        exchange: &mut Exchange,
        retry_after: u64,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), http::SendError> {
        let mut digits = [0; 20];
        let digits = crate::decimal::write(retry_after, &mut digits);
        let seconds = core::str::from_utf8(digits).unwrap_or_default();
        exchange.respond(503, &[("retry-after", seconds), ("cache-control", "no-store")], b"", outbox)
    }

    /// Ends the stream when it is between three quarters of `age` and `age` old, after having told the subscriber to come
    /// back after a random time up to `retry`. So streams move on to servers that were added, and those that were opened
    /// together do not end together.
    pub fn limit_age(&mut self, age: Duration, retry: Duration, entropy: &mut Entropy) {
        let share = |time: Duration, random: [u8; 2]| {
            let random = u32::from(u16::from_le_bytes(random));
            (time / (1 << 16)).saturating_mul(random)
        };
        let age = age - share(age / 4, entropy.take());
        self.life = Some(Life { age, retry: share(retry, entropy.take()), ends: None });
    }

    /// A feed that writes the body of an answer whose head is another HTTP stack's: status 200 and
    /// [`HEADERS`](Self::HEADERS). [`Inbox::finish`] says that the subscriber has left; nothing else is read.
    /// The outbox is finished when the body is.
    ///
    /// ```
    /// use stillwire::{Inbox, Instant, Outbox, Machine, sse};
    ///
    /// let (mut nothing, mut body) = ([0; 0], [0; 256]);
    /// let (mut inbox, mut outbox) = (Inbox::new(&mut nothing), Outbox::new(&mut body));
    /// let mut feed = sse::Feed::as_body(sse::FeedConfig::default());
    /// feed.send_block(&sse::Block::message(&[b"hello"]), &mut outbox)?;
    /// assert_eq!(outbox.chunk(), b"data: hello\n\n");
    /// inbox.finish();
    /// assert_eq!(feed.next(Instant::EPOCH, &mut inbox, &mut outbox)?, Some(sse::Gone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn as_body(config: FeedConfig) -> Self {
        Self::new(Tail::of_body(), config)
    }

    /// Where the subscriber wants to go on: the `Last-Event-ID` header (HTML 9.2.4). `None` when it is missing, empty,
    /// repeated, or longer than [`MAX_LAST_EVENT_ID`](Self::MAX_LAST_EVENT_ID) bytes.
    ///
    /// Anybody can write anything there, so these are bytes and no promise: look them up among the events that this
    /// subscriber may see, and nowhere else.
    #[must_use]
    pub fn last_event_id(request: &impl RequestView) -> Option<&[u8]> {
        let id = request.only("last-event-id")?;
        (1..=Self::MAX_LAST_EVENT_ID).contains(&id.len()).then_some(id)
    }

    /// Sends one block.
    ///
    /// # Errors
    /// [`SendError`], nothing was written: `NotOpen` when the stream has ended, `Unsuitable` when
    /// [`Block::check`] fails (it says why), `Full` when there is no room.
    pub fn send_block(&mut self, block: &Block<'_>, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        block.check()?;
        self.check_open()?;
        block.write(outbox)?;
        self.due = None;
        Ok(())
    }

    /// Sends a block that was encoded with [`Block::to_bytes`] and is shared with other subscribers.
    ///
    /// # Errors
    /// `NotOpen` or `Full`: nothing was written.
    #[cfg(feature = "alloc")]
    pub fn send_shared(&mut self, block: &Bytes, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_open()?;
        outbox.push_shared(block)?;
        self.due = None;
        Ok(())
    }

    /// Tells how long to wait before connecting again. Spread it over the subscribers before you close many streams.
    ///
    /// # Errors
    /// As [`send_block`](Self::send_block).
    pub fn retry(&mut self, after: Duration, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send_block(&Block { retry: Some(after), ..Block::default() }, outbox)
    }

    /// Sends a comment, which readers ignore.
    ///
    /// # Errors
    /// As [`send_block`](Self::send_block).
    pub fn comment(&mut self, text: &str, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send_block(&Block { comment: Some(text), ..Block::default() }, outbox)
    }

    /// Ends the stream: what waits is still sent, then the connection closes. Browsers will connect again.
    /// Nothing happens when it has ended already.
    pub fn end(&mut self, outbox: &mut Outbox<'_>) {
        self.tail.end(outbox);
    }

    /// Whether blocks can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tail.is_open()
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.is_open() { Ok(()) } else { Err(SendError::NotOpen) }
    }

    /// Ends the stream when it is old enough.
    fn grow_old(&mut self, now: Instant, outbox: &mut Outbox<'_>) -> bool {
        let Some(life) = &mut self.life else { return false };
        let over = now >= *life.ends.get_or_insert(now + life.age);
        if over {
            let retry = life.retry;
            // A hint, and where there is no room for it, the end comes without.
            let _ = self.retry(retry, outbox);
            self.end(outbox);
        }
        over
    }

    /// Sends the comment when it is due.
    fn keep_alive(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        if self.keep_alive == Millis::NEVER {
            return;
        }
        let next = now.after(self.keep_alive);
        if now >= *self.due.get_or_insert(next) {
            // Where there is no room, something waits, and will be heard.
            let _ = outbox.put(&[KEEP_ALIVE]);
            self.due = Some(next);
        }
    }
}

impl Machine for Feed {
    type Event<'i> = Gone;
    /// Nothing that a subscriber says is wrong: there never is one.
    type Error = http::Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, http::Error> {
        let progress = self.tail.advance(now, inbox, outbox);
        if !self.is_open() {
            return Ok(progress);
        }
        if self.grow_old(now, outbox) {
            return Ok(self.tail.advance(now, inbox, outbox));
        }
        self.keep_alive(now, outbox);
        Ok(progress)
    }

    fn event(&self, _inbox: &Inbox<'_>) -> Option<Gone> {
        self.tail.is_gone().then_some(Gone)
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.is_open() {
            return self.tail.deadline();
        }
        let ends = self.life.and_then(|life| life.ends);
        [self.due, ends].into_iter().flatten().min()
    }

    fn release(&mut self, _inbox: &mut Inbox<'_>) {
        self.tail.release();
    }
}

impl Transport for Feed {
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        self.event(inbox).map(|Gone| Incoming::Closed)
    }

    /// One event of type `message`. Binary is [`SendError::Unsuitable`].
    fn send(&mut self, kind: Kind, parts: Parts<'_>, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        match kind {
            Kind::Text => self.send_block(&Block::message(parts), outbox),
            Kind::Binary => Err(SendError::Unsuitable),
        }
    }

    /// [`end`](Feed::end); there is no place for a reason.
    fn close(&mut self, _reason: &str, outbox: &mut Outbox<'_>) {
        self.end(outbox);
    }
}
