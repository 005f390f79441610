//! The rules of a session, one by one: numbers, limits, ends, deadlines; what a client does with each answer; and what
//! neither lets through.

mod client;
mod hostile;

use core::time::Duration;

use stillwire::{
    Inbox, Instant, Machine, Outbox, Progress,
    polling::{Answer, Config, Event, Refused, Served, Session, Sid, Ticket},
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
