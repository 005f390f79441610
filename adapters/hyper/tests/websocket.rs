//! The handshake alone: what hyper parsed is what our own parser would have seen, over HTTP/1.1 and HTTP/2.

mod common;

use std::sync::Arc;

use common::{
    Answer, answer_to, connect, echoes_and_closes, extended_connect, h2, socket_h1, socket_h2, soon, text,
    upgrade,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use stillwire::{Inbox, Instant, Machine, Outbox, http::Event, ws};
use stillwire_hyper::{Accepting, Body, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// An echo over whatever comes.
fn server(accepting: &Accepting) -> DuplexStream {
    let accepting = Arc::new(accepting.clone());
    connect(service_fn(move |mut request: Request<Incoming>| {
        let accepting = accepting.clone();
        async move {
            let (answer, upgrading) = match accepting.upgrade(&mut request) {
                Ok(agreed) => agreed,
                Err(refusal) => return Answer::Ok(refusal.response()),
            };
            tokio::spawn(async move {
                let mut socket = upgrading.await.unwrap();
                while let Ok(Some((event, reply))) = socket.next().await {
                    if let ws::Event::Text(text) = event {
                        reply.machine.send_text(text, reply.outbox).unwrap();
                    }
                }
            });
            Ok(answer)
        }
    }))
}

#[tokio::test]
async fn an_upgrade_in_http_1() {
    let (head, stream) = socket_h1(server(&Accepting::default()), "").await;
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    echoes_and_closes(stream).await;
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let mut stream = server(&Accepting::default());
    let raw = upgrade("") + "\u{1}\u{2}";
    let mut raw = raw.into_bytes();
    raw.truncate(raw.len() - 2);
    raw.extend_from_slice(b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0");
    stream.write_all(&raw).await.unwrap();
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.ends_with(b"\r\n\r\n\x81\x02hi\x88\x00"), "{}", String::from_utf8_lossy(&all));
}

/// Two at a time over one connection.
#[tokio::test]
async fn extended_connects_in_http_2() {
    let mut sender = h2(server(&Accepting::default())).await;
    let (one, two) = (socket_h2(&mut sender).await, socket_h2(&mut sender).await);
    tokio::join!(echoes_and_closes(one), echoes_and_closes(two));
}

#[tokio::test]
async fn subprotocols_and_origins() {
    let mut accepting = Accepting::default();
    accepting.subprotocols = vec!["chat.v2".to_owned(), "chat.v1".to_owned()];
    let (head, _) =
        socket_h1(server(&accepting), "sec-websocket-protocol: other, chat.v1, chat.v2\r\n").await;
    assert!(head.contains("sec-websocket-protocol: chat.v1\r\n"), "{head}");
    let same = "origin: http://a.example\r\n";
    let other = "origin: https://b.example\r\n";
    for (origin, header, status) in [
        (Origin::Same, same, "101"),
        (Origin::Same, "", "101"),
        (Origin::Same, other, "403"),
        (Origin::Any, other, "101"),
        (Origin::one_of(["https://b.example"]), other, "101"),
        (Origin::one_of(["https://b.example"]), same, "403"),
        (Origin::one_of(["https://b.example"]), "", "403"),
    ] {
        accepting.origin = origin.clone();
        let head = answer_to(&mut server(&accepting), &upgrade(header)).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{origin:?} {header}: {head}");
    }
}

/// What compresses is the machine, whatever carries it: the example of RFC 7692, 7.2.3.1, over HTTP/2.
#[tokio::test]
async fn compression_is_agreed_on() {
    let mut accepting = Accepting::default();
    accepting.config.deflate = Some(ws::Deflate::default());
    let mut sender = h2(server(&accepting)).await;
    let asked = extended_connect("websocket").header("sec-websocket-version", "13");
    let asked = asked.header("sec-websocket-extensions", "permessage-deflate").body(Full::default()).unwrap();
    let response = soon(sender.send_request(asked)).await.unwrap();
    let agreed = response.headers()["sec-websocket-extensions"].to_str().unwrap();
    assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
    let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0\x81\x81\0\0\0\0!").await.unwrap();
    let mut back = [0; 7];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert!(&back == b"\x81\x05Hello" || back[0] == 0xc1, "{back:?}");
}

/// What our own parser makes of a head.
fn ours(raw: &str) -> Result<(), ws::UpgradeError> {
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    inbox.push(raw.as_bytes());
    let mut exchange = stillwire::http::Exchange::new(stillwire::http::Config::default());
    match exchange.next(Instant::EPOCH, &mut inbox, &mut outbox).expect("a head") {
        Some(Event::Head(head)) => ws::Accept::new(&head, &[], &ws::Config::default()).map(drop),
        event => panic!("{event:?}"),
    }
}

/// One handshake, two parsers: the same verdict for each of them.
#[tokio::test]
async fn refusals_in_http_1() {
    let good = upgrade("");
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let requests = [
        good.clone(),
        good.replace("GET", "POST"),
        good.replace("GET", "HEAD"),
        good.replace("HTTP/1.1", "HTTP/1.0"),
        good.replace("upgrade: websocket", "upgrade: h2c"),
        good.replace("upgrade: websocket", "UPGRADE: h2c,\tWebSocket "),
        good.replace("keep-alive, Upgrade", "keep-alive"),
        good.replace("keep-alive, Upgrade", "upgrade\r\nconnection: keep-alive"),
        good.replace("version: 13", "version: 8"),
        good.replace("version: 13", "version: 13\r\nsec-websocket-version: 13"),
        good.replace(key, ""),
        good.replace(key, &key.repeat(2)),
        good.replace("ZQ==", "ZR=="),
        good.replace("ZQ==\r\n", "ZQ== \r\n"),
        upgrade("content-length: 0\r\n"),
        upgrade("content-length: 3\r\n"),
        upgrade("transfer-encoding: chunked\r\n"),
        upgrade("sec-websocket-protocol: a, b\r\n"),
        upgrade("sec-websocket-protocol: a, a\r\n"),
        upgrade("sec-websocket-protocol: a\r\nsec-websocket-protocol: a\r\n"),
        upgrade("sec-websocket-protocol: \r\n"),
    ];
    let mut verdicts = Vec::new();
    for raw in requests {
        let (ours, mut stream) = (ours(&raw), server(&Accepting::default()));
        let head = answer_to(&mut stream, &raw).await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let Err(why) = ours else {
            assert_eq!(status, 101, "{raw}{head}");
            verdicts.push(101);
            continue;
        };
        verdicts.push(status);
        assert_eq!(status, why.http_status(), "{raw}{head}");
        let closes = head.contains("connection: close\r\n") || raw.contains("HTTP/1.0");
        assert!(closes, "a refusal is the last word: {raw}{head}");
        for (name, value) in why.headers() {
            let line = format!("{}: {value}\r\n", name.to_lowercase());
            assert!(head.contains(&line), "{line}{head}");
        }
        let mut reason = String::new();
        soon(stream.read_to_string(&mut reason)).await.unwrap();
        assert!(raw.starts_with("HEAD") || reason == format!("{why}\n"), "{reason}");
    }
    for status in [101, 400, 405, 426] {
        assert!(verdicts.contains(&status), "{verdicts:?}");
    }
}

#[tokio::test]
async fn refusals_in_http_2() {
    let mut sender = h2(server(&Accepting::default())).await;
    let version = ("sec-websocket-version", "13");
    for (protocol, headers, status) in [
        ("websocket", vec![("sec-websocket-version", "12")], 426),
        ("websocket", vec![], 426),
        ("connect-udp", vec![version], 501),
        ("websocket", vec![version, ("origin", "http://b.example")], 403),
        ("websocket", vec![version, ("sec-websocket-protocol", "a, a")], 400),
        ("websocket", vec![version, ("origin", "http://a.example")], 200),
    ] {
        let builder = extended_connect(protocol);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let response = sender.send_request(builder.body(Full::default()).unwrap());
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), status, "{protocol} {headers:?}");
        assert!(
            !response.headers().contains_key("upgrade") && !response.headers().contains_key("connection")
        );
        if status == 426 {
            assert_eq!(response.headers()["sec-websocket-version"], "13");
        }
        if status != 200 {
            assert!(!text(response).await.is_empty(), "it says why");
        }
    }
    // And no CONNECT at all.
    let response = soon(sender.send_request(common::request("GET", "/ws", ""))).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

/// A stack that does not upgrade is told by its request.
#[test]
fn without_upgrades() {
    let builder = Request::get("/ws").header("host", "a").header("upgrade", "websocket");
    let builder = builder.header("connection", "upgrade").header("sec-websocket-version", "13");
    let mut request = builder.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(()).unwrap();
    let refusal = Accepting::default().upgrade(&mut request).unwrap_err();
    assert_eq!(refusal.why(), ws::UpgradeError::NoUpgrade);
    let response: Response<Body> = refusal.response();
    assert_eq!(response.headers()["connection"], "close");
}
