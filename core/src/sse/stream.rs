//! The receiving side: the machine that parses a stream.

use core::{ops::Range, time::Duration};

use memchr::memchr3;

use super::{
    config::Config,
    draft::{Block, Draft},
    error::Error,
    event::Event,
    parser::Parser,
    quick::View,
};
use crate::{Inbox, Instant, Machine, Outbox, Progress, SendError, Text};

/// Parses the body of one `text/event-stream` response. It writes nothing and has no deadline.
///
/// The inbox holds the body and nothing else (behind an HTTP head, or after decoding chunks). Bytes that are no
/// UTF-8 become U+FFFD and never an error; a block that the end of the input cuts off is dropped. When it says
/// [`Progress::Closed`] the input has ended: ask for the [`retry`](Self::retry) time and the
/// [`last_event_id`](Self::last_event_id), connect again, and go on with [`resume`](Self::resume).
///
/// The event ID in force lives in the inbox, in front of everything else; ask for it before you
/// [`switch`](crate::Link::switch) to another machine. And because decoded text may be longer than what came, the stream
/// [keeps](Inbox::keep) room to itself, from its first `advance` on: call that once before the first bytes, as
/// [`Link`](crate::Link) does. (Without, an inbox that was filled to the brim with bytes that are no UTF-8 may be too small for a
/// block within the limit.)
#[derive(Debug)]
pub struct Stream {
    parser: Parser,
    closed: bool,
}

impl Stream {
    /// A stream from its beginning: no event ID, no retry time.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { parser: Parser::new(config), closed: false }
    }

    /// The stream of the next connection, which begins with the event ID of the one before (as browsers do it: the ID
    /// stays in force until the server names another). The ID is written into the inbox of the new connection, in
    /// front of what may have come already.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] when the ID is above the limit ([`max_id`](Self::max_id)), [`SendError::Unsuitable`] when
    /// it contains CR, LF or NUL, as no ID of a stream does.
    pub fn resume(
        config: Config,
        last_event_id: &str,
        retry: Option<Duration>,
        inbox: &mut Inbox<'_>,
    ) -> Result<Self, SendError> {
        let mut stream = Self::new(config);
        stream.parser.retry = retry;
        let limit = stream.max_id(inbox);
        let id = last_event_id.as_bytes();
        if memchr3(0, b'\r', b'\n', id).is_some() {
            return Err(SendError::Unsuitable);
        }
        if id.len() > limit || !inbox.open_gap(0, id.len()) {
            return Err(SendError::TooLarge { limit });
        }
        if let Some(front) = inbox.unread_mut().get_mut(..id.len()) {
            front.copy_from_slice(id);
        }
        (stream.parser.id_len, stream.parser.raw) = (id.len(), id.len());
        Ok(stream)
    }

    /// The body of another connection begins, in the same inbox: what is left of this one is dropped, the event ID and
    /// the reconnection time stay in force.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self, inbox: &mut Inbox<'_>) {
        self.parser.restart(inbox);
        self.closed = false;
        self.keep(inbox);
    }

    /// The event ID in force: what the `Last-Event-ID` header of the next request says, which is left out when this
    /// is empty (HTML 9.2.4). An ID takes effect at the end of its block, also of one without data.
    ///
    /// `inbox` is the one that this stream was advanced with, since its last call.
    #[must_use]
    pub fn last_event_id<'i>(&self, inbox: &'i Inbox<'_>) -> Text<'i> {
        text(inbox.unread(), self.parser.block.id().unwrap_or(0..self.parser.id_len))
    }

    /// The reconnection time in force: how long to wait before the next request. `None` until the server has named one.
    ///
    /// A `retry` line takes effect at once. Its number is taken as it is, up to `u64::MAX` milliseconds: bound it before
    /// you wait for it.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }

    /// How many blocks were dropped because they were too large; always 0 without [`Config::resync`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.parser.dropped
    }

    /// The most bytes of a block over this inbox: [`Config::max_event`], or the inbox's capacity less twice
    /// [`max_id`](Self::max_id) and 16.
    #[must_use]
    pub fn max_event(&self, inbox: &Inbox<'_>) -> usize {
        self.parser.max_event(inbox)
    }

    /// The most bytes of an event ID over this inbox: [`Config::max_id`], or an eighth of its capacity.
    #[must_use]
    pub fn max_id(&self, inbox: &Inbox<'_>) -> usize {
        self.parser.max_id(inbox)
    }

    /// Lets the driver read no more than can be decoded in place, whatever it will be: each byte may become three,
    /// and a block grows by two thirds of its limit at most.
    fn keep(&self, inbox: &mut Inbox<'_>) {
        let len = inbox.unread().len();
        let free = inbox.capacity() - len;
        // The ID may be replaced by one as long as it can be, with a gap behind it that is as long.
        let front = self.parser.block.draft().map_or(self.parser.id_len, Draft::start);
        let front = (2 * self.max_id(inbox)).saturating_sub(front);
        let raw = len.saturating_sub(self.parser.raw);
        let third = free.saturating_sub(front + 2 * raw) / 3;
        let most = free.saturating_sub(front + 2 * (self.max_event(inbox) / 3 + 2));
        // The margin has room for one byte.
        inbox.keep(free - third.max(most).max(1).min(free));
    }

    /// Whatever is not a common block that is all there.
    #[inline(never)]
    fn advance_slowly(&mut self, inbox: &mut Inbox<'_>) -> Result<Progress, Error> {
        self.parser.forget_event(inbox);
        if self.closed {
            return Ok(Progress::Closed);
        }
        match self.parser.parse(inbox) {
            Ok(true) => {
                inbox.keep(usize::MAX);
                Ok(Progress::Event)
            }
            Ok(false) => {
                self.closed = inbox.is_finished();
                if self.closed {
                    self.parser.end(inbox);
                }
                self.parser.tidy(inbox);
                self.keep(inbox);
                Ok(if self.closed { Progress::Closed } else { Progress::NeedInput })
            }
            Err(error) => {
                self.closed = true;
                Err(error)
            }
        }
    }
}

