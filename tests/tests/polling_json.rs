//! The scanner against `serde_json`, on random and on hostile input.

use proptest::{collection::vec, prelude::*};
use serde_core::de::IgnoredAny;
use serde_json::{Value, from_str};
use stillwire::json::{Lone, Scanner, escape, escaped_len, unescape};

/// The scanner's verdict on a whole text.
fn accepts(json: &str) -> bool {
    let mut scanner = Scanner::new(json.as_bytes());
    let value = scanner.value();
    if let Ok(raw) = value {
        assert!(json.contains(core::str::from_utf8(raw).expect("whole characters")));
    }
    value.is_ok() && scanner.end().is_ok()
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ !#-\\[\\]-~äß😀]{0,12}",
        3 => "(\\\\[\"\\\\/bfnrt]|[a-z]){0,12}",
        2 => "(\\\\u[0-9a-fA-F]{4}|[a-z]){0,8}",
        1 => "(\\\\ud83d\\\\ude00|\\\\uD800|\\\\udC00|x){0,6}",
    ]
    .prop_map(|inside| format!("\"{inside}\""))
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => string(),
        2 => "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        1 => prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let array = vec((space(), inner.clone(), space()), 0..6).prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(a, item, b)| a + &item + &b).collect();
            format!("[{}]", items.join(","))
        });
        let member = (space(), string(), space(), inner, space());
        let object = vec(member, 0..6).prop_map(|members| {
            let members: Vec<String> =
                members.into_iter().map(|(a, key, b, value, c)| format!("{a}{key}{b}:{c}{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![array, object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_accepted(json in json(), before in space(), behind in space()) {
        let json = before + &json + &behind;
        prop_assert!(from_str::<IgnoredAny>(&json).is_ok(), "the generator is right");
        prop_assert!(accepts(&json));
    }

    /// One byte changed, dropped or doubled: both say the same.
    #[test]
    fn almost_json_is_judged_alike(json in json(), edits in vec((any::<u16>(), any::<u8>(), 0..4_u8), 1..4)) {
        let mut bytes = json.into_bytes();
        for (at, byte, how) in edits {
            if bytes.is_empty() { break; }
            let at = usize::from(at) % bytes.len();
            let syntax = b"{}[]:,\"\\0123456789eE+-.tfn u\n\x01";
            match how {
                0 => { bytes.remove(at); }
                1 => bytes.insert(at, bytes[at]),
                2 => bytes[at] = syntax[usize::from(byte) % syntax.len()],
                _ => bytes[at] = byte,
            }
        }
        if let Ok(json) = core::str::from_utf8(&bytes) {
            prop_assert_eq!(accepts(json), from_str::<IgnoredAny>(json).is_ok(), "{}", json);
        }
    }

    /// Nothing panics, whatever comes.
    #[test]
    fn noise_is_survived(mut bytes in vec(prop_oneof![3 => prop::sample::select(&b"{}[]:,\"\\u0019dDe+-.tfn\n"[..]), 1 => any::<u8>()], 0..80)) {
        let mut scanner = Scanner::new(&bytes);
        let whole = scanner.value().is_ok() && scanner.end().is_ok();
        if let Ok(text) = core::str::from_utf8(&bytes) {
            prop_assert_eq!(whole, from_str::<IgnoredAny>(text).is_ok());
        }
        let mut scanner = Scanner::new(&bytes);
        let _ = (scanner.open(b'['), scanner.more(b']'), scanner.key(), scanner.integer(), scanner.string(), scanner.more(b'}'));
        for lone in [Lone::Refused, Lone::Replaced] {
            if let Ok(n) = unescape(&mut bytes.clone(), lone) {
                prop_assert!(n <= bytes.len());
            }
        }
        let n = unescape(&mut bytes, Lone::Replaced);
        prop_assert!(n.is_err() || n.is_ok_and(|n| n <= bytes.len()));
    }

    #[test]
    fn strings_mean_the_same(json in string()) {
        let raw = Scanner::new(json.as_bytes()).string().expect("a string").as_bytes();
        let mut ours = raw.to_vec();
        match (from_str::<String>(&json), unescape(&mut ours, Lone::Refused)) {
            (Ok(theirs), Ok(n)) => prop_assert_eq!(&ours[..n], theirs.as_bytes()),
            (Err(_), Err(_)) => {
                let mut ours = raw.to_vec();
                let n = unescape(&mut ours, Lone::Replaced).expect("only a lone surrogate was wrong");
                let replaced = core::str::from_utf8(&ours[..n]).expect("UTF-8").contains(char::REPLACEMENT_CHARACTER);
                prop_assert!(replaced);
            }
            (theirs, n) => prop_assert!(false, "{json}: {theirs:?}, we {n:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_by_others(text in any::<String>()) {
        let mut out = vec![0; escaped_len(text.as_bytes())];
        prop_assert_eq!(escape(text.as_bytes(), &mut out), out.len());
        let json = format!("\"{}\"", String::from_utf8(out).expect("UTF-8"));
        prop_assert_eq!(from_str::<Value>(&json).expect("JSON"), Value::String(text.clone()));
        // And it is as short as theirs.
        prop_assert_eq!(json, serde_json::to_string(&text).expect("JSON"));
    }

    #[test]
    fn integers_are_the_same(number in prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "[0-9]{1,22}", "-?[0-9]{1,3}(\\.0|e1)?"]) {
        let mut scanner = Scanner::new(number.as_bytes());
        let ours = scanner.integer().ok().filter(|_| scanner.end().is_ok());
        prop_assert_eq!(ours, from_str::<u64>(&number).ok());
    }
}
