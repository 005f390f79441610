//! Every attack that is known against Server-Sent Events, as a test: one for each row of the table in
//! `vectors/README.md`.

use core::time::Duration;

use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress, SendError,
    http::{self, RequestView},
    hub::{Admission, AdmissionBounds, Log, LogBounds, LogError, Since},
    sse::{self, EventSource, Lost, SourceConfig, SourceError, SourceEvent},
};

fn now() -> Instant {
    Instant::EPOCH
}

/// What a stream of this input comes to: the events' types and data, how many blocks were dropped, its error, and the
/// most bytes that the inbox held meanwhile.
#[derive(Debug, PartialEq)]
struct Told {
    events: Vec<(String, String)>,
    dropped: u64,
    error: Option<sse::Error>,
}

fn parse(
    input: impl Iterator<Item = u8>,
    size: usize,
    config: sse::Config,
    capacity: usize,
) -> (Told, usize) {
    let (mut inbox, mut none) = (Inbox::with_limit(capacity), Outbox::with_limit(0));
    let mut stream = sse::Stream::new(config);
    let mut told = Told { events: vec![], dropped: 0, error: None };
    let mut input = input.peekable();
    let (mut rest, mut most) = (Vec::new(), 0);
    loop {
        match stream.advance(now(), &mut inbox, &mut none) {
            Ok(Progress::Event) => {
                let event = stream.event(&inbox).unwrap();
                told.events.push((event.event.to_string(), event.data.to_string()));
            }
            Ok(Progress::NeedInput) => {
                most = most.max(inbox.unread().len());
                if rest.is_empty() {
                    rest.extend(input.by_ref().take(size));
                }
                if rest.is_empty() {
                    inbox.finish();
                }
                let n = inbox.push(&rest);
                rest.drain(..n);
            }
            Ok(Progress::Closed) => break,
            Ok(Progress::NeedRoom) => panic!("it writes nothing"),
            Err(error) => {
                told.error = Some(error);
                break;
            }
        }
    }
    told.dropped = stream.dropped();
    (told, most)
}

fn config(max_event: usize, resync: bool) -> sse::Config {
    let mut config = sse::Config::default();
    (config.max_event, config.resync) = (max_event, resync);
    config
}

const CHUNKS: [usize; 5] = [1, 2, 7, 1000, 1 << 16];

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

// ---- what is written ----------------------------------------------------------------------------------------

/// CVE-2026-33128 (h3), GHSA-p6xx-57qc-3wxr (hono), and others.
#[test]
fn line_ends_in_event_or_id_are_refused_with_a_typed_error() {
    for byte in [b'\n', b'\r', 0] {
        for at in 0..3 {
            let mut text = String::from("ab");
            text.insert(at, byte as char);
            let event = sse::Block { event: Some(&text), ..sse::Block::message(&[b"x"]) };
            let id = sse::Block { id: Some(&text), ..sse::Block::message(&[b"x"]) };
            let mut outbox = Outbox::with_limit(1000);
            assert_eq!(event.check(), Err(sse::BlockError::Event(byte)));
            assert_eq!(id.check(), Err(sse::BlockError::Id(byte)));
            for block in [event, id] {
                assert_eq!(block.write(&mut outbox), Err(SendError::Unsuitable));
                assert!(block.to_bytes().is_err() && outbox.is_empty(), "nothing was written");
            }
        }
    }
}

/// GHSA-4hxc-9384-m385: a bare CR ends a line, too.
#[test]
fn a_bare_cr_in_data_or_a_comment_forges_nothing() {
    let evil = "a\rdata: forged\r\revent: evil\rid: 666\r\n\r\ndata: y\n\nretry: 1";
    let data = [evil.as_bytes()];
    let block = sse::Block { comment: Some(evil), ..sse::Block::message(&data) };
    let bytes = block.to_bytes().unwrap();
    assert!(!bytes.contains(&b'\r'));
    let (told, _) = parse(bytes.iter().copied(), 1, sse::Config::default(), 10_000);
    let seen = evil.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(told.events, [("message".to_owned(), seen)]);
}

#[test]
fn a_reconnection_time_is_a_number_and_nothing_else() {
    // The type says it: there is no text to break out of. The largest one is a number still.
    let block = sse::Block { retry: Some(Duration::MAX), ..sse::Block::default() };
    assert_eq!(block.to_bytes().unwrap(), "retry: 18446744073709551615\n\n");
}

// ---- what is read -------------------------------------------------------------------------------------------

