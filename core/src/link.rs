//! A machine with its two boxes, and the one thing its driver does next.
//!
//! Everything that each driver would have to get right again lives here: events first, then one write for all the
//! answers; no event while there is no room to answer it; the peer is told before the application is; both
//! sides are shut down in order; a peer that takes nothing is cut off. What is left for a driver is one `match`:
//!
//! ```
//! use stillwire::{Inbox, Instant, Link, Machine, Outbox, Want};
//! use std::io::{Read, Write};
//!
//! /// Drives a connection to its end. (A real driver also obeys `until`; `stillwire-std` is one.)
//! fn drive<M: Machine>(link: &mut Link<'_, M>, socket: &mut (impl Read + Write)) -> std::io::Result<()> {
//!     let start = std::time::Instant::now();
//!     loop {
//!         match link.want(Instant::since_epoch(start.elapsed())).map_err(|_| std::io::ErrorKind::InvalidData)? {
//!             Want::Deliver => { let (_event, _reply) = link.turn().unwrap(); }
//!             Want::Write { .. } => { let n = socket.write(link.outbox.chunk())?; link.outbox.advance(n); }
//!             Want::Read { .. } => match socket.read(link.inbox.spare())? {
//!                 0 => link.inbox.finish(),
//!                 n => link.inbox.filled(n),
//!             },
//!             Want::Wait { .. } => return Ok(()),
//!             Want::Finish => link.shut(), // after `TcpStream::shutdown(Shutdown::Write)`
//!             Want::Close => return Ok(()),
//!         }
//!     }
//! }
//! ```

use core::time::Duration;

use crate::{Inbox, Instant, Machine, Outbox, Progress};

/// One connection: a machine, its boxes, and the policy between them.
#[derive(Debug)]
pub struct Link<'s, M: Machine> {
    /// The protocol. Its commands take the outbox: `link.machine.send_text("hi", &mut link.outbox)`.
    pub machine: M,
    /// Bytes from the peer.
    pub inbox: Inbox<'s>,
    /// Bytes to the peer.
    pub outbox: Outbox<'s>,
    /// Events are delivered only while the outbox has this much room for answers, in bytes; less, and it is
    /// written first. Default: half of the outbox. Zero for a driver whose commands come from elsewhere: two ends
    /// that both fill their outboxes, and wait for room before they read, wait for ever.
    pub headroom: usize,
    /// A peer that takes no byte of a waiting outbox for this long is cut off. Default: 20 s.
    pub stall: Duration,
    error: Option<M::Error>,
    pace: Pace,
}

/// The one thing that a driver does next: each is one call on the connection.
///
/// `until` is the moment to come back at if nothing else happens before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Want {
    /// Hand [`Link::turn`] to the application.
    Deliver,
    /// Write `outbox.chunk()`, then `outbox.advance(n)`. A driver that can also reads meanwhile, but only while at most
    /// half of the inbox is unread: a machine that waits for room uses little up, and each read into a full inbox
    /// moves all of it.
    Write {
        /// Come back at this moment at the latest.
        until: Option<Instant>,
    },
    /// Shut the write side down, then call [`Link::shut`]. Said until then, so a dropped future loses nothing.
    Finish,
    /// Read into `inbox.spare()`, then `inbox.filled(n)`, or `inbox.finish()` when the peer has ended.
    Read {
        /// Come back at this moment at the latest.
        until: Option<Instant>,
    },
    /// There is nothing to read for: the inbox is full or the peer has ended. Only time, or a command of the
    /// application, moves this on.
    Wait {
        /// Come back at this moment at the latest.
        until: Option<Instant>,
    },
    /// Close the connection. All is said, or the outbox is not empty and the peer took nothing of it for
    /// [`Link::stall`].
    Close,
}

/// The right to answer while an event is still borrowed.
#[derive(Debug)]
pub struct Reply<'a, 's, M> {
    /// The machine, for its commands.
    pub machine: &'a mut M,
    /// Where the commands write.
    pub outbox: &'a mut Outbox<'s>,
}

impl<'s, M: Machine> Link<'s, M> {
    /// A connection of `machine` over the two boxes.
    pub fn new(machine: M, inbox: Inbox<'s>, outbox: Outbox<'s>) -> Self {
        Self {
            machine,
            inbox,
            headroom: outbox.capacity() / 2,
            outbox,
            stall: Duration::from_secs(20),
            error: None,
            pace: Pace::NEW,
        }
    }

    /// What to do next. Ask again after having done it, when time is up, and after any command.
    ///
    /// A driver that was away (a slow handler) may come back behind a deadline that its peer has kept: let it write
    /// and read once before it asks, if [`stall_deadline`](Self::stall_deadline) or the machine's deadline is past.
    ///
    /// # Errors
    /// What ended the machine, once its goodbye is written and the peer has ended its side, too, or did not in time.
    /// Close the connection.
    pub fn want(&mut self, now: Instant) -> Result<Want, M::Error> {
        // Deadlines are looked at only when it comes to them: most calls are for one event of many.
        let crowded = !self.outbox.is_empty() && self.outbox.room() < self.headroom;
        let progress = if crowded && !is_past(self.machine.deadline(), now) {
            Progress::NeedRoom
        } else {
            self.advance(now)
        };
        if progress == Progress::Event {
            return Ok(Want::Deliver);
        }
        let stall = self.stall_deadline(now);
        if is_past(stall, now) {
            return self.end();
        }
        // A deadline that is past, and that the machine could not act on for want of room, waits for the room.
        let deadline = self.machine.deadline().filter(|at| *at > now);
        match self.pace.want(progress, earlier(deadline, stall), &self.inbox, &self.outbox) {
            Want::Close => self.end(),
            want => Ok(want),
        }
    }

