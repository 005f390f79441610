//! Peers, whatever carries them, over loopback.

mod common;

use core::time::Duration;
use std::sync::{Arc, Mutex};

use common::{
    Dice, Http, Poll, SECOND, echoing, events, heard, millis, narrow, say, soon, start, text, until,
    websocket,
};
use stillwire::{
    SendError,
    hub::{Bounds, Shared, Slow},
};
use stillwire_tokio::{Carrier, Config, Message};
use tokio::time::timeout;

#[tokio::test]
async fn one_room_over_three_carriers() {
    let (handle, address) = echoing(Config::default()).await;
    let mut socket = websocket(address).await;
    let mut stream = events(address).await;
    let mut poll = Poll::open(address).await;
    until("all are in", || handle.members("all").len() == 3).await;
    say(&mut socket, "over a websocket");
    assert_eq!(heard(&mut socket).await, "over a websocket");
    assert_eq!(poll.post(&["one", "two"]).await.status, 200);
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(poll.receive().await.messages);
    }
    assert_eq!(got, ["one", "two"]);
    assert_eq!(handle.broadcast("all", "news", None), 3);
    assert_eq!(heard(&mut socket).await, "news");
    assert_eq!(stream.event().await, "news");
    assert_eq!(poll.receive().await.messages, ["news"]);
    // All but one, one alone, nobody.
    let [first, ..] = handle.members("all")[..] else { panic!() };
    assert_eq!(handle.broadcast("all", "for the others", Some(first)), 2);
    assert!(handle.send_to(first, "for one"));
    assert_eq!(heard(&mut socket).await, "for one");
    assert_eq!(
        (stream.event().await, poll.receive().await.messages),
        ("for the others".into(), vec!["for the others".into()])
    );
    assert_eq!((handle.broadcast("nobody", "x", None), handle.send_to(999, "x")), (0, false));

    // They leave, each in its own way, and nothing is left.
    socket.link.machine.send_close(1000, "", &mut socket.link.outbox).unwrap();
    assert_eq!(heard(&mut socket).await, "closed 1000 ");
    assert_eq!(heard(&mut socket).await, "end");
    drop(stream);
    assert_eq!(poll.delete().await, 204);
    until("nothing is left", || {
        (handle.peers(), handle.sessions(), handle.members("all").len()) == (0, 0, 0)
    })
    .await;
    assert_eq!(poll.delete().await, 404);
}

/// A `send` or a `recv` that is dropped midway neither loses nor repeats a message.
#[tokio::test]
async fn waits_that_are_dropped_lose_nothing() {
    let mut config = Config::default();
    config.outbox = 1 << 16;
    let (mut server, handle, address) = start(config).await;
    let mut socket = narrow(address).await;
    let mut peer = server.accept().await.unwrap();
    peer.join("all");
    let reader = tokio::spawn(async move {
        let mut got = Vec::new();
        loop {
            let message = heard(&mut socket).await;
            if message == "last" {
                return (got, socket);
            }
            got.push(message.split(' ').next().unwrap().to_owned());
            if got.len() % 16 == 0 {
                tokio::time::sleep(millis(1)).await; // slow enough to fill every buffer now and then
            }
        }
    });
    let (mut sent, mut posted, mut dropped) = (0, 0, 0);
    let filling = "x".repeat(30_000);
    while sent < 1000 {
        if sent % 7 == 0 && posted <= sent {
            assert_eq!(handle.broadcast("all", format!("p{posted} {filling}").as_str(), None), 1);
            posted = sent + 1;
        }
        // A timeout of zero polls once.
        match timeout(Duration::ZERO, peer.send(format!("s{sent} {filling}"))).await {
            Ok(done) => {
                done.unwrap();
                sent += 1;
            }
            Err(_) => {
                dropped += 1;
                let _ = timeout(millis(1), peer.recv()).await;
            }
        }
    }
    peer.send("last").await.unwrap();
    let receiving = tokio::spawn(async move { peer.recv().await });
    let (got, socket) = timeout(20 * SECOND, reader).await.unwrap().unwrap();
    let of = |kind: char| got.iter().filter(move |name| name.starts_with(kind)).cloned().collect::<Vec<_>>();
    assert_eq!(of('s'), (0..1000).map(|n| format!("s{n}")).collect::<Vec<_>>());
    assert_eq!(of('p').len(), 143);
    assert!(dropped > 0, "no send was ever dropped: the test tests nothing");
    drop(socket);
    let _ = soon(receiving).await.unwrap();
}

