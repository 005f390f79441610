//! The rules of a session, one by one: numbers, limits, ends, deadlines; and what a client does with each answer.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress,
    polling::{
        Answer, Client, Config, Connection, Error, Event, Refused, Served, Session, Sid, Ticket, What,
    },
};

const START: Instant = Instant::EPOCH;

fn after(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

fn sid() -> Sid {
    Sid::parse("AbCdEfGhIjKlMnOpQrSt-_").expect("a session id")
}

fn session(config: &Config) -> Session<'static> {
    Session::new(sid(), config, START)
}

fn post(session: &mut Session<'_>, body: &str) -> Result<u64, Refused> {
    session.post(body.as_bytes()).map(stillwire::polling::Ack::number)
}

/// All that the owner can read now.
fn read(session: &mut Session<'_>) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 50];
    while let Some(n @ 1..) = session.read(&mut buffer) {
        all.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8(all).expect("UTF-8")
}

fn batch(session: &mut Session<'_>, ticket: Ticket, now: Instant) -> String {
    match session.serve(ticket, now) {
        Served::Batch(batch) => {
            let body = batch.to_vec();
            assert_eq!(body.len(), batch.len());
            String::from_utf8(body).expect("UTF-8")
        }
        other => panic!("{other:?}"),
    }
}

fn body(answer: &Answer) -> String {
    String::from_utf8(answer.body().to_vec()).expect("UTF-8")
}

#[test]
fn opening_tells_the_limits() {
    let mut config = Config::default();
    let opened = session(&config).opened();
    assert_eq!(
        body(&opened),
        r#"{"sid":"AbCdEfGhIjKlMnOpQrSt-_","wait_ms":25000,"max_bytes":65536,"max_messages":64}"#
    );
    let headers: Vec<_> = opened.headers().collect();
    assert_eq!(headers, [("content-type", "application/json"), ("cache-control", "no-store")]);
    assert_eq!(Answer::EMPTY.headers().collect::<Vec<_>>(), [("cache-control", "no-store")]);
    // Everything as long as it can be.
    (config.max_bytes, config.max_messages, config.wait) = (usize::MAX, usize::MAX, Duration::MAX);
    let opened = session(&config).opened();
    assert!(body(&opened).ends_with('}'), "{}", body(&opened));
    // Small pipes lower the limit.
    let (mut up, mut down) = ([0; 302], [0; 200]);
    config.max_messages = 64;
    let small = Session::over(sid(), &config, Inbox::new(&mut up), Inbox::new(&mut down), START);
    assert_eq!(small.max_bytes(), 200);
}

#[test]
fn posting_once_is_enough_and_twice_does_no_harm() {
    let mut session = session(&Config::default());
    let first = r#"{"seq":1,"messages":["a",{"b64":"AAEC"}]}"#;
    assert_eq!(post(&mut session, first), Ok(2));
    assert_eq!(post(&mut session, first), Ok(2));
    // Some old, some new.
    assert_eq!(post(&mut session, r#"{"messages":["old","b"],"seq":2}"#), Ok(3));
    assert_eq!(read(&mut session), "\"a\",\n{\"b64\":\"AAEC\"},\n\"b\",\n");
    assert_eq!(post(&mut session, r#"{"seq":4,"messages":[]}"#), Ok(3));
    assert_eq!(post(&mut session, r#"{"seq":1,"messages":[]}"#), Ok(3));
    assert_eq!(post(&mut session, r#"{"seq":5,"messages":["gap"]}"#), Err(Refused::Gap { expected: 4 }));
    assert_eq!(post(&mut session, r#"{"seq":5,"messages":[]}"#), Err(Refused::Gap { expected: 4 }));
    assert_eq!(post(&mut session, r#"{"seq":0,"messages":[]}"#), Err(Refused::BadRequest { why: "seq" }));
    let huge = r#"{"seq":18446744073709551615,"messages":["x"]}"#;
    assert_eq!(post(&mut session, huge), Err(Refused::Gap { expected: 4 }));
    let answer = Refused::Gap { expected: 4 }.answer();
    assert_eq!((answer.status(), body(&answer).as_str()), (409, r#"{"error":"out of step","expected":4}"#));
    for bad in ["", "x", "{}", r#"{"seq":4,"messages":["a",1]}"#, r#"{"seq":4,"messages":["good","\x"]}"#] {
        assert_eq!(post(&mut session, bad), Err(Refused::BadRequest { why: "body" }), "{bad}");
    }
    assert_eq!(read(&mut session), "");
    assert_eq!(post(&mut session, r#"{"seq":4,"messages":["c"]}"#), Ok(4));
    assert_eq!(read(&mut session), "\"c\",\n");
}

#[test]
fn limits_are_exact_and_refusals_take_nothing() {
    let mut config = Config::default();
    (config.max_bytes, config.max_messages) = (200, 4);
    let mut session = session(&config);
    let too_large = Err(Refused::TooLarge { max_bytes: 200, max_messages: 4 });
    let around = r#"{"seq":1,"messages":[""]}"#.len();
    let body = |n: usize| format!(r#"{{"seq":1,"messages":["{}"]}}"#, "x".repeat(n - around));
    assert_eq!(post(&mut session, &body(201)), too_large);
    assert_eq!(post(&mut session, r#"{"seq":1,"messages":["","","","",""]}"#), too_large);
    assert_eq!(read(&mut session), "");
    assert_eq!(post(&mut session, &body(200)), Ok(1));
    assert_eq!(read(&mut session).len(), 200 - around + 4);
    assert_eq!(post(&mut session, r#"{"seq":2,"messages":["","","",""]}"#), Ok(5));

    // The pipe: until the owner reads, all or nothing.
    let mut seq = 6;
    let refused = loop {
        let filler = format!(r#"{{"seq":{seq},"messages":["{}"]}}"#, "x".repeat(96));
        match post(&mut session, &filler) {
            Ok(ack) => seq = ack + 1,
            Err(refused) => break refused,
        }
    };
    let Refused::Full { room } = refused else { panic!("{refused}") };
    assert!(room < 100);
    let answer = refused.answer();
    assert_eq!(answer.status(), 413);
    assert!(answer.headers().any(|header| header == ("retry-after", "1")));
    // Exactly what there is room for fits: 4 bytes around the text of a record.
    let fits = |n: usize| format!(r#"{{"seq":{seq},"messages":["{}"]}}"#, "y".repeat(n - 4));
    assert_eq!(post(&mut session, &fits(room + 1)), Err(Refused::Full { room }));
    assert_eq!(post(&mut session, &fits(room)), Ok(seq));
    // There is always room for the end.
    session.end().expect("it is open");
    assert!(read(&mut session).ends_with("y\",\n{\"closed\":{\"code\":1000,\"reason\":\"\"}},\n"));
    assert_eq!(session.read(&mut [0]), Some(0));
}

/// Whatever is within the announced limits fits when the owner has read everything.
#[test]
fn the_smallest_pipe_takes_every_legal_body() {
    let mut config = Config::default();
    (config.max_bytes, config.max_messages) = (1000, 10);
    for size in [200, 300, 500] {
        let (mut up, mut down) = (vec![0; size], vec![0; size]);
        let mut session = Session::over(sid(), &config, Inbox::new(&mut up), Inbox::new(&mut down), START);
        let max = session.max_bytes();
        let many = [r#""""#; 9].join(",");
        let body = |pad: &str| format!(r#"{{"seq":1,"messages":["{pad}",{many}],"closed":{{"code":1000}}}}"#);
        let body = body(&"x".repeat(max - body("").len()));
        assert_eq!(body.len(), max);
        assert_eq!(post(&mut session, &body), Ok(11));
    }
}

#[test]
fn receiving_again_brings_the_same() {
    let mut session = session(&Config::default());
    let first = session.sit(0, START).expect("a seat");
    assert!(matches!(session.serve(first, START), Served::Nothing { until } if until == after(25_000)));
    assert_eq!(session.write(b"\"a\",\n\"b\""), 8); // half a record
    assert_eq!(batch(&mut session, first, START), "{\"last\":1,\"messages\":[\"a\"]}");
    session.abort(first, START);
    session.write(b",\n");
    let again = session.sit(0, after(1)).expect("a seat");
    assert_eq!(batch(&mut session, again, START), "{\"last\":2,\"messages\":[\"a\",\n\"b\"]}");
    session.done(again, after(2));
    // Never served, acknowledged before, served in part.
    assert_eq!(session.sit(3, after(3)).err(), Some(Refused::Before { oldest: 1 }));
    let third = session.sit(1, after(3)).expect("a seat");
    assert_eq!(batch(&mut session, third, START), "{\"last\":2,\"messages\":[\"b\"]}");
    session.done(third, after(4));
    assert_eq!(session.sit(0, after(5)).err(), Some(Refused::Before { oldest: 2 }));
    let answer = Refused::Before { oldest: 2 }.answer();
    assert_eq!((answer.status(), body(&answer).as_str()), (409, r#"{"error":"out of step","oldest":2}"#));
    let fourth = session.sit(2, after(5)).expect("a seat");
    assert!(matches!(session.serve(fourth, after(5)), Served::Nothing { .. }));
    assert!(session.desk().is_delivered());
}

#[test]
fn the_wait_ends_with_nothing() {
    let mut session = session(&Config::default());
    let seat = session.sit(0, after(1000)).expect("a seat");
    assert!(matches!(session.serve(seat, after(25_999)), Served::Nothing { .. }));
    assert!(matches!(session.serve(seat, after(26_000)), Served::TimedOut));
    session.done(seat, after(26_000));
    assert_eq!(session.deadline(), Some(after(56_000)));
}

#[test]
fn a_second_receiver_replaces_the_first() {
    let mut session = session(&Config::default());
    let first = session.sit(0, START).expect("a seat");
    let second = session.sit(0, after(1)).expect("a seat");
    assert!(matches!(session.serve(first, after(1)), Served::Replaced));
    session.done(first, after(2));
    session.write(b"\"a\",\n");
    assert!(matches!(session.serve(first, after(2)), Served::Replaced));
    assert_eq!(batch(&mut session, second, after(2)), "{\"last\":1,\"messages\":[\"a\"]}");
    // One with a wrong number changes nothing.
    assert_eq!(session.sit(9, after(3)).err(), Some(Refused::Before { oldest: 1 }));
    assert_eq!(batch(&mut session, second, after(3)), "{\"last\":1,\"messages\":[\"a\"]}");
}

#[test]
fn batches_keep_both_limits() {
    let mut config = Config::default();
    (config.max_bytes, config.max_messages) = (200, 3);
    let mut session = session(&config);
    session.write(b"\"1\",\n\"2\",\n\"3\",\n\"4\",\n");
    let long = format!("\"{}\",\n", "x".repeat(155)); // the longest that the connection sends
    session.write(long.as_bytes());
    session.write(b"\"6\",\n");
    let mut last = 0;
    for expected in ["\"1\",\n\"2\",\n\"3\"", "\"4\"", long.trim_end_matches(",\n"), "\"6\""] {
        let seat = session.sit(last, START).expect("a seat");
        let got = batch(&mut session, seat, START);
        last += expected.split(",\n").count() as u64;
        assert_eq!(got, format!("{{\"last\":{last},\"messages\":[{expected}]}}"));
        assert!(got.len() <= 200);
        session.done(seat, START);
    }
}

#[test]
fn a_session_without_receivers_is_abandoned() {
    let mut config = Config::default();
    config.empty_within = Duration::from_secs(10);
    let mut session = session(&config);
    assert_eq!(session.deadline(), Some(after(10_000)));
    post(&mut session, r#"{"seq":1,"messages":["a"]}"#).expect("it is open"); // a sender is no receiver
    let seat = session.sit(0, after(9_999)).expect("a seat");
    session.tick(after(10_000));
    assert_eq!((session.deadline(), session.is_over()), (None, false));
    session.abort(seat, after(20_000));
    session.tick(after(29_999));
    assert!(!session.is_over());
    session.tick(after(30_000));
    assert!(session.is_over());
    assert_eq!(session.sit(0, after(30_000)).err(), Some(Refused::NotFound));
    assert_eq!(post(&mut session, r#"{"seq":2,"messages":["b"]}"#), Err(Refused::NotFound));
    assert_eq!(session.end(), Err(Refused::NotFound));
    // The owner gets what came, then the end: nobody closed it.
    let mut inbox = Inbox::with_limit(100);
    let mut outbox = Outbox::with_limit(100);
    let mut owner = session.connection();
    inbox.push(read(&mut session).as_bytes());
    assert_eq!(session.read(&mut [0]), Some(0));
    inbox.finish();
    let mut seen = Vec::new();
    while let Ok(Progress::Event) = owner.advance(after(30_000), &mut inbox, &mut outbox) {
        seen.push(format!("{:?}", owner.event(&inbox).expect("an event")));
    }
    assert_eq!(seen, ["Text(\"a\")", "Closed { code: 1006, reason: \"\" }"]);
}

#[test]
fn the_client_ends_it() {
    for by_post in [false, true] {
        let mut session = session(&Config::default());
        let seat = session.sit(0, START).expect("a seat");
        session.write(b"\"never seen\",\n");
        post(&mut session, r#"{"seq":1,"messages":["a"]}"#).expect("it is open");
        if by_post {
            let last = r#"{"seq":2,"messages":["b"],"closed":{"reason":"b\u0079e","code":4001}}"#;
            assert_eq!(post(&mut session, last), Ok(3));
            assert_eq!(post(&mut session, last), Ok(3)); // its answer was lost
            assert_eq!(post(&mut session, r#"{"seq":4,"messages":["c"]}"#), Err(Refused::NotFound));
            let end = "{\"closed\":{\"code\":4001,\"reason\":\"b\\u0079e\"}},\n";
            assert_eq!(read(&mut session), format!("\"a\",\n\"b\",\n{end}"));
        } else {
            assert_eq!(session.end(), Ok(()));
            assert_eq!(session.end(), Err(Refused::NotFound));
            assert_eq!(read(&mut session), "\"a\",\n{\"closed\":{\"code\":1000,\"reason\":\"\"}},\n");
        }
        assert_eq!(session.read(&mut [0]), Some(0));
        assert!(session.is_over());
        assert!(matches!(session.serve(seat, START), Served::Over));
    }
}

#[test]
fn the_server_ends_it() {
    for by_delete in [false, true] {
        let mut session = session(&Config::default());
        let mut owner = session.connection();
        let (mut inbox, mut outbox) = (Inbox::with_limit(1000), Outbox::with_limit(1000));
        owner.send_text("last", &mut outbox).expect("room");
        owner.send_close(4002, "bye", &mut outbox).expect("room");
        let n = session.write(outbox.chunk());
        outbox.advance(n);
        assert!(outbox.is_finished() && outbox.is_empty());
        session.finish();
        assert_eq!(session.read(&mut [0]), None); // not heard yet
        let seat = session.sit(0, START).expect("a seat");
        let end = "{\"last\":2,\"messages\":[\"last\"],\"closed\":{\"code\":4002,\"reason\":\"bye\"}}";
        assert_eq!(batch(&mut session, seat, START), end);
        session.done(seat, START);
        let seat = session.sit(0, START).expect("the answer was lost");
        assert_eq!(batch(&mut session, seat, START), end);
        session.done(seat, START);
        if by_delete {
            session.end().expect("once");
        } else {
            let seat = session.sit(2, START).expect("a seat");
            assert!(matches!(session.serve(seat, START), Served::Over));
        }
        assert!(session.is_over());
        assert_eq!(session.read(&mut [0]), Some(0));
        inbox.finish();
        let event = owner.next(START, &mut inbox, &mut outbox).expect("no error").expect("an event");
        assert!(matches!(event, Event::Closed { code: 4002, .. }));
    }
}

/// The owner left without a word: what it wrote is still served, then there is no such session.
#[test]
fn an_owner_that_leaves() {
    let mut session = session(&Config::default());
    session.write(b"\"a\",\n\"half");
    session.finish();
    let seat = session.sit(0, START).expect("a seat");
    assert_eq!(batch(&mut session, seat, START), "{\"last\":1,\"messages\":[\"a\"]}");
    session.done(seat, START);
    let seat = session.sit(1, START).expect("a seat");
    assert!(matches!(session.serve(seat, START), Served::Over));
}

/// Bytes that are moved inside a pipe are paid for by bytes that went through it, though the owner keeps the pipe full.
#[test]
fn the_law_of_work() {
    let mut config = Config::default();
    (config.max_bytes, config.max_messages) = (4096, 16);
    for length in [0, 50, 250, 1000, 3000] {
        for lent in [false, true] {
            let (mut up, mut down) = (vec![0; 8300], vec![0; 8300]);
            let mut session = match lent {
                true => Session::over(sid(), &config, Inbox::new(&mut up), Inbox::new(&mut down), START),
                false => session(&config),
            };
            let record = format!("\"{}\",\n", "x".repeat(length));
            let mut rest = record.as_bytes();
            let mut acked = 0;
            for _ in 0..2000 {
                loop {
                    let n = session.write(rest);
                    rest = &rest[n..];
                    if n == 0 {
                        break;
                    }
                    if rest.is_empty() {
                        rest = record.as_bytes();
                    }
                }
                let seat = session.sit(acked, START).expect("a seat");
                match session.serve(seat, START) {
                    Served::Batch(batch) => acked += batch.count(),
                    other => panic!("{other:?}"),
                }
                session.done(seat, START);
            }
            let work = session.desk().work();
            assert!(work.received > 2000 * 64);
            assert!(work.moved <= 4 * work.received, "{length}, {lent}: {work:?}");
        }
    }
}

// --- the client ---

struct Bench {
    client: Client,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    now: Instant,
}

impl Bench {
    fn new(config: &Config) -> Self {
        Self {
            client: Client::new(config, Entropy::insecure_seeded(5)),
            inbox: Inbox::with_limit(70_000),
            outbox: Outbox::with_limit(70_000),
            now: START,
        }
    }
    fn open() -> Self {
        let mut bench = Self::new(&Config::default());
        assert_eq!(bench.asks(), ["POST /open"]);
        let opened = session(&Config::default()).opened();
        bench.answer(What::Open, 200, &body(&opened));
        bench
    }
    fn asks(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(ask) = self.client.next_request(self.now, &self.inbox, &self.outbox) {
            let body = ask.body().map(|batch| String::from_utf8(batch.to_vec()).expect("UTF-8"));
            let body = body.map(|body| format!(" {body}")).unwrap_or_default();
            all.push(format!("{} {}{body}", ask.method(), ask.path()));
        }
        all
    }
    fn answer(&mut self, what: What, status: u16, body: &str) {
        self.client.answered(what, status, body.as_bytes(), &mut self.inbox, &mut self.outbox, self.now);
    }
    fn next(&mut self) -> Result<Option<String>, Error> {
        let event = self.client.next(self.now, &mut self.inbox, &mut self.outbox)?;
        Ok(event.map(|event| format!("{event:?}")))
    }
    /// How long until the deadline, which then is reached.
    fn wait(&mut self) -> Duration {
        assert_eq!(self.next(), Ok(None));
        let at = self.client.deadline().expect("a deadline");
        let wait = at.saturating_since(self.now);
        self.now = at;
        wait
    }
}

const GET: &str = "GET /AbCdEfGhIjKlMnOpQrSt-_?after=";
const POST: &str = "POST /AbCdEfGhIjKlMnOpQrSt-_ ";
const DELETE: &str = "DELETE /AbCdEfGhIjKlMnOpQrSt-_";

#[test]
fn retries_wait_longer_each_time_and_end() {
    let mut bench = Bench::new(&Config::default());
    for n in 0..8 {
        assert_eq!(bench.asks(), ["POST /open"]);
        assert_eq!(bench.asks(), [""; 0]);
        bench.client.failed(What::Open, bench.now);
        assert_eq!(bench.asks(), [""; 0]);
        let most = Duration::from_millis(500 << n).min(Duration::from_secs(10));
        let wait = bench.wait();
        assert!(wait >= most / 2 && wait <= most, "{wait:?}, {most:?}");
    }
    assert_eq!(bench.asks(), ["POST /open"]);
    bench.answer(What::Open, 503, "");
    assert_eq!(bench.next(), Err(Error::Unreachable { failures: 9 }));
    assert_eq!(bench.client.advance(bench.now, &mut bench.inbox, &mut bench.outbox), Ok(Progress::Closed));
    assert_eq!(bench.asks(), [""; 0]);
    assert_eq!(bench.client.deadline(), None);
}

#[test]
fn empty_answers_never_become_a_hot_loop() {
    let mut bench = Bench::open();
    let mut requests = 0;
    while bench.now < after(60_000) {
        assert_eq!(bench.asks(), [format!("{GET}0")]);
        requests += 1;
        match requests % 2 {
            0 => bench.answer(What::Receive, 204, ""), // at once, each time
            _ => bench.answer(What::Receive, 200, r#"{"last":0,"messages":[]}"#),
        }
        assert!(bench.wait() >= Duration::from_millis(500));
    }
    assert_eq!(requests, 120);
    // After a real wait it asks again at once.
    assert_eq!(bench.asks().len(), 1);
    bench.now = bench.now + Duration::from_secs(25);
    bench.answer(What::Receive, 204, "");
    assert_eq!(bench.asks().len(), 1);
}

#[test]
fn an_unacknowledged_message_is_sent_again_with_what_followed() {
    let mut bench = Bench::open();
    bench.client.send_text("a", &mut bench.outbox).expect("room");
    assert_eq!(bench.asks(), [format!("{GET}0"), format!(r#"{POST}{{"seq":1,"messages":["a"]}}"#)]);
    bench.client.send_text("b", &mut bench.outbox).expect("room");
    bench.client.failed(What::Send, bench.now);
    bench.wait();
    assert_eq!(bench.asks(), [format!("{POST}{{\"seq\":1,\"messages\":[\"a\",\n\"b\"]}}")]);
    bench.answer(What::Send, 413, r#"{"error":"no room yet","room":5}"#);
    assert!(bench.wait() <= Duration::from_secs(1));
    assert_eq!(bench.asks(), [format!("{POST}{{\"seq\":1,\"messages\":[\"a\",\n\"b\"]}}")]);
    // A part is enough.
    bench.answer(What::Send, 200, r#"{"ack":1}"#);
    assert_eq!(bench.outbox.chunk(), b"\"b\",\n");
    assert_eq!(bench.asks(), [format!(r#"{POST}{{"seq":2,"messages":["b"]}}"#)]);
    bench.answer(What::Send, 200, r#"{"ack":2}"#);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.asks(), [""; 0]);
}

#[test]
fn messages_come_once_and_fit_the_inbox() {
    let mut bench = Bench::open();
    bench.inbox = Inbox::with_limit(20);
    assert_eq!(bench.asks(), [format!("{GET}0")]);
    bench.answer(What::Receive, 200, r#"{"last":3,"messages":["1234567","1234568","1234569"]}"#);
    assert_eq!(bench.asks(), [""; 0], "the inbox is not empty, and has no room for a whole body");
    assert_eq!(bench.next(), Ok(Some("Text(\"1234567\")".into())));
    assert_eq!(bench.next(), Ok(None));
    assert_eq!(bench.asks(), [format!("{GET}1")]);
    // It may bring what was there before.
    bench.answer(What::Receive, 200, r#"{"last":2,"messages":["1234567","1234568"]}"#);
    assert_eq!(bench.next(), Ok(Some("Text(\"1234568\")".into())));
    assert_eq!(bench.next(), Ok(None));
    assert_eq!(bench.asks(), [format!("{GET}2")]);
    bench.answer(What::Receive, 200, r#"{"last":3,"messages":["12345678901234567890"]}"#);
    assert_eq!(bench.next(), Err(Error::TooLarge { limit: 20 }));
    assert_eq!(bench.asks(), [DELETE]);
}

#[test]
fn the_end_is_acknowledged() {
    let mut bench = Bench::open();
    assert_eq!(bench.asks(), [format!("{GET}0")]);
    let last = r#"{"last":2,"messages":["a"],"closed":{"code":4000,"reason":"why"}}"#;
    bench.answer(What::Receive, 200, last);
    assert_eq!(bench.next(), Ok(Some("Text(\"a\")".into())));
    assert_eq!(bench.asks(), [DELETE]);
    bench.client.failed(What::Close, bench.now);
    assert_eq!(bench.next(), Ok(Some("Closed { code: 4000, reason: \"why\" }".into())));
    assert_eq!(bench.client.advance(bench.now, &mut bench.inbox, &mut bench.outbox), Ok(Progress::Closed));
    bench.now = bench.client.deadline().expect("it tries again");
    assert_eq!(bench.asks(), [DELETE]);
    bench.answer(What::Close, 404, "");
    assert_eq!((bench.asks(), bench.client.deadline()), (vec![], None));
}

#[test]
fn our_end_is_sent_and_acknowledged() {
    for status in [200, 404] {
        let mut bench = Bench::open();
        bench.client.send_close(1001, "going", &mut bench.outbox).expect("room");
        let body = r#"{"seq":1,"messages":[],"closed":{"code":1001,"reason":"going"}}"#;
        assert_eq!(bench.asks(), [format!("{GET}0"), format!("{POST}{body}")]);
        assert_eq!(bench.next(), Ok(None));
        // The session is gone, and the other answer was lost: that is good news.
        bench.answer(What::Receive, 404, "");
        assert_eq!(bench.next(), Ok(None));
        assert_eq!(bench.asks(), [""; 0]);
        bench.answer(What::Send, status, r#"{"ack":1}"#);
        assert_eq!(bench.next(), Ok(Some("Closed { code: 1001, reason: \"\" }".into())));
        assert_eq!(
            bench.client.advance(bench.now, &mut bench.inbox, &mut bench.outbox),
            Ok(Progress::Closed)
        );
        assert_eq!(bench.asks(), [""; 0]);
    }
}

/// A message that is none ends the connection, and the server is told why.
#[test]
fn a_server_that_sends_nonsense_is_told() {
    let mut bench = Bench::open();
    bench.client.send_text("before", &mut bench.outbox).expect("room");
    assert_eq!(bench.asks().len(), 2);
    bench.answer(What::Receive, 200, r#"{"last":2,"messages":["good",{"b64":"AB=="}]}"#);
    assert_eq!(bench.next(), Ok(Some("Text(\"good\")".into())));
    assert_eq!(bench.next(), Err(Error::NotBase64));
    assert_eq!(bench.next(), Ok(None));
    bench.answer(What::Send, 200, r#"{"ack":1}"#);
    let closed = r#"{"seq":2,"messages":[],"closed":{"code":1007,"reason":""}}"#;
    assert_eq!(bench.asks(), [format!("{GET}2"), format!("{POST}{closed}")]);
    bench.answer(What::Send, 200, r#"{"ack":2}"#);
    assert_eq!(bench.client.advance(bench.now, &mut bench.inbox, &mut bench.outbox), Ok(Progress::Closed));
}

/// However long the server has no room, the client neither gives up nor waits long.
#[test]
fn a_server_without_room_is_asked_again_soon() {
    let mut bench = Bench::open();
    bench.client.send_text("a", &mut bench.outbox).expect("room");
    assert_eq!(bench.asks().len(), 2);
    for _ in 0..100 {
        bench.answer(What::Send, 413, r#"{"error":"no room yet","room":5}"#);
        let wait = bench.wait();
        assert!(wait >= Duration::from_millis(250) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(bench.asks().len(), 1);
    }
}

#[test]
fn answers_that_end_it() {
    for (what, status, body, error) in [
        (What::Receive, 404, "", Error::Unknown),
        (What::Receive, 409, r#"{"oldest":9}"#, Error::OutOfStep),
        (What::Receive, 403, "", Error::Refused { status: 403 }),
        (What::Receive, 301, "", Error::Refused { status: 301 }),
        (What::Receive, 200, "", Error::BadAnswer),
        (What::Receive, 200, "<html>", Error::BadAnswer),
        (What::Receive, 200, r#"{"last":0,"messages":["a"]}"#, Error::BadAnswer),
        (What::Receive, 200, r#"{"last":9,"messages":["a"]}"#, Error::OutOfStep),
        (What::Send, 404, "", Error::Unknown),
        (What::Send, 409, r#"{"expected":9}"#, Error::OutOfStep),
        (What::Send, 413, r#"{"max_bytes":1}"#, Error::Refused { status: 413 }),
        (What::Send, 200, r#"{"ack":0}"#, Error::BadAnswer),
        (What::Send, 200, r#"{"ack":2}"#, Error::BadAnswer),
        (What::Send, 204, "", Error::Refused { status: 204 }),
    ] {
        let mut bench = Bench::open();
        bench.client.send_text("a", &mut bench.outbox).expect("room");
        assert_eq!(bench.asks().len(), 2);
        bench.answer(what, status, body);
        assert_eq!(bench.next(), Err(error), "{status} {body}");
        assert!(bench.outbox.is_finished());
    }
    for opened in ["", "{}", r#"{"sid":"short","wait_ms":1,"max_bytes":1,"max_messages":1}"#] {
        let mut bench = Bench::new(&Config::default());
        assert_eq!(bench.asks().len(), 1);
        bench.answer(What::Open, 200, opened);
        assert_eq!(bench.next(), Err(Error::BadAnswer), "{opened}");
        assert_eq!(bench.asks(), [""; 0]);
    }
}

#[test]
fn the_smaller_limit_of_both_ends_holds() {
    let mut bench = Bench::new(&Config::default());
    bench.asks();
    let opened =
        r#"{"sid":"AbCdEfGhIjKlMnOpQrSt-_","wait_ms":1,"max_bytes":100,"max_messages":2,"later":{}}"#;
    bench.answer(What::Open, 200, opened);
    let (client, outbox) = (&mut bench.client, &mut bench.outbox);
    let too_large = Err(stillwire::SendError::TooLarge { limit: 59 });
    assert_eq!(client.send_text(&"x".repeat(56), outbox), too_large);
    client.send_text(&"x".repeat(55), outbox).expect("room");
    for n in ["1", "2", "3"] {
        client.send_text(n, outbox).expect("room");
    }
    let mut bodies = Vec::new();
    for ack in [1, 3, 4] {
        bodies.extend(bench.asks().into_iter().filter_map(|ask| Some(ask.strip_prefix(POST)?.to_owned())));
        bench.answer(What::Send, 200, &format!("{{\"ack\":{ack}}}"));
    }
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| body.len() <= 100), "{bodies:?}");
    assert_eq!(bodies[1], "{\"seq\":2,\"messages\":[\"1\",\n\"2\"]}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is posted, the session takes all or nothing, and its owner never sees a record that is none.
    #[test]
    fn hostile_bodies(bodies in vec(hostile("seq"), 1..20)) {
        let mut session = session(&Config::TINY);
        let mut owner = session.connection();
        let (mut inbox, mut outbox) = (Inbox::with_limit(2000), Outbox::with_limit(1000));
        for body in bodies {
            let _ = session.post(&body);
            inbox.push(read(&mut session).as_bytes());
            while let Some(event) = next(&mut owner, &mut inbox, &mut outbox)? {
                if event.starts_with("Closed") { return Ok(()) }
            }
        }
    }

    /// Whatever a server answers, the client survives it, and ends at most once.
    #[test]
    fn hostile_answers(answers in vec((0..4_u8, prop_oneof![4 => Just(200), 1 => 100..600_u16], hostile("last")), 1..20)) {
        let mut bench = Bench::open();
        let mut ended = false;
        for (what, status, body) in answers {
            if bench.client.is_open() {
                let _ = bench.client.send_text("x", &mut bench.outbox);
            }
            bench.asks();
            let what = [What::Open, What::Receive, What::Send, What::Close][usize::from(what)];
            bench.client.answered(what, status, &body, &mut bench.inbox, &mut bench.outbox, bench.now);
            loop {
                match bench.next() {
                    Ok(Some(_)) => prop_assert!(!ended),
                    Ok(None) => break,
                    // A lone bad record, or a bad answer: said once.
                    Err(_) => prop_assert!(!core::mem::replace(&mut ended, true)),
                }
            }
            bench.now = bench.now + Duration::from_secs(20);
        }
    }
}

fn next(
    machine: &mut Connection,
    inbox: &mut Inbox<'_>,
    outbox: &mut Outbox<'_>,
) -> Result<Option<String>, TestCaseError> {
    match machine.next(START, inbox, outbox) {
        Ok(event) => Ok(event.map(|event| format!("{event:?}"))),
        // The inside of a base64 string is the owner's to check.
        Err(Error::NotBase64) => Ok(Some("Closed by us".to_owned())),
        Err(error) => {
            Err(TestCaseError::fail(format!("the session let through what it should not: {error}")))
        }
    }
}

fn hostile(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        4 => "\"(\\\\u[0-9a-f]{4}|[a-z]|\\\\n){0,12}\"",
        2 => "\\{ ?\"b64\" ?: ?\"([A-Za-z0-9+/]{4}){0,4}\" ?\\}",
        1 => "[\\[\\]{}\",:a-z0-9]{0,8}",
    ];
    let whole = (0..6_u64, vec(message, 0..10), any::<bool>(), 990..1010_u16).prop_map(
        move |(number, messages, closed, code)| {
            let end = if closed { format!(",\"closed\":{{\"code\":{code}}}") } else { String::new() };
            format!("{{\"{name}\":{number},\"messages\":[{}]{end},\"ack\":{number}}}", messages.join(","))
                .into_bytes()
        },
    );
    let cut = (whole.clone(), any::<u16>(), any::<u8>()).prop_map(|(mut body, at, byte)| {
        let at = usize::from(at) % body.len();
        body[at] = byte;
        body
    });
    prop_oneof![6 => whole, 2 => cut, 1 => vec(any::<u8>(), 0..30)]
}
