//! Server-Sent Events: reading a stream that comes in chunks, and writing one.
//!
//! Everybody pays for one copy of each chunk, the one that a read from a socket makes: ours into the inbox, where it is
//! parsed; the peers' into memory that becomes `Bytes`, as hyper's bodies do, from where they take what they keep (sse-parse
//! copies what it is fed into a buffer of its own, and has that for its copy).

#[cfg(feature = "eventsource-client")]
mod launchdarkly;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body::Body as _;
use sse_core::{SseDecoder, SseEvent};
use sse_parse::SseParser;
use stillwire::{Inbox, Instant, Machine, Outbox, sse};

use crate::measure::{AnyContender, Case, Contender, Digest, Eat};
use crate::pipe::{Kept, Pipe};

/// So much of each stream there is before it comes again, but no less than two events.
const STREAM: usize = 600_000;
/// No limit of anybody is in the way.
const LARGE: usize = 9 << 20;

/// What a language model's server sends: 150 bytes an event, in `data` alone.
fn token(i: usize) -> String {
    format!(
        "{{\"id\":\"cmpl-7f3a\",\"object\":\"completion.chunk\",\"created\":1767225600,\"model\":\"m-1\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" {i:05}\"}},\"stop\":null}}]}}"
    )
}

/// What a feed of prices sends: an event type, an id, short data.
fn price(i: usize) -> String {
    format!("event: price\nid: {i:06}\ndata: {{\"symbol\":\"ABCD\",\"bid\":{i}.25,\"ask\":{i}.50}}\n\n")
}

/// Text of this length.
fn words(len: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(len).collect()
}

/// An input: its name, and its events by number.
type Input = (&'static str, fn(usize) -> String);

const INPUTS: [Input; 8] = [
    ("150 B data", |i| format!("data: {}\n\n", token(i))),
    ("16 B data", |i| format!("data: {i:016}\n\n")),
    ("4 KiB data", |_| format!("data: {}\n\n", words(4096))),
    ("1 MiB in 1 KiB lines", |_| format!("data: {}\n", words(1018)).repeat(1024) + "\n"),
    ("CRLF, id, event, 16 B data", |i| format!("id: {i:06}\r\nevent: t\r\ndata: {i:016}\r\n\r\n")),
    ("event, id, data", price),
    ("1 MiB line", |_| format!("data: {}\n\n", words(1 << 20))),
    ("8 MiB line", |_| format!("data: {}\n\n", words(8 << 20))),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, event) in INPUTS {
        let (mut text, mut count) = (String::new(), 0);
        while count < 2 || text.len() < STREAM {
            text += &event(count);
            count += 1;
        }
        let bytes = Bytes::from(text);
        for (size, chunk) in [("1 KiB chunks", 1 << 10), ("16 KiB chunks", 16 << 10)] {
            let chunks = Chunks { bytes: bytes.clone(), at: 0, size: chunk, read: BytesMut::new() };
            let mut contenders: Vec<(_, Box<dyn AnyContender>)> = vec![
                ("stillwire", Box::new(Ours::<BORROWED>::new(chunks.clone()))),
                ("stillwire, owned", Box::new(Ours::<OWNED>::new(chunks.clone()))),
                ("stillwire, into the last", Box::new(Ours::<REUSED>::new(chunks.clone()))),
                ("sse-core", Box::new(Core::new(chunks.clone()))),
                ("sse-stream", Box::new(SseStream(byte_stream(chunks.clone())))),
                ("sse-parse", Box::new(Parse::new(chunks.clone()))),
            ];
            #[cfg(feature = "eventsource-client")]
            contenders.push(("eventsource-client", Box::new(launchdarkly::Client::new(chunks.clone()))));
            // Its time for a line grows with the square of its length: here, seconds for each.
            if bytes.len() / count < 1 << 20 {
                contenders.push(("eventsource-stream", Box::new(EventSource(event_stream(chunks.clone())))));
            }
            cases.push(Case {
                bench: "sse parse".into(),
                case: format!("{name}, {size}"),
                contenders,
                limit: Some(Box::new(Scan { chunks, left: Bytes::new() })),
                bytes_per_op: bytes.len() / count,
            });
        }
    }
    cases.push(encoding());
    cases
}

/// The stream, round and round, in chunks.
#[derive(Clone)]
struct Chunks {
    bytes: Bytes,
    at: usize,
    size: usize,
    /// What was read becomes [`Bytes`] here; the memory comes back when nobody holds them any more.
    read: BytesMut,
}

/// So much memory a body's reader takes at once, as hyper does it.
const READ: usize = 64 << 10;

