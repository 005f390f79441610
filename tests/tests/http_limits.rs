//! HTTP/1.1 at its limits and deadlines: exact, and said beforehand.

use core::time::Duration;

use stillwire::{
    Inbox, Instant, Machine, Outbox, Progress,
    http::{Config, Error, Exchange, Fetch, Framing},
};

fn now() -> Instant {
    Instant::since_epoch(Duration::from_secs(1))
}

/// A head of just the limit passes, one byte more is too much, however they arrive; the request line has its own limit.
#[test]
fn the_limits_of_a_head_are_exact() {
    let mut config = Config::default();
    (config.max_head, config.max_line) = (200, 100);
    let verdict = |request: &[u8], step: usize| {
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        let mut server = Exchange::new(config);
        for piece in request.chunks(step) {
            inbox.push(piece);
            match server.advance(now(), &mut inbox, &mut outbox) {
                Ok(Progress::NeedInput) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        panic!("no verdict");
    };
    let head = |size: usize| {
        let front = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{front}{}\r\n\r\n", "x".repeat(size - front.len() - 4))
    };
    let line = |size: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(size - 14));
    for step in [1, 2, 3, 7, 199, 200, 201, 1000] {
        assert_eq!(verdict(head(200).as_bytes(), step), Ok(()), "{step}");
        assert_eq!(verdict(head(201).as_bytes(), step), Err(Error::HeadTooLarge { limit: 200 }), "{step}");
        assert_eq!(verdict(line(100).as_bytes(), step), Ok(()), "{step}");
        assert_eq!(verdict(line(101).as_bytes(), step), Err(Error::UriTooLong { limit: 100 }), "{step}");
    }
}

/// The deadline of a client is the moment at which it gives up.
#[test]
fn a_client_says_when_it_gives_up() {
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    let config = Config::default();
    let mut client = Fetch::new(config);
    assert_eq!(client.deadline(), None, "nothing was asked");
    client.request("GET", "/", &[("Host", "a")], &[], &mut outbox).unwrap();
    assert_eq!(client.advance(now(), &mut inbox, &mut outbox), Ok(Progress::NeedInput));
    let end = now() + config.wait_within;
    assert_eq!(client.deadline(), Some(end));
    let before = now() + (config.wait_within - Duration::from_millis(1));
    assert_eq!(client.advance(before, &mut inbox, &mut outbox), Ok(Progress::NeedInput));
    assert!(client.advance(end, &mut inbox, &mut outbox).is_err());
}

/// A request without a body leaves the connection open for the next one, even when its answer begins at its head.
#[test]
fn an_answer_at_the_head_keeps_the_connection() {
    for (rest, keeps) in
        [("\r\n", true), ("Content-Length: 0\r\n\r\n", true), ("Content-Length: 9\r\n\r\n", false)]
    {
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        let mut server = Exchange::new(Config::default());
        inbox.push(format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}").as_bytes());
        assert_eq!(server.advance(now(), &mut inbox, &mut outbox), Ok(Progress::Event));
        server.begin(200, &[], Framing::Chunks, &mut outbox).unwrap();
        let head = String::from_utf8_lossy(outbox.chunk()).to_ascii_lowercase();
        assert_eq!(!head.contains("connection: close"), keeps, "{rest:?}: {head}");
    }
}

/// What is documented of [`Config::TINY`].
#[test]
fn a_tiny_server_drains_little() {
    assert_eq!((Config::TINY.max_head, Config::TINY.max_line, Config::TINY.drain), (1024, 512, 1024));
    assert_eq!(Config::TINY.idle_within, Duration::from_secs(15));
}
