//! What the two machines of this folder tell.

#[cfg(feature = "alloc")]
use alloc::{borrow::Cow, string::String};
#[cfg(feature = "alloc")]
use core::time::Duration;

use crate::Text;

/// An event of a [`Stream`](super::Stream): the three strings of a browser's `MessageEvent` (HTML 9.2.6, the steps
/// to dispatch the event).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'i> {
    /// The type: `message` unless the server named one.
    pub event: Text<'i>,
    /// The data: the values of all `data` lines, joined with LF. It may be empty.
    pub data: Text<'i>,
    /// The last event ID, of this event or of an earlier one; empty when there is none. It never contains CR, LF or
    /// NUL.
    pub last_event_id: Text<'i>,
}

/// An [`Event`] that borrows nothing: to keep it, or to hand it to another thread.
///
/// Nothing is allocated for a type `message` and for an empty ID.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct OwnedEvent {
    /// [`Event::event`].
    pub event: Cow<'static, str>,
    /// [`Event::data`].
    pub data: String,
    /// [`Event::last_event_id`].
    pub last_event_id: String,
}

#[cfg(feature = "alloc")]
impl Event<'_> {
    /// A copy that borrows nothing.
    #[inline]
    #[must_use]
    pub fn to_owned(&self) -> OwnedEvent {
        let event = match self.event.as_bytes() {
            b"message" => Cow::Borrowed("message"),
            _ => Cow::Owned(self.event.into()),
        };
        let last_event_id =
            if self.last_event_id.is_empty() { String::new() } else { self.last_event_id.into() };
        OwnedEvent { event, data: self.data.into(), last_event_id }
    }

    /// The same copy, over one that is not needed any more: its strings are written over, so nothing is allocated
    /// once they are long enough.
    ///
    /// ```
    /// use stillwire::{Inbox, Instant, Machine, Outbox, sse};
    ///
    /// let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(0));
    /// let mut stream = sse::Stream::new(sse::Config::default());
    /// let mut owned = sse::OwnedEvent::default();
    /// inbox.push(b"event: price\ndata: 12.50\n\ndata: 7\n\n");
    /// let mut seen = Vec::new();
    /// while let Some(event) = stream.next(Instant::EPOCH, &mut inbox, &mut outbox)? {
    ///     event.clone_into(&mut owned);
    ///     seen.push(format!("{} {}", owned.event, owned.data));
    /// }
    /// assert_eq!(seen, ["price 12.50", "message 7"]);
    /// # Ok::<(), sse::Error>(())
    /// ```
    #[inline]
    pub fn clone_into(&self, owned: &mut OwnedEvent) {
        match (self.event.as_bytes(), &mut owned.event) {
            (b"message", event) => *event = Cow::Borrowed("message"),
            (_, Cow::Owned(event)) => self.event.clone_into(event),
            (_, event) => *event = Cow::Owned(self.event.into()),
        }
        self.data.clone_into(&mut owned.data);
        self.last_event_id.clone_into(&mut owned.last_event_id);
    }
}

/// What happens to an [`EventSource`](super::EventSource).
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceEvent<'i> {
    /// A stream is open, the first one or another one.
    Open,
    /// The server sent an event.
    Message(Event<'i>),
    /// The connection is lost, or there was none; another one is made after `wait`.
    Lost {
        /// What happened.
        why: Lost,
        /// How long it waits.
        wait: Duration,
    },
}

/// Why an [`EventSource`](super::EventSource) has to connect again.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The server ended the stream in order.
    Ended,
    /// There was no connection, or it broke, or the answer was no HTTP.
    Broken,
    /// The answer took longer than [`SourceConfig::answer_within`](super::SourceConfig::answer_within).
    NoAnswer,
    /// The stream was silent for [`SourceConfig::idle_within`](super::SourceConfig::idle_within).
    Silent,
    /// The server wants to be asked later: 408, 425, 429 or 5xx.
    Status(u16),
}

/// The only event of a [`Feed`](super::Feed), said once: the subscriber has left, nothing can be sent any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;
