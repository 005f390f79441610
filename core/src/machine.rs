//! What every protocol machine is, and why `advance` comes back.
//!
//! A connection is a machine and two boxes. The caller owns all three and moves them:
//!
//! ```
//! use core::time::Duration;
//! use stillwire::{Inbox, Instant, Machine, Outbox, ws};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]); // all the memory there is
//! let (mut inbox, mut outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
//! let mut server = ws::Connection::server(ws::Config::default());
//! let now = Instant::since_epoch(Duration::from_secs(1));
//!
//! inbox.push(b"\x81\x85\x00\x00\x00\x00hello"); // a masked text frame
//! while let Some(event) = server.next(now, &mut inbox, &mut outbox)? {
//!     if let ws::Event::Text(text) = event {
//!         server.send_text(text, &mut outbox)?; // `text` still borrows the inbox
//!     }
//! }
//! assert_eq!(outbox.chunk(), b"\x81\x05hello");
//! # Ok(()) }
//! ```

use crate::{Inbox, Instant, Outbox};

/// A protocol: bytes and time in, events and bytes out, nothing else.
///
/// Four laws hold for every implementation, and one generic harness tests them all:
/// * **chunking changes nothing**: however the input is cut, events, output and verdict are the same
///   (pieces of streamed bodies: the same once joined);
/// * **memory is bounded**: the boxes are the memory, and a length that a peer declares never allocates;
/// * **amortised O(1) work per byte**;
/// * **the end is said once**: one last word (a closing event, or the `Err` that ended it), then
///   [`Progress::Closed`] for ever.
pub trait Machine {
    /// What can happen, as views of the inbox.
    type Event<'i>;

    /// What the peer, or a limit, can do to end this machine.
    type Error: core::error::Error;

    /// Uses up input, acts on the time, writes replies; stops at the first event.
    ///
    /// Call it when bytes arrived, when the input ended, when the [`deadline`](Self::deadline) is reached, when
    /// the outbox got room after [`Progress::NeedRoom`], and after every event. It begins by releasing the event
    /// that it stopped at before.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. The goodbye (close frame, status) is in the outbox already; keep
    /// calling until [`Progress::Closed`], because the connection still has to end in order.
    /// [`Link`](crate::Link) does all of that.
    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Self::Error>;

    /// The event that [`advance`](Self::advance) stopped at. It borrows the inbox and nothing else, so the
    /// machine can be told the answer while the event is still in hand.
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Self::Event<'i>>;

    /// When [`advance`](Self::advance) must be called even if no byte arrives. `None`: only bytes or the
    /// application move this machine on.
    ///
    /// Ask after `advance`: a timer that a command started gets its deadline there.
    fn deadline(&self) -> Option<Instant>;

    /// Gives the bytes of the last event back to the inbox. `advance` begins with it and
    /// [`Link::switch`](crate::Link::switch) calls it; nobody else needs to.
    fn release(&mut self, inbox: &mut Inbox<'_>);

    /// [`advance`](Self::advance) and [`event`](Self::event) in one step, for hand-written loops.
    ///
    /// `None` means: nothing more for now. Write the outbox, read into the inbox, come back.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    fn next<'i>(
        &mut self,
        now: Instant,
        inbox: &'i mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Option<Self::Event<'i>>, Self::Error> {
        Ok(match self.advance(now, inbox, outbox)? {
            Progress::Event => self.event(inbox),
            _ => None,
        })
    }
}

/// Why [`advance`](Machine::advance) came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// [`event`](Machine::event) has something for the application.
    Event,
    /// More bytes are needed, or the end of the input, or the deadline, or a command of the application.
    NeedInput,
    /// The outbox lacks room for a reply that must not be lost: write some of it first.
    NeedRoom,
    /// The end. Every later call says the same.
    Closed,
}