impl Chunks {
    fn next_slice(&mut self, most: usize) -> &[u8] {
        let end = (self.at + self.size.min(most)).min(self.bytes.len());
        let start = std::mem::replace(&mut self.at, if end == self.bytes.len() { 0 } else { end });
        &self.bytes[start..end]
    }

    /// A read into memory that is there.
    fn pull(&mut self, into: &mut [u8]) -> usize {
        let chunk = self.next_slice(into.len());
        into[..chunk.len()].copy_from_slice(chunk);
        chunk.len()
    }

    /// A read into memory that is taken along.
    fn next(&mut self) -> Bytes {
        let mut read = std::mem::take(&mut self.read);
        if read.capacity() < self.size {
            read.reserve(READ);
        }
        read.extend_from_slice(self.next_slice(usize::MAX));
        let chunk = read.split().freeze();
        self.read = read;
        chunk
    }
}

/// Our parser. Its events are looked at where they lie, …
const BORROWED: u8 = 0;
/// … or copied into strings of their own, …
const OWNED: u8 = 1;
/// … or into the strings of the event before.
const REUSED: u8 = 2;

struct Ours<const HOW: u8> {
    machine: sse::Stream,
    last: sse::OwnedEvent,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    chunks: Chunks,
}

impl<const HOW: u8> Ours<HOW> {
    fn new(chunks: Chunks) -> Self {
        let mut config = sse::Config::default();
        config.max_event = LARGE;
        let mut this = Self {
            machine: sse::Stream::new(config),
            last: sse::OwnedEvent::default(),
            inbox: Inbox::with_limit(3 * LARGE),
            outbox: Outbox::with_limit(0),
            chunks,
        };
        let _ = this.machine.advance(Instant::EPOCH, &mut this.inbox, &mut this.outbox).unwrap();
        this
    }
}

impl<const HOW: u8> Contender for Ours<HOW> {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            let Some(event) = self.machine.next(Instant::EPOCH, &mut self.inbox, &mut self.outbox).unwrap()
            else {
                let n = self.chunks.pull(self.inbox.spare());
                self.inbox.filled(n);
                continue;
            };
            let owned = match HOW {
                BORROWED => {
                    eat.eat(event.event.as_bytes());
                    eat.eat(event.data.as_bytes());
                    eat.eat(event.last_event_id.as_bytes());
                    left -= 1;
                    continue;
                }
                REUSED => {
                    event.clone_into(&mut self.last);
                    &self.last
                }
                _ => &event.to_owned(),
            };
            eat.eat(owned.event.as_bytes());
            eat.eat(owned.data.as_bytes());
            eat.eat(owned.last_event_id.as_bytes());
            left -= 1;
        }
    }
}

struct Parse {
    parser: SseParser,
    chunks: Chunks,
}

impl Parse {
    fn new(chunks: Chunks) -> Self {
        Self { parser: SseParser::new().max_buffer(LARGE), chunks }
    }
}

impl Contender for Parse {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            let Some(event) = self.parser.next_event() else {
                self.parser.feed(self.chunks.next_slice(usize::MAX));
                continue;
            };
            eat.eat(event.event.as_bytes());
            eat.eat(event.data.as_bytes());
            eat.eat(event.id.as_bytes());
            left -= 1;
        }
    }
}

struct Core {
    decoder: SseDecoder,
    chunks: Chunks,
    /// What is left of a chunk when a turn ends within it.
    left: Bytes,
}

impl Core {
    fn new(chunks: Chunks) -> Self {
        Self {
            decoder: SseDecoder::with_limit(NonZeroUsize::new(LARGE).unwrap()),
            chunks,
            left: Bytes::new(),
        }
    }
}

impl Contender for Core {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            match self.decoder.next(&mut self.left) {
                Some(Ok(SseEvent::Message(event))) => {
                    eat.eat(event.event.as_bytes());
                    eat.eat(event.data.as_bytes());
                    eat.eat(event.last_event_id.as_deref().unwrap_or_default().as_bytes());
                    left -= 1;
                }
                Some(_) => unreachable!(),
                None => self.left = self.chunks.next(),
            }
        }
    }
}

fn stream_of(mut chunks: Chunks) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::repeat_with(move || Ok(chunks.next()))
}

fn byte_stream(chunks: Chunks) -> impl futures_util::Stream<Item = sse_stream::Sse> + Unpin {
    sse_stream::SseByteStream::new(stream_of(chunks)).map(Result::unwrap)
}

fn event_stream(chunks: Chunks) -> impl futures_util::Stream<Item = eventsource_stream::Event> + Unpin {
    Box::pin(eventsource_stream::EventStream::new(stream_of(chunks)).map(Result::unwrap))
}

