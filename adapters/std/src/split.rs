//! One connection, two threads: one reads, any number of others write.
//!
//! What the threads share is the machine and the outbox, behind a lock that is never held while the socket is read or
//! written. The inbox belongs to the reader alone: an event borrows the inbox and nothing else, so the application
//! may look at one for as long as it likes while others write.
//!
//! One thread at a time writes to the socket. A writer that finds another one at it leaves its bytes in the outbox,
//! because that one goes on until the outbox is empty. The reader must never wait for a peer that waits for the
//! reader, so it writes (a pong, say) for a moment only and then reads again.

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use stillwire::{Inbox, Instant, Kind, Link, Machine, Outbox, SendError, Text, Transport, Want};

use crate::error::stalled;
use crate::shared::{End, Guard, Hand, Shared};
use crate::socket::{Timeout, moved};
use crate::{Connection, Error, Socket, WriteError, now};

/// A command cannot wake a thread that reads, so the reader looks up at least this often: timers that a command
/// starts are late by so much at most.
const PATIENCE: Duration = Duration::from_millis(1024);
/// How long the reader tries to write before it reads again.
const MOMENT: Duration = Duration::from_millis(4);
/// The half that reads: it drives the machine. Dropping it ends the connection.
#[derive(Debug)]
pub struct Reader<'s, M: Machine, S = TcpStream>
where
    for<'a> &'a S: Socket,
{
    shared: Arc<Shared<'s, M, S>>,
    inbox: Inbox<'s>,
    timeout: Timeout,
    over: bool,
}

/// A half that writes, from any thread. Clones write to the same connection.
#[derive(Debug)]
pub struct Writer<'s, M: Machine, S = TcpStream> {
    shared: Arc<Shared<'s, M, S>>,
}

impl<M: Machine, S> Clone for Writer<'_, M, S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<'s, M: Machine, S> Connection<'s, M, S>
where
    for<'a> &'a S: Socket,
{
    /// Two halves for two threads, so that sending does not wait for receiving.
    ///
    /// Replies of the machine itself (pongs, the close frame) need room in the outbox while the application writes:
    /// a command waits until the outbox is half empty. Messages should be smaller than half of the outbox.
    pub fn split(self) -> (Reader<'s, M, S>, Writer<'s, M, S>) {
        let Self { socket, mut link, over, .. } = self;
        // Answers go through a writer, which waits for room itself.
        link.headroom = 0;
        let inbox = core::mem::replace(&mut link.inbox, Inbox::new(&mut []));
        let shared = Arc::new(Shared::new(link, socket, over.then_some(End::Closed)));
        let writer = Writer { shared: shared.clone() };
        (Reader { shared, inbox, timeout: Timeout::default(), over }, writer)
    }
}

impl<'s, M: Machine, S> Reader<'s, M, S>
where
    for<'a> &'a S: Socket,
{
    /// Waits for the next event. Answer it through a [`Writer`], from this thread rather with
    /// [`queue`](Writer::queue): what is queued is sent while the reader waits for the next event.
    ///
    /// `Ok(None)`: the connection has ended. It stays at that.
    ///
    /// # Errors
    /// As [`Connection::next`]; [`Error::Io`] also when a writer met the error.
    #[allow(clippy::should_implement_trait)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<M::Event<'_>>, Error<M::Error>> {
        if self.over {
            return Ok(None);
        }
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            if let Some(End::Broken(kind)) = state.end {
                self.over = true;
                return Err(io::Error::from(kind).into());
            }
            let now = now();
            core::mem::swap(&mut state.link.inbox, &mut self.inbox);
            let want = state.link.want(now);
            core::mem::swap(&mut state.link.inbox, &mut self.inbox);
            let soon = |until: Option<Instant>| until.map_or(now + PATIENCE, |at| at.min(now + PATIENCE));
            state = match want.map_err(Error::Protocol)? {
                Want::Deliver => break,
                Want::Read { until } => self.read(&shared, state, soon(until), now),
                Want::Write { until } => self.write(&shared, state, soon(until), now),
                Want::Wait { until } => shared.wait(state, until.map(|at| at.saturating_since(now))),
                Want::Finish => {
                    let _ = (&mut &shared.socket).shutdown(Shutdown::Write);
                    state.link.shut();
                    state
                }
                Want::Close if state.link.outbox.is_empty() => {
                    self.over = true;
                    shared.end(&mut state, End::Closed);
                    return Ok(None);
                }
                Want::Close => {
                    shared.end(&mut state, End::Broken(ErrorKind::TimedOut));
                    self.over = true;
                    return Err(stalled().into());
                }
            };
        }
        Ok(state.link.machine.event(&self.inbox))
    }

    /// Reads, without the lock.
    fn read<'a>(
        &mut self,
        shared: &'a Shared<'s, M, S>,
        state: Guard<'a, 's, M>,
        until: Instant,
        now: Instant,
    ) -> Guard<'a, 's, M> {
        drop(state);
        let mut socket = &shared.socket;
        let result = match self.timeout.change(Some(until), now) {
            Some(timeout) => socket.set_read_timeout(timeout),
            None => Ok(()),
        };
        let result = result.and_then(|()| moved(socket.read(self.inbox.spare())));
        let mut state = shared.lock();
        match result {
            Ok(None) => {}
            Ok(Some(0)) => self.inbox.finish(),
            Ok(Some(n)) => self.inbox.filled(n),
            Err(error) => shared.end(&mut state, End::Broken(error.kind())),
        }
        state
    }

    /// Writes while the peer takes it at once; otherwise, or while another thread writes, reads.
    fn write<'a>(
        &mut self,
        shared: &'a Shared<'s, M, S>,
        mut state: Guard<'a, 's, M>,
        until: Instant,
        now: Instant,
    ) -> Guard<'a, 's, M> {
        let alone = state.hand == Hand::Nobody;
        if alone {
            let before = state.link.outbox.sent();
            state = shared.write(state, Hand::Reader, now + MOMENT, now);
            if state.link.outbox.sent() != before || state.end.is_some() {
                return state;
            }
        }
        let until = if alone { until.min(now + MOMENT) } else { until };
        if self.inbox.wants() {
            self.read(shared, state, until, now)
        } else {
            shared.wait(state, Some(until.saturating_since(now)))
        }
    }

    /// A writer for this connection, if none is left.
    pub fn writer(&self) -> Writer<'s, M, S> {
        Writer { shared: self.shared.clone() }
    }
}

