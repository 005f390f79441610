//! A polling session: where the exchanges of one client meet the task that owns its peer.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stillwire::polling::{self, Ack, Answer, Refused, Served, Ticket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{clock::now, timer::Timer};

/// A session behind a lock that is held for a copy, never across an await, and never together with another one.
#[derive(Debug)]
pub struct Session {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    session: polling::Session<'static>,
    owner: Option<Waker>,
    receiver: Option<Waker>,
}

impl State {
    /// Whoever it may concern looks again: a wake too many is harmless, one too few is not.
    fn wake(&mut self) {
        self.owner.take().into_iter().chain(self.receiver.take()).for_each(Waker::wake);
    }
}

impl Session {
    pub(crate) fn new(session: polling::Session<'static>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { session, owner: None, receiver: None }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().session.is_over()
    }

    /// `POST base/SID`: its whole body, at most `polling.max_bytes`. The answer is [`Ack::answer`].
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken. [`Refused::answer`] says so.
    pub fn post(&self, body: &[u8]) -> Result<Ack, Refused> {
        let mut state = self.lock();
        let posted = state.session.post(body);
        state.wake();
        posted
    }

    /// `DELETE base/SID`: the client has left. The answer is [`Answer::EMPTY`].
    ///
    /// # Errors
    /// [`Refused::NotFound`]: it is over already.
    pub fn end(&self) -> Result<(), Refused> {
        let mut state = self.lock();
        let ended = state.session.end();
        state.wake();
        ended
    }

    /// `GET base/SID?after=N`: everything up to `after` has come to the client; an older receiver ends empty.
    ///
    /// # Errors
    /// [`Refused`]: who sits here stays.
    pub fn sit(self: &Arc<Self>, after: u64) -> Result<Seat, Refused> {
        let mut state = self.lock();
        let ticket = state.session.sit(after, now())?;
        state.wake(); // there is room for the owner, and an older receiver has to go
        Ok(Seat { session: self.clone(), ticket, left: false, timer: Timer::default() })
    }
}

/// A receiver that waits. Dropped without [`done`](Self::done) it counts as aborted, so a lost connection cannot be
/// forgotten; what was not acknowledged is served again.
#[derive(Debug)]
pub struct Seat {
    session: Arc<Session>,
    ticket: Ticket,
    left: bool,
    timer: Timer,
}

impl Seat {
    /// The answer for this receiver: a batch, with status 200 and [`polling::HEADERS`], or nothing (204). It may be
    /// dropped and called again.
    ///
    /// # Errors
    /// The answer that is no batch; say [`done`](Self::done) all the same.
    pub async fn next(&mut self) -> Result<Vec<u8>, Answer> {
        poll_fn(|cx| {
            loop {
                let mut state = self.session.lock();
                let until = match state.session.serve(self.ticket, now()) {
                    Served::Batch(batch) => return Poll::Ready(Ok(batch.to_vec())),
                    Served::TimedOut | Served::Replaced | Served::Over => {
                        return Poll::Ready(Err(Answer::EMPTY));
                    }
                    Served::Nothing { until } => until,
                };
                state.receiver = Some(cx.waker().clone());
                drop(state);
                if self.timer.poll(Some(until), now(), cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// The answer went out whole, as far as can be known here.
    pub fn done(mut self) {
        self.left = true;
        let mut state = self.session.lock();
        state.session.done(self.ticket, now());
        state.wake();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.left {
            let mut state = self.session.lock();
            state.session.abort(self.ticket, now());
            state.wake();
        }
    }
}

/// The owner's end: a stream like any other.
#[derive(Debug)]
pub(crate) struct SessionStream {
    session: Arc<Session>,
    timer: Timer,
}

impl SessionStream {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session, timer: Timer::default() }
    }
}

impl AsyncRead for SessionStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut state = this.session.lock();
            state.session.tick(now());
            if let Some(n) = state.session.read(buf.initialize_unfilled()) {
                buf.advance(n);
                return Poll::Ready(Ok(()));
            }
            state.owner = Some(cx.waker().clone());
            let until = state.session.deadline();
            drop(state);
            if this.timer.poll(until, now(), cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.session.lock();
        match state.session.write(buf) {
            0 if !buf.is_empty() => {
                state.owner = Some(cx.waker().clone());
                Poll::Pending
            }
            n => {
                state.receiver.take().into_iter().for_each(Waker::wake);
                Poll::Ready(Ok(n))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.session.lock();
        state.session.finish();
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        let mut state = self.session.lock();
        state.session.finish();
        state.wake();
    }
}
