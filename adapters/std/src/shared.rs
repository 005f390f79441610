//! What the two halves of a connection share, and who may write to the socket.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use stillwire::{Instant, Link, Machine, SendError};

use crate::socket::{Timeout, moved};
use crate::{Socket, WriteError, now};

/// What is copied out of the outbox for one write.
const PORTION: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Shared<'s, M: Machine, S> {
    pub(crate) state: Mutex<State<'s, M>>,
    /// Room in the outbox, another hand at the socket, a command, the end.
    changed: Condvar,
    pub(crate) socket: S,
}

#[derive(Debug)]
pub(crate) struct State<'s, M: Machine> {
    /// Its inbox is empty but while the reader asks what to do.
    pub(crate) link: Link<'s, M>,
    pub(crate) hand: Hand,
    timeout: Timeout,
    /// Threads that wait for `changed`.
    waiting: usize,
    pub(crate) end: Option<End>,
}

/// Who is writing to the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hand {
    Nobody,
    /// For a moment.
    Reader,
    /// Until the outbox is empty.
    Writer,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Closed,
    Broken(ErrorKind),
}

pub(crate) type Guard<'a, 's, M> = MutexGuard<'a, State<'s, M>>;

impl<M: Machine> State<'_, M> {
    pub(crate) fn check_open(&self) -> Result<(), WriteError> {
        self.check_io()?;
        if self.end.is_some() { Err(SendError::NotOpen.into()) } else { Ok(()) }
    }

    pub(crate) fn check_io(&self) -> io::Result<()> {
        if let Some(End::Broken(kind)) = self.end { Err(kind.into()) } else { Ok(()) }
    }
}

impl<'s, M: Machine, S> Shared<'s, M, S>
where
    for<'a> &'a S: Socket,
{
    pub(crate) fn new(link: Link<'s, M>, socket: S, end: Option<End>) -> Self {
        let state = State { link, hand: Hand::Nobody, timeout: Timeout::default(), waiting: 0, end };
        Self { state: Mutex::new(state), changed: Condvar::new(), socket }
    }

    /// A command that panicked left a machine that is whole: it writes all or nothing.
    pub(crate) fn lock(&self) -> Guard<'_, 's, M> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed, or for so long.
    pub(crate) fn wait<'a>(
        &'a self,
        mut state: Guard<'a, 's, M>,
        at_most: Option<Duration>,
    ) -> Guard<'a, 's, M> {
        state.waiting += 1;
        let mut state = match at_most {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.waiting -= 1;
        state
    }

    pub(crate) fn tell(&self, state: &State<'s, M>) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// The first end is the one that counts; every half hears of it, wherever it waits.
    pub(crate) fn end(&self, state: &mut State<'s, M>, end: End) {
        if state.end.is_none() {
            state.end = Some(end);
            let _ = (&mut &self.socket).shutdown(Shutdown::Both);
            self.changed.notify_all();
        }
    }

    /// Writes a portion, without the lock. Nobody may be writing.
    pub(crate) fn write<'a>(
        &'a self,
        mut state: Guard<'a, 's, M>,
        hand: Hand,
        until: Instant,
        now: Instant,
    ) -> Guard<'a, 's, M> {
        // A copy, because commands append to the outbox meanwhile.
        let outbox = &state.link.outbox;
        let size = PORTION.min(outbox.capacity() - outbox.room());
        let mut portion = Vec::with_capacity(size);
        for chunk in outbox.chunks() {
            let left = chunk.len().min(size - portion.len());
            portion.extend_from_slice(chunk.get(..left).unwrap_or_default());
        }
        let timeout = state.timeout.change(Some(until), now);
        state.hand = hand;
        drop(state);

        let mut socket = &self.socket;
        let result = timeout.map_or(Ok(()), |timeout| socket.set_write_timeout(timeout));
        let result = result.and_then(|()| moved(socket.write(&[IoSlice::new(&portion)])));

        let mut state = self.lock();
        state.hand = Hand::Nobody;
        match result {
            Ok(None) => {}
            Ok(Some(0)) => self.end(&mut state, End::Broken(ErrorKind::WriteZero)),
            Ok(Some(n)) => state.link.outbox.advance(n),
            Err(error) => self.end(&mut state, End::Broken(error.kind())),
        }
        self.tell(&state);
        state
    }

    /// Writes a portion, for as long as a peer may take nothing.
    pub(crate) fn write_patiently<'a>(&'a self, mut state: Guard<'a, 's, M>) -> Guard<'a, 's, M> {
        let now = now();
        match state.link.stall_deadline(now) {
            None => state,
            Some(until) if now >= until => {
                self.end(&mut state, End::Broken(ErrorKind::TimedOut));
                state
            }
            Some(until) => self.write(state, Hand::Writer, until, now),
        }
    }

    /// Writes until the outbox is empty, unless another writer is doing it.
    pub(crate) fn drain<'a>(&'a self, mut state: Guard<'a, 's, M>) -> Result<(), WriteError> {
        self.tell(&state);
        // The lock is held from one portion to the next look at the outbox: what is appended meanwhile is seen.
        while state.end.is_none() && !state.link.outbox.is_empty() && state.hand != Hand::Writer {
            state = match state.hand {
                Hand::Reader => self.wait(state, None),
                _ => self.write_patiently(state),
            };
        }
        Ok(state.check_io()?)
    }
}
