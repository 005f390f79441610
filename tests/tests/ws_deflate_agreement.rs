//! permessage-deflate (RFC 7692): what is agreed on.

use stillwire::{
    Entropy,
    ws::{Accept, Agreement, Config, Deflate, Offer, UpgradeError},
};
use stillwire_tests::subjects::ws_deflate::Head;

fn config(change: impl FnOnce(&mut Deflate)) -> Config {
    let (mut config, mut deflate) = (Config::default(), Deflate::default());
    deflate.at_least = 0;
    change(&mut deflate);
    config.deflate = Some(deflate);
    config
}

/// A server's answer to the value of a header (or to several).
fn answer(values: &[&str], config: &Config) -> Option<String> {
    let mut headers = vec![
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(values.iter().map(|value| ("sec-websocket-extensions", *value)));
    let accept = Accept::new(&Head(headers), &[], config).unwrap();
    accept.extensions().map(str::to_owned)
}

/// RFC 7692 §5.1 and §7.1: the first offer that is good is answered; one that is not is declined, and no more.
#[test]
fn a_server_answers_the_first_good_offer() {
    let all = config(|_| {});
    for (offer, expected) in [
        ("permessage-deflate", Some("")),
        ("permessage-deflate; client_max_window_bits", Some("")),
        ("permessage-deflate; client_max_window_bits=15", Some("")),
        ("permessage-deflate ;\tclient_max_window_bits = 10", Some("; client_max_window_bits=10")),
        ("permessage-deflate; client_max_window_bits=\"10\"", Some("; client_max_window_bits=10")),
        ("permessage-deflate; client_max_window_bits=8", Some("; client_max_window_bits=8")),
        ("permessage-deflate; server_max_window_bits=9", Some("; server_max_window_bits=9")),
        ("permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
        ("permessage-deflate; server_no_context_takeover", Some("; server_no_context_takeover")),
        ("permessage-deflate; client_no_context_takeover", Some("; client_no_context_takeover")),
        (
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11; \
             server_no_context_takeover",
            Some(
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; \
                 client_max_window_bits=11",
            ),
        ),
        // The next one is tried.
        ("permessage-bzip2, permessage-deflate", Some("")),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
        (
            "permessage-deflate; x, permessage-deflate; server_max_window_bits=10",
            Some("; server_max_window_bits=10"),
        ),
        ("x; y=\"a,b;c\\\"\", permessage-deflate", Some("")),
        // zlib has no raw window of 8 bits.
        ("permessage-deflate; server_max_window_bits=8", None),
        // Unknown, twice, malformed.
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover=true", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=", None),
        ("permessage-deflate; server_max_window_bits=\"\"", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits=+10", None),
        ("permessage-deflate; server_max_window_bits=10.0", None),
        ("permessage-deflate; server_max_window_bits=\"10", None),
        ("permessage-deflate; server_max_window_bits=1\\0", None),
        ("permessage-deflate; client_max_window_bits=1000000000000000000000", None),
        ("permessage-deflate; client_max_window_bits=-9", None),
        ("permessage-deflate;", None),
        ("permessage-deflate;;client_max_window_bits", None),
        ("permessage-deflate; =10", None),
        ("permessage-deflate=1", None),
        ("Permessage-Deflate", None),
        ("permessage-deflate client_max_window_bits", None),
        ("x-webkit-deflate-frame", None),
        ("__proto__; constructor", None),
        ("", None),
        (",,;=\"", None),
    ] {
        let expected = expected.map(|rest| format!("permessage-deflate{rest}"));
        assert_eq!(answer(&[offer], &all), expected, "{offer}");
    }
    assert_eq!(answer(&["foo", "permessage-deflate"], &all).as_deref(), Some("permessage-deflate"));
    assert_eq!(answer(&["permessage-deflate"], &Config::default()), None, "it is off by default");
}

/// What a server wants itself: only what the standard lets it ask for.
#[test]
fn a_server_says_what_it_wants() {
    let offers = ["permessage-deflate", "permessage-deflate; client_max_window_bits=14"];
    for (wanted, answers) in [
        (config(|deflate| deflate.takeover = false), ["; server_no_context_takeover"; 2].map(str::to_owned)),
        (
            config(|deflate| deflate.peer_takeover = false),
            ["; client_no_context_takeover"; 2].map(str::to_owned),
        ),
        (config(|deflate| deflate.window_bits = 12), ["; server_max_window_bits=12"; 2].map(str::to_owned)),
        // Not from a client that cannot.
        (
            config(|deflate| deflate.peer_window_bits = 9),
            [String::new(), "; client_max_window_bits=9".into()],
        ),
    ] {
        for (offer, rest) in offers.iter().zip(answers) {
            let answered = answer(&[offer], &wanted).unwrap();
            // The client's own limit is repeated.
            let own = if offer.contains("=14") && !rest.contains("client_max") {
                "; client_max_window_bits=14"
            } else {
                ""
            };
            assert_eq!(answered, format!("permessage-deflate{rest}{own}"), "{offer}");
        }
    }
}

fn check(answer: &[&str], client: &Config) -> Result<Agreement, UpgradeError> {
    let offer = Offer::new(&mut Entropy::from_fn(|bytes| bytes.fill(b'a')), client);
    let request = Head(vec![
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", offer.key()),
    ]);
    let accept = Accept::new(&request, &[], &Config::default()).unwrap();
    let mut headers: Vec<_> = accept.headers().collect();
    headers.extend(answer.iter().map(|value| ("sec-websocket-extensions", *value)));
    offer.check(&Head(headers), &[])
}

/// RFC 7692 §7.1: an answer that does not fit the offer fails the connection.
#[test]
fn a_client_checks_the_answer() {
    let all = config(|_| {});
    let limited = config(|deflate| {
        (deflate.window_bits, deflate.peer_window_bits, deflate.peer_takeover) = (12, 11, false);
    });
    let must = "permessage-deflate; server_no_context_takeover; server_max_window_bits";
    for (client, value, good) in [
        (&all, "permessage-deflate", true),
        (&all, "permessage-deflate; server_no_context_takeover; client_no_context_takeover", true),
        (&all, "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8", true),
        (&all, "permessage-deflate; client_max_window_bits=\"9\"", true),
        (&all, "permessage-deflate; client_max_window_bits", false),
        (&all, "permessage-deflate; server_max_window_bits", false),
        (&all, "permessage-deflate; client_max_window_bits=7", false),
        (&all, "permessage-deflate; client_max_window_bits=16", false),
        (&all, "permessage-deflate; unknown=1", false),
        (&all, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", false),
        (&all, "permessage-deflate; server_no_context_takeover=yes", false),
        (&all, "permessage-deflate, permessage-deflate", false),
        (&all, "permessage-bzip2", false),
        (&all, "", false),
        (&limited, &format!("{must}=11"), true),
        (&limited, &format!("{must}=9; client_max_window_bits=12"), true),
        (&limited, &format!("{must}=12"), false),
        (&limited, &format!("{must}=11; client_max_window_bits=13"), false),
        (&limited, "permessage-deflate; server_no_context_takeover", false),
        (&limited, "permessage-deflate; server_max_window_bits=11", false),
        (&Config::default(), "permessage-deflate", false),
    ] {
        let expected = if good { None } else { Some(UpgradeError::Extension) };
        assert_eq!(check(&[value], client).err(), expected, "{value}");
    }
    assert!(check(&["permessage-deflate", "permessage-deflate"], &all).is_err());
    assert!(check(&[], &all).is_ok(), "a server need not");
}
