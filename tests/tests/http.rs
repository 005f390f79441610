//! HTTP/1.1 beyond what transcripts tell: exactness, work, upgrades, and both sides against each other.

use core::time::Duration;

use proptest::prelude::*;
use stillwire::{
    Inbox, Instant, Link, Machine, Outbox, Progress, Want,
    http::{
        Answer, Config, Error, Event, Exchange, Fetch, Framing, RequestView, ResponseView, SendError, Single,
    },
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn now() -> Instant {
    Instant::since_epoch(Duration::from_secs(1))
}

/// A peer that pipelines the smallest requests into a large inbox, which is filled up again after each answer: what
/// is used up must not make the inbox move the rest for each of them.
#[test]
fn a_pipelining_peer_buys_no_extra_work() {
    const TINY: &[u8] = b"A / HTTP/1.0\r\nConnection:keep-alive\r\n\r\n";
    for (capacity, room) in [(64 << 10, 1 << 16), (64 << 10, 128), (1000, 1 << 16)] {
        let mut storage = vec![0; capacity];
        let (mut inbox, mut outbox) = (Inbox::new(&mut storage), Outbox::with_limit(room));
        let mut server = Exchange::new(Config::default());
        let endless: Vec<u8> = TINY.repeat(2 + 2 * capacity / TINY.len());
        let (mut offset, mut answered) = (0, 0);
        for _ in 0..20_000 {
            let pushed = inbox.push(&endless[offset..offset + capacity]);
            offset = (offset + pushed) % TINY.len();
            match server.advance(now(), &mut inbox, &mut outbox).unwrap() {
                Progress::NeedRoom => outbox.advance(outbox.chunk().len().min(7)),
                Progress::Closed => panic!("it closed"),
                _ => {}
            }
            if server.is_your_turn() {
                server.respond(200, &[], b"", &mut outbox).unwrap();
                answered += 1;
                if room > 128 {
                    outbox.advance(outbox.chunk().len());
                }
            }
        }
        let work = inbox.work();
        assert!(answered > 500, "{answered}");
        assert!(work.moved <= work.received, "{answered} answers: {work:?}");
        assert!(work.scanned <= work.received, "{answered} answers: {work:?}");
    }
}

/// While an answer is owed, bytes that trickle in behind the request cost nothing but their own arrival.
#[test]
fn a_trickle_during_your_turn_moves_nothing() {
    let mut storage = [0; 4096];
    let (mut inbox, mut outbox) = (Inbox::new(&mut storage), Outbox::with_limit(4096));
    let mut server = Exchange::new(Config::default());
    inbox.push(GET);
    while server.advance(now(), &mut inbox, &mut outbox).unwrap() == Progress::Event {}
    assert!(server.is_your_turn());
    let mut received = 0;
    while inbox.push(b"x") == 1 {
        received += 1;
        assert_eq!(server.advance(now(), &mut inbox, &mut outbox), Ok(Progress::NeedInput));
    }
    assert_eq!(received, 4096, "what was used up made room");
    assert!(inbox.work().moved <= 4096, "{:?}", inbox.work());
    assert_eq!(inbox.work().scanned, GET.len() as u64);
}

/// A line of any kind that comes byte by byte is searched once.
#[test]
fn a_trickle_of_lines_is_searched_once() {
    let long = "x".repeat(900);
    let head = format!("POST /{long} HTTP/1.1\r\nHost: a\r\nX: {long}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let request = format!("{head}5;{long}\r\nhello\r\n0\r\nX: {long}\r\n\r\n");
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    let mut server = Exchange::new(Config::default());
    for byte in request.as_bytes() {
        inbox.push(&[*byte]);
        while server.advance(now(), &mut inbox, &mut outbox).unwrap() == Progress::Event {}
    }
    assert!(server.is_your_turn());
    let work = inbox.work();
    assert!(work.scanned <= work.received && work.moved <= work.received, "{work:?}");
}

/// A long poll or an event stream that waits holds no input buffer.
#[test]
fn a_waiting_request_holds_no_memory() {
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    let mut server = Exchange::new(Config::default());
    inbox.push(GET);
    while server.advance(now(), &mut inbox, &mut outbox).unwrap() == Progress::Event {}
    assert!(server.is_your_turn() && inbox.unread().is_empty());
    inbox.rest();
    assert_eq!(inbox.allocated(), 0);
    assert_eq!(server.deadline(), None);
}

/// A collected body is one event, in place, and the limit is exact for every framing.
#[test]
fn a_collected_body_is_one_event_and_its_limit_is_exact() {
    let chunked = b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n5\r\nfghij\r\n0\r\n\r\n";
    let plain = b"Content-Length: 10\r\n\r\nabcdefghij";
    for framed in [&chunked[..], plain] {
        for limit in 0..20 {
            let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
            let mut server = Exchange::new(Config::default());
            inbox.push(&[b"POST / HTTP/1.1\r\nHost: a\r\n", framed].concat());
            assert!(matches!(server.next(now(), &mut inbox, &mut outbox), Ok(Some(Event::Head(_)))));
            server.collect(limit);
            match server.next(now(), &mut inbox, &mut outbox) {
                Ok(Some(Event::Body(body))) if limit >= 10 => assert_eq!(body, b"abcdefghij"),
                Err(error) if limit < 10 => {
                    assert_eq!((error, error.http_status()), (Error::TooLarge { limit }, 413));
                    continue;
                }
                other => panic!("limit {limit}: {other:?}"),
            }
            assert!(matches!(server.next(now(), &mut inbox, &mut outbox), Ok(Some(Event::End))));
        }
    }
}

/// Accepts and repeats everything: stands for the protocol behind an upgrade.
#[derive(Debug)]
struct Raw(usize);

impl Machine for Raw {
    type Event<'i> = &'i [u8];
    type Error = core::convert::Infallible;

    fn advance(
        &mut self,
        _: Instant,
        inbox: &mut Inbox<'_>,
        _: &mut Outbox<'_>,
    ) -> Result<Progress, Self::Error> {
        self.release(inbox);
        self.0 = inbox.unread().len();
        Ok(if self.0 > 0 { Progress::Event } else { Progress::NeedInput })
    }
    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<&'i [u8]> {
        (self.0 > 0).then(|| inbox.unread())
    }
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn release(&mut self, inbox: &mut Inbox<'_>) {
        inbox.consume(core::mem::take(&mut self.0));
    }
}

/// An upgrade uses up exactly the head, also behind requests that were answered and are not given back yet.
#[test]
fn an_upgrade_loses_no_byte() {
    for before in [0, 1, 3] {
        let mut link =
            Link::new(Exchange::new(Config::default()), Inbox::with_limit(4096), Outbox::with_limit(4096));
        for _ in 0..before {
            link.inbox.push(GET);
        }
        link.inbox.push(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nthe rest");
        loop {
            assert_eq!(link.want(now()), Ok(Want::Deliver));
            let (event, reply) = link.turn().unwrap();
            match event {
                Event::Head(head) if head.path() == "/up" => break,
                Event::Head(_) => reply.machine.respond(204, &[], b"", reply.outbox).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        let mut link = link.switch(|_| Raw(0));
        assert_eq!(link.want(now()), Ok(Want::Deliver));
        assert_eq!(link.turn().unwrap().0, b"the rest", "behind {before}");
    }
}

/// The same on the client's side, behind an interim answer.
#[test]
fn an_upgrade_of_the_client_loses_no_byte() {
    let mut link =
        Link::new(Fetch::new(Config::default()), Inbox::with_limit(4096), Outbox::with_limit(4096));
    let headers = [("host", "a"), ("connection", "Upgrade"), ("upgrade", "x")];
    link.machine.request("GET", "/up", &headers, &[], &mut link.outbox).unwrap();
    link.inbox.push(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nthe rest",
    );
    assert_eq!(link.want(now()), Ok(Want::Deliver));
    match link.turn().unwrap().0 {
        Answer::Head(head) => assert_eq!((head.status(), head.only("upgrade")), (101, Some(&b"x"[..]))),
        other => panic!("{other:?}"),
    }
    let mut link = link.switch(|_| Raw(0));
    assert_eq!(link.want(now()), Ok(Want::Deliver));
    assert_eq!(link.turn().unwrap().0, b"the rest");
}

/// An answer that takes longer to send than the machine lingers is sent to its end all the same.
#[test]
fn lingering_waits_for_a_slow_reader() {
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    let mut server = Exchange::new(Config::default());
    inbox.push(b"nonsense\r\n\r\n");
    assert_eq!(server.advance(now(), &mut inbox, &mut outbox), Err(Error::Head));
    let mut time = now();
    for _ in 0..10 {
        assert_eq!(server.advance(time, &mut inbox, &mut outbox), Ok(Progress::NeedInput));
        time = server.deadline().expect("lingering has a deadline");
    }
    outbox.advance(outbox.chunk().len());
    assert_eq!(server.advance(time, &mut inbox, &mut outbox), Ok(Progress::Closed));
}

/// No head is read without room to refuse it, and a small outbox is no dead end.
#[test]
fn a_refusal_always_fits() {
    for room in 0..200 {
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(room));
        let mut server = Exchange::new(Config::default());
        outbox.put(&[&vec![b'x'; room / 2]]).unwrap();
        inbox.push(&[b"GET / HTTP/1.1\r\nHost: a\r\n" as &[u8], &b"A: b\r\n".repeat(65)].concat());
        let mut written = 0;
        loop {
            match server.advance(now(), &mut inbox, &mut outbox) {
                Ok(Progress::NeedRoom) => {
                    assert!(!outbox.is_empty(), "no room in an empty outbox of {room}");
                    written += outbox.chunk().len();
                    outbox.advance(outbox.chunk().len());
                }
                Err(error) => break assert_eq!(error.http_status(), 431),
                other => panic!("{other:?}"),
            }
        }
        let rest = outbox.chunk();
        // Below the size of the refusal there is none; the connection ends all the same.
        assert!(room < 96 || rest.ends_with(b"connection: close\r\n\r\n"), "room {room}, {written} before");
    }
}

// --- both sides against each other ---

/// A request and how it is answered.
#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    path: String,
    body: Vec<u8>,
    collect: bool,
    answer: How,
    pieces: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Whole,
    Early,
    Chunks,
}

fn case() -> impl Strategy<Value = Case> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("PUT")];
    let data = || prop::collection::vec(any::<u8>(), 0..300);
    let how = prop_oneof![Just(How::Whole), Just(How::Early), Just(How::Chunks)];
    (method, "/[a-z0-9/?=&%.]{0,40}", data(), any::<bool>(), how, prop::collection::vec(data(), 0..5))
        .prop_map(|(method, path, body, collect, answer, pieces)| Case {
            method,
            path,
            body,
            collect,
            answer,
            pieces,
        })
}

