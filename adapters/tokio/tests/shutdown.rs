//! Going away in order.

mod common;

use common::{
    Http, Poll, SECOND, UPGRADE, WebSocket, echo, echoing, events, heard, millis, soon, start, until,
    websocket,
};
use stillwire_tokio::{Carrier, Config, Message, Response};
use tokio::time::timeout;

/// Everybody hears of it in its own words, handlers end, nothing is left, and `serve` returns.
#[tokio::test]
async fn everybody_is_told() {
    let (server, handle, address) = start(Config::default()).await;
    let serving = tokio::spawn(server.serve(echo));
    let mut socket = websocket(address).await;
    let mut stream = events(address).await;
    let mut waiting = Poll::open(address).await;
    let mut between = Poll::open(address).await;
    let mut idle = Http::connect(address).await;
    assert_eq!(idle.ask("GET /", "").await.status, 404);
    until("all are in", || handle.members("all").len() == 4).await;
    waiting.sit().await;
    tokio::time::sleep(millis(50)).await;

    let ending = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shut_down(8 * SECOND, 4 * SECOND).await }
    });
    assert!(idle.rest().await.is_empty(), "an idle connection is closed");
    let goodbye = heard(&mut socket).await;
    assert!(goodbye.starts_with("closed 1012 come back in "), "{goodbye}");
    assert_eq!(heard(&mut socket).await, "end");
    let retry = stream.event().await;
    assert!(retry.starts_with("retry: "), "{retry}");
    assert!(stream.rest().await.len() <= 1);
    drop(stream);

    let batch = waiting.batch().await;
    assert_eq!((batch.status, batch.closed), (200, Some(1012)));
    // The one who was between two polls comes again, perhaps on another connection, and hears it, too.
    between.down = Http::connect(address).await;
    let batch = between.receive().await;
    assert_eq!((batch.status, batch.closed), (200, Some(1012)));
    // Two ways to say "I know".
    waiting.up = Http::connect(address).await;
    assert_eq!(waiting.delete().await, 204);
    between.down = Http::connect(address).await;
    assert_eq!(between.receive().await.status, 204);

    assert_eq!(soon(ending).await.unwrap(), 0);
    soon(serving).await.unwrap();
    assert_eq!((handle.peers(), handle.sessions(), handle.members("all").len()), (0, 0, 0));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

/// While it goes away, who is new is sent away.
#[tokio::test]
async fn who_is_new_is_answered_503() {
    let (handle, address) = echoing(Config::default()).await;
    let poll = Poll::open(address).await; // does not come again, so that the end takes a while
    let ending = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shut_down(SECOND, SECOND).await }
    });
    tokio::time::sleep(millis(50)).await;
    for request in [
        UPGRADE,
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /events HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /poll/open HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    ] {
        let mut http = Http::connect(address).await;
        http.say(request).await;
        let answer = http.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(soon(ending).await.unwrap(), 1);
    drop(poll);
}

/// A handler that only sends is told by its `send`.
#[tokio::test]
async fn a_handler_that_only_sends_ends() {
    let (server, handle, address) = start(Config::default()).await;
    let serving = tokio::spawn(server.serve(|mut peer| async move {
        peer.join("ticker");
        while peer.send("tick").await.is_ok() {
            tokio::time::sleep(millis(5)).await;
        }
    }));
    let mut stream = events(address).await;
    assert_eq!(stream.event().await, "tick");
    handle.broadcast("ticker", "news", None);
    let heard_news = async { while stream.event().await != "news" {} };
    soon(heard_news).await; // broadcasts come between the ticks
    let mut socket = websocket(address).await;
    assert_eq!(handle.shut_down(5 * SECOND, SECOND).await, 0);
    soon(serving).await.unwrap();
    let rest = String::from_utf8(stream.rest().await).unwrap();
    assert!(rest.contains("retry: "), "{rest}");
    let goodbye = async {
        loop {
            let heard = heard(&mut socket).await;
            if heard != "tick" {
                return heard;
            }
        }
    };
    assert!(goodbye.await.starts_with("closed 1012"));
}

/// Peers that nobody has accepted, and those whose opening is under way, hold nothing up.
#[tokio::test]
async fn peers_that_wait_to_be_accepted() {
    let mut config = Config::default();
    config.backlog = 2;
    let (mut server, handle, address) = start(config).await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let mut socket = websocket(address).await;
        sockets.push(tokio::spawn(async move { heard(&mut socket).await }));
    }
    until("all are peers", || handle.peers() == 6).await;
    let first = server.accept().await.unwrap();
    drop(first);
    let ending = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shut_down(5 * SECOND, SECOND).await }
    });
    tokio::time::sleep(millis(50)).await;
    // Whoever waited in the backlog is handed out still; `serve` ends with all of them.
    soon(server.serve(echo)).await;
    assert_eq!(soon(ending).await.unwrap(), 0);
    let mut told = 0;
    for socket in sockets {
        let last = soon(socket).await.unwrap();
        assert!(
            ["closed 1012 ", "closed 1006 ", "error "].iter().any(|known| last.starts_with(known)),
            "{last}"
        );
        told += usize::from(last.starts_with("closed 1012 "));
    }
    assert!(told >= 2, "those in the backlog got a goodbye");
}

