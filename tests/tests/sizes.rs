//! What one connection costs besides its boxes: the machines are as small as they promise (on 64 bits).

use stillwire::{Inbox, Link, Outbox, http, polling, sse, ws};

#[test]
#[cfg(target_pointer_width = "64")]
fn machines_are_small() {
    let sizes = [
        ("ws::Connection", size_of::<ws::Connection>(), 256),
        ("http::Exchange", size_of::<http::Exchange>(), 200),
        ("http::Fetch", size_of::<http::Fetch>(), 200),
        ("sse::Stream", size_of::<sse::Stream>(), 256),
        ("sse::Feed", size_of::<sse::Feed>(), 256),
        ("polling::Connection", size_of::<polling::Connection>(), 128),
        ("Inbox", size_of::<Inbox<'_>>(), 128),
        ("Outbox", size_of::<Outbox<'_>>(), 160),
        ("Link<ws::Connection>", size_of::<Link<'_, ws::Connection>>(), 608),
    ];
    let mut over = Vec::new();
    for (name, size, limit) in sizes {
        println!("{name:<22} {size:>4} of {limit:>4} bytes");
        if size > limit {
            over.push(name);
        }
    }
    assert!(over.is_empty(), "larger than promised: {over:?}");
}
