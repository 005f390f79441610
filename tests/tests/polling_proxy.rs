//! Polling through a proxy that hates it: connections cut anywhere, answers lost, requests that come twice. Every message
//! arrives once, in order, in both directions.
#![cfg(feature = "interop")]

use core::time::Duration;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use stillwire::polling;
use stillwire_tokio::{Config, Message, PollClient, Route, Server};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Numbers that nobody needs to guess.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// splitmix64.
    fn below(&self, n: u64) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }
}

/// How often what happened.
#[derive(Default, Debug)]
struct Mishaps {
    request_cut: AtomicU64,
    answer_lost: AtomicU64,
    answer_cut: AtomicU64,
    twice: AtomicU64,
    fine: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One message of HTTP with a `content-length`, or without a body. `None`: the stream has ended.
async fn message(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        from.read_until(b'\n', &mut bytes).await.ok().filter(|n| *n > 0)?;
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let at = bytes.len();
    bytes.resize(at + length.unwrap_or(0), 0);
    from.read_exact(&mut bytes[at..]).await.ok()?;
    Some(bytes)
}

/// Carries requests to the server and answers back, on one connection of each, until something goes wrong.
async fn carry(near: TcpStream, server: SocketAddr, dice: Dice, mishaps: Arc<Mishaps>) -> Option<()> {
    let far = TcpStream::connect(server).await.ok()?;
    for socket in [&near, &far] {
        socket.set_nodelay(true).ok()?;
    }
    let (mut near, mut far) = (BufReader::new(near), BufReader::new(far));
    loop {
        let request = message(&mut near).await?;
        let fate = dice.below(10);
        if fate == 0 {
            count(&mishaps.request_cut);
            let some = dice.below(request.len() as u64) as usize;
            far.write_all(&request[..some]).await.ok()?;
            return None;
        }
        if fate == 1 {
            // As a proxy does that tries again on a connection of its own, whoever is first.
            count(&mishaps.twice);
            let (again, wait) = (request.clone(), Duration::from_millis(dice.below(20)));
            tokio::spawn(async move {
                let mut other = BufReader::new(TcpStream::connect(server).await.ok()?);
                other.write_all(&again).await.ok()?;
                tokio::time::sleep(wait).await;
                timeout(Duration::from_millis(200), message(&mut other)).await.ok()?
            });
        }
        far.write_all(&request).await.ok()?;
        let mut next = [0];
        let answer = tokio::select! {
            answer = message(&mut far) => answer?,
            // The client has given up: so does the proxy.
            _ = near.get_ref().peek(&mut next) => return None,
        };
        match fate {
            2 => {
                count(&mishaps.answer_lost);
                return None;
            }
            3 => {
                count(&mishaps.answer_cut);
                near.write_all(&answer[..dice.below(answer.len() as u64) as usize]).await.ok()?;
                return None;
            }
            _ => count(&mishaps.fine),
        }
        near.write_all(&answer).await.ok()?;
    }
}

async fn proxy(server: SocketAddr, dice: Dice) -> (SocketAddr, Arc<Mishaps>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mishaps) = (listener.local_addr().unwrap(), Arc::new(Mishaps::default()));
    let counted = mishaps.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(carry(near, server, dice.clone(), counted.clone()));
        }
    });
    (address, mishaps)
}

fn polling_config() -> polling::Config {
    let mut config = polling::Config::default();
    (config.max_bytes, config.max_messages) = (2000, 5);
    config.wait = Duration::from_millis(300);
    config.answer_within = Duration::from_secs(2);
    (config.retry_min, config.retry_max) = (Duration::from_millis(2), Duration::from_millis(20));
    config.retries = 50;
    config
}

/// The n-th message in a direction: text and bytes, short and as long as may be.
fn nth(direction: &str, n: u64) -> Message {
    let filling = "é\"\n".repeat((n * 37 % 200) as usize);
    match n % 4 {
        0 => Message::from(format!("{direction} {n} {filling}").into_bytes()),
        _ => Message::from(format!("{direction} {n} {filling}")),
    }
}

