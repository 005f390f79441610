//! Two machines, and whatever their applications and the network do.

use core::time::Duration;

use stillwire::{Entropy, Kind, polling, ws};

use super::Reader;
use crate::pair::{End, Pair, Side, Talks};

/// The least that the boxes need, and what is above it.
const INBOX: usize = 160;
const OUTBOX: usize = 160;

/// A head that says which protocol, how large the boxes and how wide the network; then operations of three bytes each.
///
/// Whatever they are: messages arrive as they were sent and in order, each end has one last word, only time and a broken
/// network are errors, and once somebody closes, both connections end.
pub fn operations(data: &[u8]) {
    let mut reader = Reader(data);
    let flags = reader.byte();
    let (inbox, outbox) = (INBOX + 16 * reader.size(), OUTBOX + 16 * reader.size());
    let capacity = 32 + 16 * reader.size();
    if flags & 1 == 0 {
        let server = ws::Connection::server(ws::Config::default());
        let client = ws::Connection::client(ws::Config::default(), Entropy::insecure_seeded(7));
        // A message leaves room for a header and a control frame behind it.
        let largest = inbox - 139;
        let pair = Pair::new(End::new(client, inbox, outbox), End::new(server, inbox, outbox), capacity);
        play(pair, flags, largest, reader);
    } else {
        let mut config = polling::Config::default();
        config.max_bytes = inbox;
        // Escapes take up to six bytes for one.
        let largest = (inbox - 41) / 7;
        let end = || End::new(polling::Connection::new(&config), inbox, outbox);
        play(Pair::new(end(), end(), capacity), flags, largest, reader);
    }
}

fn play<T: Talks>(mut pair: Pair<T>, flags: u8, largest: usize, mut reader: Reader<'_>) {
    pair.b.echo = flags & 2 != 0;
    let kind = |y: usize| if y & 1 == 0 { Kind::Text } else { Kind::Binary };
    let mut stalled = false;
    for _ in 0..200 {
        if reader.0.is_empty() {
            break;
        }
        let (code, x, y) = (reader.byte(), reader.size(), reader.size());
        let side = if code & 0x80 == 0 { Side::A } else { Side::B };
        let end = pair.end(side);
        // What a machine refuses changes nothing: that shows in what arrives.
        let _ = match code & 0x0f {
            0..=2 => end.send(kind(y), (x * (1 + y / 64)).min(largest)),
            3 => end.part(kind(y), x.min(largest / 4), y & 2 != 0),
            4 => end.ping(x),
            5 => {
                end.close(&"ü".repeat(x / 2));
                Ok(())
            }
            code => {
                match code {
                    6..=9 => {
                        pair.drive(side, x * (1 + y / 16), y * (1 + x / 16));
                    }
                    10 => pair.settle(),
                    11 | 12 => pair.wait(Duration::from_millis((x + 256 * y) as u64)),
                    13 => pair.delay(side, Duration::from_millis(4 * x as u64)),
                    14 if y == 255 => {
                        pair.stall(side);
                        stalled = true;
                    }
                    15 if y == 255 => pair.cut(),
                    _ => {}
                }
                Ok(())
            }
        };
    }
    let is_silent = stalled && flags & 1 != 0;
    let last = if flags & 4 == 0 { Side::A } else { Side::B };
    pair.end(last).close("the end");
    if is_silent {
        // Who cannot tell silence from a network that is gone has somebody who can: a session, its receivers.
        pair.settle_for(Duration::from_secs(100));
        pair.cut();
    }
    pair.run_to_the_end();
    for end in [&pair.a, &pair.b] {
        let error = end.error.as_ref().map(|error| format!("{error:?}"));
        assert!(error.as_deref().is_none_or(|name| name == "TimedOut"), "two of ours disagree: {error:?}");
    }
}
