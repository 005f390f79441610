//! Whoever waits for one connection.
//!
//! A socket and a timer wake the task that asked last, and two halves of a connection ask in turn: each would take the
//! other's wakeup away. So the halves leave their wakers here, and the socket gets one that wakes them all.

use core::task::{Context, Waker};
use std::{
    sync::{Arc, Mutex},
    task::Wake,
};

use crate::rooms::lock;

/// More than this are futures that were dropped: they are woken, and forgotten.
const MANY: usize = 64;

/// Who waits: one task, as long as nobody has asked for halves.
#[derive(Debug)]
#[allow(unreachable_pub)] // sealed, as `Whole` is, which names it
pub enum Waiting {
    /// The last one that asked.
    Alone(Option<Waker>),
    Together(Arc<Wakers>),
}

#[derive(Debug, Default)]
#[allow(unreachable_pub)]
pub struct Wakers(Mutex<Vec<Waker>>);

impl Default for Waiting {
    fn default() -> Self {
        Self::Alone(None)
    }
}

impl Waiting {
    /// From now on, others may wait besides.
    pub(crate) fn together(&mut self) {
        if let Self::Alone(last) = self {
            *self = Self::Together(Arc::new(Wakers(Mutex::new(last.take().into_iter().collect()))));
        }
    }

    /// Something has changed that they may all wait for.
    pub(crate) fn wake(&self) {
        if let Self::Together(wakers) = self {
            wakers.wake_by_ref();
        }
    }

    /// `cx` begins to wait. The waker to wait with, unless it is its own.
    pub(crate) fn enter(&mut self, cx: &Context<'_>) -> Option<Waker> {
        match self {
            Self::Alone(last) => {
                if !last.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *last = Some(cx.waker().clone());
                }
                None
            }
            Self::Together(wakers) => {
                wakers.add(cx.waker());
                Some(Waker::from(wakers.clone()))
            }
        }
    }
}

impl Wakers {
    fn add(self: &Arc<Self>, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if wakers.len() >= MANY {
            drop(wakers);
            self.wake_by_ref();
            wakers = lock(&self.0);
        }
        if !wakers.iter().any(|other| other.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Those who are woken must not find the lock taken.
        let wakers = core::mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }
}
