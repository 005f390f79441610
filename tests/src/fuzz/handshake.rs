//! The WebSocket handshake, from both sides.

use stillwire::{
    Entropy, Outbox,
    ws::{Accept, Config, Deflate, Offer},
};

use super::Reader;
use crate::subjects::ws_deflate::{Head, handshake};

/// Any values in the headers that are read, and any settings: nothing panics, what is refused writes nothing, an answer is
/// one head, and two of ours always agree.
pub fn ws_handshake(data: &[u8]) {
    let mut reader = Reader(data);
    let flags = reader.byte();
    let [server, client] = [(); 2].map(|()| settings(&mut reader));
    let (accept, agreement) = handshake(&server, &client);
    assert!(agreement.is_ok(), "{server:?} and {client:?} do not agree: {:?}", accept.extensions());

    let (lists, extensions, more) = (reader.text(), reader.text(), reader.text());
    let key = if flags & 1 == 0 { "dGhlIHNhbXBsZSBub25jZQ==" } else { reader.text() };
    let header = (reader.text(), reader.text());
    let request = Head(vec![
        ("host", "a"),
        ("upgrade", if flags & 2 == 0 { "websocket" } else { more }),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key),
        ("sec-websocket-protocol", if lists.is_empty() { "chat" } else { lists }),
        ("sec-websocket-extensions", extensions),
        ("sec-websocket-extensions", more),
    ]);
    if let Ok(accept) = Accept::new(&request, &["chat", "b"], &server) {
        let mut outbox = Outbox::with_limit(1024);
        match accept.write(&[header], &mut outbox) {
            Ok(()) => {
                let text = core::str::from_utf8(outbox.chunk()).expect("text");
                let expected = accept.headers().count() + 1;
                assert_eq!(text.split("\r\n").count(), expected + 3, "{text:?}");
                assert!(text.ends_with("\r\n\r\n") && !text.contains('\0'));
            }
            Err(_) => assert!(outbox.is_empty(), "what is refused writes nothing"),
        }
    }
    let offer = Offer::new(&mut Entropy::insecure_seeded(1), &client);
    let answer = [("sec-websocket-extensions", extensions), ("sec-websocket-protocol", lists)];
    let _ = offer.check(&Head(answer.to_vec()), &["chat"]);
}

fn settings(reader: &mut Reader<'_>) -> Config {
    let (mut config, mut deflate) = (Config::default(), Deflate::default());
    let flags = reader.byte();
    (deflate.takeover, deflate.peer_takeover) = (flags & 1 == 0, flags & 2 == 0);
    (deflate.window_bits, deflate.peer_window_bits) = (reader.byte(), reader.byte());
    deflate.lend = flags & 4 != 0;
    config.deflate = (flags & 8 == 0).then_some(deflate);
    config
}