fn slow(slow: Slow) -> Config {
    let mut config = Config::default();
    (config.outbox, config.slow) = (1 << 16, slow);
    config.mailbox = Bounds { bytes: 1 << 16, messages: 64 };
    config
}

/// A client that does not read: what it misses depends on the policy, and nobody else is held up.
#[tokio::test]
async fn slow_consumers() {
    for policy in [Slow::DropNew, Slow::DropOld, Slow::Dismiss] {
        let (handle, address) = echoing(slow(policy)).await;
        let mut deaf = narrow(address).await;
        let mut quick = websocket(address).await;
        until("both are in", || handle.members("all").len() == 2).await;
        let filling = "x".repeat(20_000);
        let total = 300;
        let mut took_all = 0;
        for n in 0..total {
            took_all += usize::from(handle.broadcast("all", format!("{n} {filling}").as_str(), None) == 2);
            assert_eq!(heard(&mut quick).await.split(' ').next(), Some(&*n.to_string()));
        }
        assert!(took_all > 10, "{policy:?}: it was slow only after {took_all}");
        let last = handle.members("all").len();
        let mut got: Vec<usize> = Vec::new();
        if policy == Slow::Dismiss {
            // It hears what had left for it, and then why.
            loop {
                let message = heard(&mut deaf).await;
                match message.split(' ').next().unwrap().parse() {
                    Ok(n) => got.push(n),
                    Err(_) => {
                        assert_eq!(message, "closed 1012 come back in 0 ms");
                        break;
                    }
                }
            }
            assert_eq!(got, (0..got.len()).collect::<Vec<_>>(), "no holes");
            until("it is gone", || handle.peers() == 1).await;
            continue;
        }
        assert_eq!(last, 2);
        // What came is in order; the marker comes when there is room again.
        while got.last() != Some(&total) {
            let Ok(message) = timeout(millis(200), heard(&mut deaf)).await else {
                assert_eq!(handle.broadcast("all", format!("{total} last").as_str(), None), 2);
                continue;
            };
            got.push(message.split(' ').next().unwrap().parse().unwrap());
        }
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{policy:?}: {got:?}");
        assert!(got.len() < total);
        assert_eq!(got.contains(&(total - 1)), policy == Slow::DropOld, "{policy:?}");
    }
}

/// Whatever the sizes, the outbox of a slow peer has room for its goodbye in the end.
#[tokio::test]
async fn a_goodbye_finds_room_in_a_full_outbox() {
    let mut dice = Dice(3);
    for round in 0..12 {
        let mut config = slow(Slow::Dismiss);
        config.outbox = 4096 + dice.below(200) as usize;
        let (mut server, handle, address) = start(config).await;
        let mut client = narrow(address).await;
        let mut peer = server.accept().await.unwrap();
        peer.join("all");
        // The socket is full before the broadcasts begin.
        let filling = "x".repeat(1000);
        while let Ok(sent) = timeout(millis(20), peer.send(filling.as_str())).await {
            sent.unwrap();
        }
        for n in 0..5000 {
            let _ = handle.broadcast("all", &*"y".repeat(1 + n % 3), None);
            let _ = timeout(Duration::ZERO, peer.recv()).await;
            if peer.try_send(&Message::from("z")) == Err(SendError::NotOpen) {
                break;
            }
        }
        let ended = tokio::spawn(async move { while let Ok(Some(_)) = peer.recv().await {} });
        let goodbye = loop {
            let message = heard(&mut client).await;
            if !message.starts_with(['x', 'y', 'z']) {
                break message;
            }
        };
        assert!(goodbye.starts_with("closed 1012"), "round {round}: {goodbye}");
        assert_eq!(heard(&mut client).await, "end");
        soon(ended).await.unwrap();
    }
}

