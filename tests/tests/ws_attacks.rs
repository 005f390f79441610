//! What WebSocket libraries have fallen to, a test for each: the table of attacks in docs/conformance.md.

use core::time::Duration;

use stillwire::{
    Entropy, Full, Inbox, Instant, Machine, Outbox, Progress,
    http::{self, Exchange, Fetch, RequestView, SendError},
    ws::{
        Accept, Config, Connection, Deflate, Error, Event, Header, Offer, Opcode, UpgradeError,
        is_same_origin,
    },
};
use stillwire_tests::subjects::{
    ws::{KEY, entropy, frame},
    ws_deflate::{Head, Squeeze, connections},
};

const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn server() -> Connection {
    Connection::server(Config::default())
}

fn client() -> Connection {
    Connection::client(Config::default(), entropy())
}

/// Feeds it all; the number of messages, and how it ended.
fn feed(machine: &mut Connection, inbox: &mut Inbox<'_>, input: &[u8]) -> Result<usize, Error> {
    let (mut outbox, mut rest, mut messages) = (Outbox::with_limit(1 << 20), input, 0);
    loop {
        while machine.advance(Instant::EPOCH, inbox, &mut outbox)? == Progress::Event {
            messages += usize::from(matches!(machine.event(inbox), Some(Event::Text(_) | Event::Binary(_))));
        }
        let n = inbox.push(rest);
        rest = &rest[n..];
        if n == 0 {
            return Ok(messages);
        }
    }
}

fn verdict(mut machine: Connection, input: &[u8]) -> Result<usize, Error> {
    feed(&mut machine, &mut Inbox::with_limit((1 << 20) + 4096), input)
}

/// What our HTTP server makes of a head: the status of its answer, 0 when it waits, 1 when the head is there.
fn head(exchange: &mut Exchange, inbox: &mut Inbox<'_>, now: Instant) -> (u16, bool) {
    let mut outbox = Outbox::with_limit(4096);
    let progress = exchange.advance(now, inbox, &mut outbox);
    let status = outbox.chunk().get(9..12).and_then(|status| core::str::from_utf8(status).ok()?.parse().ok());
    (status.unwrap_or(0), progress == Ok(Progress::Event))
}

fn accept(headers: Vec<(&str, &str)>, config: &Config) -> Result<Accept<'static>, UpgradeError> {
    let mut all = vec![
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    all.extend(headers);
    Accept::new(&Head(all), &["chat"], config)
}

fn deflating() -> Config {
    let mut config = Config::default();
    config.deflate = Some(Deflate::default());
    config
}

fn squeezed(bytes: &[u8]) -> Vec<u8> {
    let mut wire = frame(true, Opcode::Binary, Some(KEY), &Squeeze::new(15, 9).message(bytes));
    wire[0] |= 0x40;
    wire
}

#[test]
fn a_huge_head_is_refused_and_read_once() {
    let mut exchange = Exchange::new(http::Config::default());
    let mut inbox = Inbox::with_limit(1 << 20);
    let text = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1 << 20));
    let mut answered = 0;
    for chunk in text.as_bytes().chunks(16) {
        inbox.push(chunk);
        answered = head(&mut exchange, &mut inbox, Instant::EPOCH).0;
        if answered > 0 {
            break;
        }
    }
    let work = inbox.work();
    assert_eq!(answered, 431);
    assert!(work.received < 100_000 && work.scanned <= 3 * work.received, "{work:?}");
}

#[test]
fn more_headers_than_the_limit() {
    let mut exchange = Exchange::new(http::Config::default());
    let mut inbox = Inbox::with_limit(1 << 20);
    inbox.push(format!("{GOOD}{}\r\n", "a: b\r\n".repeat(2000)).as_bytes());
    assert_eq!(head(&mut exchange, &mut inbox, Instant::EPOCH), (431, false));
}

#[test]
fn a_declared_length_allocates_nothing() {
    for deflate in [false, true] {
        let mut machine = if deflate { connections(deflating()).0 } else { server() };
        let mut inbox = Inbox::with_limit((1 << 20) + 4096);
        let first = Header { fin: true, opcode: Opcode::Binary, key: Some(KEY), len: 1 << 20 }.emit();
        assert_eq!(feed(&mut machine, &mut inbox, first.as_bytes()), Ok(0));
        assert!(inbox.allocated() <= 1024, "{}", inbox.allocated());
    }
}

