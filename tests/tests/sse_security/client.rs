//! A client: reconnects, redirections, headers.

use core::time::Duration;

use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, http,
    sse::{EventSource, Lost, SourceConfig, SourceError, SourceEvent},
};

use super::now;

/// An event source that was asked to ask, and an inbox for it.
fn asked(config: SourceConfig) -> (EventSource, Inbox<'static>, Outbox<'static>) {
    let inbox = Inbox::with_limit(100_000);
    let entropy = Entropy::insecure_seeded(7);
    let mut source = EventSource::new("https://a.example/s", config, entropy).unwrap();
    source.header("Authorization", "Bearer secret").unwrap();
    source.header("Cookie", "session=secret").unwrap();
    source.header("X-Api-Key", "secret").unwrap();
    assert!(source.next_request(now(), &inbox).is_some());
    (source, inbox, Outbox::with_limit(0))
}

/// Tells the source this head.
fn answer(source: &mut EventSource, head: &str) -> bool {
    let mut table = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut table);
    let head = format!("HTTP/1.1 {head}\r\n\r\n");
    assert!(response.parse(head.as_bytes()).unwrap().is_complete());
    source.answered(&response)
}

const OK: &str = "200 OK\r\ncontent-type: text/event-stream";

/// The wait that begins when the connection breaks.
fn wait_of(source: &mut EventSource, inbox: &mut Inbox<'_>, none: &mut Outbox<'_>, at: Instant) -> Duration {
    source.failed();
    loop {
        match source.next(at, inbox, none).unwrap() {
            Some(SourceEvent::Lost { wait, .. }) => return wait,
            Some(_) => {}
            None => panic!("it is not lost"),
        }
    }
}

#[test]
fn a_hostile_retry_is_clamped() {
    for (retry, least, most) in [("0", 100, 200), ("18446744073709551615", 3_600_000, 3_660_000)] {
        let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
        assert!(answer(&mut source, OK));
        inbox.push(format!("retry: {retry}\n").as_bytes());
        let wait = wait_of(&mut source, &mut inbox, &mut none, now()).as_millis();
        assert!((least..=most).contains(&wait), "{retry}: {wait} ms");
    }
    // Not bounded, as in a browser: no time overflows.
    let (mut source, mut inbox, mut none) = asked(SourceConfig::browser());
    assert!(answer(&mut source, OK));
    inbox.push(b"retry: 18446744073709551615\n");
    assert_eq!(wait_of(&mut source, &mut inbox, &mut none, Instant::MAX), Duration::from_millis(u64::MAX));
    assert_eq!(source.deadline(), None, "that is never");
}

/// A server that is busy says when to come back: in seconds, or as a date, which counts from that of its answer.
#[test]
fn a_retry_after_is_kept() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after";
    for (fields, least) in [
        ("retry-after: 120".to_owned(), 120),
        (format!("{date}: 0"), 0),
        (format!("{date}: Sun, 06 Nov 1994 08:51:37 GMT"), 120),
        (format!("{date}: Sunday, 06-Nov-94 08:51:37 GMT"), 120),
        (format!("{date}: Sun Nov  6 08:51:37 1994"), 120),
        (format!("{date}: Fri, 31 Dec 9999 23:59:59 GMT"), 3600),
        (format!("{date}: Sun, 06 Nov 1994 08:40:00 GMT"), 0),
        // From when on? And what is no date says nothing.
        ("retry-after: Sun, 06 Nov 1994 08:51:37 GMT".to_owned(), 0),
        (format!("date: now\r\n{date}: Sun, 06 Nov 1994 08:51:37 GMT"), 0),
        (format!("{date}: soon"), 0),
        (format!("{date}: -120"), 0),
    ] {
        let mut config = SourceConfig::default();
        (config.retry, config.backoff_max) = (Duration::from_secs(1), Duration::ZERO);
        let (mut source, mut inbox, mut none) = asked(config);
        assert!(!answer(&mut source, &format!("503 Busy\r\n{fields}")));
        let Ok(Some(SourceEvent::Lost { why, wait })) = source.next(now(), &mut inbox, &mut none) else {
            panic!("{fields}: it is not lost")
        };
        assert_eq!((why, wait.as_secs()), (Lost::Status(503), least.max(1)), "{fields}");
    }
}

