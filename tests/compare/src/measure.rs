//! How things are measured: contenders take turns, each turn is timed by the CPU time of this thread, and the fastest
//! turn counts. Other programs on the machine then make the run longer, and the figures hardly worse.

use std::io::IsTerminal as _;
use std::time::Duration;

use cpu_time::ThreadTime;

/// What a contender delivers its messages to. Timed: it looks at the length and at one byte. Checked: at all of them.
pub trait Eat {
    fn eat(&mut self, message: &[u8]);
}

struct Touch;

impl Eat for Touch {
    #[inline(always)]
    fn eat(&mut self, message: &[u8]) {
        std::hint::black_box((message.len(), message.first().copied()));
    }
}

/// How many messages there were, and a checksum over all of them (FNV-1a), lengths included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    count: u64,
    sum: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { count: 0, sum: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Eat for Digest {
    fn eat(&mut self, message: &[u8]) {
        let len = message.len().to_le_bytes();
        for byte in len.iter().chain(message) {
            self.sum = (self.sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.count += 1;
    }
}

/// Somebody who does the same work as the others.
pub trait Contender {
    /// Receives, or sends, the next `n` messages. What is sent goes to the contender's own sink; who sends feeds
    /// `eat` nothing.
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E);

    /// For senders: the digest of what the `n` messages that are sent now look like to a reader that was written here.
    fn check(&mut self, n: usize) -> Digest {
        let mut digest = Digest::default();
        self.go(n, &mut digest);
        digest
    }
}

/// A [`Contender`], any of them.
pub trait AnyContender {
    fn time(&mut self, n: usize) -> Duration;
    fn check(&mut self, n: usize) -> Digest;
}

impl<C: Contender> AnyContender for C {
    fn time(&mut self, n: usize) -> Duration {
        let start = ThreadTime::now();
        self.go(n, &mut Touch);
        start.elapsed()
    }

    fn check(&mut self, n: usize) -> Digest {
        Contender::check(self, n)
    }
}

/// Contenders for the same work.
pub struct Case {
    /// What is measured: all cases of one bench go into one chart.
    pub bench: String,
    pub case: String,
    /// Names and contenders; ours begin with `stillwire`, and what begins with `limit` is none: it delivers nothing.
    pub contenders: Vec<(&'static str, Box<dyn AnyContender>)>,
    /// What no contender can be faster than, such as copying the bytes once.
    pub limit: Option<Box<dyn AnyContender>>,
    /// Messages to begin with when the number for one turn is looked for.
    pub bytes_per_op: usize,
}

/// One contender's result, in nanoseconds of CPU time per message.
pub struct Row {
    pub bench: String,
    pub case: String,
    pub who: &'static str,
    pub min: f64,
    pub median: f64,
    /// The speed in relation to the fastest peer's: 2 is twice as fast.
    pub to_best_peer: Option<f64>,
    /// The speed in relation to the limit's: below 1.
    pub to_limit: Option<f64>,
}

/// What a run is allowed to take.
#[derive(Clone, Copy)]
pub struct Effort {
    pub turn: Duration,
    pub rounds: usize,
}

pub fn is_ours(who: &str) -> bool {
    who.starts_with("stillwire")
}

pub fn is_limit(who: &str) -> bool {
    who.starts_with("limit")
}

fn is_peer(who: &str) -> bool {
    !is_ours(who) && !is_limit(who)
}

/// Checks that all contenders deliver the same messages, then times them.
///
/// # Panics
/// When two of them do not: figures would mean nothing.
pub fn run(mut case: Case, effort: Effort, rows: &mut Vec<Row>) {
    let n = (1 << 20) / case.bytes_per_op + 3;
    let mut expected = None;
    for (who, contender) in case.contenders.iter_mut().filter(|(who, _)| !is_limit(who)) {
        let digest = contender.check(n);
        let (first, expected) = expected.get_or_insert((*who, digest));
        assert_eq!(
            digest, *expected,
            "{} {}: {who} and {first} deliver different messages",
            case.bench, case.case
        );
    }

    let mut all: Vec<_> =
        case.contenders.iter_mut().map(|(who, contender)| (*who, contender.as_mut())).collect();
    if let Some(limit) = &mut case.limit {
        all.push(("limit", limit.as_mut()));
    }
    let counts: Vec<usize> = all.iter_mut().map(|(_, contender)| turn_of(effort.turn, *contender)).collect();
    let shown = std::io::stderr().is_terminal();
    let mut times = vec![Vec::with_capacity(effort.rounds); all.len()];
    for round in 0..effort.rounds {
        if shown {
            eprint!("\r\x1b[K{}, {}: round {}/{}", case.bench, case.case, round + 1, effort.rounds);
        }
        for i in 0..all.len() {
            // Nobody always runs behind the same one.
            let i = (i + round) % all.len();
            let n = counts[i];
            times[i].push(all[i].1.time(n).as_nanos() as f64 / n as f64);
        }
    }
    if shown {
        eprint!("\r\x1b[K");
    }

    let results: Vec<_> =
        all.iter().map(|(who, _)| *who).zip(times.iter_mut().map(|times| sorted(times))).collect();
    let limit = results.last().filter(|_| case.limit.is_some()).map(|(_, (min, _))| *min);
    let peers = results.iter().filter(|(who, _)| is_peer(who)).map(|(_, (min, _))| *min);
    let best_peer = peers.min_by(f64::total_cmp);
    for (who, (min, median)) in results {
        rows.push(Row {
            bench: case.bench.clone(),
            case: case.case.clone(),
            who,
            min,
            median,
            to_best_peer: best_peer.map(|best| best / min),
            to_limit: limit.map(|limit| limit / min),
        });
    }
}

/// How many messages make a turn of about this length.
fn turn_of(turn: Duration, contender: &mut dyn AnyContender) -> usize {
    let mut n = 16;
    loop {
        let took = contender.time(n).max(Duration::from_nanos(1));
        if took * 8 >= turn {
            let scale = turn.as_secs_f64() / took.as_secs_f64();
            return ((n as f64 * scale) as usize).max(1);
        }
        n *= 4;
    }
}

fn sorted(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}
