//! Scenarios: an `EventSource` over our own HTTP, a script of answers, and a clock that only the script moves.

use std::time::Duration;

use serde_json::Value;
use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress, http,
    sse::{EventSource, SourceConfig, SourceEvent},
};

use super::{Tally, text};

/// How the body of an answer is framed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Framing {
    Length,
    Chunks,
    Close,
}

/// What a scenario comes to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Path and ID of each request.
    requests: Vec<(String, Option<String>)>,
    opens: usize,
    events: Vec<[String; 3]>,
    closed: bool,
}

pub(super) fn replay(scenarios: &[Value]) -> Tally {
    let mut tally = Tally::default();
    for scenario in scenarios {
        let name = text(&scenario["name"]);
        // What is only the browser's: to give up where a server is overloaded.
        let retried = scenario["responses"]
            .as_array()
            .unwrap()
            .iter()
            .any(|r| matches!(r["status"].as_u64(), Some(408 | 425 | 429 | 500..)));
        for framing in [Framing::Length, Framing::Chunks, Framing::Close] {
            for size in [1, 2, 7, usize::MAX] {
                for (profile, config) in
                    [("browser", SourceConfig::browser()), ("default", SourceConfig::default())]
                {
                    if profile == "default" && retried {
                        continue;
                    }
                    tally.run(
                        || format!("{name}, {profile}, {framing:?}, pieces of {size}"),
                        || {
                            let outcome = play(scenario, framing, size, config, profile == "browser");
                            assert_eq!(outcome, expected(scenario));
                        },
                    );
                }
            }
        }
    }
    tally
}

fn expected(scenario: &Value) -> Outcome {
    let list = |key: &str| scenario[key].as_array().unwrap().clone();
    let request = |r: &Value| (text(&r["path"]), r["last_event_id"].as_str().map(str::to_owned));
    let event = |e: &Value| ["type", "data", "lastEventId"].map(|key| text(&e[key]));
    Outcome {
        requests: list("requests").iter().map(request).collect(),
        opens: usize::try_from(scenario["opens"].as_u64().unwrap()).unwrap(),
        events: list("events").iter().map(event).collect(),
        closed: scenario["final_state"] == "closed",
    }
}

/// The bytes of an answer, and whether the connection breaks behind them.
fn answer(response: &Value, framing: Framing) -> (Vec<u8>, bool) {
    let breaks = response["end"] == "reset";
    let status = response["status"].as_u64().unwrap();
    let mut bytes = Vec::new();
    if status == 0 {
        return (bytes, breaks);
    }
    bytes.extend(format!("HTTP/1.1 {status} x\r\n").bytes());
    for (name, value) in response["headers"].as_object().unwrap() {
        bytes.extend(format!("{name}: {}\r\n", text(value)).bytes());
    }
    let body = text(&response["body"]);
    match framing {
        Framing::Close => bytes.extend(format!("\r\n{body}").bytes()),
        // RFC 9112, 6.3: this status has no body.
        _ if status == 204 => bytes.extend(b"\r\n"),
        Framing::Length => {
            let length = body.len() + usize::from(breaks);
            bytes.extend(format!("content-length: {length}\r\n\r\n{body}").bytes());
        }
        Framing::Chunks => {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for piece in body.as_bytes().chunks(3) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            if !breaks {
                bytes.extend(b"0\r\n\r\n");
            }
        }
    }
    (bytes, breaks)
}

/// One connection of the driver.
struct MaybeTls {
    fetch: http::Fetch,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    /// How much of the piece of body in hand went on.
    taken: usize,
    answer: Vec<u8>,
    breaks: bool,
}

/// The driver. The server answers what the script says, then breaks every connection.
fn play(scenario: &Value, framing: Framing, size: usize, config: SourceConfig, is_constant: bool) -> Outcome {
    let script = scenario["responses"].as_array().unwrap();
    let mut source =
        EventSource::new("http://a.example/s", config, Entropy::insecure_seeded(1)).expect("a URL");
    let (mut inbox, mut none) = (Inbox::with_limit(4096), Outbox::with_limit(0));
    let mut now = Instant::EPOCH;
    let mut outcome = Outcome::default();
    let mut wire: Option<MaybeTls> = None;
    while outcome.requests.len() <= script.len() {
        match source.advance(now, &mut inbox, &mut none) {
            Ok(Progress::Event) => {
                match source.event(&inbox).unwrap() {
                    SourceEvent::Open => outcome.opens += 1,
                    SourceEvent::Message(event) => {
                        let event = event.to_owned();
                        outcome.events.push([event.event.into(), event.data, event.last_event_id]);
                    }
                    SourceEvent::Lost { wait, .. } => {
                        let retry = source.retry().unwrap_or(Duration::from_secs(3));
                        assert!(wait == retry || !is_constant && wait > retry, "it waits {wait:?}");
                        assert_eq!(source.deadline(), Some(now + wait));
                    }
                }
                continue;
            }
            Ok(Progress::Closed) | Err(_) => {
                assert!(!source.is_connected());
                assert_eq!(source.advance(now, &mut inbox, &mut none), Ok(Progress::Closed));
                outcome.closed = true;
                break;
            }
            Ok(_) => {}
        }
        wire = wire.filter(|_| source.is_connected());
        if let Some(ask) = source.next_request(now, &inbox) {
            let id = ask.headers().find(|(name, _)| *name == "last-event-id");
            outcome.requests.push((ask.url().target().to_owned(), id.map(|(_, id)| id.to_owned())));
            let mut outbox = Outbox::with_limit(4096);
            let fetch = ask.send(&mut outbox).unwrap();
            let head = core::str::from_utf8(outbox.chunk()).unwrap();
            assert!(
                head.contains(
                    "\r\nhost: a.example\r\naccept: text/event-stream\r\ncache-control: no-cache\r\n"
                )
            );
            let (answer, breaks) =
                script.get(outcome.requests.len() - 1).map_or((Vec::new(), true), |r| answer(r, framing));
            wire = Some(MaybeTls { fetch, inbox: Inbox::with_limit(1024), outbox, taken: 0, answer, breaks });
        }
        let Some(wire) = &mut wire else {
            now = source.deadline().expect("it waits for time or for a connection");
            continue;
        };
        wire.turn(&mut source, &mut inbox, size, now);
    }
    outcome
}

impl MaybeTls {
    /// One thing that happens on the connection.
    fn turn(&mut self, source: &mut EventSource, inbox: &mut Inbox<'_>, size: usize, now: Instant) {
        if let Some(http::Answer::Body(body)) = self.fetch.event(&self.inbox)
            && self.taken < body.len()
        {
            self.taken += inbox.push(&body[self.taken..]);
            return;
        }
        match self.fetch.next(now, &mut self.inbox, &mut self.outbox) {
            Ok(Some(http::Answer::Head(head))) => drop(source.answered(&head)),
            Ok(Some(http::Answer::Body(_))) => self.taken = 0,
            Ok(Some(http::Answer::End)) => source.ended(),
            Ok(None) if !self.answer.is_empty() => {
                let n = self.inbox.push(&self.answer[..size.min(self.answer.len())]);
                self.answer.drain(..n);
            }
            Ok(None) if self.breaks => source.failed(),
            Ok(None) => self.inbox.finish(),
            Ok(Some(_)) => unreachable!(),
            Err(_) => source.failed(),
        }
    }
}