/// Who takes nothing is cut off, in `send` and in `recv`, and forgotten.
#[tokio::test]
async fn who_takes_nothing_is_cut_off() {
    let mut config = slow(Slow::DropNew);
    config.stall = millis(300);
    let (mut server, handle, address) = start(config).await;
    let deaf = narrow(address).await;
    let mut peer = server.accept().await.unwrap();
    let filling = "x".repeat(30_000);
    let mut sent = 0;
    while peer.send(filling.as_str()).await.is_ok() {
        sent += 1;
    }
    assert!(sent > 2);
    assert_eq!(peer.recv().await.unwrap(), None);
    assert_eq!(peer.send("x").await, Err(SendError::NotOpen));
    drop(peer);
    assert_eq!(handle.peers(), 0);

    let deaf_too = events(address).await;
    let mut peer = server.accept().await.unwrap();
    peer.join("all");
    let handle_too = handle.clone();
    let broadcasting = tokio::spawn(async move {
        while handle_too.members("all").len() == 1 {
            handle_too.broadcast("all", filling.as_str(), None);
            tokio::task::yield_now().await;
        }
    });
    let ended = timeout(5 * SECOND, peer.recv()).await.expect("cut off");
    assert!(matches!(ended, Err(stillwire_tokio::Error::Io(_))), "{ended:?}");
    assert!(matches!(peer.recv().await, Ok(None)));
    drop(peer);
    soon(broadcasting).await.unwrap();
    assert_eq!(handle.peers(), 0);
    drop((deaf, deaf_too));
}

/// One encoding for all who speak the same, shared and not copied when it is large; every peer gets the same bytes.
#[tokio::test]
async fn large_broadcasts_are_shared() {
    let (handle, address) = echoing(Config::default()).await;
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..4 {
        sockets.push(websocket(address).await);
        streams.push(events(address).await);
    }
    until("all are in", || handle.members("all").len() == 8).await;
    let large: Vec<Shared> =
        (0..20).map(|n| Shared::text(format!("{n} {}", "x".repeat(600 + 997 * n)))).collect();
    for message in &large {
        assert_eq!(handle.broadcast("all", message.clone(), None), 8);
        assert_eq!(handle.broadcast("all", "small", None), 8);
    }
    for message in &large {
        for socket in &mut sockets {
            assert_eq!(heard(socket).await.as_bytes(), message.payload());
            assert_eq!(heard(socket).await, "small");
        }
        for stream in &mut streams {
            assert_eq!(stream.event().await.as_bytes(), message.payload());
            assert_eq!(stream.event().await, "small");
        }
        for dialect in [stillwire::hub::Dialect::WebSocket, stillwire::hub::Dialect::Events] {
            message.form(dialect, |_, _| panic!("it has its form"));
        }
    }
}

/// What is too large for a carrier is refused to the sender, left out of a broadcast for that peer alone, and the
/// peer goes on.
#[tokio::test]
async fn messages_that_never_fit() {
    let mut config = Config::default();
    (config.outbox, config.mailbox.bytes) = (50_000, 1 << 20);
    config.polling.max_bytes = 20_000;
    let (mut server, handle, address) = start(config).await;
    let huge = "x".repeat(60_000);

    let mut socket = websocket(address).await;
    let mut peer = server.accept().await.unwrap();
    assert!(matches!(soon(peer.send(huge.as_str())).await, Err(SendError::Full(_))));
    peer.send("after").await.unwrap();
    assert_eq!(heard(&mut socket).await, "after");
    peer.join("all");
    handle.broadcast("all", huge.as_str(), None);
    handle.broadcast("all", "behind", None);
    tokio::spawn(common::echo(peer));
    assert_eq!(heard(&mut socket).await, "behind");

    let mut stream = events(address).await;
    let mut peer = server.accept().await.unwrap();
    assert!(matches!(soon(peer.send(huge.as_str())).await, Err(SendError::Full(_))));
    assert_eq!(soon(peer.send(vec![1, 2])).await, Err(SendError::Unsuitable));
    peer.join("all");
    handle.broadcast("all", huge.as_str(), None);
    handle.broadcast("all", Shared::binary(vec![1, 2]), None);
    handle.broadcast("all", "behind", None);
    tokio::spawn(common::echo(peer));
    assert_eq!(stream.event().await, "behind");

    let mut poll = Poll::open(address).await;
    let mut peer = server.accept().await.unwrap();
    assert!(matches!(soon(peer.send(huge.as_str())).await, Err(SendError::TooLarge { .. })));
    peer.join("all");
    handle.broadcast("all", huge.as_str(), None);
    handle.broadcast("all", "behind", None);
    tokio::spawn(common::echo(peer));
    assert_eq!(poll.receive().await.messages, ["behind"]);
}

