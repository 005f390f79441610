//! Buffers to read into, shared by all the connections that a thread drives: an idle one holds none.

use std::cell::RefCell;

use stillwire::Inbox;

/// What is read at once, at first: the largest record of TLS, or some hundred small messages.
const SIZE: usize = 16 << 10;
/// So many lie ready in a thread. A connection keeps its own while bytes are unread.
const MOST: usize = 16;

thread_local! {
    static READY: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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
