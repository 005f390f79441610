//! Server-Sent Events: what an encoder must not let through, what a parser must bear, and the figures.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use stillwire::{Full, Inbox, Instant, Machine, Outbox, Progress, SendError, http, sse};

/// An event, a retry time, and what ended it.
type Told = (Vec<(String, String, String)>, Option<Duration>, Result<(), sse::Error>);

/// Parses `input`, fed in pieces of `size`, to its end.
fn parse(input: &[u8], size: usize, config: sse::Config, inbox: &mut Inbox<'_>) -> Told {
    let (mut nothing, mut rest) = ([0; 0], input);
    let mut outbox = Outbox::new(&mut nothing);
    let mut stream = sse::Stream::new(config);
    let mut events = vec![];
    loop {
        match stream.advance(Instant::EPOCH, inbox, &mut outbox) {
            Ok(Progress::Event) => {
                let sse::Event { event, data, last_event_id } = stream.event(inbox).unwrap();
                events.push((event.to_string(), data.to_string(), last_event_id.to_string()));
            }
            Ok(Progress::NeedInput) if rest.is_empty() => inbox.finish(),
            Ok(Progress::NeedInput) => {
                let taken = inbox.push(&rest[..rest.len().min(size)]);
                assert!(taken > 0, "it is full");
                rest = &rest[taken..];
            }
            Ok(Progress::Closed) => return (events, stream.retry(), Ok(())),
            Ok(Progress::NeedRoom) => panic!("it writes nothing"),
            Err(error) => return (events, stream.retry(), Err(error)),
        }
    }
}

fn read(input: &[u8]) -> Told {
    parse(input, usize::MAX, sse::Config::default(), &mut Inbox::with_limit(1 << 20))
}

fn encoded(block: &sse::Block<'_>) -> Vec<u8> {
    block.to_bytes().unwrap().to_vec()
}

fn message(data: &str) -> (String, String, String) {
    ("message".to_owned(), data.to_owned(), String::new())
}

mod an_encoder {
    use super::*;

    /// Nothing that would end a line gets into an event type or an ID, and nothing is silently taken out.
    #[test]
    fn refuses_line_breaks_in_an_event_type() {
        for (text, byte) in
            [("a\nb", b'\n'), ("a\r", b'\r'), ("\ndata: x", b'\n'), ("a\0", 0), ("\r\n", b'\r')]
        {
            let block = sse::Block { event: Some(text), ..sse::Block::message(&[b"x"]) };
            assert_eq!(block.check(), Err(sse::BlockError::Event(byte)));
            assert_eq!(block.to_bytes(), Err(sse::BlockError::Event(byte)));
            let mut outbox = Outbox::with_limit(100);
            assert_eq!(block.write(&mut outbox), Err(SendError::Unsuitable));
            assert!(outbox.is_empty());
        }
    }

    #[test]
    fn refuses_line_breaks_in_an_id() {
        for (text, byte) in [("1\n2", b'\n'), ("1\r2", b'\r'), ("\n\ndata: x", b'\n'), ("1\x002", 0)] {
            let block = sse::Block { id: Some(text), ..sse::Block::message(&[b"x"]) };
            assert_eq!(block.check(), Err(sse::BlockError::Id(byte)));
            assert_eq!(SendError::from(block.check().unwrap_err()), SendError::Unsuitable);
        }
    }

    #[test]
    fn lets_no_bare_cr_through_in_data() {
        let written = encoded(&sse::Block::message(&[b"a\rdata: b\rid: 7\r\revent: c"]));
        assert!(!written.contains(&b'\r'));
        assert_eq!(read(&written).0, [message("a\ndata: b\nid: 7\n\nevent: c")]);
    }

    #[test]
    fn lets_no_line_break_through_in_a_comment() {
        let comment = Some("a\ndata: forged\n\nb\rdata: forged\r\r\r\nretry: 1");
        let written = encoded(&sse::Block { comment, ..sse::Block::default() });
        assert!(
            written.strip_suffix(b"\n\n").unwrap().split(|b| *b == b'\n').all(|line| line.starts_with(b":"))
        );
        assert_eq!(read(&written), (vec![], None, Ok(())));
    }

