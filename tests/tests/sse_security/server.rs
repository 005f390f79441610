//! A server: logs, bounds, refusals.

use core::time::Duration;

use stillwire::{
    Entropy, Inbox, Machine, Outbox, Progress,
    http::{self, RequestView},
    hub::{Admission, AdmissionBounds, Log, LogBounds, LogError, Since},
    sse,
};

use super::now;

/// GHSA-84j6-jc92-77jm: an ID opens no other channel, and any bytes are harmless.
#[test]
fn a_last_event_id_is_looked_up_in_its_own_channel_only() {
    let (mut mine, mut other) = (Log::new(LogBounds::default()), Log::new(LogBounds::default()));
    mine.push(now(), "m-1", "mine", 4).unwrap();
    other.push(now(), "o-1", "secret", 6).unwrap();
    other.push(now(), "o-2", "secret", 6).unwrap();
    for id in [&b"o-1"[..], b"", b"\xff", b"-1", b"0", b"m-1\0", &[b'9'; 5000]] {
        let Since::Gap(oldest) = mine.since(now(), id) else { panic!("{id:?}") };
        assert!(mine.page(oldest, 1000).entries().all(|entry| entry.event == "mine"));
    }
}

/// r3labs/sse answers 400 to what is no number. To us it is bytes, at most 1024 of them.
#[test]
fn a_last_event_id_from_a_request_is_opaque_and_bounded() {
    struct Head(Vec<Vec<u8>>);
    impl RequestView for Head {
        fn method(&self) -> &str {
            "GET"
        }
        fn target(&self) -> &str {
            "/"
        }
        fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
            self.0.iter().map(Vec::as_slice).filter(move |_| name.eq_ignore_ascii_case("last-event-id"))
        }
    }
    let id = |values: &[&[u8]]| {
        let head = Head(values.iter().map(|value| value.to_vec()).collect());
        sse::Feed::last_event_id(&head).map(<[u8]>::to_vec)
    };
    assert_eq!(id(&[b"abc"]), Some(b"abc".to_vec()));
    assert_eq!(id(&[b"\xff\x80"]), Some(b"\xff\x80".to_vec()));
    assert_eq!(id(&[&[b'x'; 1024]]).map(|id| id.len()), Some(1024));
    assert_eq!((id(&[&[b'x'; 1025]]), id(&[]), id(&[b""]), id(&[b"1", b"2"])), (None, None, None, None));
}

#[test]
fn a_log_takes_no_more_than_it_may() {
    let mut log = Log::new(LogBounds { count: 10, bytes: 100, age: Duration::from_secs(60) });
    for i in 0..1000 {
        log.push(now(), &i.to_string(), (), i % 40).unwrap();
        assert!(log.len() <= 10 && log.bytes() <= 100);
    }
    assert_eq!(log.push(now(), "x", (), 100), Err(LogError::TooLarge { limit: 100 }));
    for id in ["", " x", "x ", "a\nb", "a\rb", "a\0b", "\u{7f}", &"x".repeat(1025)] {
        assert_eq!(log.push(now(), id, (), 1), Err(LogError::Id), "{id:?}");
    }
    assert!(!log.is_empty());
    log.expire(now() + Duration::from_secs(61));
    assert!(log.is_empty() && log.bytes() == 0);
}

/// A slow subscriber reads page by page, and reaches the end although events keep coming.
#[test]
fn a_slow_subscriber_reaches_the_end_of_a_log() {
    let mut log = Log::new(LogBounds { count: 100, ..LogBounds::default() });
    for i in 0..100_u32 {
        log.push(now(), &i.to_string(), i, 50).unwrap();
    }
    let Since::At(mut cursor) = log.since(now(), b"0") else { panic!() };
    let (mut seen, mut missed, mut next) = (vec![], 0, 100);
    while log.has_news(cursor) {
        let page = log.page(cursor, 300);
        assert!((1..=5).contains(&page.entries().count()));
        seen.extend(page.entries().map(|entry| entry.event));
        (missed, cursor) = (missed + page.missed(), page.next());
        if next < 160 {
            log.push(now(), &next.to_string(), next, 50).unwrap();
            next += 1;
        }
    }
    assert_eq!(cursor, log.head());
    assert!(seen.is_sorted() && seen.last() == Some(&159));
    assert_eq!(seen.len() as u64 + missed, 159);
}

/// GHSA-vh64-54px-qgf8: streams without bound. Who is too much is refused, nobody is sent away, and none of the refused
/// is told the same moment.
#[test]
fn subscribers_are_bounded_and_the_refused_do_not_come_back_together() {
    let bounds = AdmissionBounds { total: 100, per_key: 3, retry_after: Duration::from_secs(60) };
    let mut admission = Admission::new(bounds, Entropy::insecure_seeded(5));
    let mut hints = std::collections::BTreeSet::new();
    for i in 0..1000 {
        if let Err(refused) = admission.enter(i % 50) {
            assert!((60..=120).contains(&refused.retry_after));
            hints.insert(refused.retry_after);
        }
    }
    assert_eq!(admission.len(), 100);
    assert!(hints.len() > 50);
    (0..50).for_each(|key| (0..5).for_each(|_| admission.leave(&key)));
    assert!(admission.is_empty(), "nobody is counted twice");
    assert!((0..3).all(|_| admission.enter(7).is_ok()) && admission.enter(7).is_err());
}

/// An exchange that waits for its answer.
fn exchange() -> (http::Exchange, Inbox<'static>, Outbox<'static>) {
    let mut exchange = http::Exchange::new(http::Config::default());
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    inbox.push(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(exchange.next(now(), &mut inbox, &mut outbox).unwrap().is_some());
    (exchange, inbox, outbox)
}

#[test]
fn who_is_refused_is_told_when_to_come_back() {
    let (mut exchange, _, mut outbox) = exchange();
    sse::Feed::refuse(&mut exchange, 42, &mut outbox).unwrap();
    let text = String::from_utf8_lossy(outbox.chunk()).into_owned();
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\nretry-after: 42\r\n"), "{text}");
}

/// A feed of limited age ends at another moment for each subscriber, with another reconnection time.
#[test]
fn old_streams_do_not_end_together() {
    let mut ends = std::collections::BTreeSet::new();
    let mut entropy = Entropy::insecure_seeded(3);
    for _ in 0..100 {
        let (mut exchange, mut inbox, mut outbox) = exchange();
        sse::Feed::begin(&mut exchange, &[], &mut outbox).unwrap();
        let mut config = sse::FeedConfig::default();
        config.keep_alive = None;
        let mut feed = sse::Feed::over(exchange, config);
        feed.limit_age(Duration::from_secs(1000), Duration::from_secs(10), &mut entropy);
        assert_eq!(feed.advance(now(), &mut inbox, &mut outbox), Ok(Progress::NeedInput));
        let end = feed.deadline().unwrap();
        let age = end.saturating_since(now());
        assert!((750..=1000).contains(&age.as_secs()), "{age:?}");
        outbox.advance(outbox.chunk().len());
        let _ = feed.advance(end, &mut inbox, &mut outbox).unwrap();
        assert!(!feed.is_open());
        let told = String::from_utf8_lossy(outbox.chunk()).into_owned();
        let retry: u64 = told.strip_prefix("retry: ").unwrap().trim().parse().unwrap();
        assert!(retry <= 10_000);
        ends.insert((end, retry));
    }
    assert_eq!(ends.len(), 100);
}