/// Nobody else moves the machine on, so the connection ends.
impl<M: Machine, S> Drop for Reader<'_, M, S>
where
    for<'a> &'a S: Socket,
{
    fn drop(&mut self) {
        self.shared.end(&mut self.shared.lock(), End::Closed);
    }
}

impl<'s, M: Machine, S> Writer<'s, M, S>
where
    for<'a> &'a S: Socket,
{
    /// Gives the machine a command and sends what it wrote: `writer.command(|machine, outbox|
    /// machine.send_ping(b"", outbox))`. Waits while the outbox lacks room, and until all is sent or another thread
    /// has taken it on.
    ///
    /// The command is called again when it said [`SendError::Full`] and there is more room. It must not block: all
    /// halves wait for it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn command<T>(
        &self,
        mut command: impl FnMut(&mut M, &mut Outbox<'s>) -> Result<T, SendError>,
    ) -> Result<T, WriteError> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        let capacity = state.link.outbox.capacity();
        let mut needed = capacity / 2;
        loop {
            state.check_open()?;
            let Link { machine, outbox, .. } = &mut state.link;
            let (room, empty) = (outbox.room(), outbox.is_empty());
            if empty || room >= needed {
                match command(machine, outbox) {
                    // With that much room it was refused: it wants all there is.
                    Err(SendError::Full(full)) if !empty => {
                        needed = if full.needed > room { full.needed } else { capacity }
                    }
                    Err(error) => return Err(error.into()),
                    Ok(value) => return shared.drain(state).map(|()| value),
                }
            }
            state = if state.hand == Hand::Nobody {
                shared.write_patiently(state)
            } else {
                shared.wait(state, None)
            };
        }
    }

    /// Gives the machine a command, and neither waits nor writes: what it wrote is sent with the next command of any
    /// writer, or by the reader when it waits the next time. For the thread that reads; the reader does not notice
    /// what others queue for up to about a second.
    ///
    /// # Errors
    /// [`WriteError`], [`SendError::Full`] among them.
    pub fn queue<T>(
        &self,
        command: impl FnOnce(&mut M, &mut Outbox<'s>) -> Result<T, SendError>,
    ) -> Result<T, WriteError> {
        let mut state = self.shared.lock();
        state.check_open()?;
        let Link { machine, outbox, .. } = &mut state.link;
        let value = command(machine, outbox)?;
        self.shared.tell(&state);
        Ok(value)
    }

    /// Waits until all that was written so far, by whomever, has been handed to the system.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn flush(&self) -> Result<(), WriteError> {
        let mut state = self.shared.lock();
        while !state.link.outbox.is_empty() {
            state.check_open()?;
            state = match state.hand {
                Hand::Nobody => self.shared.write_patiently(state),
                _ => self.shared.wait(state, None),
            };
        }
        Ok(state.check_io()?)
    }
}

impl<M: Transport, S> Writer<'_, M, S>
where
    for<'a> &'a S: Socket,
{
    /// Sends a text message, as [`command`](Self::command) does.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn send_text<'t>(&self, text: impl Into<Text<'t>>) -> Result<(), WriteError> {
        let text = text.into();
        self.command(|machine, outbox| machine.send(Kind::Text, &[text.as_bytes()], outbox))
    }

    /// Sends a binary message, as [`command`](Self::command) does.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), WriteError> {
        self.command(|machine, outbox| machine.send(Kind::Binary, &[bytes], outbox))
    }

    /// Begins an orderly end, and does not wait for room. The reader meets the end.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn close(&self, reason: &str) -> Result<(), WriteError> {
        let mut state = self.shared.lock();
        let Link { machine, outbox, .. } = &mut state.link;
        machine.close(reason, outbox);
        self.shared.drain(state)
    }
}
