//! What a client does with each answer.

use core::time::Duration;

use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress,
    polling::{Client, Config, Error, What},
};

use super::{START, after, body, session};

pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) inbox: Inbox<'static>,
    pub(crate) outbox: Outbox<'static>,
    pub(crate) now: Instant,
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
    pub(crate) fn open() -> Self {
        let mut bench = Self::new(&Config::default());
        assert_eq!(bench.asks(), ["POST /open"]);
        let opened = session(&Config::default()).opened();
        bench.answer(What::Open, 200, &body(&opened));
        bench
    }
    pub(crate) fn asks(&mut self) -> Vec<String> {
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
    pub(crate) fn next(&mut self) -> Result<Option<String>, Error> {
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