/// What each side saw of one exchange.
#[derive(Debug, Default)]
struct Saw {
    target: String,
    body: Vec<u8>,
    bodies: usize,
    status: u16,
    answer: Vec<u8>,
    answers: usize,
    done: bool,
}

fn serve(case: &Case, event: &Event<'_>, saw: &mut Saw, server: &mut Exchange, outbox: &mut Outbox<'_>) {
    match event {
        Event::Head(head) => {
            saw.target = format!("{} {}", head.method(), head.target());
            assert_eq!(head.only("host"), Some(&b"a.example"[..]));
            match case.answer {
                How::Early => server.respond(404, &[], &case.pieces.concat(), outbox).unwrap(),
                _ if case.collect => server.collect(300),
                _ => {}
            }
        }
        Event::Body(piece) => {
            saw.body.extend_from_slice(piece);
            saw.bodies += 1;
        }
        Event::End => match case.answer {
            How::Chunks => {
                server.begin(200, &[("x", "y")], Framing::Chunks, outbox).unwrap();
                for piece in &case.pieces {
                    let (a, b) = piece.split_at(piece.len() / 2);
                    server.chunk(&[a, b], outbox).unwrap();
                }
                server.end(outbox).unwrap();
            }
            _ => server.respond(200, &[("x", "y")], &case.pieces.concat(), outbox).unwrap(),
        },
        other => panic!("{other:?}"),
    }
}

