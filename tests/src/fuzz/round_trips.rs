//! What one side writes, the other side reads; and what we read, others read alike.

use core::time::Duration;

use serde_core::de::IgnoredAny;
use serde_json::Value;
use stillwire::{
    Inbox, Instant, Machine, Outbox, Progress,
    http::{Answer, Config, Event, Exchange, Fetch, Framing},
    json::{Lone, Scanner, escape, escaped_len, unescape},
    sse,
};

use super::Reader;

/// Carries up to `step` bytes from one end to the other. Whether any were.
fn carry(from: &mut Outbox<'_>, to: &mut Inbox<'_>, step: usize) -> bool {
    let chunk = from.chunk();
    let n = to.push(&chunk[..chunk.len().min(step.max(1))]);
    from.advance(n);
    if from.is_empty() && from.is_finished() {
        to.finish();
    }
    n > 0
}

/// Headers as they were given, and as a reader sees them.
fn seen<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Vec<(String, Vec<u8>)> {
    headers.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// Without what the other side added: the framing.
fn is_ours((name, _): &(String, Vec<u8>)) -> bool {
    !["content-length", "transfer-encoding", "connection"]
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other))
}

fn given(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let trimmed = |value: &str| value.trim_matches([' ', '\t']).as_bytes().to_vec();
    headers.iter().map(|(name, value)| ((*name).to_owned(), trimmed(value))).filter(is_ours).collect()
}

/// A client's requests and a server's answers, made of any text: what a command accepts reaches the other side as it was,
/// and nothing else does. So nothing splits a head.
pub fn http_head_body(data: &[u8]) {
    let mut reader = Reader(data);
    let (flags, step) = (reader.byte(), reader.size());
    let now = Instant::since_epoch(Duration::from_secs(1));
    let (mut fetch, mut exchange) = (Fetch::new(Config::default()), Exchange::new(Config::default()));
    let (mut up, mut down) = (Outbox::with_limit(1 << 14), Outbox::with_limit(1 << 14));
    let (mut to_server, mut to_client) = (Inbox::with_limit(1 << 12), Inbox::with_limit(1 << 12));
    let method = match flags & 3 {
        0 => "GET",
        1 => "POST",
        2 => "HEAD",
        _ => reader.text(),
    };
    let target = if flags & 4 == 0 { "/" } else { reader.text() };
    let headers = [("host", "a"), (reader.text(), reader.text()), (reader.text(), reader.text())];
    let body = reader.text().as_bytes();
    if fetch.request(method, target, &headers, &[body], &mut up).is_err() {
        assert!(up.is_empty(), "what is refused writes nothing");
        return;
    }

    let (mut heads, mut got) = (0, Vec::new());
    loop {
        match exchange.advance(now, &mut to_server, &mut down) {
            Ok(Progress::Event) => match exchange.event(&to_server).expect("the promised event") {
                Event::Head(head) => {
                    heads += 1;
                    assert_eq!((head.method(), head.target()), (method, target));
                    let headers: Vec<_> = given(&headers);
                    assert_eq!(seen(head.headers()).into_iter().filter(is_ours).collect::<Vec<_>>(), headers);
                }
                Event::Body(bytes) => got.extend_from_slice(bytes),
                Event::End => break,
                other => panic!("{other:?}"),
            },
            Ok(Progress::NeedInput) => assert!(carry(&mut up, &mut to_server, step), "the request is whole"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                // A client may ask for what a server need not understand; but only in the fields that say so.
                let fields = ["expect", "transfer-encoding", "host"];
                let asked =
                    headers[1..].iter().any(|(name, _)| fields.iter().any(|f| name.eq_ignore_ascii_case(f)));
                assert!(asked, "{error:?} to {headers:?}");
                return;
            }
        }
    }
    assert!((heads, got.as_slice()) == (1, body) && up.is_empty(), "{heads} heads, {got:?}");

    // And back.
    let status = [200, 204, 304, 404, 999, 101, 100, 0][usize::from(reader.byte() & 7)];
    let headers = [(reader.text(), reader.text()), (reader.text(), reader.text())];
    let (body, more) = (reader.text().as_bytes(), reader.text().as_bytes());
    let (refused, body) = match flags >> 5 {
        0..4 => (exchange.respond(status, &headers, body, &mut down).is_err(), body.to_vec()),
        n => {
            let framing = if n == 4 { Framing::UntilClose } else { Framing::Chunks };
            let begun = exchange.begin(status, &headers, framing, &mut down);
            if begun.is_ok() {
                exchange.chunk(&[body], &mut down).expect("it has begun");
                exchange.chunk(&[more, body], &mut down).expect("it has begun");
                exchange.end(&mut down).expect("it has begun");
            }
            (begun.is_err(), [body, more, body].concat())
        }
    };
    if refused {
        assert!(down.is_empty(), "what is refused writes nothing");
        return;
    }
    let (mut heads, mut got) = (0, Vec::new());
    loop {
        match fetch.advance(now, &mut to_client, &mut up) {
            Ok(Progress::Event) => match fetch.event(&to_client).expect("the promised event") {
                Answer::Head(head) => {
                    heads += 1;
                    assert_eq!(head.status(), status);
                    let headers: Vec<_> = given(&headers);
                    assert_eq!(seen(head.headers()).into_iter().filter(is_ours).collect::<Vec<_>>(), headers);
                }
                Answer::Body(bytes) => got.extend_from_slice(bytes),
                Answer::End => break,
                other => panic!("{other:?}"),
            },
            Ok(Progress::NeedInput) => {
                // The end of the connection may be what ends the answer, and comes with the server's next step.
                let _ = exchange.advance(now, &mut to_server, &mut down).expect("no error");
                let moved = carry(&mut down, &mut to_client, step);
                assert!(moved || to_client.is_finished(), "the answer is whole");
            }
            other => panic!("{other:?}"),
        }
    }
    let body = if method == "HEAD" { Vec::new() } else { body };
    assert!(heads == 1 && got == body && down.is_empty(), "{heads} heads, {got:?}");
}