/// Peers wait to be accepted; `accept` may be dropped and called again.
#[tokio::test]
async fn a_backlog() {
    let mut config = Config::default();
    config.backlog = 2;
    let (mut server, handle, address) = start(config).await;
    assert!(timeout(millis(20), server.accept()).await.is_err());
    let mut sockets = Vec::new();
    for n in 0..8 {
        let mut socket = websocket(address).await;
        say(&mut socket, &n.to_string());
        socket.flush().await.unwrap();
        sockets.push(socket);
    }
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let Ok(peer) = timeout(millis(1), server.accept()).await else { continue };
        let mut peer = peer.unwrap();
        seen.push(text(&soon(peer.recv()).await.unwrap().unwrap()).to_owned());
        tokio::spawn(common::echo(peer));
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    // Whoever leaves while it waits is handed over, and its end is the first thing that it says.
    drop(sockets.pop());
    drop(websocket(address).await);
    let mut gone = soon(server.accept()).await.unwrap();
    let end = soon(gone.recv()).await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    drop(gone);
    until("seven are left", || handle.peers() == 7).await;
    // Nobody accepts any more: who waits is let go.
    let waiting = websocket(address).await;
    until("it waits", || handle.peers() == 8).await;
    drop(server);
    until("it is gone", || handle.peers() == 7).await;
    drop(waiting);
}

/// Handlers that return early or panic leave nothing behind.
#[tokio::test]
async fn handlers_that_end_early() {
    let (server, handle, address) = start(Config::default()).await;
    tokio::spawn(server.serve(|mut peer| async move {
        peer.join("all");
        peer.join("more");
        assert!(!peer.join("more"));
        assert!(peer.leave("more") && !peer.leave("more"));
        peer.join("more");
        match peer.recv().await {
            Ok(Some(Message::Text(text))) if text == "panic" => panic!("a handler panics"),
            _ => {}
        }
    }));
    let mut sockets = Vec::new();
    for n in 0..6 {
        let mut socket = websocket(address).await;
        say(&mut socket, if n % 2 == 0 { "panic" } else { "leave" });
        socket.flush().await.unwrap();
        sockets.push(socket);
    }
    for socket in &mut sockets {
        assert!(heard(socket).await.starts_with("closed 1006"));
    }
    assert_eq!((handle.peers(), handle.members("all").len(), handle.members("more").len()), (0, 0, 0));
}

