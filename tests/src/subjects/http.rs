//! HTTP/1.1: `http/exchange` is the server's side, `http/fetch` the client's.

use proptest::prelude::*;
use stillwire::{
    Outbox,
    http::{Answer, Config, Event, Exchange, Fetch, Framing, SendError, Single},
};

use crate::{Covered, Options, Seen, Subject, transcript::spelled};

/// The server's side. Commands: `respond STATUS [name:value …] [-- body]`, `begin STATUS chunks|until-close
/// [name:value …]`, `chunk text`, `end`, `collect N`, `close_after`, `require_length`, `is_your_turn`. Bytes: `get /target`.
#[derive(Debug)]
pub struct OfExchange;

/// The server's side of one request. Commands: `respond`, `begin STATUS [name:value …]`, `chunk`, `end`, `collect` and
/// `is_your_turn` as of [`OfExchange`]. Bytes: `get /target`.
#[derive(Debug)]
pub struct OfSingle;

/// The client's side. Commands: `request METHOD /target [name:value …] [-- body]` (with `host:a`), `tunnel HOST:PORT
/// [name:value …]`, `collect N`, `is_idle`.
#[derive(Debug)]
pub struct OfFetch;

impl Covered for Exchange {
    type By = OfExchange;
}

impl Covered for Single {
    type By = OfSingle;
}

impl Covered for Fetch {
    type By = OfFetch;
}

fn config(options: &Options) -> Config {
    let mut config = if options.has("tiny") { Config::TINY } else { Config::default() };
    config.max_head = options.get("max_head").unwrap_or(config.max_head);
    config.max_line = options.get("max_line").unwrap_or(config.max_line);
    config.idle_within = options.millis("idle_within").unwrap_or(config.idle_within);
    config.head_within = options.millis("head_within").unwrap_or(config.head_within);
    config.body_within = options.millis("body_within").unwrap_or(config.body_within);
    config.body_rate = options.get("body_rate").unwrap_or(config.body_rate);
    config.close_within = options.millis("close_within").unwrap_or(config.close_within);
    config.drain = options.get("drain").unwrap_or(config.drain);
    config.half_close = options.has("half_close");
    config.wait_within = options.millis("wait_within").unwrap_or(config.wait_within);
    config
}

