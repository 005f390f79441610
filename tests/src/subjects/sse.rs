//! Server-Sent Events: the stream that a client parses, the feed that a server writes.

use proptest::{collection::vec, prelude::*};
use stillwire::{Outbox, sse};

use crate::{Covered, Options, Seen, Subject, transcript::show};

/// The parser. An event is shown as `TYPE "data"`, with `id "…"` behind it when there is one.
#[derive(Debug)]
pub struct Stream;

impl Covered for sse::Stream {
    type By = Stream;
}

impl Subject for Stream {
    const NAME: &'static str = "sse/stream";
    const INBOXES: &'static [usize] = &[64, 200, 4096];
    /// Most streams need 2. The most that can be done: a byte that is no UTF-8 is searched once, makes room once, is
    /// decoded, and then its three bytes are turned and joined.
    const WORK: u64 = 9;
    type Machine = sse::Stream;

    fn build(options: &Options) -> sse::Stream {
        let mut config = sse::Config::default();
        config.max_event = options.get("max_event").unwrap_or(config.max_event);
        config.max_id = options.get("max_id").unwrap_or(config.max_id);
        config.resync = options.has("resync");
        sse::Stream::new(config)
    }

    fn show(event: sse::Event<'_>) -> Seen {
        let sse::Event { event, data, last_event_id } = event;
        let mut shown = format!("{event} {}", show(data.as_bytes()));
        if !last_event_id.is_empty() {
            shown = format!("{shown} id {}", show(last_event_id.as_bytes()));
        }
        Seen::Whole(shown)
    }

    /// `retry_is MS` and `dropped_is N` fail with what it is instead.
    fn command(stream: &mut sse::Stream, words: &str, _: &mut Outbox<'_>) -> Result<(), String> {
        let (is, wanted) = match words.split_once(' ').expect("two words") {
            ("retry_is", n) => (stream.retry().map_or("none".to_owned(), |t| t.as_millis().to_string()), n),
            ("dropped_is", n) => (stream.dropped().to_string(), n),
            (what, _) => panic!("unknown command {what:?}"),
        };
        if is == wanted { Ok(()) } else { Err(is) }
    }

    fn input() -> BoxedStrategy<Vec<u8>> {
        let value = prop_oneof![
            6 => "[a-z ]{0,9}".prop_map(String::into_bytes),
            2 => "[a€😀\u{feff}:]{0,6}".prop_map(String::into_bytes),
            2 => vec(prop_oneof![Just(0xff), Just(0xe2), Just(0x82), Just(0xf0), Just(0x9f), Just(b'x'), Just(0)], 0..9),
            1 => vec(any::<u8>(), 0..40),
            1 => (0..9000_usize).prop_map(|n| vec![b'x'; n]),
            1 => (0..300_usize).prop_map(|n| vec![0xff; n]),
        ];
        let name = prop_oneof![
            8 => Just("data"), 3 => Just("event"), 3 => Just("id"), 1 => Just("retry"), 1 => Just(""), 1 => Just("daten"),
        ];
        let colon = prop_oneof![4 => Just(": "), 3 => Just(":"), 1 => Just("")];
        let end = prop_oneof![5 => Just("\n"), 2 => Just("\r\n"), 2 => Just("\r"), 3 => Just("\n\n"), 1 => Just("\r\r"), 1 => Just("\r\n\r\n")];
        let line = (name, colon, value, end).prop_map(|(name, colon, value, end)| {
            [name.as_bytes(), colon.as_bytes(), &value, end.as_bytes()].concat()
        });
        let digits = "retry: ?[0-9]{0,25}\n".prop_map(String::into_bytes);
        let lines = vec(prop_oneof![12 => line, 1 => digits], 0..24).prop_map(|lines| lines.concat());
        let mark =
            prop_oneof![4 => Just(&b""[..]), 2 => Just(&b"\xef\xbb\xbf"[..]), 1 => Just(&b"\xef\xbb"[..])];
        (mark, lines).prop_map(|(mark, lines)| [mark, &lines].concat()).boxed()
    }
}
