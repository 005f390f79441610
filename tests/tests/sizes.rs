//! What one connection costs besides its boxes: the machines are as small as they promise (on 64 bits).

use stillwire::{Inbox, Link, Outbox, http, polling, sse, ws};

#[test]
#[cfg(target_pointer_width = "64")]
fn machines_are_small() {
    let sizes = [
        ("ws::Connection", size_of::<ws::Connection>(), 256),
        ("http::Exchange", size_of::<http::Exchange>(), 192),
        ("http::Fetch", size_of::<http::Fetch>(), 192),
        ("sse::Stream", size_of::<sse::Stream>(), 208),
        ("sse::Feed", size_of::<sse::Feed>(), 272),
        ("polling::Connection", size_of::<polling::Connection>(), 104),
        ("Inbox", size_of::<Inbox<'_>>(), 96),
        ("Outbox", size_of::<Outbox<'_>>(), 112),
        ("Link<ws::Connection>", size_of::<Link<'_, ws::Connection>>(), 528),
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
