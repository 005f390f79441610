//! Plain requests on the same port: what an HTTP server owes its clients.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Http, SECOND, UPGRADE, echoing, events, heard, millis, say, until, websocket};
use stillwire::http::RequestView;
use stillwire_tokio::{Carrier, Config, Response};

fn pages() -> Config {
    let mut config = Config::default().on_request(|request, handle| async move {
        match (request.method.as_str(), request.path()) {
            ("GET" | "HEAD", "/page") => Response::with(200, "text/plain", "a page"),
            ("GET", "/large") => Response::with(200, "text/plain", vec![b'x'; 5 << 20]),
            ("GET", "/bad-header") => Response::new(200).header("x", "a\r\nset-cookie: b"),
            ("GET", "/bad-status") => Response::new(42),
            ("GET", "/bad-body") => Response::with(204, "text/plain", "x"),
            ("GET", "/panic") => panic!("a handler panics"),
            ("POST", "/echo") => Response::with(200, "application/octet-stream", request.body),
            ("POST", "/say") => {
                let n = handle.broadcast("all", String::from_utf8(request.body).unwrap().as_str(), None);
                Response::with(200, "text/plain", n.to_string())
            }
            _ => Response::new(404),
        }
    });
    config.max_body = 1000;
    config.headers.push(("x-always".into(), "yes".into()));
    config
}

#[tokio::test]
async fn requests_on_a_kept_connection() {
    let (_, address) = echoing(pages()).await;
    let mut http = Http::connect(address).await;
    for _ in 0..3 {
        let page = http.ask("GET /page?x=1", "").await;
        assert_eq!((page.status, page.text()), (200, "a page"));
        assert_eq!((page.header("x-always"), page.header("content-type")), (Some("yes"), Some("text/plain")));
        let head = http.ask("HEAD /page", "").await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("6")));
        assert_eq!(http.ask("GET /nothing", "").await.status, 404);
        assert_eq!(http.ask("POST /echo", "some body").await.text(), "some body");
        assert_eq!(http.ask("POST /echo", "").await.text(), "");
    }
    http.say("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(http.answer(false).await.text(), "abcde");
    http.say("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
    assert!(http.head().await.starts_with("HTTP/1.1 100 "));
    http.say("late").await;
    assert_eq!(http.answer(false).await.text(), "late");
    http.say("GET /page HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!(http.answer(false).await.header("connection"), Some("close"));
    assert!(http.rest().await.is_empty());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_, address) = echoing(pages()).await;
    let mut http = Http::connect(address).await;
    let mut all = String::new();
    for n in 0..200 {
        all += &format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{n:03}");
    }
    http.say(all).await;
    for n in 0..200 {
        assert_eq!(http.answer(false).await.text(), format!("{n:03}"));
    }
    // Requests behind an upgrade are frames, and they are not lost.
    let hello = b"\x81\x85\0\0\0\0hello";
    http.say([b"GET /page HTTP/1.1\r\nhost: x\r\n\r\n", UPGRADE.as_bytes(), hello].concat()).await;
    assert_eq!(http.answer(false).await.text(), "a page");
    assert_eq!(http.answer(false).await.status, 101);
    let mut frame = [0; 7];
    common::soon(tokio::io::AsyncReadExt::read_exact(&mut http.0, &mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
}

#[tokio::test]
async fn mistakes_of_the_application_are_500() {
    let (_, address) = echoing(pages()).await;
    for path in ["/bad-header", "/bad-status", "/bad-body"] {
        let mut http = Http::connect(address).await;
        let answer = http.ask(&format!("GET {path}"), "").await;
        assert_eq!((answer.status, answer.header("connection")), (500, Some("close")), "{path}");
        assert!(http.rest().await.is_empty());
    }
    let mut http = Http::connect(address).await;
    http.send("GET /panic", "").await;
    assert!(http.rest().await.is_empty());
    assert_eq!(Http::connect(address).await.ask("GET /page", "").await.status, 200);

    // A header of the configuration that cannot be sent, too: nobody hangs.
    let mut config = Config::default();
    config.headers.push(("bad name".into(), "x".into()));
    let (handle, address) = echoing(config).await;
    for request in ["GET /", "GET /events", "POST /poll/open"] {
        assert_eq!(Http::connect(address).await.ask(request, "").await.status, 500, "{request}");
    }
    let mut http = Http::connect(address).await;
    http.say(UPGRADE).await;
    assert_eq!(http.answer(false).await.status, 500);
    until("no peer is left", || handle.peers() == 0 && handle.sessions() == 0).await;
}

/// An answer larger than the outbox is no mistake.
#[tokio::test]
async fn a_large_answer_comes_whole() {
    let (_, address) = echoing(pages()).await;
    let mut http = Http::connect(address).await;
    for _ in 0..2 {
        let answer = http.ask("GET /large", "").await;
        assert_eq!((answer.status, answer.body.len()), (200, 5 << 20));
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }
}

#[tokio::test]
async fn bodies_above_the_limit_are_413() {
    let (handle, address) = echoing(pages()).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.ask("POST /echo", &"x".repeat(1000)).await.body.len(), 1000);
    http.say("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n").await;
    assert_eq!(http.answer(false).await.status, 413, "at once, before the body has come");
    assert!(http.rest().await.is_empty());

    let mut http = Http::connect(address).await;
    http.say(format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}",
        "x".repeat(2000)
    ))
    .await;
    assert_eq!(http.answer(false).await.status, 413);

    // Polling has a limit of its own, with the same answer.
    let mut poll = common::Poll::open(address).await;
    assert_eq!(poll.post(&["x".repeat(70_000).as_str()]).await.status, 413);
    assert_eq!(handle.sessions(), 1);
}

