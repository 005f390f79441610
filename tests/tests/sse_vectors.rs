//! `vectors/sse.json`: every case in every chunking, over an inbox that is only just large enough and over one that
//! grows. The format is told in `vectors/README.md`.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, sse};

#[derive(Debug, PartialEq, Clone)]
struct Event {
    kind: String,
    data: String,
    id: String,
    retry: Option<u64>,
}

#[derive(Debug)]
struct Case {
    name: String,
    input: Vec<u8>,
    /// The offsets of the cuts, for each chunking.
    chunkings: Vec<Vec<usize>>,
    /// Each with the number of bytes that it takes.
    events: Vec<(usize, Event)>,
    final_id: String,
    final_retry: Option<u64>,
    /// Implementations may differ in the reconnection time.
    any_retry: bool,
}

fn cases() -> Vec<Case> {
    let file: Value = serde_json::from_str(include_str!("../vectors/sse.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let size = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let case = |case: &Value| {
        let input = BASE64_STANDARD.decode(case["input_b64"].as_str().unwrap()).unwrap();
        let len = input.len();
        let listed = case["chunkings"].as_array().unwrap().iter().map(|chunking| match &chunking["size"] {
            Value::Null => chunking["cuts"].as_array().unwrap().iter().map(size).collect(),
            step => (0..len).step_by(size(step)).skip(1).collect(),
        });
        let event = |event: &Value| {
            let [kind, data, id] = ["type", "data", "lastEventId"].map(|key| text(&event[key]));
            (size(&event["at"]), Event { kind, data, id, retry: event["retry"].as_u64() })
        };
        let any_retry =
            case["impl_defined"].as_array().is_some_and(|all| all.iter().any(|v| v == "final_retry"));
        Case {
            name: text(&case["name"]),
            chunkings: listed.chain([vec![], (1..len).collect()]).collect(),
            input,
            events: case["events"].as_array().unwrap().iter().map(event).collect(),
            final_id: text(&case["final_last_event_id"]),
            final_retry: case["final_retry"].as_u64(),
            any_retry,
        }
    };
    file["cases"].as_array().unwrap().iter().map(case).collect()
}

/// Feeds the case cut at `cuts`; each event must be there at the end of the first piece that reaches its offset.
fn run(case: &Case, cuts: &[usize], config: sse::Config, mut inbox: Inbox<'_>) {
    let mut nothing = [0; 0];
    let mut outbox = Outbox::new(&mut nothing);
    let mut stream = sse::Stream::new(config);
    let mut seen = 0;
    let mut from = 0;
    for &to in cuts.iter().chain([&case.input.len()]) {
        let mut rest = &case.input[from..to];
        loop {
            match stream.advance(Instant::EPOCH, &mut inbox, &mut outbox).unwrap() {
                Progress::Event => {
                    let event = stream.event(&inbox).unwrap();
                    let mut shown = Event {
                        kind: event.event.to_string(),
                        data: event.data.to_string(),
                        id: event.last_event_id.to_string(),
                        retry: stream.retry().map(|time| u64::try_from(time.as_millis()).unwrap()),
                    };
                    let (at, expected) = case.events.get(seen).expect("no further event");
                    if case.any_retry {
                        shown.retry = expected.retry;
                    }
                    assert_eq!(&shown, expected);
                    assert!(*at <= to, "event {seen} came before its end");
                    assert_eq!(stream.last_event_id(&inbox), expected.id.as_str());
                    seen += 1;
                }
                Progress::NeedInput if rest.is_empty() => break,
                Progress::NeedInput => {
                    let taken = inbox.push(rest);
                    assert!(taken > 0, "the inbox is full");
                    rest = &rest[taken..];
                }
                other => panic!("{other:?}"),
            }
        }
        let due = case.events.iter().filter(|(at, _)| *at <= to).count();
        assert_eq!(seen, due, "events after {to} bytes");
        from = to;
    }
    inbox.finish();
    assert_eq!(stream.advance(Instant::EPOCH, &mut inbox, &mut outbox), Ok(Progress::Closed));
    assert_eq!(stream.last_event_id(&inbox), case.final_id.as_str());
    assert_eq!(inbox.unread(), case.final_id.as_bytes());
    let retry = stream.retry().map(|time| u64::try_from(time.as_millis()).unwrap());
    assert!(case.any_retry || retry == case.final_retry, "{retry:?} instead of {:?}", case.final_retry);
}

#[test]
fn every_vector_in_every_chunking() {
    let (mut runs, mut failed) = (0, vec![]);
    let cases = cases();
    assert_eq!(cases.len(), 145);
    for case in &cases {
        let mut tight = sse::Config::default();
        let ids = case.events.iter().map(|(_, event)| event.id.len()).max().unwrap_or(0);
        tight.max_id = ids.max(case.final_id.len()).max(4);
        // A block is at most as long as the decoded input between two empty lines; three for one in the short cases.
        tight.max_event =
            case.events.iter().map(|(_, e)| e.data.len() + e.kind.len() + e.id.len()).max().unwrap_or(0) + 32;
        let capacity = (tight.max_event + 2 * tight.max_id + 16).max(8 * tight.max_id);
        for cuts in &case.chunkings {
            let result = std::panic::catch_unwind(|| {
                let mut storage = vec![0; capacity];
                run(case, cuts, tight, Inbox::new(&mut storage));
                run(case, cuts, sse::Config::default(), Inbox::with_limit(128 << 10));
            });
            runs += 2;
            if result.is_err() {
                failed.push((&case.name, cuts));
            }
        }
    }
    println!("{} cases, {runs} runs", cases.len());
    assert!(failed.is_empty(), "{} runs failed: {failed:?}", failed.len());
}
