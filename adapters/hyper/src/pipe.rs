//! From the task that owns an event stream to the body that the HTTP stack sends.

use core::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait for the HTTP stack. Behind them the outbox fills: back-pressure goes on.
const MOST: usize = 16 << 10;

/// The writing end, a stream like any other: reading from it ends when the body was dropped, and shutting it down ends
/// the body, as dropping it does. An idle pipe holds no buffer.
#[derive(Debug)]
pub struct Pipe(Arc<Mutex<State>>);

/// The reading end: the body. What waits leaves in one frame, and the stack flushes when there is no more.
#[derive(Debug)]
pub(crate) struct Outlet(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    buffer: BytesMut,
    /// Nothing more will be written.
    finished: bool,
    /// Nobody reads any more.
    gone: bool,
    owner: Option<Waker>,
    reader: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers whom to wake.
fn wait<T>(place: &mut Option<Waker>, cx: &Context<'_>) -> Poll<T> {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
    Poll::Pending
}

pub(crate) fn pipe() -> (Pipe, Outlet) {
    let state = Arc::new(Mutex::new(State::default()));
    (Pipe(state.clone()), Outlet(state))
}

impl Pipe {
    fn finish(&self) {
        let mut state = lock(&self.0);
        state.finished = true;
        let reader = state.reader.take();
        drop(state); // the woken task must not find the lock taken
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Outlet {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = lock(&self.0);
        if !state.buffer.is_empty() {
            let bytes = mem::take(&mut state.buffer).freeze();
            let owner = state.owner.take();
            drop(state);
            owner.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(bytes));
        }
        if state.finished { Poll::Ready(None) } else { wait(&mut state.reader, cx) }
    }

    pub(crate) fn is_over(&self) -> bool {
        let state = lock(&self.0);
        state.finished && state.buffer.is_empty()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.gone = true;
        state.buffer = BytesMut::new();
        let owner = state.owner.take();
        drop(state);
        owner.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.finish();
    }
}

impl AsyncRead for Pipe {
    /// Nothing but the end.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        if state.gone { Poll::Ready(Ok(())) } else { wait(&mut state.owner, cx) }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if state.gone {
            return Poll::Ready(Ok(bytes.len())); // nobody misses it, and the end is read
        }
        let n = bytes.len().min(MOST - state.buffer.len());
        if n == 0 && !bytes.is_empty() {
            return wait(&mut state.owner, cx);
        }
        state.buffer.extend_from_slice(&bytes[..n]);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}
