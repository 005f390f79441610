//! Server-Sent Events: the stream that a client parses, the feed that a server writes.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use stillwire::{Entropy, Inbox, Instant, Kind, Machine, Outbox, Progress, SendError, Transport, http, sse};

use crate::{
    Covered, Options, Seen, Subject,
    transcript::{show, spelled},
};

/// The parser. An event is shown as `TYPE "data"`, with `id "…"` behind it when there is one.
#[derive(Debug)]
pub struct Stream;

impl Covered for sse::Stream {
    type By = Stream;
}

impl Subject for Stream {
    const NAME: &'static str = "sse/stream";
    const INBOXES: &'static [usize] = &[64, 200, 4096];
    /// Most streams need 2. The most that can be done: a byte that is no UTF-8 is searched once, makes room once, is
    /// decoded, and then its three bytes are turned and joined.
    const WORK: u64 = 9;
    type Machine = sse::Stream;

    fn build(options: &Options) -> sse::Stream {
        let mut config = sse::Config::default();
        config.max_event = options.get("max_event").unwrap_or(config.max_event);
        config.max_id = options.get("max_id").unwrap_or(config.max_id);
        sse::Stream::new(config)
    }

    fn show(event: sse::Event<'_>) -> Seen {
        let sse::Event { event, data, last_event_id } = event;
        let mut shown = format!("{event} {}", show(data.as_bytes()));
        if !last_event_id.is_empty() {
            shown = format!("{shown} id {}", show(last_event_id.as_bytes()));
        }
        Seen::Whole(shown)
    }

    /// `retry_is MS` and `dropped_is N` fail with what it is instead.
    fn command(stream: &mut sse::Stream, words: &str, _: &mut Outbox<'_>) -> Result<(), String> {
        let (is, wanted) = match words.split_once(' ').expect("two words") {
            ("retry_is", n) => (stream.retry().map_or("none".to_owned(), |t| t.as_millis().to_string()), n),
            ("dropped_is", n) => (stream.dropped().to_string(), n),
            (what, _) => panic!("unknown command {what:?}"),
        };
        if is == wanted { Ok(()) } else { Err(is) }
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        let value = prop_oneof![
            6 => "[a-z ]{0,9}".prop_map(String::into_bytes),
            2 => "[a€😀\u{feff}:]{0,6}".prop_map(String::into_bytes),
            2 => vec(prop_oneof![Just(0xff), Just(0xe2), Just(0x82), Just(0xf0), Just(0x9f), Just(b'x'), Just(0)], 0..9),
            1 => vec(any::<u8>(), 0..40),
            1 => (0..9000_usize).prop_map(|n| vec![b'x'; n]),
            1 => (0..300_usize).prop_map(|n| vec![0xff; n]),
        ];
        let name = prop_oneof![
            8 => Just("data"), 3 => Just("event"), 3 => Just("id"), 1 => Just("retry"), 1 => Just(""), 1 => Just("daten"),
        ];
        let colon = prop_oneof![4 => Just(": "), 3 => Just(":"), 1 => Just("")];
        let end = prop_oneof![5 => Just("\n"), 2 => Just("\r\n"), 2 => Just("\r"), 3 => Just("\n\n"), 1 => Just("\r\r"), 1 => Just("\r\n\r\n")];
        let line = (name, colon, value, end).prop_map(|(name, colon, value, end)| {
            [name.as_bytes(), colon.as_bytes(), &value, end.as_bytes()].concat()
        });
        let digits = "retry: ?[0-9]{0,25}\n".prop_map(String::into_bytes);
        let lines = vec(prop_oneof![12 => line, 1 => digits], 0..24).prop_map(|lines| lines.concat());
        let mark =
            prop_oneof![4 => Just(&b""[..]), 2 => Just(&b"\xef\xbb\xbf"[..]), 1 => Just(&b"\xef\xbb"[..])];
        (mark, lines).prop_map(|(mark, lines)| [mark, &lines].concat()).boxed()
    }
}

/// The parser that drops what is too large: blocks of more than 60 bytes, ids of more than 6.
#[derive(Debug)]
pub struct Resync;

impl Subject for Resync {
    const NAME: &'static str = "sse/resync";
    const INBOXES: &'static [usize] = Stream::INBOXES;
    const WORK: u64 = Stream::WORK;
    type Machine = sse::Stream;