#[test]
fn length_arithmetic_does_not_overflow() {
    for len in [u64::MAX, u64::MAX - 13, 1 << 63, (1 << 63) - 1, 1 << 62] {
        let bytes = [&[0x82, 0xff][..], &len.to_be_bytes(), &KEY].concat();
        let expected = if len >> 63 == 1 { Error::Length } else { Error::TooLarge { limit: 1 << 20 } };
        assert_eq!(verdict(server(), &bytes), Err(expected), "{len}");
        let bytes = [&[0x82, 0x7f][..], &len.to_be_bytes()].concat();
        assert_eq!(verdict(client(), &bytes), Err(expected), "{len}");
        // Inside of a message, where it is added to what is held.
        let bytes = [&[0x02, 0x01, b'a', 0x80, 0x7f][..], &len.to_be_bytes()].concat();
        assert_eq!(verdict(client(), &bytes), Err(expected), "{len}");
    }
}

#[test]
fn lengths_are_not_cut_to_32_bits() {
    let bytes = [&[0x82, 0x7f][..], &((1_u64 << 32) + 5).to_be_bytes(), b"hello"].concat();
    assert_eq!(verdict(client(), &bytes), Err(Error::TooLarge { limit: 1 << 20 }));
}

#[test]
fn a_peer_that_pings_and_never_reads_costs_no_memory() {
    let (mut machine, mut inbox, mut outbox) = (server(), Inbox::with_limit(4096), Outbox::with_limit(1024));
    let ping = frame(true, Opcode::Ping, Some(KEY), &[b'p'; 125]);
    let mut taken = 0;
    for _ in 0..10_000 {
        taken += inbox.push(&ping);
        while machine.advance(Instant::EPOCH, &mut inbox, &mut outbox) == Ok(Progress::Event) {}
    }
    assert!(taken < 16_384, "back-pressure, not memory: {taken}");
    assert!(outbox.allocated() <= 2048 && inbox.allocated() <= 4096);
    assert_eq!(machine.advance(Instant::EPOCH, &mut inbox, &mut outbox), Ok(Progress::NeedRoom));
}

#[test]
fn empty_fragments_are_counted_and_cost_nothing() {
    let mut input = frame(false, Opcode::Text, Some(KEY), b"");
    let empty = frame(false, Opcode::Continuation, Some(KEY), b"");
    input.extend(empty.iter().copied().cycle().take(empty.len() * 70_000));
    let (mut machine, mut inbox) = (server(), Inbox::with_limit(4096));
    assert_eq!(feed(&mut machine, &mut inbox, &input), Err(Error::TooManyFragments { limit: 65_536 }));
    assert!(inbox.allocated() <= 4096);
    let mut machine = connections(deflating()).0;
    input[0] |= 0x40;
    assert_eq!(
        feed(&mut machine, &mut Inbox::with_limit(4096), &input),
        Err(Error::TooManyFragments { limit: 65_536 })
    );
}

#[test]
fn fragments_are_counted_for_each_message() {
    let mut config = Config::default();
    config.max_fragments = 3;
    let message = [
        frame(false, Opcode::Text, Some(KEY), b"a"),
        frame(false, Opcode::Continuation, Some(KEY), b""),
        frame(true, Opcode::Continuation, Some(KEY), b"b"),
    ]
    .concat();
    assert_eq!(verdict(Connection::server(config), &message.repeat(100)), Ok(100));
}

#[test]
fn the_sum_of_the_fragments_is_limited() {
    let mut config = Config::default();
    config.max_message = 100;
    let mut input = frame(false, Opcode::Binary, Some(KEY), &[0; 60]);
    input.extend(frame(false, Opcode::Continuation, Some(KEY), &[0; 40]));
    assert_eq!(verdict(Connection::server(config.clone()), &input), Ok(0));
    input.extend(frame(true, Opcode::Continuation, Some(KEY), &[0; 1]));
    assert_eq!(verdict(Connection::server(config), &input), Err(Error::TooLarge { limit: 100 }));
}

#[test]
fn the_limit_counts_inflated_bytes() {
    let wire = squeezed(&vec![0; 10 << 20]);
    assert!(wire.len() < 1 << 14, "a bomb: {}", wire.len());
    let (mut machine, mut inbox) = (connections(deflating()).0, Inbox::with_limit((1 << 20) + 1024));
    assert_eq!(feed(&mut machine, &mut inbox, &wire), Err(Error::TooLarge { limit: 1 << 20 }));
    assert!(inbox.allocated() <= (1 << 20) + 1024);
}

#[test]
fn one_inflated_byte_too_many_is_too_many() {
    for n in 1..300 {
        let mut config = deflating();
        config.max_message = n;
        for (extra, expected) in
            [(0, Ok(1)), (1, Err(Error::TooLarge { limit: n })), (2, Err(Error::TooLarge { limit: n }))]
        {
            let machine = connections(config.clone()).0;
            assert_eq!(verdict(machine, &squeezed(&vec![7; n + extra])), expected, "{n} + {extra}");
        }
    }
}

