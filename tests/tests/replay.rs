//! The replay log beside a model of it: a list that forgets nothing.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use stillwire::{
    Instant,
    hub::{Cursor, Log, LogBounds, Since},
};

#[derive(Clone, Debug)]
enum Step {
    /// An event with this ID and length, so many seconds later.
    Push(u8, usize, u64),
    /// A subscriber comes back with this ID and reads pages of this size.
    Read(u8, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..40_u8, 0..60_usize, 0..4_u64).prop_map(|(id, len, later)| Step::Push(id, len, later));
    let read = (0..40_u8, 0..200_usize).prop_map(|(id, page)| Step::Read(id, page));
    vec(prop_oneof![3 => push, 1 => read], 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Who comes back gets exactly what followed, or is told that something is lost; and the bounds hold.
    #[test]
    fn gives_what_followed_or_says_that_it_cannot(steps in steps(), count in 1..30_usize, bytes in 100..1000_usize, age in 1..60_u64) {
        let age = Duration::from_secs(age);
        let mut log = Log::new(LogBounds { count, bytes, age });
        // Every event there was: its ID, length, and moment.
        let mut all: Vec<(String, usize, Instant)> = Vec::new();
        let mut now = Instant::EPOCH;
        for step in steps {
            match step {
                Step::Push(id, len, later) => {
                    now = now + Duration::from_secs(later);
                    let id = format!("id {id}");
                    log.push(now, &id, all.len(), len).unwrap();
                    let len = len + id.len();
                    all.push((id, len, now));
                }
                Step::Read(id, page) => {
                    let id = format!("id {id}");
                    // What must still be there: the newest ones that keep all bounds.
                    let mut room = bytes;
                    let kept = all.iter().rev().take(count).take_while(|(_, len, at)| {
                        let fits = *len <= room && now.saturating_since(*at) <= age;
                        room = room.saturating_sub(*len);
                        fits
                    }).count();
                    let oldest = all.len() - kept;
                    let since = log.since(now, id.as_bytes());
                    prop_assert_eq!(log.len(), kept);
                    let known = all.iter().rposition(|(other, ..)| *other == id).filter(|at| *at >= oldest);
                    let (mut cursor, from): (Cursor, usize) = match (since, known) {
                        (Since::At(cursor), Some(at)) => (cursor, at + 1),
                        (Since::Gap(cursor), None) => (cursor, oldest),
                        other => return Err(TestCaseError::fail(format!("{other:?}"))),
                    };
                    let mut seen = Vec::new();
                    while log.has_news(cursor) {
                        let read = log.page(cursor, page);
                        let of_page: Vec<usize> = read.entries().map(|entry| entry.event).collect();
                        let len: usize = of_page.iter().map(|n| all[*n].1).sum();
                        prop_assert!(of_page.len() == 1 || (len <= page && !of_page.is_empty()));
                        prop_assert_eq!(read.missed(), 0);
                        prop_assert!(read.entries().all(|entry| *entry.id == *all[entry.event].0));
                        seen.extend(of_page);
                        cursor = read.next();
                    }
                    prop_assert_eq!(seen, (from..all.len()).collect::<Vec<_>>());
                    prop_assert_eq!(cursor, log.head());
                }
            }
            prop_assert!(log.len() <= count && log.bytes() <= bytes);
        }
    }
}

/// Who is behind by more than the log holds is told how many are lost, and goes on with the oldest.
#[test]
fn a_cursor_that_was_left_behind_says_how_far() {
    let mut log = Log::new(LogBounds { count: 3, ..LogBounds::default() });
    let start = log.head();
    for i in 0..10 {
        log.push(Instant::EPOCH, &i.to_string(), i, 1).unwrap();
    }
    let page = log.page(start, 1000);
    assert_eq!(
        (page.missed(), page.entries().map(|entry| entry.event).collect::<Vec<_>>()),
        (7, vec![7, 8, 9])
    );
    let page = log.page(log.head(), 1000);
    assert_eq!((page.missed(), page.entries().count(), page.next()), (0, 0, log.head()));
}
