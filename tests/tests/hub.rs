//! The hub's structures against naive models.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use stillwire::hub::{
    Bounds, Dialect, EnterError, Entered, JoinError, Mailbox, Posted, Presence, PresenceLimits, Rooms,
    RoomsLimits, Shared, Slow, spread,
};

const ROOMS: [&str; 5] = ["", "a", "b", "c", "too-long"];

#[derive(Clone, Debug)]
enum Step {
    Join(u64, usize),
    Leave(u64, usize),
    LeaveAll(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..8_u64, 0..ROOMS.len()).prop_map(|(member, room)| Step::Join(member, room)),
        3 => (0..8_u64, 0..ROOMS.len()).prop_map(|(member, room)| Step::Leave(member, room)),
        1 => (0..8_u64).prop_map(Step::LeaveAll),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// A list of (room, member, handle) in the order of joining says the same.
    #[test]
    fn rooms_are_a_list_of_who_joined_what(steps in steps()) {
        let mut limits = RoomsLimits::default();
        (limits.rooms_per_member, limits.members_per_room, limits.name) = (3, 5, 4);
        let mut rooms = Rooms::new(limits);
        let mut model: Vec<(&str, u64, usize)> = Vec::new();
        for (handle, step) in steps.into_iter().enumerate() {
            match step {
                Step::Join(member, room) => {
                    let room = ROOMS[room];
                    let there = model.iter().any(|(r, m, _)| (*r, *m) == (room, member));
                    let expected = if there {
                        Ok(false)
                    } else if room.len() > 4 {
                        Err(JoinError::NameTooLong { limit: 4 })
                    } else if model.iter().filter(|(r, ..)| *r == room).count() >= 5 {
                        Err(JoinError::RoomFull { limit: 5 })
                    } else if model.iter().filter(|(_, m, _)| *m == member).count() >= 3 {
                        Err(JoinError::TooManyRooms { limit: 3 })
                    } else {
                        model.push((room, member, handle));
                        Ok(true)
                    };
                    prop_assert_eq!(rooms.join(member, handle, room), expected);
                }
                Step::Leave(member, room) => {
                    let room = ROOMS[room];
                    let at = model.iter().position(|(r, m, _)| (*r, *m) == (room, member));
                    prop_assert_eq!(rooms.leave(member, room), at.map(|at| model.remove(at).2));
                }
                Step::LeaveAll(member) => {
                    let mut left: Vec<_> = model.iter().filter(|(_, m, _)| *m == member).map(|(r, ..)| *r).collect();
                    left.sort_unstable();
                    model.retain(|(_, m, _)| *m != member);
                    let really = rooms.leave_all(member);
                    prop_assert_eq!(really.iter().map(|room| &**room).collect::<Vec<_>>(), left);
                }
            }
            for room in ROOMS {
                let expected: Vec<_> = model.iter().filter(|(r, ..)| *r == room).map(|(_, m, h)| (*m, *h)).collect();
                prop_assert_eq!(rooms.members(room).map(|(m, h)| (m, *h)).collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!(rooms.room(room).map_or(0, stillwire::hub::Room::len), expected.len());
                prop_assert_eq!(rooms.room(room).is_some(), !expected.is_empty(), "an empty room is forgotten");
                for member in 0..8 {
                    let handle = expected.iter().find(|(m, _)| *m == member).map(|(_, h)| h);
                    prop_assert_eq!(rooms.contains(member, room), handle.is_some());
                    prop_assert_eq!(rooms.room(room).and_then(|room| room.get(member)), handle);
                }
            }
            for member in 0..8 {
                let mut joined: Vec<_> = model.iter().filter(|(_, m, _)| *m == member).map(|(r, ..)| *r).collect();
                joined.sort_unstable();
                prop_assert_eq!(rooms.joined(member).collect::<Vec<_>>(), joined);
            }
            let mut names: Vec<_> = model.iter().map(|(r, ..)| *r).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!((rooms.is_empty(), rooms.len()), (names.is_empty(), names.len()));
            prop_assert_eq!(rooms.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
                    }
    }

    /// Never above its bounds, in order, and every message is popped, waiting or counted as dropped.
    #[test]
    fn a_mailbox_keeps_its_bounds_and_its_order(
        slow in prop_oneof![Just(Slow::DropNew), Just(Slow::DropOld), Just(Slow::Dismiss)],
        messages in 0..6_usize,
        steps in proptest::collection::vec(prop_oneof![
            8 => (0..14_usize).prop_map(Some),
            5 => Just(None),
        ], 0..120),
        end in 0..150_usize,
        close in any::<bool>(),
    ) {
        let bounds = Bounds { bytes: 20, messages };
        let mut mailbox = Mailbox::new(bounds, slow);
        let mut model: VecDeque<(usize, usize)> = VecDeque::new();
        let (mut popped, mut posted, mut gone) = (0, 0, false);
        for (n, step) in steps.into_iter().enumerate() {
            if n == end {
                if close {
                    mailbox.close();
                    model.clear();
                } else {
                    prop_assert_eq!(mailbox.dismiss(Duration::from_secs(2)), !gone);
                    mailbox.dismiss(Duration::from_secs(1));
                    prop_assert_eq!(mailbox.dismissed(), Some(Duration::from_secs(2)));
                }
                gone = true;
            }
            if let Some(len) = step {
                posted += 1;
                let bytes: usize = model.iter().map(|(_, len)| len).sum();
                let fits = bytes + len <= 20 && model.len() < messages;
                let expected = if gone || messages == 0 {
                    Posted::Dropped
                } else if fits {
                    let wake = model.is_empty();
                    model.push_back((n, len));
                    Posted::Queued { wake }
                } else {
                    match slow {
                        Slow::DropNew => Posted::Dropped,
                        Slow::DropOld => {
                            while model.iter().map(|(_, len)| len).sum::<usize>() + len > 20 || model.len() >= messages {
                                model.pop_front();
                            }
                            model.push_back((n, len));
                            Posted::Queued { wake: false }
                        }
                        Slow::Dismiss => {
                            model.clear();
                            gone = true;
                            Posted::Overrun
                        }
                    }
                };
                prop_assert_eq!(mailbox.post(n, len), expected);
            } else {
                prop_assert_eq!(mailbox.front().copied(), model.front().map(|(n, _)| *n));
                let next = model.pop_front().map(|(n, _)| n);
                popped += u64::from(next.is_some());
                prop_assert_eq!(mailbox.pop(), next);
            }
            prop_assert!(mailbox.bytes() <= 20 && mailbox.len() <= messages);
            prop_assert_eq!(mailbox.bytes(), model.iter().map(|(_, len)| len).sum::<usize>());
            prop_assert_eq!(mailbox.len(), model.len());
            prop_assert_eq!(posted, popped + mailbox.len() as u64 + mailbox.dropped(), "every message is accounted for");
            prop_assert!(!mailbox.is_empty() || mailbox.allocated() == 0, "an idle mailbox keeps no buffer");
        }
    }

    /// A list of (connection, user) says the same; the first one in and the last one out are noticed.
    #[test]
    fn presence_is_a_list_of_connections(
        steps in proptest::collection::vec((0..12_u64, prop::option::of(0..4_usize), 0..4_u8), 0..200),
    ) {
        const USERS: [&str; 4] = ["ann", "bob", "eve", "a-long-name"];
        let mut limits = PresenceLimits::default();
        (limits.people, limits.connections, limits.user, limits.payload) = (2, 3, 5, 2);
        let mut presence = Presence::new(limits);
        let mut here: Vec<(u64, &str)> = Vec::new();
        let mut people: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for (connection, user, length) in steps {
            let payload = vec![length; usize::from(length)];
            let count = |here: &[(u64, &str)], user| here.iter().filter(|(_, u)| *u == user).count();
            if let Some(user) = user.map(|user| USERS[user]) {
                let expected = match here.iter().find(|(c, _)| *c == connection) {
                    Some((_, u)) if *u == user => Ok(Entered::Again),
                    Some(_) => Err(EnterError::AnotherUser),
                    None if length > 2 => Err(EnterError::PayloadTooLong { limit: 2 }),
                    None if people.contains_key(user) && count(&here, user) >= 3 => Err(EnterError::TooManyConnections { limit: 3 }),
                    None if people.contains_key(user) => {
                        here.push((connection, user));
                        Ok(Entered::Again)
                    }
                    None if user.len() > 5 => Err(EnterError::UserTooLong { limit: 5 }),
                    None if people.len() >= 2 => Err(EnterError::TooManyPeople { limit: 2 }),
                    None => {
                        here.push((connection, user));
                        people.insert(user, payload.clone());
                        Ok(Entered::First)
                    }
                };
                prop_assert_eq!(presence.enter(connection, user, &payload), expected);
            } else if length == 0 {
                let change = people.get_mut("ann").filter(|payload| ***payload != *b"!");
                prop_assert_eq!(presence.update("ann", b"!"), Ok(change.is_some()));
                if let Some(payload) = change {
                    *payload = b"!".to_vec();
                }
            } else {
                let user = here.iter().find(|(c, _)| *c == connection).map(|(_, user)| *user);
                here.retain(|(c, _)| *c != connection);
                let last = user.filter(|user| count(&here, user) == 0);
                let departed = presence.leave(connection);
                prop_assert_eq!(departed.as_ref().map(|departed| &*departed.user), last);
                if let (Some(departed), Some(user)) = (departed, last) {
                    prop_assert_eq!(Some(departed.payload.to_vec()), people.remove(user));
                }
            }
            let snapshot: Vec<_> = presence.people().map(|p| (p.user, p.payload.to_vec(), p.connections)).collect();
            let expected: Vec<_> = people.iter().map(|(user, payload)| (*user, payload.clone(), count(&here, user))).collect();
            prop_assert_eq!(snapshot, expected);
            prop_assert_eq!(presence.person("bob").is_some(), people.contains_key("bob"));
            prop_assert_eq!((presence.len(), presence.is_empty()), (people.len(), people.is_empty()));
        }
    }

    /// In order, from zero, below the span, and evenly to the nanosecond.
    #[test]
    fn shares_of_a_span_are_even(n in any::<usize>(), count in any::<usize>(), seconds in any::<u64>(), nanos in 0..1_000_000_000_u32) {
        let span = Duration::new(seconds, nanos);
        let share = spread(n, count, span);
        prop_assert!(share <= span);
        prop_assert_eq!(spread(0, count, span), if count == 0 { span } else { Duration::ZERO });
        if n < count {
            let next = spread(n.saturating_add(1), count, span);
            let step = next - share;
            let even = Duration::new(
                (span.as_nanos() / count as u128 / 1_000_000_000) as u64,
                (span.as_nanos() / count as u128 % 1_000_000_000) as u32,
            );
            prop_assert!(step >= even && step <= even + Duration::from_nanos(1), "{step:?} is not {even:?}");
        } else {
            prop_assert_eq!(share, span);
        }
    }
}

/// A message that can never fit is dropped; nobody is dismissed or loses others for it.
#[test]
fn an_oversized_message_is_nobodys_fault() {
    for slow in [Slow::DropNew, Slow::DropOld, Slow::Dismiss] {
        let mut mailbox = Mailbox::new(Bounds { bytes: 10, messages: 10 }, slow);
        assert_eq!(mailbox.post("kept", 10), Posted::Queued { wake: true });
        assert_eq!(mailbox.post("never", 11), Posted::Dropped);
        assert_eq!(mailbox.post("huge", usize::MAX), Posted::Dropped);
        assert_eq!((mailbox.dismissed(), mailbox.dropped()), (None, 2));
        assert_eq!(mailbox.pop(), Some("kept"));
    }
}

/// What an overrun mailbox held is free before its owner has noticed.
#[test]
fn an_overrun_frees_its_memory_at_once() {
    let mut mailbox = Mailbox::new(Bounds { bytes: 100, messages: 1000 }, Slow::Dismiss);
    for n in 0..10 {
        assert_eq!(mailbox.post(n, 10), Posted::Queued { wake: n == 0 });
    }
    assert_eq!(mailbox.post(10, 1), Posted::Overrun);
    assert_eq!((mailbox.len(), mailbox.bytes(), mailbox.allocated(), mailbox.dropped()), (0, 0, 0, 11));
    assert_eq!(mailbox.dismissed(), Some(Duration::ZERO));
    assert_eq!(mailbox.post(11, 1), Posted::Dropped, "an overrun is said once");
    assert!(!mailbox.dismiss(Duration::from_secs(3)), "it was dismissed already");
    assert_eq!(mailbox.dismissed(), Some(Duration::from_secs(3)), "a shutdown's hint is longer");
}

/// Eight threads ask at the same moment: everybody gets the very same bytes.
#[test]
fn all_threads_share_one_form() {
    for _ in 0..50 {
        let (message, encoded, start) = (Shared::text("x"), AtomicUsize::new(0), Barrier::new(8));
        let pointers: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                start.wait();
                let form = message.form(Dialect::WebSocket, |_, payload| {
                    encoded.fetch_add(1, Ordering::Relaxed);
                    payload.repeat(1000).into()
                });
                form.as_ptr() as usize
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pointers.iter().all(|pointer| *pointer == pointers[0]));
        let before = encoded.load(Ordering::Relaxed);
        assert_eq!(message.clone().form(Dialect::WebSocket, |_, _| unreachable!()).len(), 1000);
        assert!((1..=8).contains(&before));
    }
}

/// Each dialect has a form of its own, and a failure leaves nothing behind.
#[test]
fn dialects_do_not_mix_and_failures_are_not_kept() {
    let message = Shared::binary(vec![1, 2, 3]);
    assert_eq!(message.try_form(Dialect::Events, |_, _| Err("no binary here")), Err("no binary here"));
    assert_eq!(message.form(Dialect::WebSocket, |_, payload| payload.clone()), &[1, 2, 3][..]);
    assert_eq!(message.form(Dialect::Events, |_, _| "AQID".into()), "AQID");
    assert_eq!(message.form(Dialect::WebSocket, |_, _| unreachable!()), &[1, 2, 3][..]);
    assert!(message.as_text().is_none());
    assert_eq!(Shared::from("é").as_text().unwrap(), "é");
    assert!(Shared::text("").is_empty());
}