fn pump(from: &mut Outbox<'_>, to: &mut Inbox<'_>, most: usize) -> bool {
    let n = from.chunk().len().min(most);
    let n = to.push(&from.chunk()[..n]);
    from.advance(n);
    n > 0
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one side says, the other understands, however the bytes are cut, on one connection.
    #[test]
    fn both_sides_understand_each_other(
        cases in prop::collection::vec(case(), 1..5),
        cuts in prop::collection::vec(1_usize..200, 1..8),
    ) {
        let mut to_server = (Inbox::with_limit(512), Outbox::with_limit(1 << 16));
        let mut to_client = (Inbox::with_limit(2048), Outbox::with_limit(1 << 16));
        let (mut server, mut client) = (Exchange::new(Config::default()), Fetch::new(Config::default()));
        let mut cuts = cuts.iter().cycle();
        for case in &cases {
            let mut saw = Saw::default();
            prop_assert!(client.is_idle());
            client.request(case.method, &case.path, &[("Host", "a.example")], &[&case.body], &mut to_server.1).unwrap();
            let mut quiet = 0;
            while quiet < 2 {
                quiet += 1;
                let cut = *cuts.next().unwrap();
                if pump(&mut to_server.1, &mut to_server.0, cut) | pump(&mut to_client.1, &mut to_client.0, cut) {
                    quiet = 0;
                }
                while let Some(event) = server.next(now(), &mut to_server.0, &mut to_client.1).unwrap() {
                    serve(case, &event, &mut saw, &mut server, &mut to_client.1);
                    quiet = 0;
                }
                while let Some(event) = client.next(now(), &mut to_client.0, &mut to_server.1).unwrap() {
                    quiet = 0;
                    match event {
                        Answer::Head(head) => {
                            saw.status = head.status();
                            if case.collect { client.collect(2000) }
                        }
                        Answer::Body(piece) => { saw.answer.extend_from_slice(piece); saw.answers += 1 }
                        Answer::End => saw.done = true,
                        other => panic!("{other:?}"),
                    }
                }
            }
            let early = matches!(case.answer, How::Early);
            prop_assert!(saw.done);
            prop_assert_eq!(saw.target, format!("{} {}", case.method, case.path));
            prop_assert_eq!(saw.status, if early { 404 } else { 200 });
            prop_assert_eq!(saw.body, if early { vec![] } else { case.body.clone() });
            prop_assert_eq!(saw.answer, if case.method == "HEAD" { vec![] } else { case.pieces.concat() });
            if case.collect {
                prop_assert!(saw.bodies <= 1 && saw.answers <= 1);
            }
        }
    }

    /// A view reads from the bytes what httparse read into a table.
    #[test]
    fn views_agree_with_httparse(
        target in "/[!-\"$-~]{0,30}",
        headers in prop::collection::vec(("X-[a-cA-C]{1,2}", "[ \t]{0,2}[!-~]([ -~\t]{0,20}[!-~])?[ \t]{0,2}"), 0..20),
        empty in any::<bool>(),
    ) {
        let mut text = format!("{}BREW {target} HTTP/1.1\r\nHost: a\r\n", if empty { "\r\n" } else { "" });
        headers.iter().for_each(|(name, value)| text += &format!("{name}:{value}\r\n"));
        text += "\r\n";
        let mut table = [httparse::EMPTY_HEADER; 64];
        let mut theirs = httparse::Request::new(&mut table);
        prop_assert!(theirs.parse(text.as_bytes()).unwrap().is_complete());
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        inbox.push(text.as_bytes());
        let mut server = Exchange::new(Config::default());
        let Ok(Some(Event::Head(ours))) = server.next(now(), &mut inbox, &mut outbox) else { panic!("a head") };
        prop_assert_eq!((ours.method(), ours.target()), (RequestView::method(&theirs), RequestView::target(&theirs)));
        prop_assert_eq!(ours.version_minor(), theirs.version_minor());
        prop_assert!(ours.headers().eq(theirs.headers.iter().map(|header| (header.name, header.value))));
        for name in ["x-a", "X-B", "x-AB", "host", "none"] {
            prop_assert!(ours.values(name).eq(theirs.values(name)));
            prop_assert_eq!(ours.only(name), theirs.only(name));
            prop_assert_eq!(ours.has_token(name, "a"), theirs.has_token(name, "a"));
        }
    }

    /// Answers hold what was asked for: httparse reads the same, and nothing slips in.
    #[test]
    fn no_header_breaks_out_of_an_answer(
        status in 0_u16..1100,
        headers in prop::collection::vec(("[a-z\r\n: \u{0}]{0,6}", "[a-z\r\n:\u{0} ]{0,10}"), 0..4),
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        let mut server = Exchange::new(Config::default());
        inbox.push(GET);
        prop_assert!(matches!(server.next(now(), &mut inbox, &mut outbox), Ok(Some(Event::Head(_)))));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match server.respond(status, &headers, &body, &mut outbox) {
            Ok(()) => {
                let mut table = [httparse::EMPTY_HEADER; 16];
                let mut answer = httparse::Response::new(&mut table);
                let httparse::Status::Complete(length) = answer.parse(outbox.chunk()).unwrap() else { panic!("cut") };
                prop_assert_eq!(answer.code, Some(status));
                let has_length = usize::from(!matches!(status, 204 | 304));
                prop_assert_eq!(answer.headers.len(), headers.len() + has_length);
                prop_assert_eq!(&outbox.chunk()[length..], &body[..]);
            }
            Err(SendError::BadHeader | SendError::Unsuitable) => prop_assert!(outbox.is_empty()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// What an exchange refuses at the head, for whatever reason, a machine for a single request refuses for the same one.
#[test]
fn a_single_request_is_refused_as_others_are() {
    use stillwire_tests::{subjects::http::OfExchange, transcript::Transcript};

    fn refused(mut machine: impl Machine<Error = Error>, bytes: &[u8]) -> Option<Error> {
        let (mut inbox, mut outbox) = (Inbox::with_limit(16384), Outbox::with_limit(4096));
        inbox.push(bytes);
        machine.advance(now(), &mut inbox, &mut outbox).err()
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/http/exchange/refused");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let bytes = Transcript::parse(&text).input::<OfExchange>();
        let by_exchange = refused(Exchange::new(Config::default()), &bytes);
        let by_single = refused(Single::new(Config::default()), &bytes);
        assert_eq!(by_single, by_exchange, "{}", entry.path().display());
        count += usize::from(by_single.is_some());
    }
    assert!(count > 60, "{count}");
}