    fn build(options: &Options) -> sse::Stream {
        let mut config = sse::Config::TINY;
        config.max_event = options.get("max_event").unwrap_or(60);
        config.max_id = options.get("max_id").unwrap_or(6);
        sse::Stream::new(config)
    }

    fn show(event: sse::Event<'_>) -> Seen {
        Stream::show(event)
    }

    fn command(stream: &mut sse::Stream, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        Stream::command(stream, words, outbox)
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        Stream::input()
    }
}

/// A client whose first stream is open: the input is bodies. `browser` makes it one, `retry`, `idle`, `backoff` and `answer`
/// (in ms), `attempts` and `once` set what they say.
#[derive(Debug)]
pub struct Source;

impl Covered for sse::EventSource {
    type By = Source;
}

impl Source {
    /// Makes the request that is due, whose path is told: the ID is in another inbox.
    fn request(source: &mut sse::EventSource) -> Option<String> {
        let inbox = Inbox::with_limit(1024);
        source.next_request(Instant::EPOCH, &inbox).map(|ask| ask.url().target().to_owned())
    }

    /// `503 retry-after=5` is such a head; with 200, the type is right unless it is told.
    fn answer(source: &mut sse::EventSource, words: &str) -> bool {
        let (status, headers) = words.split_once(' ').unwrap_or((words, ""));
        let mut head = format!("HTTP/1.1 {status} x\r\n");
        for header in headers.split_whitespace() {
            let (name, value) = header.split_once('=').expect("name=value");
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if status == "200" && !head.contains("content-type") {
            head.push_str("content-type: text/event-stream\r\n");
        }
        head.push_str("\r\n");
        let mut fetch = http::Fetch::new(http::Config::default());
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        fetch.request("GET", "/", &[("host", "a")], &[], &mut outbox).expect("it is idle");
        inbox.push(head.as_bytes());
        match fetch.next(Instant::EPOCH, &mut inbox, &mut outbox) {
            Ok(Some(http::Answer::Head(head))) => source.answered(&head),
            other => panic!("no head: {other:?}"),
        }
    }
}

impl Subject for Source {
    const NAME: &'static str = "sse/source";
    const INBOXES: &'static [usize] = Stream::INBOXES;
    const WORK: u64 = Stream::WORK;
    type Machine = sse::EventSource;

    fn build(options: &Options) -> sse::EventSource {
        let mut config =
            if options.has("browser") { sse::SourceConfig::browser() } else { sse::SourceConfig::default() };
        config.stream.max_event = options.get("max_event").unwrap_or(config.stream.max_event);
        config.retry = options.millis("retry").unwrap_or(config.retry);
        config.backoff_max = options.millis("backoff").unwrap_or(config.backoff_max);
        config.idle_within = options.millis("idle").unwrap_or(config.idle_within);
        config.answer_within = options.millis("answer").unwrap_or(config.answer_within);
        config.max_attempts = options.get("attempts");
        config.once = options.has("once");
        let mut source = sse::EventSource::new("http://a.example/s", config, Entropy::insecure_seeded(1))
            .expect("it is a URL");
        assert_eq!(Self::request(&mut source).as_deref(), Some("/s"));
        if !options.has("asked") {
            assert!(Self::answer(&mut source, "200"));
        }
        source
    }

    fn show(event: sse::SourceEvent<'_>) -> Seen {
        match event {
            sse::SourceEvent::Open => Seen::Whole("open".to_owned()),
            sse::SourceEvent::Message(event) => Stream::show(event),
            sse::SourceEvent::Lost { why, wait } => {
                Seen::Whole(format!("lost {why:?} for {}", wait.as_millis()))
            }
        }
    }

    /// `request PATH` makes the request that is due, and fails with what it is; `none` is none. `answered 503
    /// retry-after=5`, `answered 200`, `ended`, `failed`, `close`.
    fn command(source: &mut sse::EventSource, words: &str, _: &mut Outbox<'_>) -> Result<(), String> {
        match words.split_once(' ').unwrap_or((words, "")) {
            ("request", path) => {
                let is = Self::request(source).unwrap_or_else(|| "none".to_owned());
                return if is == path { Ok(()) } else { Err(is) };
            }
            ("answered", head) => {
                let reads = Self::answer(source, head);
                assert_eq!(reads, source.is_connected(), "who reads on is connected");
            }
            ("ended", _) => source.ended(),
            ("failed", _) => source.failed(),
            ("close", _) => source.close(),
            (what, _) => panic!("unknown command {what:?}"),
        }
        Ok(())
    }

