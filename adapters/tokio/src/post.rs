//! How other tasks reach a peer.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    time::Duration,
};
use std::sync::Mutex;

use stillwire::hub::{Mailbox, Posted, Shared};

use crate::rooms::lock;

/// A bounded mailbox, and the waker of the task that owns the peer.
#[derive(Debug)]
pub(crate) struct Post {
    state: Mutex<State>,
    /// Something came since the owner emptied it. Written with the lock held, read without.
    news: AtomicBool,
}

#[derive(Debug)]
struct State {
    mailbox: Mailbox<Shared>,
    owner: Option<Waker>,
}

impl Post {
    pub(crate) fn new(mailbox: Mailbox<Shared>) -> Self {
        Self { state: Mutex::new(State { mailbox, owner: None }), news: AtomicBool::new(false) }
    }

    /// From any task; never waits. The owner is woken only when the mailbox was empty: a burst is one write.
    pub(crate) fn post(&self, message: Shared) -> bool {
        let mut state = lock(&self.state);
        self.news.store(true, Ordering::Relaxed);
        let len = message.len();
        let posted = state.mailbox.post(message, len);
        let owner = match posted {
            Posted::Queued { wake: true } | Posted::Overrun => state.owner.take(),
            _ => None,
        };
        drop(state); // the woken task must not find the lock taken
        owner.into_iter().for_each(Waker::wake);
        matches!(posted, Posted::Queued { .. })
    }

    pub(crate) fn dismiss(&self, after: Duration) {
        let mut state = lock(&self.state);
        self.news.store(true, Ordering::Relaxed);
        state.mailbox.dismiss(after);
        let owner = state.owner.take();
        drop(state);
        owner.into_iter().for_each(Waker::wake);
    }

    /// Whether nothing came since the owner emptied it, as far as can be seen without the lock.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.news.load(Ordering::Relaxed)
    }

    /// The owner empties the mailbox: `take` says whether a message was taken. Wakes `cx` when more is posted.
    /// Returns whether something is left, and the dismissal that stands behind the last message.
    pub(crate) fn empty(
        &self,
        cx: &Context<'_>,
        mut take: impl FnMut(&Shared) -> bool,
    ) -> (bool, Option<Duration>) {
        let mut state = lock(&self.state);
        if !state.owner.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.owner = Some(cx.waker().clone());
        }
        while let Some(message) = state.mailbox.front() {
            if !take(message) {
                return (true, None);
            }
            state.mailbox.pop();
        }
        self.news.store(false, Ordering::Relaxed);
        (false, state.mailbox.dismissed())
    }

    pub(crate) fn close(&self) {
        lock(&self.state).mailbox.close();
    }
}
