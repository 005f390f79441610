//! An event stream over as many connections as it takes.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use stillwire::sse::{Lost, SourceConfig, SourceError, SourceEvent};
use stillwire_std::Source;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// Answers one connection after the other; gives the heads of the requests. `None`: says nothing, until the client goes.
fn serve(answers: Vec<Option<String>>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let serve = |answer: Option<String>| {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                socket.read_line(&mut head).unwrap();
            }
            match answer {
                Some(answer) => socket.get_mut().write_all(answer.as_bytes()).unwrap(),
                None => drop(socket.read_line(&mut String::new())),
            }
            head
        };
        answers.into_iter().map(serve).collect()
    });
    (url, served)
}

fn config() -> SourceConfig {
    let mut config = SourceConfig::default();
    (config.retry, config.retry_min) = (Duration::from_millis(1), Duration::from_millis(1));
    config.backoff_max = Duration::from_millis(5);
    config.answer_within = Duration::from_millis(200);
    config.idle_within = Duration::from_millis(200);
    config
}

#[test]
fn it_goes_on_behind_the_last_event_until_it_is_over() {
    let (url, served) = serve(vec![
        Some(format!("{HEAD}\r\nid: 1\ndata: a\n\ndata: b\n\ndata: half")), // the end is none of an event
        Some(format!("{HEAD}content-length: 100\r\n\r\nid: 2\nevent: c\ndata: {}\n\n", "x".repeat(20))),
        None,
        Some("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned()),
        Some("HTTP/1.1 204 Over\r\n\r\n".to_owned()),
    ]);
    let mut source = Source::new(&url, config()).unwrap();
    source.machine.header("cookie", "a=b").unwrap();
    let mut seen = Vec::new();
    while let Some(event) = source.next().unwrap() {
        seen.push(match event {
            SourceEvent::Open => "open".to_owned(),
            SourceEvent::Message(event) => {
                format!("{} {} {}", event.event, event.data, event.last_event_id)
            }
            SourceEvent::Lost { why, .. } => format!("{why:?}"),
        });
    }
    let x = "x".repeat(20);
    let c = format!("c {x} 2");
    let expected =
        ["open", "message a 1", "message b 1", "Ended", "open", &c, "Broken", "NoAnswer", "Status(503)"];
    assert_eq!(seen, expected);
    let heads = served.join().unwrap();
    let ids = heads.iter().map(|head| head.lines().find_map(|line| line.strip_prefix("last-event-id: ")));
    assert_eq!(ids.collect::<Vec<_>>(), [None, Some("1"), Some("2"), Some("2"), Some("2")]);
    assert!(
        heads.iter().all(|head| head.starts_with("GET /events ") && head.contains("\r\ncookie: a=b\r\n"))
    );
}

#[test]
fn silence_and_nobody() {
    let (url, served) = serve(vec![Some(format!("{HEAD}content-length: 9\r\n\r\n:"))]);
    let mut config = config();
    config.max_attempts = Some(1);
    let mut source = Source::new(&url, config).unwrap();
    assert_eq!(source.next(), Ok(Some(SourceEvent::Open)));
    assert!(matches!(source.next(), Ok(Some(SourceEvent::Lost { why: Lost::Broken, .. }))));
    served.join().unwrap();
    assert_eq!(source.next(), Err(SourceError::GaveUp { attempts: 2, why: Lost::Broken }));
    assert!(source.trouble().is_some_and(|why| why.contains("refused")), "{:?}", source.trouble());
    assert_eq!(source.next(), Ok(None));
}
