//! The laws of [`Machine`], over every subject: generated input, random cuts, random time.

use core::time::Duration;
use std::env;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestCaseResult, TestRunner},
};
use stillwire::{Inbox, Machine, Outbox};

use crate::{
    stage::{End, Stage},
    subject::{Options, Seen, Subject},
};

const OUTBOX: usize = 1 << 16;

/// What one run came to.
#[derive(PartialEq, Debug)]
struct Outcome {
    log: Vec<Seen>,
    written: Vec<u8>,
    end: End,
    finished: bool,
}

fn outcome<S: Subject>(mut stage: Stage<'_, S>) -> Outcome {
    stage.settle(usize::MAX);
    let finished = stage.outbox.is_finished();
    Outcome { log: stage.log, written: stage.written, end: stage.end, finished }
}

/// Checks every law on `cases` generated inputs (the environment's `STILLWIRE_LAW_CASES` overrides the number).
///
/// # Panics
/// With the smallest input that breaks a law.
pub fn check<S: Subject>(cases: u32) {
    let cases = env::var("STILLWIRE_LAW_CASES").map_or(cases, |n| n.parse().expect("a number of cases"));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let noise = prop::collection::vec(any::<u8>(), 0..400).boxed();
    let input = prop_oneof![9 => S::input(), 1 => noise];
    let cuts =
        prop::collection::vec(prop_oneof![4 => 1_usize..9, 2 => 1_usize..200, 1 => Just(1 << 20)], 1..24);
    let waits =
        prop::collection::vec(prop_oneof![3 => Just(0), 3 => 1_u64..2000, 1 => 2000_u64..100_000], 1..24);
    let strategy = (input, cuts, waits, 0..S::INBOXES.len(), any::<bool>());
    let result = TestRunner::new(config).run(&strategy, |(input, cuts, waits, size, lent)| {
        case::<S>(&input, &cuts, &waits, S::INBOXES[size], lent)
    });
    if let Err(error) = result {
        panic!("{}: {error}", S::NAME);
    }
}

/// Checks every law on one input: cut into pieces of `cuts` bytes (round and round), with `waits` milliseconds between
/// them, over an inbox of `capacity` bytes that grows or is `lent`.
///
/// # Errors
/// The law that it breaks. Some breaks are found by an assertion on the way, and panic.
pub fn case<S: Subject>(
    input: &[u8],
    cuts: &[usize],
    waits: &[u64],
    capacity: usize,
    lent: bool,
) -> TestCaseResult {
    chunking::<S>(input, cuts, capacity, lent)?;
    slow_reader::<S>(input, cuts, capacity)?;
    time::<S>(input, cuts, waits, capacity)
}

/// Checks the law of chunking on one input, cut in two at each of its first 100 bytes, and byte by byte.
///
/// # Errors
/// As [`case`].
pub fn splits<S: Subject>(input: &[u8], capacity: usize, lent: bool) -> TestCaseResult {
    for at in 1..=input.len().min(100) {
        chunking::<S>(input, &[at, usize::MAX], capacity, lent)?;
    }
    chunking::<S>(input, &[1], capacity, lent)
}

fn stage<'s, S: Subject>(inbox: Inbox<'s>) -> Stage<'s, S> {
    let mut stage = Stage::<S>::new(&Options::default(), inbox, Outbox::with_limit(OUTBOX));
    stage.answers = true;
    S::begin(&mut stage.machine, &mut stage.outbox);
    stage
}

/// Feeds `input` cut as told (the last cut is repeated), then ends it.
fn play<S: Subject>(
    stage: &mut Stage<'_, S>,
    input: &[u8],
    cuts: &[usize],
    mut between: impl FnMut(&mut Stage<'_, S>),
) {
    stage.settle(usize::MAX);
    let (mut rest, mut next) = (input, cuts.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(*next.next().expect("there are cuts")));
        let taken = stage.feed(now, now.len());
        between(stage);
        if taken < now.len() {
            break; // it is over, or waits for its application for ever
        }
        rest = later;
    }
    stage.finish();
}

