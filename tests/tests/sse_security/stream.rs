//! What is written, and what is read.

use core::time::Duration;

use stillwire::{Inbox, Machine, Outbox, Progress, SendError, sse};

use super::now;

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