#[test]
fn bad_window_bits_are_declined_and_never_half_accepted() {
    for value in ["0", "7", "16", "256", "-1", "1e1", "", "\"", "08", "99999999999999999999"] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let offer = format!("permessage-deflate; {name}={value}");
            let accept = accept(vec![("sec-websocket-extensions", &offer)], &deflating()).unwrap();
            assert_eq!(accept.extensions(), None, "{offer}");
            // No codec then, either.
            assert_eq!(verdict(accept.connection(deflating()), &squeezed(b"x")), Err(Error::Reserved));
        }
    }
}

#[test]
fn the_grammar_of_extensions_is_read_in_one_pass() {
    let backslashes = format!("x; y=\"{}", "\\".repeat(1 << 20));
    let quotes = "\"".repeat(1 << 20);
    let separators = ",;=".repeat(1 << 18);
    for value in ["__proto__", "constructor; hasOwnProperty=1", &backslashes, &quotes, &separators] {
        let accept = accept(vec![("sec-websocket-extensions", value)], &deflating()).unwrap();
        assert_eq!(accept.extensions(), None);
    }
}

#[test]
fn a_list_of_subprotocols_is_read_in_one_pass() {
    let spaces = format!("a{}b", " ".repeat(1 << 20));
    let commas = ",".repeat(1 << 20);
    for value in [&spaces, &commas] {
        let refused = accept(vec![("sec-websocket-protocol", value)], &Config::default());
        assert_eq!(refused.unwrap_err(), UpgradeError::Subprotocols);
    }
}

#[test]
fn a_close_frame_has_the_bytes_of_its_reason_and_no_others() {
    let reason = "grüße€\u{1f600}".repeat(20);
    for end in (0..=reason.len()).filter(|end| reason.is_char_boundary(*end)) {
        let (mut machine, mut outbox) = (server(), Outbox::with_limit(512));
        machine.send_close(1000, &reason[..end], &mut outbox).unwrap();
        let sent = outbox.chunk();
        let said = core::str::from_utf8(&sent[4..]).unwrap();
        assert!(sent[..4] == [0x88, sent[1], 3, 0xe8] && usize::from(sent[1]) == sent.len() - 2);
        assert!(reason.starts_with(said) && (said.len() == end || (120..=123).contains(&said.len())));
    }
}

#[test]
fn line_breaks_are_injected_nowhere() {
    for evil in ["a\r\nX: y", "a\nX: y", "a\rX", "a\0"] {
        let accept = accept(vec![], &Config::default()).unwrap();
        let mut outbox = Outbox::with_limit(4096);
        assert_eq!(accept.write(&[("X", evil)], &mut outbox), Err(SendError::BadHeader));
        assert_eq!(accept.write(&[(evil, "x")], &mut outbox), Err(SendError::BadHeader));
        let offer = Offer::new(&mut Entropy::insecure_seeded(1), &Config::default());
        let mut fetch = Fetch::new(http::Config::default());
        for (host, target, subprotocol, header) in [
            (evil, "/", "chat", "x"),
            ("a", evil, "chat", "x"),
            ("a", "/", evil, "x"),
            ("a", "/", "chat", evil),
        ] {
            let sent = offer.send(&mut fetch, host, target, &[subprotocol], &[("X", header)], &mut outbox);
            assert!(sent.is_err(), "{host:?} {target:?} {subprotocol:?} {header:?}");
        }
        assert!(outbox.is_empty());
    }
}

#[test]
fn a_refused_upgrade_ends_the_connection() {
    let mut exchange = Exchange::new(http::Config::default());
    let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
    // A body that looks like another request.
    inbox.push(format!("{GOOD}Content-Length: 27\r\n\r\nGET /admin HTTP/1.1\r\nHost: a").as_bytes());
    let Ok(Some(http::Event::Head(head))) = exchange.next(Instant::EPOCH, &mut inbox, &mut outbox) else {
        panic!()
    };
    let refusal = Accept::new(&head, &[], &Config::default()).unwrap_err();
    assert_eq!(refusal, UpgradeError::Body);
    exchange.close_after();
    exchange.respond(refusal.http_status(), refusal.headers(), b"", &mut outbox).unwrap();
    let mut heads = 0;
    while let Ok(Progress::Event) = exchange.advance(Instant::EPOCH, &mut inbox, &mut outbox) {
        heads += usize::from(matches!(exchange.event(&inbox), Some(http::Event::Head(_))));
    }
    let said = core::str::from_utf8(outbox.chunk()).unwrap().to_ascii_lowercase();
    assert!(said.starts_with("http/1.1 400 ") && said.contains("\r\nconnection: close\r\n"), "{said}");
    assert_eq!((heads, outbox.is_finished()), (0, true));
}

#[test]
fn a_client_takes_no_masked_frame() {
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong, Opcode::Text, Opcode::Binary] {
        assert_eq!(verdict(client(), &frame(true, opcode, Some(KEY), &[3, 0xe8])), Err(Error::Masking));
    }
}

