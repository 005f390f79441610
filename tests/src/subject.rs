//! What the harness must know of a machine.

use std::{cell::RefCell, collections::BTreeMap, fmt::Debug, str::FromStr};

use proptest::strategy::BoxedStrategy;
use stillwire::{Machine, Outbox};

/// One machine in one role, as transcripts and laws see it.
pub trait Subject: 'static {
    /// The name in transcripts, and the folder of its transcripts: `ws/server`.
    const NAME: &'static str;
    /// The capacities of the inbox that the laws try, smallest first. Transcripts take the last, or `inbox=N`.
    const INBOXES: &'static [usize] = &[512, 4096];
    /// The law of work: bytes scanned and moved are at most this many for each byte received.
    const WORK: u64 = 4;
    /// The outbox of the law of slow readers: room for the largest reply, and little more.
    const SLOW_OUTBOX: usize = 256;
    /// What is tested.
    type Machine: Machine;

    /// A new machine, from the options at the head of a transcript; the laws give none.
    fn build(options: &Options) -> Self::Machine;

    /// What the application says before anything arrives: a client's first request.
    fn begin(_machine: &mut Self::Machine, _outbox: &mut Outbox<'_>) {}

    /// An event as a transcript shows it behind `!`. Pieces of a stream are joined before they are compared.
    fn show(event: <Self::Machine as Machine>::Event<'_>) -> Seen;

    /// A command of a transcript, `send_text hello`; the error is what stands behind `=!`.
    ///
    /// # Errors
    /// What the machine answered, by its name: `NotOpen`.
    fn command(machine: &mut Self::Machine, words: &str, outbox: &mut Outbox<'_>) -> Result<(), String> {
        let _ = (machine, outbox);
        panic!("{} knows no command {words:?}", Self::NAME)
    }

    /// Bytes that a transcript names instead of spelling them out: `< frame text "hello"`.
    fn bytes(words: &str) -> Vec<u8> {
        panic!("{} knows no bytes {words:?}", Self::NAME)
    }

    /// The application of the laws: answers each event in the same way each time. It may find the outbox full.
    fn answer(
        _event: <Self::Machine as Machine>::Event<'_>,
        _machine: &mut Self::Machine,
        _outbox: &mut Outbox<'_>,
    ) {
    }

    /// Whether the machine waits for the application, so that a full inbox is no dead end.
    fn waits_for_you(_machine: &Self::Machine) -> bool {
        false
    }

    /// Input as a peer could send it: mostly well-formed, often hostile. Some machines are also fed noise.
    fn input() -> BoxedStrategy<Vec<u8>>;
}

/// Implemented for every machine of the core, by the file of its protocol in `subjects/`: which subject tests it.
pub trait Covered: Sized {
    /// One subject of this machine that is on the list.
    type By: Subject<Machine = Self> + Listed;
}

/// Implemented for every subject on the list of [`crate::subjects`], and by nothing else.
pub trait Listed {}

/// An event as the harness compares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Shown and compared as it is.
    Whole(String),
    /// Some bytes of a stream, such as a body: joined with the pieces of the same name before and behind it.
    Piece(&'static str, Vec<u8>),
}

impl Seen {
    /// For events whose debug form says it all.
    pub fn debug(event: impl Debug) -> Self {
        Self::Whole(format!("{event:?}"))
    }
}

/// `key=value` at the head of a transcript. A key that nobody asks for is a mistake, and is found.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: BTreeMap<String, String>,
    asked: RefCell<Vec<String>>,
}

impl Options {
    /// From words such as `max_message=100`.
    #[must_use]
    pub fn parse(words: &str) -> Self {
        let pairs = words.split_whitespace().map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((word, "true"));
            (key.to_owned(), value.to_owned())
        });
        Self { values: pairs.collect(), asked: RefCell::default() }
    }

    /// The value of `key`, if it is given.
    pub fn get<T: FromStr<Err: Debug>>(&self, key: &str) -> Option<T> {
        self.asked.borrow_mut().push(key.to_owned());
        Some(self.values.get(key)?.parse().unwrap_or_else(|e| panic!("option {key}: {e:?}")))
    }

    /// A time in milliseconds, if it is given.
    pub fn millis(&self, key: &str) -> Option<core::time::Duration> {
        self.get(key).map(core::time::Duration::from_millis)
    }

    /// Whether `key` is given.
    pub fn has(&self, key: &str) -> bool {
        self.get::<String>(key).is_some()
    }

    /// The keys that nobody asked for.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        self.values.keys().filter(|key| !asked.contains(key)).cloned().collect()
    }
}
