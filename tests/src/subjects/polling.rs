//! Polling: the connection, which is the same at both ends, and the client around it. What requests carry between them is
//! proved in `tests/polling*.rs`.

use core::fmt::Debug;

use proptest::prelude::*;
use stillwire::{
    Entropy, Inbox, Instant, Outbox, SendError, Transport,
    polling::{Client, Config, Connection, Event, What},
};

use crate::{Covered, Options, Seen, Subject};

impl Covered for Connection {
    type By = Both;
}

impl Covered for Client {
    type By = Opened;
}

/// Either end.
#[derive(Debug)]
pub struct Both;

/// The configuration that the head of a transcript tells; the laws use a small limit.
#[must_use]
pub fn config(options: &Options) -> Config {
    let mut config = Config::default();
    config.max_bytes = options.get("max_bytes").unwrap_or(600);
    config.close_within = options.millis("close_within").unwrap_or(config.close_within);
    config
}

/// What is wrong with a command, by its name.
#[must_use]
pub fn name(error: SendError) -> String {
    let name = format!("{error:?}");
    name.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Records as a server's session or a client would hand them over, and others.
pub fn records() -> BoxedStrategy<Vec<u8>> {
    let text = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,60}",
        2 => "(\\\\[\"\\\\/bfnrt]|[a-zäöü😀]){0,40}",
        2 => "(\\\\u[0-9a-fA-F]{4}|[a-z]){0,20}",
        1 => "(\\\\ud83d\\\\ude00|\\\\ud800|\\\\udc00|x){0,12}",
    ];
    let record = prop_oneof![
        8 => text.clone().prop_map(|text| format!("\"{text}\",\n").into_bytes()),
        4 => "([A-Za-z0-9+/]{4}){0,40}([A-Za-z0-9+/][AQgw]==)?"
            .prop_map(|base64| format!("{{\"b64\":\"{base64}\"}},\n").into_bytes()),
        1 => "[A-Za-z0-9+/=]{0,9}".prop_map(|base64| format!("{{\"b64\":\"{base64}\"}},\n").into_bytes()),
        1 => (900..5100_u16, text).prop_map(|(code, reason)| {
            format!("{{\"closed\":{{\"code\":{code},\"reason\":\"{reason}\"}}}},\n").into_bytes()
        }),
        1 => "[ -~]{0,30}\n".prop_map(String::into_bytes),
        1 => (560..640_usize).prop_map(|n| format!("\"{}\",\n", "x".repeat(n)).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(record, 0..20).prop_map(|records| records.concat()).boxed()
}

/// `text hello`, `binary 00 01`, `close 1000 why`, `end why`.
fn run<T: Transport>(
    machine: &mut T,
    send_close: impl FnOnce(&mut T, u16, &str, &mut Outbox<'_>) -> Result<(), SendError>,
    words: &str,
    outbox: &mut Outbox<'_>,
) -> Result<(), String> {
    let (command, rest) = words.split_once(' ').unwrap_or((words, ""));
    let bytes = || crate::transcript::spelled(rest).expect("bytes");
    match command {
        "text" => machine.send(stillwire::Kind::Text, &[&bytes()], outbox),
        "binary" => machine.send(stillwire::Kind::Binary, &[&bytes()], outbox),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            send_close(machine, code.parse().expect("a code"), reason, outbox)
        }
        "end" => {
            machine.close(rest, outbox);
            Ok(())
        }
        _ => panic!("no command {words:?}"),
    }
    .map_err(name)
}

/// Echoes; the end is nobody's to answer.
fn echo(event: Event<'_>, machine: &mut impl Transport, outbox: &mut Outbox<'_>) {
    let _ = match event {
        Event::Text(text) if text == "close" => {
            machine.close("as you like", outbox);
            Ok(())
        }
        Event::Text(text) => machine.send(stillwire::Kind::Text, &[text.as_bytes()], outbox),
        Event::Binary(bytes) => machine.send(stillwire::Kind::Binary, &[bytes], outbox),
        Event::Closed { .. } => Ok(()),
    };
}

impl Subject for Both {
    const NAME: &'static str = "polling/connection";
    type Machine = Connection;

    fn build(options: &Options) -> Connection {
        Connection::new(&config(options))
    }

    fn show(event: Event<'_>) -> Seen {
        Seen::debug(event)
    }

    fn command(machine: &mut Connection, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        run(machine, Connection::send_close, words, outbox)
    }

    fn answer(event: Event<'_>, machine: &mut Connection, outbox: &mut Outbox<'_>) {
        echo(event, machine, outbox);
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        records()
    }
}

/// A client whose session is open.
#[derive(Debug)]
pub struct Opened;

/// What a server answers to `open`.
pub const OPENED: &[u8] =
    br#"{"sid":"AbCdEfGhIjKlMnOpQrStUv","wait_ms":25000,"max_bytes":600,"max_messages":64}"#;

impl Subject for Opened {
    const NAME: &'static str = "polling/client";
    type Machine = Client;

    fn build(options: &Options) -> Client {
        let mut client = Client::new(&config(options), Entropy::insecure_seeded(1));
        let (mut inbox, mut outbox) = (Inbox::with_limit(1000), Outbox::with_limit(1000));
        assert!(client.next_request(Instant::EPOCH, &inbox, &outbox).is_some());
        client.answered(What::Open, 200, OPENED, &mut inbox, &mut outbox, Instant::EPOCH);
        client
    }

    fn show(event: Event<'_>) -> Seen {
        Seen::debug(event)
    }

    /// Besides those of the connection: `lose` the receiver until nobody hopes any more.
    fn command(machine: &mut Client, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        if words != "lose" {
            return run(machine, Client::send_close, words, outbox);
        }
        for _ in 0..9 {
            machine.failed(What::Receive, Instant::EPOCH);
        }
        Ok(())
    }

    fn answer(event: Event<'_>, machine: &mut Client, outbox: &mut Outbox<'_>) {
        echo(event, machine, outbox);
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        records()
    }
}