/// `name:value name:value -- body`; a value may be quoted as bytes in a transcript are.
fn headers_and_body(words: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let (headers, body) = words.split_once("--").unwrap_or((words, ""));
    let headers = headers.split_whitespace().map(|pair| {
        let (name, value) = pair.split_once(':').expect("name:value");
        (name.to_owned(), value.replace('_', " ").replace("\\n", "\n"))
    });
    let body = body.trim_start();
    (headers.collect(), spelled(body).unwrap_or_else(|| body.as_bytes().to_vec()))
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn named(result: Result<(), SendError>) -> Result<(), String> {
    result.map_err(|error| match error {
        SendError::Full(_) => "Full".to_owned(),
        other => format!("{other:?}"),
    })
}

fn holds(what: bool) -> Result<(), String> {
    if what { Ok(()) } else { Err("No".to_owned()) }
}

impl Subject for OfExchange {
    const NAME: &'static str = "http/exchange";
    const INBOXES: &'static [usize] = &[64, 512, 16384];
    type Machine = Exchange;

    fn build(options: &Options) -> Exchange {
        Exchange::new(config(options))
    }

    fn show(event: Event<'_>) -> Seen {
        match event {
            Event::Head(head) => Seen::Whole(format!("Head {head:?}")),
            Event::Body(bytes) => Seen::Piece("Body", bytes.to_vec()),
            other => Seen::debug(other),
        }
    }

    fn command(machine: &mut Exchange, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = || first.parse().expect("a number");
        match verb {
            "respond" => {
                let (headers, body) = headers_and_body(more);
                named(machine.respond(number(), &borrowed(&headers), &body, outbox))
            }
            "begin" => {
                let (framing, more) = more.split_once(' ').unwrap_or((more, ""));
                let framing = match framing {
                    "chunks" => Framing::Chunks,
                    "until-close" => Framing::UntilClose,
                    other => panic!("no framing is called {other:?}"),
                };
                named(machine.begin(number(), &borrowed(&headers_and_body(more).0), framing, outbox))
            }
            "chunk" => named(machine.chunk(&[rest.as_bytes()], outbox)),
            "end" => named(machine.end(outbox)),
            "collect" => {
                machine.collect(usize::from(number()));
                Ok(())
            }
            "close_after" => {
                machine.close_after();
                Ok(())
            }
            "require_length" => {
                machine.require_length();
                Ok(())
            }
            "is_your_turn" => holds(machine.is_your_turn()),
            other => panic!("no command is called {other:?}"),
        }
    }

    fn bytes(words: &str) -> Vec<u8> {
        let target = words.strip_prefix("get ").unwrap_or_else(|| panic!("what bytes are {words:?}?"));
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    }

    fn answer(event: Event<'_>, machine: &mut Exchange, outbox: &mut Outbox<'_>) {
        let mut stream = |framing| {
            let _ = machine.begin(200, &[], framing, outbox);
            let _ = machine.chunk(&[b"o", b"k"], outbox);
            let _ = machine.end(outbox);
        };
        let _ = match event {
            Event::Head(head) => match head.target() {
                "/collect" => return machine.collect(20),
                "/chunks" => return stream(Framing::Chunks),
                "/close" => return stream(Framing::UntilClose),
                "/early" => machine.respond(404, &[], b"no", outbox),
                _ => Ok(()),
            },
            Event::End => machine.respond(200, &[], b"ok", outbox),
            _ => Ok(()),
        };
    }

    fn waits_for_you(machine: &Exchange) -> bool {
        machine.is_your_turn()
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        let line = prop_oneof![
            6 => ("(GET|POST|HEAD)", "/(collect|chunks|close|early|x)?").prop_map(|(m, t)| format!("{m} {t} HTTP/1.1\r\n")),
            1 => Just("GET / HTTP/1.0\r\n".to_owned()),
            1 => "[A-Z]{0,3} ?[/a-z#\u{1}]{0,9} HTTP/[0-3]\\.[0-3](\r\n|\n|\r)",
        ];
        let empty = prop_oneof![9 => Just(""), 1 => Just("\r\n"), 1 => Just("\n")];
        let request = (empty, line, host(), headers(), body());
        let request = request.prop_map(|(empty, line, host, headers, (framing, body))| {
            [
                empty.as_bytes(),
                line.as_bytes(),
                host.as_bytes(),
                headers.as_bytes(),
                framing.as_bytes(),
                b"\r\n",
                &body,
            ]
            .concat()
        });
        prop::collection::vec(request, 0..6).prop_map(|all| all.concat()).boxed()
    }
}

impl Subject for OfSingle {
    const NAME: &'static str = "http/single";
    const INBOXES: &'static [usize] = OfExchange::INBOXES;
    type Machine = Single;

    fn build(options: &Options) -> Single {
        Single::new(config(options))
    }

    fn show(event: Event<'_>) -> Seen {
        OfExchange::show(event)
    }

    fn command(machine: &mut Single, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = || first.parse().expect("a number");
        let (headers, body) = headers_and_body(more);
        match verb {
            "respond" => named(machine.respond(number(), &borrowed(&headers), &[&body], outbox)),
            "begin" => named(machine.begin(number(), &borrowed(&headers), outbox)),
            "chunk" => named(machine.chunk(&[rest.as_bytes()], outbox)),
            "end" => {
                machine.end(outbox);
                Ok(())
            }
            "collect" => {
                machine.collect(usize::from(number()));
                Ok(())
            }
            "is_your_turn" => holds(machine.is_your_turn()),
            other => panic!("no command is called {other:?}"),
        }
    }

    fn bytes(words: &str) -> Vec<u8> {
        OfExchange::bytes(words)
    }

    fn answer(event: Event<'_>, machine: &mut Single, outbox: &mut Outbox<'_>) {
        let _ = match event {
            Event::Head(head) => match head.target() {
                "/collect" => return machine.collect(20),
                "/chunks" => machine.begin(200, &[], outbox),
                "/close" => {
                    let _ = machine.begin(200, &[], outbox);
                    let _ = machine.chunk(&[b"o", b"k"], outbox);
                    return machine.end(outbox);
                }
                "/early" => machine.respond(404, &[], &[b"no"], outbox),
                _ => Ok(()),
            },
            Event::End => machine.respond(200, &[], &[b"o", b"k"], outbox),
            _ => Ok(()),
        };
    }

    fn waits_for_you(machine: &Single) -> bool {
        machine.is_your_turn()
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        OfExchange::input()
    }
}

impl Subject for OfFetch {
    const NAME: &'static str = "http/fetch";
    const INBOXES: &'static [usize] = &[64, 512, 16384];
    type Machine = Fetch;

    fn build(options: &Options) -> Fetch {
        Fetch::new(config(options))
    }

    fn begin(machine: &mut Fetch, outbox: &mut Outbox<'_>) {
        machine.request("GET", "/", &[("host", "a")], &[], outbox).expect("it is idle");
    }

    fn show(event: Answer<'_>) -> Seen {
        match event {
            Answer::Head(head) => Seen::Whole(format!("Head {head:?}")),
            Answer::Body(bytes) => Seen::Piece("Body", bytes.to_vec()),
            other => Seen::debug(other),
        }
    }

    fn command(machine: &mut Fetch, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "request" => {
                let (target, more) = more.split_once(' ').unwrap_or((more, ""));
                let (headers, body) = headers_and_body(more);
                named(machine.request(first, target, &borrowed(&headers), &[&body], outbox))
            }
            "tunnel" => named(machine.tunnel(first, &borrowed(&headers_and_body(more).0), outbox)),
            "collect" => {
                machine.collect(first.parse().expect("a number"));
                Ok(())
            }
            "is_idle" => holds(machine.is_idle()),
            other => panic!("no command is called {other:?}"),
        }
    }

    fn answer(event: Answer<'_>, machine: &mut Fetch, outbox: &mut Outbox<'_>) {
        match event {
            Answer::Head(head) if head.status() == 201 => machine.collect(20),
            Answer::End => {
                let _ = machine.request("GET", "/", &[("host", "a")], &[], outbox);
            }
            _ => {}
        }
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        let line = prop_oneof![
            6 => "HTTP/1\\.1 (200|201|204|304|404|100|103) (OK)?\r\n",
            1 => Just("HTTP/1.1 101 \r\n".to_owned()),
            1 => Just("HTTP/1.0 200 OK\r\n".to_owned()),
            1 => "(HTTP/[0-3]\\.[0-3] )?[0-9 ]{0,5}(\r\n|\n|\r)",
        ];
        let answer = (line, headers(), body());
        let answer = answer.prop_map(|(line, headers, (framing, body))| {
            [line.as_bytes(), headers.as_bytes(), framing.as_bytes(), b"\r\n", &body].concat()
        });
        prop::collection::vec(answer, 0..6).prop_map(|all| all.concat()).boxed()
    }
}

