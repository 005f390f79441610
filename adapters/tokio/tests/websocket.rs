//! Messages that belong to their holder: streams, sinks, halves, dropped futures, a slow peer.

mod common;

use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use common::{Dice, SECOND, soon, start};
use futures_util::{SinkExt, StreamExt};
use stillwire::{SendError, ws};
use stillwire_tokio::{Config, Connection, Message, WebSocket, connect};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

fn ends<S: AsyncRead + AsyncWrite + Unpin>(near: S, far: S, outbox: usize) -> (WebSocket<S>, WebSocket<S>) {
    let client = ws::Connection::client(ws::Config::default(), stillwire_tokio::entropy());
    let server = ws::Connection::server(ws::Config::default());
    (
        WebSocket::new(Connection::new(near, client, 1 << 20, outbox)),
        WebSocket::new(Connection::new(far, server, 1 << 20, outbox)),
    )
}

fn pair(wire: usize, outbox: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(wire);
    ends(near, far, outbox)
}

/// Polls a future so many times, and drops it.
async fn polled<F: Future>(times: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

fn message(n: u64, largest: u64, dice: &mut Dice) -> Message {
    let size = dice.below(if n.is_multiple_of(7) { largest } else { 300 });
    if n.is_multiple_of(2) {
        format!("{n} {}", "x".repeat(size as usize)).into()
    } else {
        [&n.to_be_bytes()[..], &vec![b'y'; size as usize]].concat().into()
    }
}

/// Every future of both ends is dropped after a few polls, over wires from one byte on: what was queued comes once, whole
/// and in order, and what was not queued does not come.
#[tokio::test]
async fn futures_may_be_dropped_at_every_await() {
    for seed in 0..16 {
        let mut dice = Dice(seed);
        let wire = [1, 7, 64, 4096][seed as usize % 4];
        let (mut a, mut b) = pair(wire as usize, 20_000);
        if seed / 4 % 2 == 0 {
            (a, b) = (b, a); // a server sends large payloads without a copy
        }
        let (mut queued, mut sent, mut heard) = (Vec::new(), 0, 0);
        while heard < 60 {
            let times = 1 + dice.below(4);
            if sent < 60 {
                let next = message(sent, 300 + 100 * wire.min(90), &mut dice);
                let done = match dice.below(4) {
                    0 => polled(times, a.send(next.clone())).await.map(|sent| sent.unwrap()),
                    1 => polled(times, a.feed(next.clone())).await.map(|fed| fed.unwrap()),
                    2 => polled(times, SinkExt::feed(&mut a, next.clone())).await.map(|fed| fed.unwrap()),
                    // A sink's `send` has queued it when it waits for the flush: only `start_send` tells.
                    _ => {
                        let ready = polled(times, poll_fn(|cx| a.poll_ready_unpin(cx))).await;
                        ready.map(|ready| ready.and_then(|()| a.start_send_unpin(next.clone())).unwrap())
                    }
                };
                if done.is_some() {
                    queued.push(next);
                    sent += 1;
                }
            }
            if dice.below(3) == 0 {
                let _ = polled(times, SinkExt::<Message>::flush(&mut a)).await;
            }
            let _ = polled(1, a.recv()).await; // it reads, and writes
            let got = if dice.below(2) == 0 {
                polled(times, b.recv()).await.map(|got| got.unwrap().unwrap())
            } else {
                polled(times, b.next()).await.map(|got| got.unwrap().unwrap())
            };
            if let Some(got) = got {
                assert!(got == queued[heard], "seed {seed}, message {heard}");
                heard += 1;
            }
        }
        assert_eq!(polled(5, b.recv()).await.map(drop), None, "nothing else comes");
    }
}

/// One flush for many; until then nothing but what the 16 KiB mark lets go.
#[tokio::test]
async fn feed_many_flush_once() {
    let (mut a, mut b) = pair(1 << 20, 1 << 20);
    for n in 0..100 {
        a.feed(format!("message {n}")).await.unwrap();
    }
    assert_eq!(polled(5, b.recv()).await.map(drop), None, "it was only fed");
    a.flush().await.unwrap();
    for n in 0..100 {
        assert_eq!(b.recv().await.unwrap(), Some(format!("message {n}").into()));
    }
    a.feed("x".repeat(20_000)).await.unwrap();
    assert!(polled(5, b.recv()).await.is_some(), "more than 16 KiB do not wait");
}

/// At most the outbox, and what the wire holds, is in flight: then the writer waits for the reader.
#[tokio::test]
async fn a_slow_peer_holds_its_sender_up() {
    for shared in [false, true] {
        let (mut a, mut b) = if shared {
            let (a, b) = pair(1000, 100_000);
            (b, a) // a server sends its payloads without a copy
        } else {
            pair(1000, 100_000)
        };
        let payload = Bytes::from(vec![7; 10_000]);
        let mut sent = 0;
        while polled(3, a.send(payload.clone())).await.is_some() {
            sent += 1;
        }
        assert!((5..=11).contains(&sent), "{sent} messages of 10,000 B into 100,000 B");
        for _ in 0..sent {
            soon(async {
                tokio::select! {
                    biased;
                    got = b.recv() => assert!(got.unwrap() == Some(payload.clone().into())),
                    // The wire moves while it flushes, too.
                    _ = async { a.flush().await.unwrap(); core::future::pending::<()>().await } => {}
                }
            })
            .await;
        }
        soon(a.send("goes again")).await.unwrap();
        soon(a.flush()).await.unwrap();
        let never = a.feed(vec![0; 200_000]).await;
        assert!(matches!(never, Err(SendError::Full(full)) if full.needed > 200_000), "{never:?}");
    }
}

/// Tasks of their own for both directions, and several that write: no wakeup is lost, whoever asked last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_in_tasks_of_their_own() {
    const EACH: u32 = 300;
    let (a, b) = pair(100, 5_000);
    let mut tasks = Vec::new();
    for socket in [a, b] {
        let (mut reader, writer) = socket.split();
        let mut writing = Vec::new();
        for from in 0..3_u32 {
            let writer = writer.clone();
            writing.push(tokio::spawn(async move {
                for n in 0..EACH {
                    let text = format!("{from} {n} {}", "z".repeat((n * 37 % 500) as usize));
                    if n % 2 == 0 {
                        writer.send(text).await.unwrap();
                    } else {
                        writer.feed(text).await.unwrap();
                    }
                }
                writer.flush().await.unwrap();
            }));
        }
        tasks.push(tokio::spawn(async move {
            let mut next = [0; 3];
            while next != [EACH; 3] {
                let Some(Message::Text(text)) = reader.recv().await.unwrap() else { panic!("it ended") };
                let mut words = text.split(' ').map(str::parse::<u32>);
                let (from, n) = (words.next().unwrap().unwrap() as usize, words.next().unwrap().unwrap());
                assert_eq!(n, next[from]);
                next[from] += 1;
            }
            for task in writing {
                task.await.unwrap();
            }
            writer.close("done").await.unwrap();
            while let Ok(Some(_)) = reader.recv().await {}
            reader.with(|socket| socket.closed().map(|(code, _)| code))
        }));
    }
    for task in tasks {
        assert_eq!(soon(task).await.unwrap(), Some(1000));
    }
}

