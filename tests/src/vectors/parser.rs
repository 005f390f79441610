//! Bodies: every case in every chunking, read in place and as owned events, over an inbox that is only just large
//! enough and over one that grows.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, sse};

use super::{Tally, text};

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

impl Case {
    fn new(case: &Value) -> Self {
        let size = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
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
        let events: Vec<_> = case["events"].as_array().unwrap().iter().map(event).collect();
        // Cut at each event, and a byte before: it comes when it is due, and no byte earlier or later.
        let at = events.iter().flat_map(|(at, _)| [*at - 1, *at]).collect();
        Self {
            name: text(&case["name"]),
            chunkings: listed.chain([vec![], (1..len).collect(), at]).collect(),
            input,
            events,
            final_id: text(&case["final_last_event_id"]),
            final_retry: case["final_retry"].as_u64(),
            any_retry,
        }
    }

    /// Limits that this case just keeps, and the capacity of an inbox that just holds it.
    fn tight(&self) -> (sse::Config, usize) {
        let mut config = sse::Config::default();
        let ids = self.events.iter().map(|(_, event)| event.id.len()).max().unwrap_or(0);
        config.max_id = ids.max(self.final_id.len()).max(4);
        let largest = self.events.iter().map(|(_, e)| e.data.len() + e.kind.len() + e.id.len()).max();
        // What a block is cut off with, or is no event, is not in the list: some bytes of it are.
        config.max_event = largest.unwrap_or(0) + 32;
        (config, (config.max_event + 2 * config.max_id + 16).max(8 * config.max_id))
    }
}

pub(super) fn replay(cases: &[Value]) -> Tally {
    let mut tally = Tally::default();
    for case in cases.iter().map(Case::new) {
        let (tight, capacity) = case.tight();
        for cuts in &case.chunkings {
            for owned in [false, true] {
                let what = |inbox| format!("{}, {inbox}, owned: {owned}, {} cuts", case.name, cuts.len());
                tally.run(
                    || what("an inbox just large enough"),
                    || run(&case, cuts, tight, owned, Inbox::new(&mut vec![0; capacity])),
                );
                tally.run(
                    || what("a growing inbox"),
                    || run(&case, cuts, sse::Config::default(), owned, Inbox::with_limit(128 << 10)),
                );
            }
        }
    }
    tally
}

/// Feeds the case cut at `cuts`; each event must be there at the end of the first piece that reaches its offset.
fn run(case: &Case, cuts: &[usize], config: sse::Config, owned: bool, mut inbox: Inbox<'_>) {
    let mut outbox = Outbox::new(&mut []);
    let mut stream = sse::Stream::new(config);
    let mut seen = 0;
    let mut from = 0;
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap();
    for &to in cuts.iter().chain([&case.input.len()]) {
        let mut rest = &case.input[from..to];
        loop {
            match stream.advance(Instant::EPOCH, &mut inbox, &mut outbox).unwrap() {
                Progress::Event => {
                    let event = stream.event(&inbox).unwrap();
                    let (kind, data, id) = if owned {
                        let event = event.to_owned();
                        (event.event.into_owned(), event.data, event.last_event_id)
                    } else {
                        (event.event.to_string(), event.data.to_string(), event.last_event_id.to_string())
                    };
                    let mut shown = Event { kind, data, id, retry: stream.retry().map(millis) };
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
    let retry = stream.retry().map(millis);
    assert!(case.any_retry || retry == case.final_retry, "{retry:?} instead of {:?}", case.final_retry);
}