/// A thousand clients that were cut off together: they come back spread, later and later, and never before the server
/// wants them.
#[test]
fn reconnects_are_no_storm() {
    let mut sums = [0_u128; 4];
    let mut firsts = std::collections::BTreeSet::new();
    for seed in 0..1000 {
        let config = SourceConfig::default();
        let mut source =
            EventSource::new("http://a.example/", config, Entropy::insecure_seeded(seed)).unwrap();
        let (mut inbox, mut none, mut at) = (Inbox::with_limit(1000), Outbox::with_limit(0), now());
        for (attempt, sum) in sums.iter_mut().enumerate() {
            assert!(source.next_request(at, &inbox).is_some());
            let wait = wait_of(&mut source, &mut inbox, &mut none, at);
            assert!(wait >= Duration::from_secs(3) && wait <= Duration::from_secs(3 + (3 << attempt)));
            *sum += wait.as_millis();
            if attempt == 0 {
                firsts.insert(wait);
            }
            at = at + wait;
        }
    }
    assert!(firsts.len() > 990, "spread: {} moments", firsts.len());
    let means = sums.map(|sum| sum / 1000);
    // 3 s, and half of 3, 6, 12, 24 s.
    for (mean, expected) in means.into_iter().zip([4500, 6000, 9000, 15_000]) {
        assert!(mean.abs_diff(expected) < expected / 10, "{means:?}");
    }
}

/// The wait is short again only after a connection that lasted.
#[test]
fn flapping_does_not_reset_the_backoff() {
    let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
    let mut at = now();
    let mut total = Duration::ZERO;
    for _ in 0..20 {
        assert!(answer(&mut source, OK));
        assert_eq!(source.next(at, &mut inbox, &mut none), Ok(Some(SourceEvent::Open)));
        let wait = wait_of(&mut source, &mut inbox, &mut none, at);
        total += wait;
        at = at + wait;
        assert!(source.next_request(at, &inbox).is_some());
    }
    assert!(total > Duration::from_secs(20 * 15), "{total:?}");
}

/// GHSA-6h5x-7c5m-7cr7: headers that leak to wherever a redirection leads.
#[test]
fn credentials_do_not_follow_a_redirection_to_another_origin() {
    for (location, foreign) in [
        ("/t", false),
        ("https://a.example:443/t", false),
        ("https://b.example/t", true),
        ("https://a.example:444/t", true),
        ("https://a.example.b/t", true),
        ("//b.example/t", true),
    ] {
        for config in [SourceConfig::default(), SourceConfig::browser()] {
            let (mut source, inbox, _) = asked(config);
            assert!(!answer(&mut source, &format!("307 x\r\nlocation: {location}")));
            let ask = source.next_request(now(), &inbox).unwrap();
            assert_eq!(ask.is_foreign(), foreign, "{location}");
            let secrets = ask.headers().filter(|(_, value)| value.contains("secret")).count();
            assert_eq!(secrets, if foreign { 0 } else { 3 }, "{location}");
            let mut outbox = Outbox::with_limit(4096);
            ask.send(&mut outbox).unwrap();
            assert_eq!(String::from_utf8_lossy(outbox.chunk()).contains("secret"), !foreign);
        }
    }
}

/// Who was led away and back is not trusted again: the other origin may have chosen the place.
#[test]
fn credentials_do_not_come_back_from_another_origin() {
    let (mut source, inbox, _) = asked(SourceConfig::default());
    for location in ["https://b.example/t", "https://a.example/steal"] {
        answer(&mut source, &format!("302 x\r\nlocation: {location}"));
        assert!(source.next_request(now(), &inbox).unwrap().is_foreign());
    }
    // But the next attempt begins where the application wanted.
    source.failed();
    let (mut inbox, mut none) = (inbox, Outbox::with_limit(0));
    let Ok(Some(SourceEvent::Lost { wait, .. })) = source.next(now(), &mut inbox, &mut none) else {
        panic!()
    };
    assert!(!source.next_request(now() + wait, &inbox).unwrap().is_foreign());
}