#[tokio::test]
async fn who_is_refused_gets_an_answer_and_the_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let config = Config::default().gate(move |carrier, request| {
        counter.fetch_add(1, Ordering::Relaxed);
        assert!(request.header("host").is_some());
        Err(match carrier {
            Carrier::WebSocket => Response::with(403, "text/plain", "no"),
            Carrier::Events => Response::new(204),
            Carrier::Polling => Response::new(401).header("www-authenticate", "Basic"),
        })
    });
    let (handle, address) = echoing(config).await;
    for (request, status) in [
        (UPGRADE, 403),
        ("GET /events HTTP/1.1\r\nhost: x\r\n\r\n", 204),
        ("POST /poll/open HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 401),
    ] {
        let mut http = Http::connect(address).await;
        http.say(request).await;
        let answer = http.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        assert!(http.rest().await.is_empty());
    }
    assert_eq!((asked.load(Ordering::Relaxed), handle.peers(), handle.sessions()), (3, 0, 0));
    // A broken upgrade, and paths below polling that mean nothing.
    let mut http = Http::connect(address).await;
    http.say(UPGRADE.replace("version: 13", "version: 8")).await;
    let answer = http.answer(false).await;
    assert_eq!((answer.status, answer.header("sec-websocket-version")), (426, Some("13")));
    for (request, status) in [
        ("GET /poll/open", 405),
        ("GET /poll/x", 404),
        ("GET /poll/0123456789012345678901", 400),
        ("GET /poll/0123456789012345678901?after=0", 404),
        ("POST /poll/0123456789012345678901", 404),
    ] {
        assert_eq!(Http::connect(address).await.ask(request, "").await.status, status, "{request}");
    }
}

/// What is no HTTP, or comes too slowly, ends; the server goes on.
#[tokio::test]
async fn nonsense_ends() {
    let mut config = pages();
    config.http.head_within = millis(100);
    config.http.idle_within = millis(200);
    let (_, address) = echoing(config).await;
    for (bytes, status) in
        [("\x16\x03\x01\x02\x00\n\n\n\n", "400"), ("GET / HTTP/1.1\r\nhost: x", "408"), ("", "")]
    {
        let mut http = Http::connect(address).await;
        http.say(bytes).await;
        let rest = String::from_utf8(http.rest().await).unwrap();
        assert_eq!(rest.get(9..12).unwrap_or_default(), status, "{rest}");
    }
    assert_eq!(Http::connect(address).await.ask("GET /page", "").await.status, 200);
}

/// The guard lives as long as the TCP connection, whatever became of it.
#[tokio::test]
async fn connections_above_the_limit_are_503() {
    let mut config = pages();
    config.max_connections = 3;
    let (handle, address) = echoing(config).await;
    let mut socket = websocket(address).await;
    let stream = events(address).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.ask("GET /page", "").await.status, 200);
    let mut fourth = Http::connect(address).await;
    let answer = fourth.ask("GET /page", "").await;
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(answer.header("retry-after").is_some() && fourth.rest().await.is_empty());
    let mut fifth = Http::connect(address).await;
    fifth.say(UPGRADE).await;
    assert_eq!(fifth.answer(false).await.status, 503);
    // Those that are in go on.
    say(&mut socket, "still here");
    assert_eq!(heard(&mut socket).await, "still here");
    assert_eq!(http.ask("GET /page", "").await.status, 200);
    // And each one that goes makes room, at once or after the server has noticed.
    drop((stream, fourth, fifth));
    until("the stream is gone", || handle.peers() == 1).await;
    let again = async {
        while Http::connect(address).await.ask("GET /page", "").await.status != 200 {
            tokio::time::sleep(millis(10)).await;
        }
    };
    tokio::time::timeout(5 * SECOND, again).await.expect("room again");
    // Twice the limit: dropped without a word.
    let mut held = Vec::new();
    let mut dropped = 0;
    for _ in 0..12 {
        let one = Http::connect(address).await;
        if one.0.get_ref().try_write(b"GET /page HTTP/1.1\r\n").is_ok() {
            tokio::time::sleep(millis(5)).await;
        }
        let mut byte = [0];
        match one.0.get_ref().try_read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => held.push(one),
            _ => dropped += 1,
        }
    }
    assert!(dropped >= 6 && !held.is_empty(), "{dropped} of 12");
}

/// A post of somebody else reaches a room by the handle that requests get.
#[tokio::test]
async fn a_request_can_broadcast() {
    let (handle, address) = echoing(pages()).await;
    let mut socket = websocket(address).await;
    until("it is in the room", || handle.members("all").len() == 1).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.ask("POST /say", "news").await.text(), "1");
    assert_eq!(heard(&mut socket).await, "news");
}
