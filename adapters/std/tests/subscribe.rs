//! Event streams over loopback.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use common::{sockets, write};
use stillwire::{Inbox, Outbox, http, sse};
use stillwire_std::{ConnectError, Connection, Subscribe, SubscribeError};

/// What a subscriber makes of an answer by hand.
fn listen(answer: &[u8], change: impl FnOnce(&mut Subscribe<'_>)) -> Result<Vec<String>, SubscribeError> {
    let (near, far) = sockets();
    let mut subscribe = Subscribe::new("http://a/");
    change(&mut subscribe);
    thread::scope(|scope| {
        scope.spawn(|| {
            write(&far, answer);
            far.shutdown(Shutdown::Write).unwrap();
        });
        let mut events = subscribe.over(near)?;
        let mut seen = Vec::new();
        while let Some(sse::Event { event, data, last_event_id }) = events.next()? {
            seen.push(format!("{event}|{data}|{last_event_id}"));
        }
        assert!(events.next()?.is_none());
        seen.push(format!("{}|{:?}", events.last_event_id(), events.retry()));
        Ok(seen)
    })
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";

/// A feed of ours, written to from another thread while its own one waits for the subscriber's end.
#[test]
fn a_feed_and_a_subscriber() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let exchange = http::Exchange::new(http::Config::default());
        let (inbox, outbox) = (Inbox::with_limit(16 << 10), Outbox::with_limit(64 << 10));
        let mut connection = Connection::new(far, exchange, inbox, outbox);
        let Some((http::Event::Head(head), reply)) = connection.next().unwrap() else { panic!("no head") };
        let from = String::from_utf8(sse::Feed::last_event_id(&head).unwrap().to_vec()).unwrap();
        sse::Feed::begin(reply.machine, &[], reply.outbox).unwrap();
        let feed = connection.switch(|exchange| sse::Feed::over(exchange, sse::FeedConfig::default()));
        let (mut reader, writer) = feed.split();
        let sending = thread::spawn(move || {
            for n in from.parse::<u32>().unwrap() + 1.. {
                let (id, data) = (n.to_string(), "x".repeat(n as usize % 5000));
                let block =
                    sse::Block { id: Some(&id), data: Some(&[data.as_bytes()]), ..Default::default() };
                if writer.command(|feed, outbox| feed.send_block(&block, outbox)).is_err() {
                    return n;
                }
            }
            0
        });
        let mut gone = 0;
        // The writer may be the one that meets the reset.
        while let Ok(Some(sse::Gone)) = reader.next() {
            gone += 1;
        }
        drop(reader);
        (gone, sending.join().unwrap())
    });
    let mut subscribe = Subscribe::new("http://a/");
    subscribe.last_event_id = "41";
    let mut events = subscribe.over(near).unwrap();
    for n in 42..2000_usize {
        let event = events.next().unwrap().unwrap();
        assert_eq!((event.last_event_id.as_str(), event.data.len()), (&*n.to_string(), n % 5000));
    }
    assert_eq!(events.last_event_id(), "1999");
    drop(events);
    let (gone, sent) = served.join().unwrap();
    assert!(gone <= 1 && sent >= 2000, "{gone} {sent}");
}

#[test]
fn framings_make_no_difference() {
    let body = "retry: 7\n\nid: 1\ndata: one\n\nevent: e\ndata: two\ndata: lines\n\ndata: cut off";
    let expected = ["message|one|1", "e|two\nlines|1", "1|Some(7ms)"];
    let until_close = format!("{HEAD}\r\n{body}");
    assert_eq!(listen(until_close.as_bytes(), |_| {}).unwrap(), expected);
    for size in [1, 7, 100] {
        let mut chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(size) {
            chunked += &format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap());
        }
        chunked += "0\r\n\r\n";
        assert_eq!(listen(chunked.as_bytes(), |_| {}).unwrap(), expected, "{size}");
    }
}

/// Pieces that are larger than the box of the stream go in bit by bit.
#[test]
fn the_body_may_be_larger_than_the_box() {
    let body = "data: 0123456789\n\n".repeat(5000);
    let answer = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
    let seen = listen(answer.as_bytes(), |subscribe| subscribe.inbox = 512).unwrap();
    assert_eq!(seen.len(), 5001);
    assert!(seen[..5000].iter().all(|event| event == "message|0123456789|"));
}

#[test]
fn what_is_no_event_stream_is_told() {
    use SubscribeError::{Connect, Http, LastEventId, Request, Status, Stream, Type};
    assert!(matches!(listen(b"", |subscribe| subscribe.headers = &[("a b", "")]), Err(Request(_))));
    assert!(matches!(listen(b"HTTP/1.1 204 No Content\r\n\r\n", |_| {}), Err(Status(204))));
    assert!(matches!(listen(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", |_| {}), Err(Type)));
    assert!(matches!(listen(b"", |_| {}), Err(Http(http::Error::NoAnswer))));
    assert!(matches!(
        listen(b"", |subscribe| subscribe.url = "http://a/ b"),
        Err(Connect(ConnectError::Url(_)))
    ));
    assert!(matches!(listen(b"", |subscribe| subscribe.last_event_id = "a\nb"), Err(LastEventId(_))));
    let cut = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\ndata:");
    assert!(matches!(listen(cut.as_bytes(), |_| {}), Err(Http(http::Error::Truncated))));
    let large = format!("{HEAD}\r\ndata: {}\n\n", "x".repeat(1000));
    let small = |subscribe: &mut Subscribe<'_>| subscribe.config.max_event = 999;
    assert!(matches!(listen(large.as_bytes(), small), Err(Stream(sse::Error::TooLarge { limit: 999 }))));
}

#[test]
fn silence_is_bounded() {
    let (near, far) = sockets();
    let mut subscribe = Subscribe::new("http://a/");
    subscribe.silence = Duration::from_millis(50);
    write(&far, format!("{HEAD}\r\n").as_bytes());
    let mut events = subscribe.over::<TcpStream>(near).unwrap();
    assert!(matches!(events.next(), Err(SubscribeError::Http(http::Error::TimedOut))));
}