#[test]
fn a_server_takes_no_unmasked_frame() {
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong, Opcode::Text, Opcode::Binary] {
        assert_eq!(verdict(server(), &frame(true, opcode, None, &[3, 0xe8])), Err(Error::Masking));
    }
}

#[test]
fn a_close_reason_of_any_length_does_not_panic() {
    for n in 0..300 {
        for room in [0, 131, 200, 512] {
            let (mut machine, mut outbox) = (client(), Outbox::with_limit(room));
            let _ = machine.send_close(4000, &"€".repeat(n), &mut outbox);
            assert!(outbox.chunk().len() <= 131);
        }
    }
}

#[test]
fn who_sends_a_byte_now_and_then_is_cut_off() {
    // In the head of the request.
    let mut exchange = Exchange::new(http::Config::default());
    let mut inbox = Inbox::with_limit(4096);
    let mut answered = 0;
    for (second, byte) in (0..).zip(GOOD.bytes()) {
        inbox.push(&[byte]);
        answered = head(&mut exchange, &mut inbox, Instant::since_epoch(Duration::from_secs(second))).0;
        if answered > 0 {
            break;
        }
    }
    assert_eq!(answered, 408);
    // In a frame: half a header is no sign of life.
    let (mut machine, mut inbox, mut outbox) = (server(), Inbox::with_limit(4096), Outbox::with_limit(4096));
    let mut failed = None;
    for (tenth, byte) in (0..).zip([0x82, 0xff, 0, 0, 0, 0, 0, 1]) {
        inbox.push(&[byte]);
        let now = Instant::since_epoch(Duration::from_secs(10 * tenth));
        failed = failed.or(machine.advance(now, &mut inbox, &mut outbox).err());
    }
    assert_eq!(failed, Some(Error::TimedOut));
}

#[test]
fn a_page_of_another_site_is_told_apart() {
    let request = |origin| Head(vec![("host", "bank.example"), ("origin", origin)]);
    assert!(is_same_origin(&request("https://bank.example")));
    for origin in
        ["https://evil.example", "https://bank.example.evil", "https://evil-bank.example", "null", ""]
    {
        assert!(!is_same_origin(&request(origin)), "{origin}");
    }
    assert_eq!(UpgradeError::Origin.http_status(), 403);
}

#[test]
fn odd_targets_do_not_panic() {
    for target in ["/\"<>", "http:///x", "//", "?", "*", "/%zz", "http://", "a:b:c", "/\u{7f}é"] {
        let mut exchange = Exchange::new(http::Config::default());
        let (mut inbox, mut outbox) = (Inbox::with_limit(4096), Outbox::with_limit(4096));
        inbox.push(GOOD.replace("/chat", target).as_bytes());
        inbox.push(b"\r\n");
        if let Ok(Some(http::Event::Head(head))) = exchange.next(Instant::EPOCH, &mut inbox, &mut outbox) {
            let _ = (RequestView::path(&head).len(), RequestView::query(&head, "a"));
            assert!(Accept::new(&head, &[], &Config::default()).is_ok(), "{target}");
        }
    }
}

#[test]
fn text_that_ends_inside_of_a_character_is_not_shown() {
    let parts = [
        frame(false, Opcode::Text, Some(KEY), b"a"),
        frame(true, Opcode::Continuation, Some(KEY), b"\xe2\x82"),
    ];
    assert_eq!(verdict(server(), &parts.concat()), Err(Error::NotUtf8));
    assert_eq!(verdict(server(), &frame(true, Opcode::Text, Some(KEY), b"a\xe2\x82")), Err(Error::NotUtf8));
    let mut wire = squeezed(b"a\xe2\x82");
    wire[0] ^= 3; // text
    assert_eq!(verdict(connections(deflating()).0, &wire), Err(Error::NotUtf8));
}

#[test]
fn room_that_cannot_be_is_refused() {
    let mut outbox = Outbox::with_limit(100);
    outbox.put(&[b"x"]).unwrap();
    for n in [usize::MAX, usize::MAX - 1, isize::MAX as usize, 100] {
        assert_eq!(outbox.claim(n).map(|_| ()), Err(Full { needed: n }));
    }
    assert!(outbox.allocated() < 200);
}

#[test]
fn mask_keys_come_from_the_caller_and_none_comes_twice() {
    use core::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let entropy = Entropy::from_fn(|bytes| {
        for key in bytes.chunks_mut(4) {
            key.copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
    });
    let (mut machine, mut outbox) =
        (Connection::client(Config::default(), entropy), Outbox::with_limit(4096));
    for n in 1..=100_u32 {
        machine.send_binary(b"x", &mut outbox).unwrap();
        assert_eq!(outbox.chunk()[2..6], n.to_be_bytes());
        outbox.advance(7);
    }
}