async fn everything_once(seed: u64, messages: u64) -> Arc<Mishaps> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::default();
    config.polling = polling_config();
    let (mut server, _handle) = Server::new(listener, config);
    let (address, mishaps) = proxy(address, Dice::new(seed)).await;

    let serving = async {
        // An answer to "open" that was lost leaves a session that nobody uses. The one that talks is looked for.
        let (found, mut talking) = tokio::sync::mpsc::channel(1);
        loop {
            tokio::select! {
                peer = server.accept() => {
                    let (mut reader, writer) = peer.unwrap().split();
                    let found = found.clone();
                    tokio::spawn(async move {
                        if let Ok(Some(first)) = reader.recv().await {
                            let _ = found.send((reader, writer, first)).await;
                        }
                    });
                }
                Some((mut reader, writer, first)) = talking.recv() => {
                    assert_eq!(first, nth("up", 0), "seed {seed}");
                    let sending = async {
                        for n in 0..messages {
                            writer.send(nth("down", n)).await.unwrap();
                        }
                    };
                    let receiving = async {
                        for n in 1..messages {
                            assert_eq!(reader.recv().await.unwrap(), Some(nth("up", n)), "seed {seed}");
                        }
                    };
                    tokio::join!(sending, receiving);
                    // No more than that, and the client's goodbye, which a proxy may have cut, too.
                    assert!(matches!(reader.recv().await, Ok(None)), "seed {seed}");
                    return;
                }
            }
        }
    };
    let talking = async {
        let url = format!("http://{address}/poll");
        let client = PollClient::with(&url, &polling_config(), Route::default()).unwrap();
        let (mut reader, writer) = client.split();
        let sending = async {
            for n in 0..messages {
                writer.feed(nth("up", n)).await.unwrap();
            }
            writer.flush().await.unwrap();
        };
        let receiving = async {
            for n in 0..messages {
                assert_eq!(reader.recv().await.unwrap(), Some(nth("down", n)), "seed {seed}");
            }
        };
        tokio::join!(sending, receiving);
        let closing = writer.close("done");
        let ending = async {
            assert_eq!(reader.recv().await, Ok(None), "seed {seed}");
        };
        let _ = tokio::join!(closing, ending);
    };
    let both = async { tokio::join!(serving, talking) };
    assert!(timeout(Duration::from_secs(60), both).await.is_ok(), "seed {seed}: stuck after {mishaps:?}");
    mishaps
}

/// Six seeds, all at once, because most of the time is waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_once_through_a_bad_proxy() {
    let runs: Vec<_> = (1..=6).map(|seed| tokio::spawn(everything_once(seed, 200))).collect();
    let mut totals = [0; 5];
    for run in runs {
        let mishaps = run.await.unwrap();
        let Mishaps { request_cut, answer_lost, answer_cut, twice, fine } = &*mishaps;
        for (total, one) in totals.iter_mut().zip([request_cut, answer_lost, answer_cut, twice, fine]) {
            *total += one.load(Ordering::Relaxed);
        }
    }
    println!("requests cut, answers lost, answers cut, requests twice, fine: {totals:?}");
    assert!(totals.iter().all(|total| *total > 20), "{totals:?}");
}

/// The blocking client, with an echo.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_blocking_client_through_a_bad_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = Config::default();
    config.polling = polling_config();
    let (server, _handle) = Server::new(listener, config);
    tokio::spawn(server.serve(|mut peer| async move {
        while let Ok(Some(message)) = peer.recv().await {
            if peer.send(message).await.is_err() {
                break;
            }
        }
    }));
    let (address, mishaps) = proxy(address, Dice::new(7)).await;
    let talking = tokio::task::spawn_blocking(move || {
        let url = format!("http://{address}/poll");
        let mut client =
            stillwire_std::PollClient::with(&url, &polling_config(), stillwire_std::Route::default())
                .unwrap();
        for round in 0..10 {
            for n in 0..10 {
                client.send_text(&format!("{round} {n}")).unwrap();
                client.send_binary(&[round, n]).unwrap();
            }
            if round % 2 == 0 {
                client.flush().unwrap();
            }
            for n in 0..10 {
                let text = format!("{round} {n}");
                assert!(
                    matches!(client.next(), Ok(Some(polling::Event::Text(came))) if came == text.as_str())
                );
                assert_eq!(client.next(), Ok(Some(polling::Event::Binary(&[round, n]))));
            }
        }
        client.send_close(1000, "done").unwrap();
        assert!(matches!(client.next(), Ok(Some(polling::Event::Closed { code: 1000, .. }))));
        assert_eq!(client.next(), Ok(None));
        assert_eq!(client.flush(), Ok(()));
    });
    timeout(Duration::from_secs(60), talking).await.expect("it is stuck").unwrap();
    assert!(mishaps.fine.load(Ordering::Relaxed) > 20, "{mishaps:?}");
}