#[test]
fn a_line_without_end_is_cut_off_at_the_limit() {
    for size in CHUNKS {
        let (told, most) = parse(
            b"data:".iter().copied().chain(core::iter::repeat_n(b'x', 1_000_000)),
            size,
            config(5000, false),
            1 << 20,
        );
        assert_eq!(told.error, Some(sse::Error::TooLarge { limit: 5000 }), "chunks of {size}");
        assert!(most < 5000 + 2 * size + 64, "{most} bytes were held");
    }
}

#[test]
fn data_lines_without_end_are_cut_off_though_they_are_empty() {
    for size in CHUNKS {
        let lines = b"data:\n".iter().copied().cycle().take(600_000);
        let (told, _) = parse(lines, size, config(5000, false), 1 << 20);
        assert_eq!(
            told.error,
            Some(sse::Error::TooLarge { limit: 5000 }),
            "separators count: chunks of {size}"
        );
    }
}

#[test]
fn what_is_ignored_is_never_kept() {
    for name in ["", "x", "data ", "datax", "unknown", ":", "retry:x"] {
        let name = if name.is_empty() { ":".to_owned() } else { format!("{name}:") };
        let endless = name.into_bytes().into_iter().chain(core::iter::repeat_n(b'y', 1_000_000));
        let input = endless.chain(*b"\ndata: after\n\n");
        let (told, most) = parse(input, 1000, config(100, false), 1 << 20);
        assert_eq!(told.events, [("message".to_owned(), "after".to_owned())]);
        assert!(most < 2100, "{most} bytes were held");
    }
}

#[test]
fn a_block_above_the_limit_is_dropped_and_counted_whatever_the_chunks() {
    let mut input = b"data: a\n\n".to_vec();
    input.extend([b"data: ".as_slice(), &[b'x'; 5001], b"\nid: 9\n\n"].concat());
    input.extend(b"data: b\n\n");
    input.extend(b"data:\n".repeat(6000));
    input.extend(b"\ndata: c\n\n");
    for size in CHUNKS {
        let (told, _) = parse(input.iter().copied(), size, config(5000, true), 1 << 16);
        let data: Vec<_> = told.events.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!(
            (data.as_slice(), told.dropped, told.error),
            (&["a", "b", "c"][..], 2, None),
            "chunks of {size}"
        );
    }
}

/// The limit is the same for the byte that fits and the one that does not, in every chunking.
#[test]
fn the_limit_does_not_depend_on_the_chunks() {
    for len in [999, 1000, 1001] {
        let input = [b"data: ".as_slice(), &vec![b'x'; len], b"\n\n"].concat();
        for size in CHUNKS.into_iter().chain([999, 1006, 1007]) {
            let (told, _) = parse(input.iter().copied(), size, config(1000, true), 1 << 14);
            assert_eq!((told.events.len(), told.dropped), (usize::from(len <= 1000), u64::from(len > 1000)));
        }
    }
}

#[test]
fn bytes_that_grow_when_decoded_count_as_what_they_become() {
    for size in CHUNKS {
        for (count, fits) in [(333, true), (334, false)] {
            let input = [b"data: ".as_slice(), &vec![0xff; count], b"\n\n"].concat();
            let (told, _) = parse(input.iter().copied(), size, config(1000, true), 1 << 14);
            assert_eq!(
                (told.events.len() == 1, told.dropped == 0),
                (fits, fits),
                "{count} in chunks of {size}"
            );
        }
    }
}

/// Megabytes that come byte by byte: no byte is looked at again and again.
#[test]
fn a_slow_line_takes_linear_work() {
    for len in [1 << 20, 1 << 23] {
        let mut inbox = Inbox::with_limit(3 << 23);
        let (mut none, mut stream) = (Outbox::with_limit(0), sse::Stream::new(config(1 << 24, false)));
        let input = b"data: ".iter().copied().chain(core::iter::repeat_n(b'x', len)).chain(*b"\n\n");
        let mut events = 0;
        for byte in input {
            assert_eq!(inbox.push(&[byte]), 1);
            while stream.next(now(), &mut inbox, &mut none).unwrap().is_some() {
                events += 1;
            }
        }
        let work = inbox.work();
        assert_eq!(events, 1);
        assert!(work.scanned + work.moved <= 9 * work.received, "{work:?}");
    }
}

// ---- a client -----------------------------------------------------------------------------------------------

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

// ---- a server -----------------------------------------------------------------------------------------------

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