/// The halves of futures-util lock the whole, and ask with the waker of whoever asks: a peer of the server, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_of_futures_util() {
    let mut config = Config::default();
    config.outbox = 20_000;
    let (server, handle, address) = start(config).await;
    tokio::spawn(server.serve(|peer| async move {
        let (mut sink, stream) = StreamExt::split(peer);
        let mut stream = stream.map(|message| message.map_err(|_| SendError::NotOpen));
        let _ = sink.send_all(&mut stream).await; // an echo
    }));
    let client = connect(&format!("ws://{address}/ws")).await.unwrap();
    let (mut sink, mut stream) = StreamExt::split(client);
    let sending = tokio::spawn(async move {
        for n in 0..500_u64 {
            sink.feed(format!("{n} {}", "w".repeat((n * 91 % 3000) as usize)).into()).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    for n in 0..500_u64 {
        let Message::Text(text) = soon(stream.next()).await.unwrap().unwrap() else { panic!("binary") };
        assert_eq!(text.split(' ').next(), Some(&*n.to_string()));
    }
    let mut whole = sending.await.unwrap().reunite(stream).unwrap();
    assert_eq!(SinkExt::<Message>::close(&mut whole).await, Ok(()));
    drop(whole);
    assert_eq!(handle.shut_down(SECOND * 5, core::time::Duration::ZERO).await, 0);
}

/// A peer in halves: its reader waits, others write and broadcast, and each of them wakes it.
#[tokio::test]
async fn a_peer_in_halves() {
    let (mut server, handle, address) = start(Config::default()).await;
    let mut client = connect(&format!("ws://{address}/ws")).await.unwrap();
    let mut peer = server.accept().await.unwrap();
    peer.join("all");
    let (mut reader, writer) = peer.split();
    let reading = tokio::spawn(async move { (reader.recv().await.unwrap(), reader) });
    tokio::task::yield_now().await;
    for n in 0..3 {
        writer.send(format!("own {n}")).await.unwrap();
        assert_eq!(soon(client.recv()).await.unwrap(), Some(format!("own {n}").into()));
        assert_eq!(handle.broadcast("all", "for all", None), 1);
        assert_eq!(soon(client.recv()).await.unwrap(), Some("for all".into()));
    }
    client.send("hello").await.unwrap();
    let (got, reader) = soon(reading).await.unwrap();
    assert_eq!(got, Some("hello".into()));
    drop(reader); // that ends it
    assert_eq!(writer.send("?").await, Err(SendError::NotOpen));
    drop(writer);
    assert!(!matches!(soon(client.recv()).await, Ok(Some(_))));
    assert_eq!(handle.peers(), 0);
}

#[tokio::test]
async fn the_end_is_told() {
    let (mut a, mut b) = pair(64, 4096);
    let other = tokio::spawn(async move {
        while b.recv().await.unwrap().is_some() {}
        assert_eq!(b.closed(), Some((1000, "bye")));
        assert_eq!((b.recv().await.unwrap(), b.send("?").await), (None, Err(SendError::NotOpen)));
    });
    soon(a.close("bye")).await.unwrap();
    assert_eq!(a.closed(), Some((1000, "")));
    assert_eq!(a.send("?").await, Err(SendError::NotOpen));
    soon(other).await.unwrap();

    let (mut a, b) = pair(64, 4096);
    drop(b);
    let ended = soon(a.recv()).await;
    assert!(!matches!(ended, Ok(Some(_))));
    assert_eq!(soon(a.recv()).await.unwrap(), None);
}