/// The type of an event that the server gave none.
const MESSAGE: Text<'static> = Text::checked(b"message");

impl Machine for Stream {
    type Event<'i> = Event<'i>;
    type Error = Error;

    #[inline]
    fn advance(
        &mut self,
        _now: Instant,
        inbox: &mut Inbox<'_>,
        _outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        if !self.closed && self.parser.parse_quickly(inbox) {
            // Nothing is read while an event is shown: what may be read then is worked out once there is no more.
            inbox.keep(usize::MAX);
            return Ok(Progress::Event);
        }
        self.advance_slowly(inbox)
    }

    #[inline]
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Event<'i>> {
        let bytes = inbox.unread();
        let in_force = match self.parser.id_len {
            0 => Text::default(),
            len => text(bytes, 0..len),
        };
        Some(match &self.parser.block {
            Block::Data(data) => {
                Event { event: MESSAGE, data: text(bytes, data.clone()), last_event_id: in_force }
            }
            Block::Event(View { event, id, data }) => Event {
                event: if event.is_empty() { MESSAGE } else { text(bytes, event.clone()) },
                data: text(bytes, data.clone()),
                last_event_id: id.as_ref().map_or(in_force, |id| text(bytes, id.clone())),
            },
            Block::None | Block::Draft(_) => return None,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.parser.forget_event(inbox);
        inbox.keep(0);
        // An ID has to stay; without one, nothing has.
        if self.parser.id_len == 0 && self.parser.block.draft().is_none() {
            inbox.consume(self.parser.raw);
            self.parser.raw = 0;
        }
    }
}

#[inline]
fn text(bytes: &[u8], range: Range<usize>) -> Text<'_> {
    Text::checked(bytes.get(range).unwrap_or_default())
}
