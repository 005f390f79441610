//! Many peers of every carrier in one room, on several threads, leaving at random: those who stay hear every message,
//! in order, once.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Dice, Http, Poll, SECOND, echo, events, heard, say, start, until, websocket};
use stillwire_tokio::Config;
use tokio::{task::JoinSet, time::timeout};

const MESSAGES: usize = 300;

/// Of a message `n filling`, its number; the last one is `MESSAGES`.
fn number(message: &str) -> usize {
    message.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{message}"))
}

/// What one peer hears, checked; `until` is the number behind which it leaves.
struct Hears {
    next: Option<usize>,
    until: usize,
}

impl Hears {
    /// Whether it goes on.
    fn hears(&mut self, message: &str) -> bool {
        let n = number(message);
        assert_eq!(n, *self.next.get_or_insert(n), "in order, none twice, no holes");
        self.next = Some(n + 1);
        n < self.until
    }
}

async fn room(seed: u64, peers: usize) {
    let mut config = Config::default();
    config.mailbox.bytes = 64 << 20;
    config.mailbox.messages = 1 << 20;
    let (server, handle, address) = start(config).await;
    let serving = tokio::spawn(server.serve(echo));
    let mut dice = Dice(seed);
    let mut all = JoinSet::new();
    let stayed = Arc::new(AtomicUsize::new(0));
    let mut staying = 0;
    for n in 0..peers {
        let until = if dice.below(3) == 0 { dice.below(MESSAGES as u64) as usize } else { MESSAGES };
        staying += usize::from(until == MESSAGES);
        let (mut hears, stayed) = (Hears { next: None, until }, stayed.clone());
        let how = dice.below(3);
        all.spawn(async move {
            match n % 3 {
                0 => {
                    let mut socket = websocket(address).await;
                    while hears.hears(&heard(&mut socket).await) {}
                    if how == 0 {
                        socket.link.machine.send_close(1000, "", &mut socket.link.outbox).unwrap();
                        while heard(&mut socket).await != "end" {}
                    }
                }
                1 => {
                    let mut stream = events(address).await;
                    while hears.hears(&stream.event().await) {}
                }
                _ => {
                    let mut poll = Poll::open(address).await;
                    'all: loop {
                        let after = poll.after;
                        let batch = poll.receive().await;
                        assert!(matches!(batch.status, 200 | 204), "{batch:?}");
                        if how == 0 && batch.last % 5 == 0 {
                            // The answer was lost, as far as the client knows: the same comes again.
                            (poll.after, poll.down) = (after, Http::connect(address).await);
                            let again = poll.receive().await;
                            assert_eq!(again.messages[..batch.messages.len()], batch.messages);
                            for message in &again.messages {
                                if !hears.hears(message) {
                                    break 'all;
                                }
                            }
                            continue;
                        }
                        for message in &batch.messages {
                            if !hears.hears(message) {
                                break 'all;
                            }
                        }
                    }
                    assert_eq!(poll.delete().await, 204);
                }
            }
            stayed.fetch_add(usize::from(until == MESSAGES), Ordering::Relaxed);
        });
    }
    until("all are in", || handle.members("all").len() == peers).await;
    for n in 0..=MESSAGES {
        let filling = "x".repeat(dice.below(if n % 10 == 0 { 5000 } else { 50 }) as usize);
        handle.broadcast("all", format!("{n} {filling}").as_str(), None);
        if dice.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let joined = async {
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    };
    timeout(20 * SECOND, joined).await.expect("somebody still waits: a wakeup was lost");
    assert_eq!(stayed.load(Ordering::Relaxed), staying);
    until("nothing is left", || {
        (handle.peers(), handle.sessions(), handle.members("all").len()) == (0, 0, 0)
    })
    .await;
    assert_eq!(handle.shut_down(SECOND, SECOND).await, 0);
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_stay_hear_everything_once() {
    for seed in 1..=3 {
        room(seed, 36).await;
    }
}

#[tokio::test]
async fn the_same_on_one_thread() {
    room(9, 30).await;
}

/// Both directions at once, posts on one connection and receivers on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn polling_echoes_under_threads() {
    let (server, handle, address) = start(Config::default()).await;
    tokio::spawn(server.serve(|mut peer| async move {
        while let Ok(Some(message)) = peer.recv().await {
            if peer.send(message).await.is_err() {
                break;
            }
        }
    }));
    let mut all = JoinSet::new();
    for _ in 0..16 {
        all.spawn(async move {
            let mut poll = Poll::open(address).await;
            let mut post = poll.twin().await;
            let posting = tokio::spawn(async move {
                for n in 0..100 {
                    assert_eq!(post.post(&[&format!("a{n}"), &format!("b{n}")]).await.status, 200);
                }
            });
            let mut got = Vec::new();
            while got.len() < 200 {
                got.extend(poll.receive().await.messages);
            }
            posting.await.unwrap();
            let expected: Vec<_> = (0..100).flat_map(|n| [format!("a{n}"), format!("b{n}")]).collect();
            assert_eq!(got, expected);
            poll.delete().await;
        });
    }
    let joined = async {
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    };
    timeout(20 * SECOND, joined).await.expect("a wakeup was lost");
    until("nothing is left", || (handle.peers(), handle.sessions()) == (0, 0)).await;
}

/// Thousands of small messages through one socket in both directions: order, and no message lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_in_both_directions() {
    let (server, _, address) = start(Config::default()).await;
    tokio::spawn(server.serve(echo));
    let mut socket = websocket(address).await;
    let (mut said, mut got) = (0, 0);
    while got < 20_000 {
        while said < 20_000 && said - got < 5000 {
            say(&mut socket, &said.to_string());
            said += 1;
        }
        assert_eq!(heard(&mut socket).await, got.to_string());
        got += 1;
    }
}
