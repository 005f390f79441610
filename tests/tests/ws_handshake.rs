//! The WebSocket handshake (RFC 6455 §4): every rule from both sides, and a whole conversation from the first request to
//! the last close.

use stillwire::{
    Entropy, Inbox, Instant, Link, Machine, Outbox, Progress, Want,
    http::{self, Answer, Exchange, Fetch, SendError},
    ws::{Accept, Config, Event, Offer, UpgradeError, is_same_origin},
};

/// The request of RFC 6455 §1.2.
const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn with_request<T>(text: &str, look: impl FnOnce(&httparse::Request<'_, '_>) -> T) -> T {
    let mut table = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut table);
    assert!(request.parse(text.as_bytes()).expect("HTTP").is_complete());
    look(&request)
}

fn accept(text: &str, offered: &[&'static str]) -> Result<Option<&'static str>, UpgradeError> {
    with_request(text, |request| {
        Accept::new(request, offered, &Config::default()).map(|accept| accept.subprotocol())
    })
}

fn changed(from: &str, to: &str) -> String {
    let text = GOOD.replace(from, to);
    assert_ne!(text, GOOD, "{from:?} is there");
    text
}

/// RFC 6455 §1.2 and §1.3.
#[test]
fn the_example_of_the_rfc() {
    let mut storage = [0; 512];
    let mut outbox = Outbox::new(&mut storage);
    with_request(GOOD, |request| {
        let accept = Accept::new(request, &["chat"], &Config::default()).unwrap();
        assert_eq!(accept.value(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        accept.write(&[("Set-Cookie", "a=b"), ("set-cookie", "c=d")], &mut outbox).unwrap();
    });
    assert_eq!(
        core::str::from_utf8(outbox.chunk()).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
         Set-Cookie: a=b\r\nset-cookie: c=d\r\n\r\n"
    );
}

#[test]
fn requests_that_are_no_good() {
    use UpgradeError as E;
    for (from, to, error, status) in [
        ("GET", "POST", E::Method, 405),
        ("GET", "get", E::Method, 405),
        ("HTTP/1.1", "HTTP/1.0", E::HttpVersion, 400),
        ("Host: server.example.com\r\n", "", E::Host, 400),
        ("Host: server.example.com\r\n", "Host: a\r\nHost: a\r\n", E::Host, 400),
        ("Host: server.example.com\r\n", "Host:\r\n", E::Host, 400),
        ("Upgrade: websocket\r\n", "", E::NoUpgrade, 400),
        ("Upgrade: websocket\r\n", "Upgrade: websockets\r\n", E::NoUpgrade, 400),
        ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n", E::NoUpgrade, 400),
        ("Connection: Upgrade\r\n", "", E::NoUpgrade, 400),
        ("Connection: Upgrade\r\n", "Connection: NotUpgradeX\r\n", E::NoUpgrade, 400),
        ("Connection: Upgrade\r\n", "Connection: keep-alive\r\n", E::NoUpgrade, 400),
        ("Sec-WebSocket-Version: 13\r\n", "", E::Version, 426),
        ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n", E::Version, 426),
        ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 013\r\n", E::Version, 426),
        (
            "Sec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
            E::Version,
            426,
        ),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", E::Key, 400),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            E::Key,
            400,
        ),
        ("dGhlIHNhbXBsZSBub25jZQ==", "abc", E::Key, 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR==", E::Key, 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", E::Key, 400),
        ("\r\nOrigin", "\r\nContent-Length: 5\r\nOrigin", E::Body, 400),
        ("\r\nOrigin", "\r\nContent-Length: 00\r\nOrigin", E::Body, 400),
        ("\r\nOrigin", "\r\nTransfer-Encoding: chunked\r\nOrigin", E::Body, 400),
        ("chat, superchat", "", E::Subprotocols, 400),
        ("chat, superchat", "chat,", E::Subprotocols, 400),
        ("chat, superchat", "chat,,superchat", E::Subprotocols, 400),
        ("chat, superchat", "chat superchat", E::Subprotocols, 400),
        ("chat, superchat", "chat/1", E::Subprotocols, 400),
        ("chat, superchat", "\"chat\"", E::Subprotocols, 400),
        ("chat, superchat", "a, chat, b, chat", E::Subprotocols, 400),
        ("superchat\r\n", "superchat\r\nSec-WebSocket-Protocol: chat\r\n", E::Subprotocols, 400),
    ] {
        let text = changed(from, to);
        assert_eq!(accept(&text, &["chat"]), Err(error), "{text}");
        assert_eq!(error.http_status(), status);
    }
    assert_eq!(E::Method.headers(), [("Allow", "GET")]);
    assert!(E::Version.headers().contains(&("Sec-WebSocket-Version", "13")));
    assert_eq!(E::Key.headers(), []);
}

#[test]
fn requests_that_are_good() {
    for (from, to) in [
        ("Upgrade: websocket", "upgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: Upgrade", "Connection: keep-alive ,\tupgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"),
        ("\r\nOrigin", "\r\nContent-Length: 0\r\nOrigin"),
        ("\r\nOrigin", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin"),
        ("chat, superchat", "other,superchat\r\nSec-WebSocket-Protocol:  chat"),
    ] {
        let text = changed(from, to);
        assert!(accept(&text, &["chat", "superchat"]).unwrap().is_some(), "{text}");
    }
}

/// §4.2.2, 5.5: the client's order counts; none is none.
#[test]
fn subprotocols() {
    assert_eq!(accept(GOOD, &["superchat", "chat"]), Ok(Some("chat")));
    assert_eq!(accept(GOOD, &["superchat"]), Ok(Some("superchat")));
    assert_eq!(accept(GOOD, &["CHAT", "cha", "chatt"]), Ok(None));
    assert_eq!(accept(GOOD, &[]), Ok(None));
    assert_eq!(accept(&changed("Sec-WebSocket-Protocol: chat, superchat\r\n", ""), &["chat"]), Ok(None));
    let many = |n: usize| (0..n).map(|i| format!("p{i}")).collect::<Vec<_>>().join(",");
    assert_eq!(accept(&changed("chat, superchat", &many(32)), &["p31"]), Ok(Some("p31")));
    assert_eq!(accept(&changed("chat, superchat", &many(33)), &["p0"]), Err(UpgradeError::Subprotocols));
}

#[test]
fn headers_of_the_answer() {
    let mut storage = [0; 200];
    with_request(GOOD, |request| {
        let accept = Accept::new(request, &[], &Config::default()).unwrap();
        for bad in [
            ("X", "a\r\nSet-Cookie: b"),
            ("X", "a\nb"),
            ("X", "a\0"),
            ("X\r\nY", "a"),
            ("X Y", "a"),
            ("", "a"),
            ("X:", "a"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("sec-websocket-protocol", "chat"),
            ("SEC-WEBSOCKET-ACCEPT", "x"),
            ("Connection", "close"),
            ("upgrade", "h2c"),
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
        ] {
            let mut outbox = Outbox::new(&mut storage);
            assert_eq!(
                accept.write(&[("Good", "one"), bad], &mut outbox),
                Err(SendError::BadHeader),
                "{bad:?}"
            );
            assert!(outbox.is_empty());
        }
        // Whole or not at all.
        let long = "x".repeat(200);
        let mut outbox = Outbox::new(&mut storage);
        assert!(matches!(accept.write(&[("X", &long)], &mut outbox), Err(SendError::Full(_))));
        assert!(outbox.is_empty());
        assert_eq!(accept.write(&[("X", "grüße\tund so")], &mut outbox), Ok(()));
    });
}

/// §10.2.
#[test]
fn origins() {
    for (host, origin, same) in [
        ("a.example", "http://a.example", true),
        ("a.example", "https://a.example", true),
        ("A.example", "HTTPS://a.Example", true),
        ("a.example:80", "http://a.example", true),
        ("a.example", "https://a.example:443", true),
        ("a.example:8080", "http://a.example:8080", true),
        ("[::1]:8080", "http://[::1]:8080", true),
        ("a.example:8080", "http://a.example", false),
        ("a.example", "http://a.example:8080", false),
        ("a.example:80", "https://a.example", false),
        ("a.example", "http://b.example", false),
        ("a.example", "http://evil-a.example", false),
        ("a.example", "http://a.example.evil", false),
        ("a.example", "null", false),
        ("a.example", "", false),
        ("a.example", "a.example", false),
        ("a.example", "file://", false),
        ("a.example", "http://a.example\r\nOrigin: http://a.example", false),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        assert_eq!(with_request(&text, |request| is_same_origin(request)), same, "{host} {origin}");
    }
    assert!(
        with_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", |request| is_same_origin(request)),
        "no browser"
    );
}

fn check(answer: &str, subprotocols: &[&str]) -> Result<Option<usize>, UpgradeError> {
    let mut table = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut table);
    assert!(response.parse(answer.as_bytes()).expect("HTTP").is_complete());
    offer().check(&response, subprotocols).map(|agreement| agreement.subprotocol)
}

/// An offer with the key of RFC 6455 §1.3.
fn offer() -> Offer {
    let mut entropy = Entropy::from_fn(|bytes| {
        bytes.iter_mut().zip(b"the sample nonce".iter().cycle()).for_each(|(to, byte)| *to = *byte);
    });
    let offer = Offer::new(&mut entropy, &Config::default());
    assert_eq!(offer.key(), "dGhlIHNhbXBsZSBub25jZQ==");
    offer
}

#[test]
fn answers() {
    use UpgradeError as E;
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(check(GOOD, &["superchat", "chat"]), Ok(Some(1)));
    assert_eq!(check(&GOOD.replace("Sec-WebSocket-Protocol: chat\r\n", ""), &["chat"]), Ok(None));
    assert_eq!(check(&GOOD.replace("Upgrade: websocket", "upgrade: WebSocket"), &["chat"]), Ok(Some(0)));
    for (from, to, error) in [
        ("101", "200", E::Status(200)),
        ("101", "302", E::Status(302)),
        ("Upgrade: websocket\r\n", "", E::NoUpgrade),
        ("Upgrade: websocket\r\n", "Upgrade: h2c\r\n", E::NoUpgrade),
        ("Connection: Upgrade\r\n", "", E::NoUpgrade),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", E::Accept),
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", E::Accept),
        ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "", E::Accept),
        (
            "Sec-WebSocket-Accept",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Accept",
            E::Accept,
        ),
        ("chat\r\n", "chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", E::Extension),
        ("Protocol: chat", "Protocol: Chat", E::Subprotocol),
        ("Protocol: chat", "Protocol: other", E::Subprotocol),
        ("Protocol: chat", "Protocol:", E::Subprotocol),
        ("Protocol: chat", "Protocol: chat\r\nSec-WebSocket-Protocol: chat", E::Subprotocol),
        ("Protocol: chat", "Protocol: chat, superchat", E::Subprotocol),
    ] {
        let answer = GOOD.replace(from, to);
        assert_ne!(answer, GOOD);
        assert_eq!(check(&answer, &["superchat", "chat"]), Err(error), "{answer}");
    }
    assert_eq!(check(GOOD, &[]), Err(E::Subprotocol));
}

#[test]
fn offers_that_cannot_be_sent() {
    let long = "x".repeat(520);
    let too_many = vec![("X", "y"); 40];
    for (target, subprotocols, headers) in [
        ("/", &["a", "a"][..], &[][..]),
        ("/", &[""], &[]),
        ("/", &["a b"], &[]),
        ("/", &["a\r\nX: y"], &[]),
        ("/", &[&long], &[]),
        ("/", &[], &[("Sec-WebSocket-Extensions", "x")]),
        ("/", &[], &[("host", "b")]),
        ("/", &[], &[("connection", "close")]),
        ("/", &[], &[("X", "a\r\nY: b")]),
        ("/", &[], &too_many),
        ("/ HTTP/1.1\r\nX: y", &[], &[]),
    ] {
        let mut fetch = Fetch::new(http::Config::default());
        let mut outbox = Outbox::with_limit(4096);
        let result = offer().send(&mut fetch, "a.example", target, subprotocols, headers, &mut outbox);
        assert!(
            matches!(result, Err(SendError::BadHeader | SendError::Unsuitable)),
            "{result:?} {subprotocols:?}"
        );
        assert!(outbox.is_empty() && fetch.is_idle());
    }
    let mut fetch = Fetch::new(http::Config::default());
    let mut outbox = Outbox::with_limit(4096);
    assert!(offer().send(&mut fetch, "a\r\nb", "/", &[], &[], &mut outbox).is_err());
    assert!(outbox.is_empty());
}

/// Moves at most `n` bytes.
fn carry(from: &mut Outbox<'_>, to: &mut Inbox<'_>, n: usize) {
    let n = to.push(&from.chunk()[..n.min(from.chunk().len())]);
    from.advance(n);
    if from.is_empty() && from.is_finished() {
        to.finish();
    }
}

fn link<M: Machine>(machine: M) -> Link<'static, M> {
    Link::new(machine, Inbox::with_limit(4096), Outbox::with_limit(4096))
}

/// From the request to the end of both sides, in chunks of every size: the server's first message follows its answer at
/// once, the client closes, the server ends its side first.
#[test]
fn a_whole_conversation() {
    for size in [1, 2, 3, 7, 50, 129, 1000] {
        let mut client = link(Fetch::new(http::Config::default()));
        let mut server = link(Exchange::new(http::Config::default()));
        let now = Instant::EPOCH;
        let mut entropy = Entropy::insecure_seeded(1);
        let offer = Offer::new(&mut entropy, &Config::default());
        let headers = [("Origin", "https://a.example")];
        offer
            .send(&mut client.machine, "a.example", "/chat?x", &["b", "a"], &headers, &mut client.outbox)
            .unwrap();

        while server.want(now).unwrap() != Want::Deliver {
            carry(&mut client.outbox, &mut server.inbox, size);
        }
        let (event, reply) = server.turn().unwrap();
        let http::Event::Head(head) = event else { panic!("{event:?}") };
        assert!(is_same_origin(&head));
        let accept = Accept::new(&head, &["a", "c"], &Config::default()).unwrap();
        accept.write(&[], reply.outbox).unwrap();
        let mut server = server.switch(|_| accept.connection(Config::default()));
        server.machine.send_text("welcome", &mut server.outbox).unwrap();

        while client.want(now).unwrap() != Want::Deliver {
            carry(&mut server.outbox, &mut client.inbox, size);
        }
        let (event, _) = client.turn().unwrap();
        let Answer::Head(head) = event else { panic!("{event:?}") };
        let agreement = offer.check(&head, &["b", "a"]).unwrap();
        assert_eq!(agreement.subprotocol, Some(1));
        let mut client = client.switch(|_| agreement.connection(Config::default(), entropy));
        client.machine.send_text("hello", &mut client.outbox).unwrap();

        let (mut heard, mut told) = (vec![], vec![]);
        for _ in 0..1000 {
            carry(&mut server.outbox, &mut client.inbox, size);
            while let Some(event) = client.machine.next(now, &mut client.inbox, &mut client.outbox).unwrap() {
                if event == Event::Text("welcome".into()) {
                    client.machine.send_close(1000, "enough", &mut client.outbox).unwrap();
                }
                heard.push(format!("{event:?}"));
            }
            carry(&mut client.outbox, &mut server.inbox, size);
            while let Some(event) = server.machine.next(now, &mut server.inbox, &mut server.outbox).unwrap() {
                told.push(format!("{event:?}"));
            }
            assert!(server.outbox.is_finished() || !client.outbox.is_finished(), "the server is the first");
        }
        assert_eq!(heard, ["Text(\"welcome\")", "Closed { code: 1000, reason: \"\" }"]);
        assert_eq!(told, ["Text(\"hello\")", "Closed { code: 1000, reason: \"enough\" }"]);
        assert_eq!(client.machine.advance(now, &mut client.inbox, &mut client.outbox), Ok(Progress::Closed));
        assert_eq!(server.machine.advance(now, &mut server.inbox, &mut server.outbox), Ok(Progress::Closed));
    }
}

/// A refusal closes the connection, so that what follows is not taken for another request.
#[test]
fn a_refusal() {
    let mut server = link(Exchange::new(http::Config::default()));
    server.inbox.push(GOOD.replace("Version: 13", "Version: 12").as_bytes());
    assert_eq!(server.want(Instant::EPOCH), Ok(Want::Deliver));
    let (event, reply) = server.turn().unwrap();
    let http::Event::Head(head) = event else { panic!("{event:?}") };
    let refusal = Accept::new(&head, &[], &Config::default()).unwrap_err();
    reply.machine.close_after();
    reply.machine.respond(refusal.http_status(), refusal.headers(), b"", reply.outbox).unwrap();
    let answer = core::str::from_utf8(server.outbox.chunk()).unwrap().to_ascii_lowercase();
    for part in ["http/1.1 426 ", "\r\nsec-websocket-version: 13\r\n", "\r\nconnection: upgrade, close\r\n"] {
        assert!(answer.contains(part), "{answer}");
    }
}

/// What another HTTP stack shows of a request, over HTTP/2 with its pseudo-headers.
struct Foreign {
    method: &'static str,
    protocol: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
}

impl http::RequestView for Foreign {
    fn method(&self) -> &str {
        self.method
    }
    fn target(&self) -> &str {
        "/chat"
    }
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(move |header| header.0.eq_ignore_ascii_case(name));
        named.map(|header| header.1.as_bytes())
    }
    fn protocol(&self) -> Option<&str> {
        self.protocol
    }
}

/// The example of RFC 8441 §5.1.
fn connect() -> Foreign {
    let headers = vec![
        ("host", "server.example.com"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-version", "13"),
        ("origin", "http://www.example.com"),
    ];
    Foreign { method: "CONNECT", protocol: Some("websocket"), headers }
}

#[test]
fn extended_connect() {
    let config = Config::default();
    let accept = Accept::new(&connect(), &["chat"], &config).unwrap();
    assert_eq!((accept.http_status(), accept.value()), (200, ""));
    assert_eq!(accept.headers().collect::<Vec<_>>(), [("sec-websocket-protocol", "chat")]);
    assert_eq!(accept.write(&[], &mut Outbox::with_limit(512)), Err(SendError::NotYourTurn));
    assert!(accept.connection(config.clone()).is_open());
    // The key has no meaning here, so a bad one does no harm.
    let mut request = connect();
    request.headers.push(("sec-websocket-key", "abc"));
    assert!(Accept::new(&request, &[], &config).is_ok());
    for (name, value, error, status) in [
        ("upgrade", "websocket", UpgradeError::Connect, 400),
        ("connection", "upgrade", UpgradeError::Connect, 400),
        ("sec-websocket-version", "13", UpgradeError::Version, 426),
        ("content-length", "5", UpgradeError::Body, 400),
        ("transfer-encoding", "chunked", UpgradeError::Body, 400),
    ] {
        let mut request = connect();
        request.headers.push((name, value));
        let refused = Accept::new(&request, &[], &config).unwrap_err();
        assert_eq!((refused, refused.http_status()), (error, status));
    }
    for (protocol, error, status) in
        [(Some("connect-udp"), UpgradeError::Protocol, 501), (None, UpgradeError::Method, 405)]
    {
        let refused = Accept::new(&Foreign { protocol, ..connect() }, &[], &config).unwrap_err();
        assert_eq!((refused, refused.http_status()), (error, status));
    }
    // A GET is none, whatever the stack says, and needs all that RFC 6455 asks for.
    let refused = Accept::new(&Foreign { method: "GET", ..connect() }, &[], &config).unwrap_err();
    assert_eq!(refused, UpgradeError::NoUpgrade);
}

#[test]
fn the_answer_for_another_stack() {
    with_request(GOOD, |request| {
        let accept = Accept::new(request, &["chat"], &Config::default()).unwrap();
        assert_eq!(accept.http_status(), 101);
        let mut outbox = Outbox::with_limit(512);
        accept.write(&[], &mut outbox).unwrap();
        let written = core::str::from_utf8(outbox.chunk()).unwrap();
        let mut headers = vec![];
        for line in written.lines().skip(1).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let listed = accept.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(listed.collect::<Vec<_>>(), headers);
        assert_eq!(UpgradeError::Origin.http_status(), 403);
    });
}