struct SseStream<S>(S);

impl<S: futures_util::Stream<Item = sse_stream::Sse> + Unpin> Contender for SseStream<S> {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                let event = self.0.next().await.unwrap();
                eat.eat(event.event.as_deref().unwrap_or("message").as_bytes());
                eat.eat(event.data.as_deref().unwrap_or_default().as_bytes());
                eat.eat(event.id.as_deref().unwrap_or_default().as_bytes());
            }
        };
        all.now_or_never().unwrap();
    }
}

struct EventSource<S>(S);

impl<S: futures_util::Stream<Item = eventsource_stream::Event> + Unpin> Contender for EventSource<S> {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                let event = self.0.next().await.unwrap();
                eat.eat(event.event.as_bytes());
                eat.eat(event.data.as_bytes());
                eat.eat(event.id.as_bytes());
            }
        };
        all.now_or_never().unwrap();
    }
}

/// The limit: finding the ends of the lines (four or two of them make an event).
struct Scan {
    chunks: Chunks,
    left: Bytes,
}

impl Contender for Scan {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        let mut blank = false;
        while left > 0 {
            let Some(end) = memchr::memchr2(b'\n', b'\r', &self.left) else {
                self.left = self.chunks.next();
                continue;
            };
            blank = end == 0;
            left -= usize::from(blank);
            self.left = self.left.slice(end + 1..);
        }
        eat.eat(&[u8::from(blank)]);
    }
}

// --- writing ---

fn encoding() -> Case {
    let data: &'static str = token(7).leak();
    let mut contenders: Vec<(&str, Box<dyn AnyContender>)> = Vec::new();
    let nothing: Rc<[u8]> = Rc::new([0]);
    let (pipe, other) = (Pipe::new(&nothing), Pipe::new(&nothing));
    let (kept, other_kept) = (pipe.kept(), other.kept());
    contenders.push((
        "stillwire",
        Box::new(Write { kept, writer: Block { data, outbox: Outbox::with_limit(64 << 10), pipe } }),
    ));
    let events = stream::repeat_with(move || Ok::<_, Infallible>(sse_stream::Sse::default().data(data)));
    let body = Box::pin(sse_stream::SseBody::new(events));
    contenders.push(("sse-stream", Box::new(Write { kept: other_kept, writer: Body { body, pipe: other } })));
    let limit =
        Some(Box::new(Formatted { event: format!("data: {data}\n\n"), pipe: Pipe::new(&nothing) }) as _);
    Case {
        bench: "sse write".into(),
        case: "150 B data".into(),
        contenders,
        limit,
        bytes_per_op: data.len() + 8,
    }
}

trait Writes {
    fn write(&mut self, n: usize);
}

struct Write<W> {
    kept: Kept,
    writer: W,
}

impl<W: Writes> Contender for Write<W> {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        self.writer.write(n);
    }

    fn check(&mut self, n: usize) -> Digest {
        let mut digest = Digest::default();
        digest.eat(&self.kept.during(|| self.writer.write(n)));
        digest
    }
}

struct Block {
    data: &'static str,
    outbox: Outbox<'static>,
    pipe: Pipe,
}

impl Writes for Block {
    fn write(&mut self, n: usize) {
        for i in 1..=n {
            let data = std::hint::black_box(self.data);
            sse::Block::message(&[data.as_bytes()]).write(&mut self.outbox).unwrap();
            if i == n || self.outbox.room() <= 48 << 10 {
                let chunk = self.outbox.chunk();
                let written = chunk.len();
                self.pipe.push(chunk);
                self.outbox.advance(written);
            }
        }
    }
}

struct Body<B> {
    body: B,
    pipe: Pipe,
}

impl<S, T> Writes for Body<std::pin::Pin<Box<sse_stream::SseBody<S, T>>>>
where
    sse_stream::SseBody<S, T>: http_body::Body<Data = Bytes>,
    <sse_stream::SseBody<S, T> as http_body::Body>::Error: std::fmt::Debug,
{
    fn write(&mut self, n: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..n {
            let Poll::Ready(Some(frame)) = self.body.as_mut().poll_frame(&mut context) else {
                unreachable!()
            };
            self.pipe.push(frame.unwrap().data_ref().unwrap());
        }
    }
}

/// The limit: one copy of what is written.
struct Formatted {
    event: String,
    pipe: Pipe,
}

impl Contender for Formatted {
    fn go<E: Eat>(&mut self, n: usize, _: &mut E) {
        for _ in 0..n {
            self.pipe.push(std::hint::black_box(&self.event).as_bytes());
        }
    }
}