/// Chunking changes nothing; memory and work are bounded.
fn chunking<S: Subject>(input: &[u8], cuts: &[usize], capacity: usize, lent: bool) -> TestCaseResult {
    let mut whole = stage::<S>(Inbox::with_limit(capacity));
    play(&mut whole, input, &[usize::MAX], |_| {});
    let mut storage = vec![0; capacity];
    let inbox = if lent { Inbox::new(&mut storage) } else { Inbox::with_limit(capacity) };
    let mut cut = stage::<S>(inbox);
    play(&mut cut, input, cuts, |stage| {
        assert!(stage.inbox.allocated() <= capacity, "the inbox outgrew its limit");
    });
    for stage in [&whole, &cut] {
        let work = stage.inbox.work();
        let allowed = S::WORK * work.received + 64;
        prop_assert!(work.scanned + work.moved <= allowed, "too much work: {work:?}, at most {allowed}");
    }
    prop_assert_eq!(outcome(cut), outcome(whole), "chunking shows");
    Ok(())
}

/// A peer that takes its output byte by byte gets the same bytes, and none is lost.
fn slow_reader<S: Subject>(input: &[u8], cuts: &[usize], capacity: usize) -> TestCaseResult {
    let run = |room: usize, drain: usize| {
        let mut stage =
            Stage::<S>::new(&Options::default(), Inbox::with_limit(capacity), Outbox::with_limit(OUTBOX));
        S::begin(&mut stage.machine, &mut stage.outbox);
        stage.settle(usize::MAX);
        stage.outbox = Outbox::with_limit(room);
        let (mut done, mut turns) = (0, cuts.iter().cycle());
        for _ in 0..200_000 {
            let n = input.len().min(done + turns.next().expect("there are cuts"));
            let taken = stage.inbox.push(&input[done..n]);
            done += taken;
            let before = stage.written.len();
            stage.settle(drain);
            let moved = taken > 0 || stage.written.len() > before;
            if done == input.len() && !stage.inbox.is_finished() {
                stage.inbox.finish();
            } else if !moved {
                break;
            }
        }
        if !stage.inbox.is_finished() {
            stage.inbox.finish();
        }
        outcome(stage)
    };
    let (slow, fast) = (run(S::SLOW_OUTBOX, 7), run(S::SLOW_OUTBOX, usize::MAX));
    prop_assert_eq!(slow.log, fast.log);
    prop_assert_eq!(slow.written, fast.written, "a slow reader gets other bytes");
    prop_assert_eq!(slow.end, fast.end);
    Ok(())
}

/// Time may pass between any two bytes: the same schedule gives the same run, a call before the deadline does
/// nothing, and when the input has ended every deadline leads to `Closed`.
fn time<S: Subject>(input: &[u8], cuts: &[usize], waits: &[u64], capacity: usize) -> TestCaseResult {
    let run = |curious: bool| {
        let mut stage = stage::<S>(Inbox::with_limit(capacity));
        let mut waits = waits.iter().cycle();
        play(&mut stage, input, cuts, |stage| {
            if curious && stage.end == End::Open {
                let (seen, wrote) = (stage.log.len(), stage.written.len());
                stage.settle(usize::MAX);
                assert_eq!(
                    (seen, wrote),
                    (stage.log.len(), stage.written.len()),
                    "nothing happened, and yet"
                );
            }
            stage.wait(Duration::from_millis(*waits.next().expect("there are waits")));
        });
        for _ in 0..16 {
            match stage.machine.deadline() {
                Some(at) if stage.end != End::Closed => stage.wait(at.saturating_since(stage.now)),
                _ => break,
            }
        }
        if stage.end != End::Closed && !S::waits_for_you(&stage.machine) {
            return Err(TestCaseError::fail(format!(
                "the input ended, time passed, and it is {:?}",
                stage.end
            )));
        }
        Ok(outcome(stage))
    };
    prop_assert_eq!(run(true)?, run(false)?);
    Ok(())
}