fn host() -> impl Strategy<Value = &'static str> {
    prop_oneof![18 => Just("Host: a\r\n"), 1 => Just(""), 1 => Just("Host: a\r\nHost: a\r\n"), 1 => Just("host:a/b\r\n")]
}

fn headers() -> impl Strategy<Value = String> {
    let good = prop_oneof![
        4 => "X-[a-z]{0,5}: ?[a-z \t]{0,30}\r\n",
        1 => "Connection: (close|keep-alive|upgrade)\r\n",
        1 => Just("Expect: 100-continue\r\n".to_owned()),
    ];
    let bad = "(a|a |:|a:b|Expect: x|a: \u{1}|Transfer-Encoding: x| b)(\r\n|\n|\r)";
    let header = prop_oneof![40 => good, 1 => bad];
    prop::collection::vec(header, 0..4).prop_map(|all| all.concat())
}

/// The headers that frame a body, and the body.
fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let data = || prop::collection::vec(any::<u8>(), 0..40);
    let exact = data().prop_map(|data| (format!("Content-Length: {}\r\n", data.len()), data));
    let chunk =
        (prop::collection::vec(any::<u8>(), 1..40), "(;[a-z=]{0,9})?").prop_map(|(data, extension)| {
            [format!("{:x}{extension}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()
        });
    let odd = "[0-9a-f+x ]{0,4}(;.{0,9})?(\r\n|\n)".prop_map(String::into_bytes);
    let chunks = prop::collection::vec(prop_oneof![20 => chunk, 1 => odd], 0..6);
    let trailers = "([a-z]{1,5}: [a-z]{0,9}\r\n){0,3}";
    let chunked = (chunks, trailers).prop_map(|(chunks, trailers)| {
        let body = [&chunks.concat(), &b"0\r\n"[..], trailers.as_bytes(), b"\r\n"].concat();
        ("Transfer-Encoding: chunked\r\n".to_owned(), body)
    });
    let wrong =
        ("((Content-Length: [-+0-9a-fx, ]{0,4}|Transfer-Encoding: chunked(, chunked)?)\r\n){1,2}", data());
    prop_oneof![4 => Just((String::new(), vec![])), 4 => exact, 4 => chunked, 1 => wrong]
}