/// The counters tell each carrier what it cost, also where one connection carries one thing after the other.
#[tokio::test]
async fn traffic_is_charged_to_its_carrier() {
    let config = Config::default().on_request(|request, _| async move {
        let answer = stillwire_tokio::Response::with(200, "text/plain", vec![b'x'; 10_000]);
        if request.target == "/counted" { answer.counted_for(Carrier::Events) } else { answer }
    });
    let (handle, address) = echoing(config).await;
    let traffic = |carrier| handle.traffic(carrier);
    let mut http = Http::connect(address).await;
    http.ask("GET /page", "").await;
    for carrier in Carrier::ALL {
        assert_eq!(traffic(carrier), stillwire_tokio::Traffic::default(), "nobody's");
    }
    http.ask("GET /counted", "").await;
    let counted = traffic(Carrier::Events);
    assert_eq!((counted.requests, counted.messages), (1, 1));
    assert!((10_050..10_300).contains(&counted.bytes), "{counted:?}");
    http.ask("GET /page", "").await;
    assert_eq!(traffic(Carrier::Events), counted);

    // Polling, and then a page, and then a WebSocket, all on one connection.
    let opened = http.ask("POST /poll/open", "").await;
    let sid = opened.text().split('"').nth(3).unwrap().to_owned();
    http.ask(&format!("POST /poll/{sid}"), r#"{"seq":1,"messages":["hello"]}"#).await;
    http.ask(&format!("GET /poll/{sid}?after=0"), "").await;
    let polled = traffic(Carrier::Polling);
    assert_eq!((polled.requests, polled.messages), (3, 2));
    assert!((400..1200).contains(&polled.bytes), "{polled:?}");
    http.ask("GET /page", "").await;
    assert_eq!((traffic(Carrier::Polling), traffic(Carrier::Events)), (polled, counted));

    http.say(common::UPGRADE).await;
    assert_eq!(http.answer(false).await.status, 101);
    http.say(b"\x81\x85\0\0\0\0hello").await;
    let mut frame = [0; 7];
    soon(tokio::io::AsyncReadExt::read_exact(&mut http.0, &mut frame)).await.unwrap();
    let socket = traffic(Carrier::WebSocket);
    assert_eq!((socket.requests, socket.messages), (1, 2));
    let opening = common::UPGRADE.len() as u64 + 129; // the answer of RFC 6455
    assert_eq!(socket.bytes, opening + 11 + 7);
    assert_eq!((traffic(Carrier::Polling), traffic(Carrier::Events)), (polled, counted));
}

/// A peer is a stream and a sink.
#[tokio::test]
async fn streams_and_sinks() {
    use core::{future::poll_fn, pin::Pin};
    use futures_core::Stream;
    use futures_sink::Sink;
    let (mut server, handle, address) = start(Config::default()).await;
    let mut socket = websocket(address).await;
    let mut peer = server.accept().await.unwrap();
    say(&mut socket, "up");
    socket.flush().await.unwrap();
    let message = soon(poll_fn(|cx| Pin::new(&mut peer).poll_next(cx))).await.unwrap().unwrap();
    assert_eq!(text(&message), "up");
    for n in 0..100 {
        soon(poll_fn(|cx| Pin::new(&mut peer).poll_ready(cx))).await.unwrap();
        Pin::new(&mut peer).start_send(Message::from(n.to_string())).unwrap();
    }
    soon(poll_fn(|cx| Pin::new(&mut peer).poll_flush(cx))).await.unwrap();
    for n in 0..100 {
        assert_eq!(heard(&mut socket).await, n.to_string());
    }
    let closing = tokio::spawn(async move { poll_fn(|cx| Pin::new(&mut peer).poll_close(cx)).await });
    assert_eq!(heard(&mut socket).await, "closed 1000 ");
    assert_eq!(heard(&mut socket).await, "end");
    soon(closing).await.unwrap().unwrap();
    assert_eq!(handle.peers(), 0);
}

/// Every future may cross threads.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(_: impl Fn(&'static mut stillwire_tokio::Peer) -> T) {}
    is_send(stillwire_tokio::Peer::recv);
    is_send(|peer| peer.send("x"));
    is_send(stillwire_tokio::Peer::flush);
    fn handle<T: Send>(_: impl Fn(&'static stillwire_tokio::Handle) -> T) {}
    handle(|handle| handle.shut_down(SECOND, SECOND));
    let _: Arc<Mutex<Vec<stillwire_tokio::Peer>>> = Arc::default();
}

/// Handlers hold references to peers across awaits, and those are spawned.
#[test]
fn peers_may_be_shared() {
    fn check<T: Send + Sync>() {}
    check::<stillwire_tokio::Peer>();
}
