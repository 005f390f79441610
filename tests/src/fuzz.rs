//! What the fuzzers run, as plain functions: `fuzz/fuzz_targets/NAME.rs` hands its input to the function of that name.
//!
//! The functions panic when something does not hold. So an input that once was a finding is a file in
//! `tests/regressions/NAME/`, replayed by an ordinary test; and each transcript is a seed.

mod handshake;
mod operations;
mod round_trips;
mod seeds;

pub use handshake::ws_handshake;
pub use operations::operations;
pub use round_trips::{http_head_body, json, sse_block};
pub use seeds::seeds;

use crate::{Subject, laws};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Reads an input from its front; behind its end, everything is 0. Values at the front stay where they are when the rest
/// is changed, which is what a fuzzer needs.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn size(&mut self) -> usize {
        self.byte().into()
    }

    /// So many bytes, or those that are left.
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Some bytes behind a byte that counts them, as far as they are UTF-8.
    fn text(&mut self) -> &'a str {
        let n = self.size();
        self.take(n).utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }
}

/// How many bytes stand in front of the peer's bytes in the input of a machine's target: which inbox, four cuts, four
/// waits.
const HEAD: usize = 9;

/// The laws of one machine.
fn machine<S: Subject>(data: &[u8]) {
    let mut reader = Reader(data);
    let (capacity, lent) = inbox::<S>(&mut reader);
    let cuts = [(); 4].map(|()| cut(reader.byte()));
    let waits = [(); 4].map(|()| wait(reader.byte()));
    if let Err(error) = laws::case::<S>(reader.0, &cuts, &waits, capacity, lent) {
        panic!("{}: {error}", S::NAME);
    }
}

fn inbox<S: Subject>(reader: &mut Reader<'_>) -> (usize, bool) {
    let byte = reader.size();
    (S::INBOXES[byte / 2 % S::INBOXES.len()], byte % 2 == 1)
}

/// 0 is everything, then come 1 to 127 bytes, then up to 2 KiB.
fn cut(byte: u8) -> usize {
    match byte {
        0 => 1 << 20,
        1..128 => byte.into(),
        _ => usize::from(byte - 127) * 16,
    }
}

/// Mostly nothing; then up to 2.5 s; then up to 96 s, in milliseconds.
fn wait(byte: u8) -> u64 {
    match byte {
        0..64 => 0,
        64..192 => u64::from(byte - 63) * 20,
        _ => u64::from(byte - 191) * 1500,
    }
}

/// The law of chunking at every place where one input can be cut in two.
fn splits<S: Subject>(mut reader: Reader<'_>) {
    let (capacity, lent) = inbox::<S>(&mut reader);
    if let Err(error) = laws::splits::<S>(reader.0, capacity, lent) {
        panic!("{}: {error}", S::NAME);
    }
}

macro_rules! machines {
    ($($name:ident: $subject:ty),* $(,)?) => {
        $(
            #[doc = concat!("The laws of `", stringify!($name), "`.")]
            pub fn $name(data: &[u8]) {
                machine::<$subject>(data);
            }
        )*

        /// Every place to cut in two, for any machine: the first byte says which.
        pub fn chunking(data: &[u8]) {
            let all: &[fn(Reader<'_>)] = &[$(splits::<$subject>),*];
            let mut reader = Reader(data);
            let which = reader.size() % all.len();
            all[which](reader);
        }

        /// All targets. A machine on the list of subjects has one without further ado.
        pub const TARGETS: &[Target] = &[
            $((stringify!($name), $name),)*
            ("chunking", chunking),
            ("operations", operations),
            ("ws_handshake", ws_handshake),
            ("http_head_body", http_head_body),
            ("json", json),
            ("sse_block", sse_block),
        ];

        /// The seeds of every machine: its name, and the head and the bytes of each of its transcripts.
        const MACHINES: &[(&str, &str, fn(&crate::transcript::Transcript) -> Vec<u8>)] =
            &[$((stringify!($name), <$subject as Subject>::NAME, |t| t.input::<$subject>())),*];
    };
}
crate::each_subject!(machines);

/// Runs the target of that name.
///
/// # Panics
/// When there is none, or when something does not hold.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, run) = found.unwrap_or_else(|| panic!("there is no target {target:?}"));
    run(data);
}