/// A request that takes long is answered, and then its connection ends.
#[tokio::test]
async fn an_answer_that_is_owed_is_given() {
    let config = Config::default().on_request(|_, _| async {
        tokio::time::sleep(millis(200)).await;
        Response::with(200, "text/plain", "done")
    });
    let (handle, address) = echoing(config).await;
    let mut http = Http::connect(address).await;
    http.send("GET /slow", "").await;
    tokio::time::sleep(millis(50)).await;
    assert_eq!(handle.shut_down(SECOND, SECOND).await, 0);
    let answer = http.answer(false).await;
    assert_eq!((answer.status, answer.text(), answer.header("connection")), (200, "done", Some("close")));
    assert!(http.rest().await.is_empty());
}

/// A handler that does not obey is counted, not waited for.
#[tokio::test]
async fn a_handler_that_does_not_listen_is_counted() {
    let (server, handle, address) = start(Config::default()).await;
    tokio::spawn(server.serve(|peer| async move {
        let _peer = peer;
        core::future::pending::<()>().await;
    }));
    let _socket = websocket(address).await;
    until("it is here", || handle.peers() == 1).await;
    assert_eq!(soon(handle.shut_down(millis(100), SECOND)).await, 1);
}

/// Where the outbox is full to the brim, the goodbye waits for room instead of being lost.
#[tokio::test]
async fn a_goodbye_waits_for_room() {
    for carrier in Carrier::ALL {
        let mut config = Config::default();
        config.outbox = 4096;
        let (mut server, handle, address) = start(config).await;
        let mut client = match carrier {
            Carrier::WebSocket => Client::Socket(Box::new(websocket(address).await)),
            Carrier::Events => Client::Stream(events(address).await),
            Carrier::Polling => Client::Poll(Poll::open(address).await),
        };
        let mut peer = server.accept().await.unwrap();
        assert_eq!(peer.carrier(), carrier);
        let mut queued = 0;
        while peer.try_send(&Message::from("z")).is_ok() {
            queued += 1;
        }
        let ending = tokio::spawn({
            let handle = handle.clone();
            async move { handle.shut_down(5 * SECOND, SECOND).await }
        });
        tokio::spawn(async move { while let Ok(Some(_)) = peer.recv().await {} });
        let mut got = 0;
        match &mut client {
            Client::Socket(socket) => {
                let goodbye = loop {
                    match heard(socket).await {
                        z if z == "z" => got += 1,
                        goodbye => break goodbye,
                    }
                };
                assert!(goodbye.starts_with("closed 1012"), "{goodbye}");
                assert_eq!(heard(socket).await, "end");
            }
            Client::Stream(stream) => {
                let goodbye = loop {
                    match stream.event().await {
                        z if z == "z" => got += 1,
                        goodbye => break goodbye,
                    }
                };
                assert!(goodbye.starts_with("retry: "), "{goodbye}");
            }
            Client::Poll(poll) => loop {
                poll.down = Http::connect(address).await; // while a server leaves, each answer is a connection's last
                let batch = poll.receive().await;
                assert_eq!(batch.status, 200);
                got += batch.messages.len();
                if let Some(code) = batch.closed {
                    assert_eq!(code, 1012);
                    poll.up = Http::connect(address).await;
                    assert_eq!(poll.delete().await, 204);
                    break;
                }
            },
        }
        assert_eq!(got, queued, "{carrier:?}");
        drop(client);
        assert_eq!(soon(ending).await.unwrap(), 0, "{carrier:?}");
    }
}

enum Client {
    Socket(Box<WebSocket>),
    Stream(Http),
    Poll(Poll),
}

/// Who waits for a shutdown may stop waiting: the port closes all the same.
#[tokio::test]
async fn a_shutdown_that_is_dropped() {
    let (server, handle, address) = start(Config::default()).await;
    let _poll = Poll::open(address).await;
    assert!(timeout(millis(50), handle.shut_down(60 * SECOND, SECOND)).await.is_err());
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(millis(5)).await;
        }
    };
    soon(closed).await;
    drop(server);
    assert_eq!(handle.shut_down(SECOND, SECOND).await, 0);
}
