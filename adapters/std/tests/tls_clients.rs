//! The clients that make many connections, over TLS, with certificates that are made on the spot.
#![cfg(feature = "tls")]
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::http::{answer, serve};
use stillwire::polling::{Config, Error, Event};
use stillwire::sse::{Lost, SourceConfig, SourceError, SourceEvent};
use stillwire_std::tls::{self, Tls, rustls};
use stillwire_std::{PollClient, Route, Source};

const TEN: Duration = Duration::from_secs(10);

/// A certificate for `127.0.0.1`: the server that has it, and the client that trusts it.
fn configs() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = tls::server(certificate.as_bytes(), key.as_bytes()).unwrap();
    (server, tls::client_trusting(certificate.as_bytes()).unwrap())
}

fn serve_tls(answer: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) -> (SocketAddr, Route) {
    let (server, client) = configs();
    let address = serve(move |socket| Tls::accept(server.clone(), socket, TEN).unwrap(), answer);
    let mut route = Route::default();
    route.tls = Some(client);
    (address, route)
}

#[test]
fn a_source_connects_again() {
    let count = Mutex::new(0);
    let (address, route) = serve_tls(move |line, _| {
        assert_eq!(line, "GET /events HTTP/1.1");
        let mut count = count.lock().unwrap();
        *count += 1;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
        Some(match *count {
            // Large enough for several records of TLS.
            1 => format!("{head}content-length: 50013\r\n\r\nid: 1\ndata:{}\n\n", "x".repeat(50_000)),
            2 => format!("{head}content-length: 9\r\n\r\ndata: b\n\n"),
            _ => "HTTP/1.1 204 Over\r\n\r\n".to_owned(),
        })
    });
    let mut config = SourceConfig::default();
    (config.retry, config.retry_min) = (Duration::from_millis(1), Duration::from_millis(1));
    config.backoff_max = Duration::ZERO;
    let mut source = Source::via(&format!("https://{address}/events"), config, route).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = source.next().unwrap() {
        seen.push(match event {
            SourceEvent::Open => "open".to_owned(),
            SourceEvent::Message(event) => format!("{} bytes, {}", event.data.len(), event.last_event_id),
            SourceEvent::Lost { why, .. } => format!("{why:?}"),
        });
    }
    assert_eq!(seen, ["open", "50000 bytes, 1", "Ended", "open", "1 bytes, 1", "Ended"]);
}

#[test]
fn a_poll_client_talks() {
    // Hands what was posted back to the one who waits.
    let echo = (Mutex::new(Vec::new()), Condvar::new());
    let (address, route) = serve_tls(move |line, body| {
        let (posted, came) = &echo;
        let (line, _) = line.rsplit_once(' ').unwrap();
        let opened =
            r#"{"sid":"AbCdEfGhIjKlMnOpQrStUv","wait_ms":10000,"max_bytes":65536,"max_messages":64}"#;
        Some(match line {
            "POST /poll/open" => answer("200 OK", opened),
            "POST /poll/AbCdEfGhIjKlMnOpQrStUv" => {
                posted.lock().unwrap().push(body.replace("\"seq\"", "\"last\""));
                came.notify_all();
                answer("200 OK", r#"{"ack":1}"#)
            }
            "GET /poll/AbCdEfGhIjKlMnOpQrStUv?after=0" => {
                let posted = came.wait_while(posted.lock().unwrap(), |posted| posted.is_empty()).unwrap();
                answer("200 OK", &posted[0])
            }
            "GET /poll/AbCdEfGhIjKlMnOpQrStUv?after=1" => {
                answer("200 OK", r#"{"last":2,"messages":[],"closed":{"code":1000,"reason":"done"}}"#)
            }
            "DELETE /poll/AbCdEfGhIjKlMnOpQrStUv" => answer("200 OK", ""),
            other => panic!("{other}"),
        })
    });
    let url = format!("https://{address}/poll");
    let mut client = PollClient::with(&url, &Config::default(), route).unwrap();
    client.send_text("hello").unwrap();
    assert_eq!(client.next(), Ok(Some(Event::Text("hello".into()))));
    assert!(matches!(client.next(), Ok(Some(Event::Closed { code: 1000, .. }))));
    assert_eq!(client.next(), Ok(None));
}

/// Whose certificate is not trusted is not spoken to.
#[test]
fn strangers_are_not_trusted() {
    let (address, _) = serve_tls(|line, _| panic!("{line}"));
    let mut route = Route::default();
    route.tls = Some(configs().1);
    let mut config = SourceConfig::default();
    config.max_attempts = Some(0);
    let mut source = Source::via(&format!("https://{address}/"), config, route.clone()).unwrap();
    assert_eq!(source.next(), Err(SourceError::GaveUp { attempts: 1, why: Lost::Broken }));
    assert!(source.trouble().is_some_and(|why| why.contains("certificate")), "{:?}", source.trouble());
    let mut config = Config::default();
    config.retries = 0;
    let mut client = PollClient::with(&format!("https://{address}/"), &config, route).unwrap();
    assert_eq!(client.next(), Err(Error::Unreachable { failures: 1 }));
}
