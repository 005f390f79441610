//! What the two machines of this folder tell.

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

/// The only event of a [`Feed`](super::Feed), said once: the subscriber has left, nothing can be sent any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;