    /// A stream that is lost is opened again at once, without a request.
    fn waits_for_you(source: &sse::EventSource) -> bool {
        !source.is_open()
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        Stream::input()
    }
}

/// The feed, from behind the head of its answer. `body=N` makes the request one whose N bytes of body are still to come,
/// `head` one for nothing but the head; `as_body` is a feed below which there is no exchange; `keep_alive=MS`, 0 for never.
#[derive(Debug)]
pub struct Feed;

impl Covered for sse::Feed {
    type By = Feed;
}

impl Feed {
    fn after(request: &str, config: sse::FeedConfig) -> sse::Feed {
        let (mut inbox, mut outbox) = (Inbox::with_limit(1024), Outbox::with_limit(1024));
        let mut exchange = http::Exchange::new(http::Config::default());
        inbox.push(request.as_bytes());
        assert_eq!(exchange.advance(Instant::EPOCH, &mut inbox, &mut outbox), Ok(Progress::Event));
        sse::Feed::begin(&mut exchange, &[], &mut outbox).expect("the answer begins");
        exchange.release(&mut inbox);
        assert!(inbox.unread().is_empty());
        sse::Feed::over(exchange, config)
    }
}

impl Subject for Feed {
    const NAME: &'static str = "sse/feed";
    type Machine = sse::Feed;

    fn build(options: &Options) -> sse::Feed {
        let mut config = sse::FeedConfig::default();
        if let Some(time) = options.millis("keep_alive") {
            config.keep_alive = (!time.is_zero()).then_some(time);
        }
        if options.has("as_body") {
            return sse::Feed::as_body(config);
        }
        let body: usize = options.get("body").unwrap_or(0);
        let method = if options.has("head") { "HEAD" } else { "POST" };
        Self::after(&format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: {body}\r\n\r\n"), config)
    }

    /// For the laws, there is a body that nobody asked for.
    fn begin(feed: &mut sse::Feed, outbox: &mut Outbox<'_>) {
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        *feed = Self::after(request, sse::FeedConfig::default());
        feed.send_block(&sse::Block::message(&[b"hello"]), outbox).expect("it is open");
    }

    fn show(sse::Gone: sse::Gone) -> Seen {
        Seen::Whole("gone".to_owned())
    }

    fn answer(_: sse::Gone, feed: &mut sse::Feed, outbox: &mut Outbox<'_>) {
        assert_eq!(feed.comment("too late", outbox), Err(SendError::NotOpen));
    }

    fn waits_for_you(feed: &sse::Feed) -> bool {
        feed.is_open()
    }

    /// `data "…"`, `event "…"` (with data `x`), `id "…"`, `retry MS`, `comment "…"`, `send "…"`, `binary "…"`, `shared
    /// "…"`, `end`.
    fn command(feed: &mut sse::Feed, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        let (what, rest) = words.split_once(' ').unwrap_or((words, ""));
        let bytes = || spelled(rest).expect("spelled bytes");
        let text = || String::from_utf8(bytes()).expect("text");
        let parts: sse::Parts<'_> = &[b"x"];
        let sent = match what {
            "data" => feed.send_block(&sse::Block::message(&[&bytes()]), outbox),
            "event" => {
                feed.send_block(&sse::Block { event: Some(&text()), ..sse::Block::message(parts) }, outbox)
            }
            "id" => feed.send_block(&sse::Block { id: Some(&text()), ..sse::Block::default() }, outbox),
            "retry" => feed.retry(Duration::from_millis(rest.parse().expect("a number")), outbox),
            "comment" => feed.comment(&text(), outbox),
            "send" => feed.send(Kind::Text, &[&bytes(), b" and ", b"more"], outbox),
            "binary" => feed.send(Kind::Binary, &[&bytes()], outbox),
            "shared" => {
                let block = sse::Block { data: Some(&[&bytes()]), ..sse::Block::default() };
                feed.send_shared(&block.to_bytes().expect("nothing is forbidden in data"), outbox)
            }
            "end" => {
                feed.end(outbox);
                Ok(())
            }
            _ => panic!("unknown command {what:?}"),
        };
        sent.map_err(|error| format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned())
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        let chunk = vec(any::<u8>(), 1..30)
            .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
        let behind = vec(any::<u8>(), 0..900);
        (vec(chunk, 0..9), behind)
            .prop_map(|(chunks, behind)| [chunks.concat(), b"0\r\n\r\n".to_vec(), behind].concat())
            .boxed()
    }
}