/// Blocks of any text, written and read again: the same events, whatever is in them.
pub fn sse_block(data: &[u8]) {
    let mut reader = Reader(data);
    let step = reader.size().max(1);
    let mut outbox = Outbox::with_limit(1 << 16);
    let (mut expected, mut id) = (Vec::new(), String::new());
    while !reader.0.is_empty() {
        let flags = reader.byte();
        let given = |bit: u8, text| (flags & bit != 0).then_some(text);
        let data: [&[u8]; 2] = [reader.text().as_bytes(), reader.text().as_bytes()];
        let block = sse::Block {
            event: given(1, reader.text()),
            id: given(2, reader.text()),
            data: (flags & 4 != 0).then_some(&data),
            comment: given(8, reader.text()),
            retry: (flags & 16 != 0).then_some(Duration::from_millis(u64::from(flags))),
        };
        let before = outbox.room();
        if block.write(&mut outbox).is_err() {
            assert_eq!(before, outbox.room(), "what is refused writes nothing");
            continue;
        }
        assert_eq!(before - outbox.room(), block.encoded_len());
        if let Some(new) = block.id {
            id = new.to_owned();
        }
        if block.data.is_some() {
            let data = String::from_utf8(data.concat()).expect("two texts");
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            let event = block.event.filter(|name| !name.is_empty()).unwrap_or("message");
            expected.push((event.to_owned(), data, id.clone()));
        }
    }
    let (mut stream, mut inbox) = (sse::Stream::new(sse::Config::default()), Inbox::with_limit(1 << 14));
    let (mut nothing, mut got) = (Outbox::with_limit(0), Vec::new());
    outbox.finish();
    loop {
        match stream.advance(Instant::EPOCH, &mut inbox, &mut nothing).expect("nothing is too large") {
            Progress::Event => {
                let event = stream.event(&inbox).expect("the promised event");
                let sse::Event { event, data, last_event_id } = event;
                got.push((
                    event.as_str().to_owned(),
                    data.as_str().to_owned(),
                    last_event_id.as_str().to_owned(),
                ));
            }
            Progress::NeedInput => {
                carry(&mut outbox, &mut inbox, step);
            }
            Progress::Closed => break,
            Progress::NeedRoom => panic!("it writes nothing"),
        }
    }
    assert_eq!(got, expected);
    assert_eq!(stream.last_event_id(&inbox), id.as_str());
}

/// The scanner against `serde_json`, and strings there and back.
pub fn json(data: &[u8]) {
    let mut scanner = Scanner::new(data);
    let ours = scanner.value().is_ok() && scanner.end().is_ok();
    let Ok(text) = core::str::from_utf8(data) else { return };
    // Our limit of nesting is lower than theirs.
    if data.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() < 60 {
        assert_eq!(ours, serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text:?}");
    }
    for lone in [Lone::Refused, Lone::Replaced] {
        let mut inside = data.to_vec();
        if let Ok(n) = unescape(&mut inside, lone) {
            assert!(n <= data.len() && core::str::from_utf8(&inside[..n]).is_ok());
        }
    }
    let mut escaped = vec![0; escaped_len(data)];
    assert_eq!(escape(data, &mut escaped), escaped.len());
    let quoted = [b"\"", &escaped[..], b"\""].concat();
    assert_eq!(serde_json::from_slice::<Value>(&quoted).expect("JSON"), Value::String(text.to_owned()));
    let raw = Scanner::new(&quoted).string().expect("a string").as_bytes();
    assert_eq!(raw, escaped);
    let n = unescape(&mut escaped, Lone::Refused).expect("what we wrote");
    assert_eq!(&escaped[..n], data);
}
