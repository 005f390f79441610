//! A client that polls, with servers that are none.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::convert::identity;
use std::thread;
use std::time::Duration;

use common::http::{answer, serve, write};
use stillwire::polling::{Config, Error};
use stillwire_std::{PollClient, Route};

fn config() -> Config {
    let mut config = Config::default();
    (config.answer_within, config.retries) = (Duration::from_millis(200), 0);
    (config.retry_min, config.retry_max) = (Duration::from_millis(1), Duration::from_millis(1));
    config
}

/// A byte of the answer now and then is no answer: the request fails when its time is up. Each byte comes sooner than that,
/// and if it waited for all of them, it would find that they make no sense.
#[test]
fn an_answer_that_trickles_has_its_time_as_a_whole() {
    let nonsense = r#"{"sid":"AbCdEfGhIjKlMnOpQrStUv","bytes":65536}"#;
    let whole = answer("200 OK", nonsense);
    // In the head, and in the body.
    for at_once in [0, whole.len() - nonsense.len()] {
        let whole = whole.clone();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/poll", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            write(&mut socket, &whole.as_bytes()[..at_once]);
            for byte in whole.as_bytes()[at_once..].chunks(1) {
                thread::sleep(Duration::from_millis(50));
                write(&mut socket, byte);
            }
        });
        let mut client = PollClient::with(&url, &config(), Route::default()).unwrap();
        assert_eq!(client.next(), Err(Error::Unreachable { failures: 1 }));
        assert_eq!(client.next(), Ok(None));
    }
}

/// What is sent is no GET, and a session lives where it was opened.
#[test]
fn a_redirection_is_refused() {
    for status in [301, 302, 303, 307, 308] {
        let moved = format!("HTTP/1.1 {status} Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n");
        let address = serve(identity, move |line, _| {
            assert_eq!(line, "POST /poll/open HTTP/1.1");
            Some(moved.clone())
        });
        let mut client =
            PollClient::with(&format!("http://{address}/poll"), &config(), Route::default()).unwrap();
        assert_eq!(client.next(), Err(Error::Refused { status }));
        assert_eq!(client.next(), Ok(None));
    }
}
