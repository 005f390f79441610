//! Where WebSocket libraries differ, and what this one does: the two tables of probes in docs/conformance.md. Most of them
//! accept at least one of these.

use stillwire::{
    Inbox, Instant, Machine, Outbox,
    http::{self, Exchange},
    ws::{Accept, Config, Connection, Error, Event, Header, Opcode, UpgradeError},
};
use stillwire_tests::subjects::ws::{KEY, frame};

/// What a server sees of `input`, and how it ends.
fn seen(input: &[u8]) -> (Vec<String>, Option<Error>) {
    let (mut machine, mut inbox) = (Connection::server(Config::default()), Inbox::with_limit(1 << 17));
    let (mut outbox, mut seen) = (Outbox::with_limit(4096), vec![]);
    assert_eq!(inbox.push(input), input.len());
    loop {
        match machine.next(Instant::EPOCH, &mut inbox, &mut outbox) {
            Ok(Some(event)) => seen.push(format!("{event:?}")),
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

fn refused(input: &[u8], expected: Error) {
    assert_eq!(seen(input), (vec![], Some(expected)));
}

fn peer(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(fin, opcode, Some(KEY), payload)
}

#[test]
fn an_unmasked_frame_is_refused() {
    refused(&frame(true, Opcode::Text, None, b"hi"), Error::Masking);
}

#[test]
fn a_length_that_is_not_minimal_is_refused() {
    refused(&[&[0x82, 0xfe, 0, 2][..], &KEY, b"hi"].concat(), Error::Length);
    refused(&[&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 2][..], &KEY, b"hi"].concat(), Error::Length);
}

#[test]
fn control_frames_of_126_bytes_are_refused() {
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        refused(&peer(true, opcode, &[3; 126]), Error::Control);
    }
}

#[test]
fn a_pong_between_fragments_loses_nothing() {
    let input = [
        peer(false, Opcode::Text, b"a"),
        peer(true, Opcode::Pong, b""),
        peer(true, Opcode::Continuation, b"b"),
    ];
    assert_eq!(seen(&input.concat()), (vec!["Pong([])".to_owned(), "Text(\"ab\")".to_owned()], None));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    refused(&peer(true, Opcode::Text, b"a\xff"), Error::NotUtf8);
}

#[test]
fn a_character_that_the_last_fragment_cuts_is_refused() {
    let input = [peer(false, Opcode::Text, b"a"), peer(true, Opcode::Continuation, b"\xe2\x82")];
    refused(&input.concat(), Error::NotUtf8);
}

#[test]
fn a_close_of_1_byte_is_refused() {
    refused(&peer(true, Opcode::Close, b"\x03"), Error::CloseCode);
}

#[test]
fn close_code_1015_is_refused() {
    refused(&peer(true, Opcode::Close, &1015_u16.to_be_bytes()), Error::CloseCode);
}

#[test]
fn a_length_of_2_to_the_63_is_refused() {
    refused(&[&[0x82, 0xff][..], &(1_u64 << 63).to_be_bytes(), &KEY].concat(), Error::Length);
}

#[test]
fn a_thousand_empty_fragments_are_one_message() {
    let mut input = peer(false, Opcode::Text, b"a");
    (0..1000).for_each(|_| input.extend(peer(false, Opcode::Continuation, b"")));
    input.extend(peer(true, Opcode::Continuation, b"b"));
    assert_eq!(seen(&input), (vec!["Text(\"ab\")".to_owned()], None));
}

/// The verdict of our own HTTP server and of the handshake on a request: an error, or an upgrade and the first message.
fn shake(request: &str) -> Result<String, Option<UpgradeError>> {
    let mut exchange = Exchange::new(http::Config::default());
    let (mut inbox, mut outbox) = (Inbox::with_limit(1 << 16), Outbox::with_limit(4096));
    inbox.push(request.as_bytes());
    inbox.push(&peer(true, Opcode::Text, b"first"));
    let Ok(Some(http::Event::Head(head))) = exchange.next(Instant::EPOCH, &mut inbox, &mut outbox) else {
        return Err(None);
    };
    let accept = Accept::new(&head, &[], &Config::default()).map_err(Some)?;
    exchange.release(&mut inbox);
    let mut server = accept.connection(Config::default());
    match server.next(Instant::EPOCH, &mut inbox, &mut outbox) {
        Ok(Some(Event::Text(text))) => Ok(text.as_str().to_owned()),
        other => panic!("{other:?}"),
    }
}

const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn changed(from: &str, to: &str) -> Result<String, Option<UpgradeError>> {
    assert_eq!(shake(GOOD), Ok("first".to_owned()));
    shake(&GOOD.replace(from, to))
}

#[test]
fn two_keys_are_refused() {
    let twice = "Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(changed("Version: 13\r\n", twice), Err(Some(UpgradeError::Key)));
}

#[test]
fn a_key_of_3_characters_is_refused() {
    assert_eq!(changed("dGhlIHNhbXBsZSBub25jZQ==", "abc"), Err(Some(UpgradeError::Key)));
}

#[test]
fn a_request_without_host_is_refused() {
    assert!(changed("Host: a\r\n", "").is_err());
}

#[test]
fn a_post_is_refused() {
    assert_eq!(changed("GET", "POST"), Err(Some(UpgradeError::Method)));
}

#[test]
fn http_1_0_is_refused() {
    assert_eq!(changed("HTTP/1.1", "HTTP/1.0"), Err(Some(UpgradeError::HttpVersion)));
}

#[test]
fn connection_not_upgrade_x_is_refused() {
    assert_eq!(changed("Connection: Upgrade", "Connection: NotUpgradeX"), Err(Some(UpgradeError::NoUpgrade)));
}

#[test]
fn a_body_is_refused() {
    assert_eq!(changed("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"), Err(Some(UpgradeError::Body)));
    assert_eq!(
        changed("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Err(Some(UpgradeError::Body))
    );
}

/// As many as a large browser sends, with room to spare; what is above the limit is told so (431), not dropped.
#[test]
fn sixty_headers_are_taken() {
    assert_eq!(changed("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(55))), Ok("first".to_owned()));
    assert_eq!(changed("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(1000))), Err(None));
}

/// The form of the longest header, which all of them share.
#[test]
fn a_header_is_14_bytes_at_most() {
    let header = Header { fin: true, opcode: Opcode::Binary, key: Some(KEY), len: 1 << 40 };
    assert_eq!((header.size(), Header::MAX), (14, 14));
}
