//! Polling sessions: catching up, and what they leave behind.

mod common;

use common::{Dice, Http, Poll, echoing, millis, soon, start, until};
use stillwire_tokio::Config;

/// A polling client that was away gets everything that waits for it: in its session, in the outbox, in the mailbox.
#[tokio::test]
async fn a_polling_client_catches_up() {
    let mut config = Config::default();
    (config.outbox, config.mailbox.bytes) = (100_000, 4 << 20);
    config.polling.max_bytes = 10_000;
    let (handle, address) = echoing(config).await;
    let mut poll = Poll::open(address).await;
    until("it is in", || handle.members("all").len() == 1).await;
    let mut dice = Dice(11);
    for n in 0..1000 {
        let filling = "x".repeat(dice.below(3000) as usize);
        assert_eq!(handle.broadcast("all", format!("{n} {filling}").as_str(), None), 1);
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut next = 0;
    while next < 1000 {
        let batch = poll.receive().await;
        assert_eq!(batch.status, 200);
        for message in batch.messages {
            assert_eq!(message.split(' ').next(), Some(&*next.to_string()));
            next += 1;
        }
    }
}

/// However a polling session ends, it is forgotten: abandoned, dropped by its handler, never accepted, deleted.
#[tokio::test]
async fn polling_sessions_do_not_leak() {
    let mut config = Config::default();
    config.polling.empty_within = millis(300);
    config.polling.close_within = millis(400);
    config.max_sessions = 5;
    config.backlog = 1;
    let (mut server, handle, address) = start(config).await;
    let count = || (handle.peers(), handle.sessions(), handle.members("all").len());

    // Abandoned.
    let poll = Poll::open(address).await;
    let peer = server.accept().await.unwrap();
    let handler = tokio::spawn(common::echo(peer));
    until("it is in", || count() == (1, 1, 1)).await;
    until("it was abandoned", || count() == (0, 0, 0)).await;
    soon(handler).await.unwrap();
    drop(poll);

    // Ended by a handler that leaves early: the waiting poll is answered at once.
    let mut poll = Poll::open(address).await;
    let mut peer = server.accept().await.unwrap();
    peer.join("all");
    peer.send("one").await.unwrap();
    poll.sit().await;
    assert_eq!(poll.batch().await.messages, ["one"]);
    poll.sit().await;
    tokio::time::sleep(millis(20)).await;
    drop(peer);
    assert_eq!(count(), (0, 0, 0));
    assert_eq!(poll.batch().await.status, 204);
    assert_eq!(poll.receive().await.status, 404);

    // With a goodbye.
    let mut poll = Poll::open(address).await;
    let mut peer = server.accept().await.unwrap();
    peer.end("that was all");
    let handler = tokio::spawn(async move { while let Ok(Some(_)) = peer.recv().await {} });
    let batch = poll.receive().await;
    assert_eq!((batch.status, batch.closed), (200, Some(1000)));
    assert_eq!(poll.receive().await.status, 204);
    soon(handler).await.unwrap();
    assert_eq!(count(), (0, 0, 0));

    // A receiver that hangs up is no end; another one takes over, and replaces an older one.
    let mut poll = Poll::open(address).await;
    let mut peer = server.accept().await.unwrap();
    peer.join("all");
    let handler = tokio::spawn(common::echo(peer));
    poll.sit().await;
    poll.down = Http::connect(address).await;
    poll.sit().await;
    let mut other = Http::connect(address).await;
    tokio::time::sleep(millis(20)).await;
    other.send(&format!("GET /poll/{}?after=0", poll.sid), "").await;
    assert_eq!(poll.batch().await.status, 204);
    assert_eq!(handle.broadcast("all", "hello", None), 1);
    assert_eq!(other.answer(false).await.text(), r#"{"last":1,"messages":["hello"]}"#);
    // The same again, for the answer may have been lost.
    assert_eq!(poll.receive().await.messages, ["hello"]);
    assert_eq!(poll.delete().await, 204);
    soon(handler).await.unwrap();
    assert_eq!(count(), (0, 0, 0));

    // Never accepted; and there are only so many.
    let mut polls = Vec::new();
    for _ in 0..5 {
        polls.push(Poll::open(address).await);
    }
    let answer = Http::connect(address).await.ask("POST /poll/open", "").await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert_eq!(count(), (5, 5, 0));
    drop(server);
    until("nothing is left", || count() == (0, 0, 0)).await;
    assert_eq!(polls[0].receive().await.status, 404);
}