#[test]
fn redirections_end() {
    let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
    for _ in 0..20 {
        answer(&mut source, "302 x\r\nlocation: /s");
        assert!(source.next_request(now(), &inbox).is_some());
    }
    answer(&mut source, "302 x\r\nlocation: /s");
    assert_eq!(source.next(now(), &mut inbox, &mut none), Err(SourceError::TooManyRedirects));
}

#[test]
fn redirections_do_not_lead_out_of_tls_or_http() {
    for (location, error) in [
        ("http://a.example/s", SourceError::Insecure),
        ("file:///etc/passwd", SourceError::Redirect(Some(http::UrlError::Scheme))),
        ("javascript:alert(1)", SourceError::Redirect(Some(http::UrlError::Scheme))),
        ("https://user:secret@a.example/", SourceError::Redirect(Some(http::UrlError::UserInfo))),
        ("https://a.example\\@b.example/", SourceError::Redirect(Some(http::UrlError::Character))),
    ] {
        let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
        answer(&mut source, &format!("301 x\r\nlocation: {location}"));
        assert_eq!(source.next(now(), &mut inbox, &mut none), Err(error), "{location}");
    }
}

/// A server may choose any ID. What no header can carry is not sent, and breaks no request.
#[test]
fn a_hostile_id_splits_no_request() {
    for (id, sent) in
        [("a\u{1}b", None), ("a\u{7f}", None), ("a\tb", Some("a\tb")), ("é€", Some("é€")), ("a\0b", None)]
    {
        let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
        assert!(answer(&mut source, OK));
        inbox.push(format!("id: {id}\ndata: x\n\n").as_bytes());
        let wait = wait_of(&mut source, &mut inbox, &mut none, now());
        let ask = source.next_request(now() + wait, &inbox).unwrap();
        assert_eq!(
            ask.headers().find(|(name, _)| *name == "last-event-id").map(|(_, id)| id),
            sent,
            "{id:?}"
        );
        assert!(ask.send(&mut Outbox::with_limit(4096)).is_ok());
    }
}

#[test]
fn headers_that_would_split_a_request_are_refused() {
    let (mut source, ..) = asked(SourceConfig::default());
    for (name, value) in [
        ("x", "a\r\nb: c"),
        ("x\r\ny", "z"),
        ("", "x"),
        ("Host", "b"),
        ("last-event-id", "1"),
        ("content-length", "1"),
    ] {
        assert_eq!(source.header(name, value), Err(http::SendError::BadHeader), "{name:?}");
    }
    assert_eq!(source.ask("GET / HTTP/1.1\r\n", ""), Err(http::SendError::Unsuitable));
}

/// A connection that died without a word; comments are life.
#[test]
fn a_dead_server_is_found_out() {
    let (mut source, mut inbox, mut none) = asked(SourceConfig::default());
    assert!(answer(&mut source, OK));
    let mut at = now();
    assert_eq!(source.next(at, &mut inbox, &mut none), Ok(Some(SourceEvent::Open)));
    for _ in 0..10 {
        assert_eq!(source.next(at, &mut inbox, &mut none), Ok(None));
        at = at + Duration::from_secs(59);
        assert_eq!(inbox.push(b":\n"), 2);
    }
    assert_eq!(source.next(at, &mut inbox, &mut none), Ok(None));
    assert_eq!(source.deadline(), Some(at + Duration::from_secs(60)));
    at = at + Duration::from_secs(60);
    let Ok(Some(SourceEvent::Lost { why, .. })) = source.next(at, &mut inbox, &mut none) else { panic!() };
    assert_eq!(why, Lost::Silent);
    assert!(!source.is_connected(), "the driver drops the connection");
}