    fn advance(&mut self, now: Instant) -> Progress {
        let mut advanced = self.machine.advance(now, &mut self.inbox, &mut self.outbox);
        // The peer is told before the application is, and the error is kept until the peer had time to read why:
        // a connection that is closed over unread input is reset, and what was said last gets lost.
        if let Err(error) = advanced {
            self.error = Some(error);
            advanced = self.machine.advance(now, &mut self.inbox, &mut self.outbox);
        }
        advanced.unwrap_or(Progress::Closed)
    }

    fn end(&mut self) -> Result<Want, M::Error> {
        self.error.take().map_or(Ok(Want::Close), Err)
    }

    /// The event to deliver, and the right to answer it. `None` when [`want`](Self::want) did not just say
    /// [`Want::Deliver`].
    pub fn turn(&mut self) -> Option<(M::Event<'_>, Reply<'_, 's, M>)> {
        let event = self.machine.event(&self.inbox)?;
        Some((event, Reply { machine: &mut self.machine, outbox: &mut self.outbox }))
    }

    /// The write side is shut down.
    pub fn shut(&mut self) {
        self.pace.shut = true;
    }

    /// When a peer that takes nothing is cut off; `None` while nothing waits. For drivers that write outside of
    /// [`want`](Self::want).
    pub fn stall_deadline(&mut self, now: Instant) -> Option<Instant> {
        self.pace.stall_deadline(now, self.stall, &self.outbox)
    }

    /// Another machine takes the same boxes over, as after an upgrade: the bytes of the last event are given
    /// back, all later ones stay, none is copied.
    pub fn switch<N: Machine>(mut self, machine: impl FnOnce(M) -> N) -> Link<'s, N> {
        self.machine.release(&mut self.inbox);
        Link {
            machine: machine(self.machine),
            inbox: self.inbox,
            outbox: self.outbox,
            headroom: self.headroom,
            stall: self.stall,
            error: None,
            pace: self.pace,
        }
    }

    /// The next connection in the same memory: nothing is left of this one. Where boxes are lent for ever (statics in a
    /// firmware), this is how they are used again.
    ///
    /// ```
    /// use stillwire::{Inbox, Instant, Link, Outbox, Want, http, ws};
    ///
    /// let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
    /// let config = http::Config::TINY;
    /// let mut link = Link::new(http::Exchange::new(config), Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
    /// link.inbox.push(b"GET / HT"); // and then the peer is gone
    /// link.inbox.finish();
    /// let mut link = link.renew(http::Exchange::new(config));
    /// assert!(matches!(link.want(Instant::EPOCH), Ok(Want::Read { .. })));
    /// ```
    pub fn renew<N: Machine>(mut self, machine: N) -> Link<'s, N> {
        self.inbox.clear();
        self.outbox.clear();
        Link { pace: Pace::NEW, ..self.switch(|_| machine) }
    }
}

/// What a link knows of its socket; nothing here depends on the machine, so it is compiled once for all of them.
#[derive(Debug)]
struct Pace {
    /// The write side is.
    shut: bool,
    /// How much had been sent when it was last seen to grow; what a word holds of it, which tells one look from the next.
    sent: usize,
    /// When that was; `MAX` while nothing waits.
    since: Instant,
}

impl Pace {
    const NEW: Self = Self { shut: false, sent: 0, since: Instant::MAX };

    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    fn stall_deadline(&mut self, now: Instant, stall: Duration, outbox: &Outbox<'_>) -> Option<Instant> {
        if outbox.is_empty() {
            self.since = Instant::MAX;
            return None;
        }
        let sent = outbox.sent() as usize;
        if self.since == Instant::MAX || self.sent != sent {
            (self.sent, self.since) = (sent, now);
        }
        Some(self.since + stall)
    }

    /// What to do when there is no event.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    fn want(
        &self,
        progress: Progress,
        until: Option<Instant>,
        inbox: &Inbox<'_>,
        outbox: &Outbox<'_>,
    ) -> Want {
        // `Closed` means nothing more to say or to hear; what was said still goes out.
        if !outbox.is_empty() {
            Want::Write { until }
        } else if outbox.is_finished() && !self.shut {
            Want::Finish
        } else if progress == Progress::Closed {
            Want::Close
        } else if inbox.wants() {
            Want::Read { until }
        } else {
            Want::Wait { until }
        }
    }
}

fn is_past(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|at| now >= at)
}

#[cfg_attr(not(target_os = "none"), inline)]
#[cfg_attr(target_os = "none", inline(never))]
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}
