//! Buffers to read into and to write into, shared by all the connections that a thread drives: an idle one holds none.

use std::cell::RefCell;

use stillwire::{Inbox, Outbox};

/// What is read at once, at first: what a peer has sent in a burst should come in one call. No more of it is touched than is
/// read.
const SIZE: usize = 64 << 10;
/// So many lie ready in a thread. A connection keeps its own while bytes are unread.
const MOST: usize = 16;

/// One that has grown larger is freed.
const MOST_BLANK: usize = 128 << 10;

thread_local! {
    static READY: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// Empty ones, with room.
    static BLANK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer to an inbox that holds no memory. False: it takes none.
pub(crate) fn lend(inbox: &mut Inbox<'_>) -> bool {
    let ready = READY.with_borrow_mut(Vec::pop);
    let mut buffer = ready.unwrap_or_else(|| vec![0; SIZE]);
    inbox.lend(&mut buffer);
    let is_lent = buffer.is_empty();
    give(buffer);
    is_lent
}

/// Takes back what was lent: the inbox goes on with just as much memory as is unread. One that has grown is its own.
pub(crate) fn settle(inbox: &mut Inbox<'_>) {
    if inbox.allocated() <= SIZE {
        let mut buffer = Vec::new();
        inbox.settle(&mut buffer);
        give(buffer);
    }
}

fn give(buffer: Vec<u8>) {
    READY.with_borrow_mut(|ready| {
        if buffer.len() == SIZE && ready.len() < MOST {
            ready.push(buffer);
        }
    });
}

/// Lends a buffer for answers to an outbox in which nothing waits.
pub(crate) fn lend_out(outbox: &mut Outbox<'_>) {
    let mut buffer = BLANK.with_borrow_mut(Vec::pop).unwrap_or_default();
    outbox.lend(&mut buffer);
    give_blank(buffer);
}

/// Takes back what was lent; an outbox in which nothing waits holds no memory then.
pub(crate) fn settle_out(outbox: &mut Outbox<'_>) {
    let mut buffer = Vec::new();
    outbox.settle(&mut buffer);
    give_blank(buffer);
    outbox.rest();
}

fn give_blank(buffer: Vec<u8>) {
    BLANK.with_borrow_mut(|blank| {
        if (1..=MOST_BLANK).contains(&buffer.capacity()) && blank.len() < MOST {
            blank.push(buffer);
        }
    });
}
