//! Two of ours talk over a network that delays, holds back, stalls and breaks: [`Pair`].

use core::time::Duration;

use proptest::prelude::*;
use stillwire::{Entropy, Kind, SendError, polling, ws};
use stillwire_tests::pair::{End, Pair, Side, Talks};

fn websockets(inbox: usize, outbox: usize, capacity: usize) -> Pair<ws::Connection> {
    let client = ws::Connection::client(ws::Config::default(), Entropy::insecure_seeded(1));
    let server = ws::Connection::server(ws::Config::default());
    Pair::new(End::new(client, inbox, outbox), End::new(server, inbox, outbox), capacity)
}

fn pollers(inbox: usize, outbox: usize, capacity: usize) -> Pair<polling::Connection> {
    let mut config = polling::Config::default();
    config.max_bytes = inbox;
    let end = || End::new(polling::Connection::new(&config), inbox, outbox);
    Pair::new(end(), end(), capacity)
}

/// `n` messages each way through pieces of these sizes, then the end.
fn talk<T: Talks>(pair: &mut Pair<T>, n: usize, largest: usize, cuts: &[(usize, usize)], closer: Side) {
    let mut cuts = cuts.iter().cycle();
    for side in [Side::A, Side::B] {
        let kind = |i| if i % 3 == 0 { Kind::Binary } else { Kind::Text };
        for i in 0..n {
            // What finds no room waits until some was made.
            for attempt in 0.. {
                assert!(attempt < 100_000, "no room is ever made");
                match pair.end(side).send(kind(i), i * 37 % largest) {
                    Ok(()) => break,
                    Err(error) => assert!(matches!(error, SendError::Full(_)), "{error}"),
                }
                let &(write, read) = cuts.next().expect("there are cuts");
                pair.drive(side, write, read);
                let other = if side == Side::A { Side::B } else { Side::A };
                pair.drive(other, read, write);
                pair.wait(Duration::from_millis(1));
            }
        }
    }
    pair.settle_for(Duration::from_secs(60));
    assert_eq!((pair.a.received, pair.b.received), (n, n), "all of them arrived");
    pair.end(closer).close("done");
    pair.run_to_the_end();
    assert!(pair.a.closed && pair.b.closed, "both were told");
    assert!(pair.a.error.is_none() && pair.b.error.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives(
        cuts in prop::collection::vec((1..400_usize, 1..400_usize), 1..9),
        delays in (0..50_u64, 0..50_u64),
        sizes in (300..2000_usize, 300..2000_usize, 64..2000_usize),
        ends in any::<bool>(),
        polls in any::<bool>(),
    ) {
        let closer = if ends { Side::A } else { Side::B };
        let (inbox, outbox, capacity) = sizes;
        let delays = [(Side::A, delays.0), (Side::B, delays.1)];
        if polls {
            let mut pair = pollers(inbox, outbox, capacity);
            delays.iter().for_each(|(side, delay)| pair.delay(*side, Duration::from_millis(*delay)));
            talk(&mut pair, 20, (inbox.min(outbox) - 100) / 7, &cuts, closer);
        } else {
            let mut pair = websockets(inbox, outbox, capacity);
            delays.iter().for_each(|(side, delay)| pair.delay(*side, Duration::from_millis(*delay)));
            talk(&mut pair, 20, inbox.min(outbox) - 145, &cuts, closer);
        }
    }
}

#[test]
fn both_close_at_once() {
    for delay in [0, 1, 700] {
        let mut pair = websockets(500, 500, 500);
        pair.delay(Side::A, Duration::from_millis(delay));
        pair.delay(Side::B, Duration::from_millis(delay));
        pair.settle();
        pair.a.close("we");
        pair.b.close("you");
        pair.run_to_the_end();
        assert!(pair.a.closed && pair.b.closed && pair.a.error.is_none() && pair.b.error.is_none());
    }
}

#[test]
fn an_echo_comes_back() {
    let mut pair = websockets(500, 500, 100);
    pair.b.echo = true;
    for i in 0..10 {
        pair.a.send(Kind::Text, 20 * i).expect("there is room");
        pair.a.ping(i).expect("there is room");
        pair.settle();
    }
    pair.a.part(Kind::Text, 50, false).expect("there is room");
    pair.a.ping(100).expect("between the parts");
    pair.a.part(Kind::Text, 49, false).expect("there is room");
    pair.settle();
    pair.a.part(Kind::Text, 0, true).expect("there is room");
    pair.settle();
    assert_eq!((pair.a.received, pair.b.received), (11, 11));
    assert_eq!(pair.a.sent, pair.b.sent);
}

/// A network that breaks ends both; one that stalls is found out by the keepalive.
#[test]
fn a_broken_network_ends_both() {
    let mut cut = websockets(500, 500, 500);
    cut.a.send(Kind::Text, 100).expect("there is room");
    cut.drive(Side::A, usize::MAX, usize::MAX);
    cut.cut();
    cut.run_to_the_end();
    assert_eq!((cut.a.closed, cut.b.closed, cut.b.received), (true, true, 0));

    for side in [Side::A, Side::B] {
        let mut stalled = websockets(500, 500, 500);
        stalled.settle();
        stalled.stall(side);
        let begin = stalled.now;
        stalled.run_to_the_end();
        assert_eq!(format!("{:?}", stalled.end(side).error), "None", "its peer was heard");
        let other = if side == Side::A { Side::B } else { Side::A };
        assert_eq!(format!("{:?}", stalled.end(other).error), "Some(TimedOut)");
        assert!(stalled.now.saturating_since(begin) < Duration::from_secs(60));
    }
}

/// The pair itself: what is not as it was sent is found.
#[test]
#[should_panic(expected = "is another one than was sent")]
fn a_changed_message_is_caught() {
    let mut pair = websockets(500, 500, 500);
    pair.a.send(Kind::Text, 10).expect("there is room");
    pair.a.sent[0].1[5] ^= 1;
    pair.settle();
}

#[test]
#[should_panic(expected = "nobody sent")]
fn a_message_that_nobody_sent_is_caught() {
    let mut pair = pollers(500, 500, 500);
    pair.b.send(Kind::Binary, 10).expect("there is room");
    pair.b.sent.clear();
    pair.settle();
}

#[test]
#[should_panic(expected = "everything arrives")]
fn a_lost_message_is_caught() {
    let mut pair = pollers(500, 500, 500);
    pair.a.sent.push((Kind::Text, Vec::new()));
    pair.a.close("but nothing was sent");
    pair.run_to_the_end();
}

#[test]
#[should_panic(expected = "both wait for ever")]
fn two_that_wait_for_each_other_are_caught() {
    let mut pair = pollers(500, 500, 500);
    pair.settle();
    pair.run_to_the_end();
}