    #[test]
    fn writes_retry_as_a_number() {
        for (time, millis) in [(0, 0), (999_999, 1), (1_500_000_000, 1500)] {
            let retry = Some(Duration::from_nanos(time));
            let told = read(&encoded(&sse::Block { retry, ..sse::Block::default() }));
            assert_eq!(told.1, Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn keeps_the_empty_line_behind_a_last_line_end() {
        for (text, told) in [("a\n", "a\n"), ("a\r\n", "a\n"), ("\n", "\n"), ("", ""), ("\r\r", "\n\n")] {
            assert_eq!(read(&encoded(&sse::Block::message(&[text.as_bytes()]))).0, [message(told)]);
        }
    }

    #[test]
    fn keeps_a_space_at_the_beginning() {
        let block = sse::Block { event: Some(" e"), id: Some(" 1 "), ..sse::Block::message(&[b" a\n  b"]) };
        assert_eq!(read(&encoded(&block)).0, [(" e".to_owned(), " a\n  b".to_owned(), " 1 ".to_owned())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        /// What is read is exactly one event, and it is what was written, with all line ends become LF.
        #[test]
        fn is_understood(
            comment in prop::option::of("[a:\r\n €]{0,12}"),
            event in prop::option::of("[a-z: €\u{feff}]{0,8}"),
            id in prop::option::of("[0-9: €\u{feff}]{0,8}"),
            retry in prop::option::of(any::<u32>()),
            data in vec("[a-c:\r\n €\u{feff}\0]{0,12}|(data: x|\n\n|\r|id:9|retry: 1){0,5}", 0..5),
            size in 1_usize..40,
        ) {
            let retry = retry.map(|n| Duration::from_millis(n.into()));
            let parts: Vec<&[u8]> = data.iter().map(String::as_bytes).collect();
            let block = sse::Block {
                comment: comment.as_deref(),
                event: event.as_deref(),
                id: id.as_deref(),
                retry,
                data: Some(&parts),
            };
            let written = encoded(&block);
            prop_assert_eq!(written.len(), block.encoded_len());
            let mut outbox = Outbox::with_limit(4096);
            block.write(&mut outbox).unwrap();
            prop_assert_eq!(outbox.chunk(), &written);
            let kind = event.filter(|event| !event.is_empty()).unwrap_or("message".to_owned());
            let text = data.concat().replace("\r\n", "\n").replace('\r', "\n");
            let expected = (vec![(kind, text, id.unwrap_or_default())], retry, Ok(()));
            prop_assert_eq!(parse(&written, size, sse::Config::default(), &mut Inbox::with_limit(4096)), expected);
        }

        /// Whatever it is given: it is understood, or it is refused with the error that says why.
        #[test]
        fn accepts_or_refuses_anything(
            comment in prop::option::of(any::<String>()),
            event in prop::option::of("\\PC{0,20}[\r\n\0]?\\PC{0,3}"),
            id in prop::option::of("\\PC{0,20}[\r\n\0]?\\PC{0,3}"),
            data in vec(vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r')], 0..30), 0..4),
            size in 1_usize..40,
        ) {
            let parts: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let block = sse::Block {
                comment: comment.as_deref(),
                event: event.as_deref(),
                id: id.as_deref(),
                retry: None,
                data: Some(&parts),
            };
            let forbidden = |text: &Option<String>| {
                text.as_ref().and_then(|text| text.bytes().find(|byte| b"\r\n\0".contains(byte)))
            };
            let refusal = forbidden(&event)
                .map(sse::BlockError::Event)
                .or_else(|| forbidden(&id).map(sse::BlockError::Id));
            if let Some(error) = refusal {
                prop_assert_eq!(block.check(), Err(error));
                prop_assert_eq!(block.to_bytes(), Err(error));
                return Ok(());
            }
            let written = encoded(&block);
            let kind = event.filter(|event| !event.is_empty()).unwrap_or("message".to_owned());
            let text = String::from_utf8_lossy(&data.concat()).replace("\r\n", "\n").replace('\r', "\n");
            let expected = (vec![(kind, text, id.unwrap_or_default())], None, Ok(()));
            prop_assert_eq!(parse(&written, size, sse::Config::default(), &mut Inbox::with_limit(8192)), expected);
        }
    }
}

mod a_parser {
    use super::*;

    /// Endless lines and blocks end at the limit, in the same way however they are cut, and in no more memory.
    fn is_bounded(line: &[u8]) {
        let (limit, rounds) = (2000, 3000);
        for resync in [false, true] {
            for size in [1, 7, 1000, usize::MAX] {
                let mut config = sse::Config::default();
                (config.max_event, config.resync) = (limit, resync);
                let mut inbox = Inbox::with_limit(4096);
                let input = [b"data: before\n\n", &*line.repeat(rounds), b"\n\ndata: behind\n\n"].concat();
                let (events, _, end) = parse(&input, size, config, &mut inbox);
                if resync {
                    assert_eq!((events, end), (vec![message("before"), message("behind")], Ok(())));
                } else {
                    assert_eq!((events, end), (vec![message("before")], Err(sse::Error::TooLarge { limit })));
                }
                assert!(inbox.allocated() <= 4096);
            }
        }
    }

    #[test]
    fn bounds_a_line_without_an_end() {
        is_bounded(b"data: xxx");
    }

    #[test]
    fn bounds_data_lines_without_an_empty_line() {
        is_bounded(b"data: x\n");
    }

    #[test]
    fn bounds_empty_data_lines() {
        is_bounded(b"data\r\n");
    }

    #[test]
    fn bounds_types_and_ids_without_an_empty_line() {
        is_bounded(b"event: e\nid: 1\n");
    }

    /// The limit is for the decoded text, which is three times as long.
    #[test]
    fn bounds_what_is_no_utf8() {
        is_bounded(b"data: \xff\n");
        let mut config = sse::Config::default();
        config.max_event = 300;
        for (n, end) in [(100, Ok(())), (101, Err(sse::Error::TooLarge { limit: 300 }))] {
            let input = [b"data: ", &*vec![0xff; n], b"\n\n"].concat();
            for size in [1, 50, 1000] {
                assert_eq!(parse(&input, size, config, &mut Inbox::with_limit(4096)).2, end);
            }
        }
    }

    /// What means nothing is not kept, and has no limit.
    #[test]
    fn bears_endless_comments_and_unknown_fields() {
        let noise =
            [b": ", &*vec![b'x'; 100_000], b"\nzzz:", &*vec![b'y'; 100_000], b"\nid: \0", &*vec![b'z'; 9999]];
        let input = [&*noise.concat(), b"\ndata: a\n\n"].concat();
        for size in [1, 100, usize::MAX] {
            let mut storage = [0; 64];
            let (events, _, end) = parse(&input, size, sse::Config::default(), &mut Inbox::new(&mut storage));
            assert_eq!((events, end), (vec![message("a")], Ok(())));
        }
    }

    #[test]
    fn bears_a_hostile_retry() {
        assert_eq!(read(b"retry: 0\n").1, Some(Duration::ZERO));
        let most = Duration::from_millis(u64::MAX);
        assert_eq!(read(b"retry: 18446744073709551615\n").1, Some(most));
        assert_eq!(read(&[b"retry: ", &*vec![b'9'; 10_000], b"\n"].concat()).1, Some(most));
        // A moment that far away is no overflow.
        assert_eq!(Instant::EPOCH + Duration::from_secs(1) + most, Instant::MAX);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        /// The largest block that a tight inbox takes is the same, whatever it is made of, whatever follows it, and
        /// however it is cut.
        #[test]
        fn has_an_exact_limit(
            capacity in 80_usize..400,
            (bad, good) in (0_usize..120, 0_usize..400),
            id in 0_usize..10,
            lines in 1_usize..4,
            behind in 0_usize..400,
            size in 1_usize..500,
        ) {
            let mut storage = vec![0; capacity];
            let mut inbox = Inbox::new(&mut storage);
            let config = sse::Config::default();
            let stream = sse::Stream::new(config);
            let limit = stream.max_event(&inbox);
            let id = "i".repeat(id.min(stream.max_id(&inbox)));
            let line = [b"data: ", &*b"\xff".repeat(bad), &*b"x".repeat(good), b"\n"].concat();
            let len = (3 * bad + good) * lines + lines - 1;
            let input = [
                format!("id: {id}\n\n").as_bytes(), &line.repeat(lines), b"\n",
                &b":".repeat(behind), b"\ndata: \xff\n\n",
            ].concat();
            let (events, _, end) = parse(&input, size, config, &mut inbox);
            if len <= limit {
                prop_assert_eq!(end, Ok(()));
                prop_assert_eq!(events.len(), 2);
                prop_assert_eq!(events[0].1.len(), len);
                prop_assert_eq!(&events[1], &("message".to_owned(), "\u{fffd}".to_owned(), id));
            } else {
                prop_assert_eq!(end, Err(sse::Error::TooLarge { limit }));
            }
        }
    }

    /// Bytes scanned and moved for each byte received, over one event of `input`.
    fn work(input: &[u8], size: usize) -> f64 {
        let mut config = sse::Config::default();
        config.max_event = 16 << 20;
        let mut inbox = Inbox::with_limit(32 << 20);
        let (events, _, end) = parse(input, size, config, &mut inbox);
        assert_eq!((events.len(), end), (1, Ok(())));
        let work = inbox.work();
        assert_eq!(work.received, input.len() as u64);
        (work.scanned + work.moved) as f64 / work.received as f64
    }

    /// A line of 2 MiB that comes byte by byte costs no more for each byte than a short one.
    #[test]
    fn is_linear_in_a_long_line() {
        let most = |text: &[u8], len: usize| {
            let body = [b"id: 1\ndata: ", &*text.repeat(len / text.len()), b"\n\n"].concat();
            let figures = [1, 3, 4096, usize::MAX].map(|size| work(&body, size));
            println!("{text:x?}: {figures:.3?}");
            figures.into_iter().fold(0.0, f64::max)
        };
        assert!(most(b"x", 2 << 20) < 2.01);
        assert!(most("😀".as_bytes(), 1 << 18) < 2.01);
        assert!(most(b"\xff", 1 << 18) < 4.01);
        assert!(most(b"x\ndata: ", 1 << 18) < 2.01);
        assert!(most(b"x\nevent: e\ndata: ", 1 << 18) < 2.01);
    }

    /// The common block is searched once and stays where it is.
    #[test]
    fn moves_nothing_of_the_common_block() {
        let input = b"data: {\"token\":\"wire\"}\n\n".repeat(1000);
        let mut inbox = Inbox::with_limit(64 << 10);
        let (events, ..) = parse(&input, usize::MAX, sse::Config::default(), &mut inbox);
        let work = inbox.work();
        assert_eq!((events.len(), work.moved), (1000, 0));
        assert!(work.scanned <= work.received);
    }

    #[test]
    fn goes_on_with_the_id_of_the_connection_before() {
        let (mut nothing, now) = ([0; 0], Instant::EPOCH);
        let mut outbox = Outbox::new(&mut nothing);
        let mut inbox = Inbox::with_limit(1024);
        let mut stream = sse::Stream::new(sse::Config::default());
        inbox.push(b"retry: 50\nid: \xe2\x82\xac7\n\nid: 8\ndata: cut off\n");
        inbox.finish();
        assert_eq!(stream.advance(now, &mut inbox, &mut outbox), Ok(Progress::Closed));
        assert_eq!(stream.last_event_id(&inbox), "€7");

        // Some bytes of the next body are there already.
        let mut next = Inbox::with_limit(1024);
        next.push(b"\xef\xbb\xbfdata: a\n\n");
        let id = stream.last_event_id(&inbox).as_str();
        let mut stream = sse::Stream::resume(sse::Config::default(), id, stream.retry(), &mut next).unwrap();
        assert_eq!(stream.last_event_id(&next), "€7");
        assert_eq!(stream.retry(), Some(Duration::from_millis(50)));
        let event = stream.next(now, &mut next, &mut outbox).unwrap().unwrap();
        assert_eq!((event.data.as_str(), event.last_event_id.as_str()), ("a", "€7"));
        assert_eq!(stream.advance(now, &mut next, &mut outbox), Ok(Progress::NeedInput));
        next.push(b"id\n\n");
        assert_eq!(stream.advance(now, &mut next, &mut outbox), Ok(Progress::NeedInput));
        assert!(stream.last_event_id(&next).is_empty());
    }

    /// An ID from somewhere else is checked: it becomes a header of the next request.
    #[test]
    fn refuses_to_go_on_with_what_is_no_id() {
        let mut inbox = Inbox::with_limit(1024);
        let mut resume =
            |id: &str| sse::Stream::resume(sse::Config::default(), id, None, &mut inbox).map(|_| ());
        for id in ["1\n", "1\r2", "\0"] {
            assert_eq!(resume(id), Err(SendError::Unsuitable));
        }
        assert_eq!(resume(&"x".repeat(129)), Err(SendError::TooLarge { limit: 128 }));
        assert_eq!(resume(&"x".repeat(128)), Ok(()));
        let mut storage = [0; 16];
        let mut full = Inbox::new(&mut storage);
        full.push(&[b':'; 16]);
        assert!(sse::Stream::resume(sse::Config::default(), "1", None, &mut full).is_err());
        assert_eq!(full.unread(), [b':'; 16]);
    }

    #[test]
    fn is_small() {
        println!("Stream {}, Feed {}", size_of::<sse::Stream>(), size_of::<sse::Feed>());
        assert!(size_of::<sse::Stream>() <= 280);
    }
}

mod a_feed {
    use super::*;

    fn exchange(head: &str, outbox: &mut Outbox<'_>) -> http::Exchange {
        let mut inbox = Inbox::with_limit(4096);
        inbox.push(head.as_bytes());
        let mut exchange = http::Exchange::new(http::Config::default());
        assert_eq!(exchange.advance(Instant::EPOCH, &mut inbox, outbox), Ok(Progress::Event));
        exchange.release(&mut inbox);
        assert!(inbox.unread().is_empty());
        exchange
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    #[test]
    fn begins_with_these_headers() {
        let mut outbox = Outbox::with_limit(4096);
        let mut exchange = exchange(GET, &mut outbox);
        sse::Feed::begin(&mut exchange, &[("X-One", "1"), ("Cache-Control", "no-cache")], &mut outbox)
            .unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\nX-One: 1\r\n\
                    Cache-Control: no-cache\r\nconnection: close\r\n\r\n";
        assert_eq!(std::str::from_utf8(outbox.chunk()), Ok(head));
        // Only once.
        assert_eq!(sse::Feed::begin(&mut exchange, &[], &mut outbox), Err(http::SendError::NotYourTurn));
    }

    #[test]
    fn refuses_headers_that_do_not_fit() {
        let mut outbox = Outbox::with_limit(4096);
        let mut exchange = exchange(GET, &mut outbox);
        let mut begin = |headers: &[(&str, &str)]| sse::Feed::begin(&mut exchange, headers, &mut outbox);
        assert_eq!(begin(&[("x", "1"); 14]), Err(http::SendError::Unsuitable));
        assert_eq!(begin(&[("x", "1\r\ny: 2")]), Err(http::SendError::BadHeader));
        assert_eq!(begin(&[("x", "1"); 13]), Ok(()));
    }

    /// The header is opaque, bounded, and said once or not at all.
    #[test]
    fn takes_the_last_event_id_as_bytes() {
        let id = |lines: &[u8]| {
            let mut inbox = Inbox::with_limit(4096);
            inbox.push(&[b"GET / HTTP/1.1\r\nhost: a\r\n", lines, b"\r\n"].concat());
            let mut exchange = http::Exchange::new(http::Config::default());
            let event = exchange.next(Instant::EPOCH, &mut inbox, &mut Outbox::with_limit(1024));
            let Ok(Some(http::Event::Head(head))) = event else { panic!("{event:?}") };
            sse::Feed::last_event_id(&head).map(<[u8]>::to_vec)
        };
        assert_eq!(id(b""), None);
        assert_eq!(id(b"Last-Event-ID: \r\n"), None);
        assert_eq!(id(b"Last-Event-ID: 7\r\n"), Some(b"7".to_vec()));
        assert_eq!(id(b"last-event-id: \xff' OR 1\r\n"), Some(b"\xff' OR 1".to_vec()));
        assert_eq!(id(b"last-event-id: 1\r\nlast-event-id: 2\r\n"), None);
        let long = |n: usize| [b"last-event-id: ", &*vec![b'1'; n], b"\r\n"].concat();
        assert_eq!(id(&long(1024)).map(|id| id.len()), Some(1024));
        assert_eq!(id(&long(1025)), None);
    }

    /// With a full outbox there is no room for the comment: nothing is lost, and nothing spins.
    #[test]
    fn does_not_spin_when_the_subscriber_takes_nothing() {
        let (mut head, mut storage) = (Outbox::with_limit(4096), [0; 8]);
        let mut exchange = exchange(GET, &mut head);
        sse::Feed::begin(&mut exchange, &[], &mut head).unwrap();
        let mut feed = sse::Feed::over(exchange, sse::FeedConfig::default());
        let (mut inbox, mut outbox) = (Inbox::with_limit(64), Outbox::new(&mut storage));
        feed.comment("1234", &mut outbox).unwrap();
        assert_eq!(feed.comment("x", &mut outbox), Err(SendError::Full(Full { needed: 5 })));
        let mut now = Instant::EPOCH;
        for _ in 0..10 {
            assert_eq!(feed.advance(now, &mut inbox, &mut outbox), Ok(Progress::NeedInput));
            let due = feed.deadline().unwrap();
            assert_eq!(due.saturating_since(now), Duration::from_secs(15));
            now = due;
        }
        assert_eq!(outbox.chunk(), b": 1234\n\n");
    }

    /// All subscribers get the same bytes, and large ones are not copied.
    #[test]
    fn shares_its_blocks() {
        let text = "x".repeat(5000);
        let block = sse::Block::message(&[text.as_bytes()]).to_bytes().unwrap();
        for _ in 0..3 {
            let mut outbox = Outbox::with_limit(1 << 16);
            let mut exchange = exchange(GET, &mut outbox);
            sse::Feed::begin(&mut exchange, &[], &mut outbox).unwrap();
            let mut feed = sse::Feed::over(exchange, sse::FeedConfig::default());
            feed.send_shared(&block, &mut outbox).unwrap();
            assert_eq!(outbox.chunks().last(), Some(&block[..]));
            assert!(outbox.allocated() < 1024);
        }
    }
}
