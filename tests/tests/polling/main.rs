//! Client and server over a network that loses requests and answers, delivers requests twice and late, and breaks
//! connections: every message arrives once and in order, in both directions, and so does the end.

mod app;
mod turns;

use core::{cell::RefCell, time::Duration};
use std::collections::HashMap;

use proptest::{prelude::*, test_runner::TestRunner};
use stillwire::{
    Entropy, Inbox, Instant, Outbox,
    polling::{Client, Config, Connection, Session, Ticket, What},
};

use app::{App, Dice};

/// How bad the network is, in percent, and how small everything else.
#[derive(Clone, Debug)]
struct World {
    seed: u64,
    lost: u64,
    twice: u64,
    broken: u64,
    max_bytes: usize,
    max_messages: usize,
    client_inbox: usize,
    lent: bool,
    busy: u64,
    messages: u64,
    closer: Closer,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Closer {
    Client,
    Server,
    Both,
}

fn worlds() -> impl Strategy<Value = World> {
    let network = (any::<u64>(), 0..40_u64, 0..30_u64, 0..30_u64);
    let sizes = (200..2000_usize, 1..20_usize, 160..4000_usize, any::<bool>(), 0..15_u64, 0..100_u64);
    let closer = prop_oneof![Just(Closer::Client), Just(Closer::Server), Just(Closer::Both)];
    (network, sizes, closer).prop_map(|((seed, lost, twice, broken), sizes, closer)| {
        let (max_bytes, max_messages, client_inbox, lent, busy, messages) = sizes;
        let client_inbox = client_inbox.max(max_bytes);
        World {
            seed,
            lost,
            twice,
            broken,
            max_bytes,
            max_messages,
            client_inbox,
            lent,
            busy,
            messages,
            closer,
        }
    })
}

/// A request, or a copy of one, on its way.
#[derive(Clone, Debug)]
struct Parcel {
    /// Whose answer it is; `None`: nobody waits for it any more.
    flight: Option<u64>,
    what: What,
    method: &'static str,
    path: String,
    body: Vec<u8>,
    arrives: Instant,
}

/// What went wrong, over all worlds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Trouble {
    RequestLost,
    RequestTwice,
    AnswerLost,
    ReceiverBroken,
    Replaced,
    NoRoomYet,
    OutOfStep,
    TimedOut,
}

struct Reply {
    flight: u64,
    what: What,
    /// `None`: it broke.
    answer: Option<(u16, Vec<u8>)>,
    arrives: Instant,
}

struct Waiting {
    ticket: Ticket,
    parcel: Parcel,
    breaks: Option<Instant>,
}

struct Simulation<'s> {
    world: World,
    config: Config,
    dice: Dice,
    now: Instant,
    // the client
    client: Client,
    from_server: Inbox<'s>,
    to_server: Outbox<'s>,
    user: App,
    /// The requests under way, and when the driver gives them up.
    flights: Vec<(u64, What, Instant)>,
    next_flight: u64,
    client_over: bool,
    // the network
    parcels: Vec<Parcel>,
    replies: Vec<Reply>,
    waiting: Vec<Waiting>,
    requests: u64,
    troubles: HashMap<Trouble, u64>,
    /// The owner looks at nothing until then.
    busy_until: Instant,
    // the server
    pipes: Option<(Inbox<'s>, Inbox<'s>)>,
    session: Option<Session<'s>>,
    owner: Option<(Connection, Inbox<'static>, Outbox<'static>)>,
    host: App,
}

impl<'s> Simulation<'s> {
    fn new(world: World, memory: &'s mut [Vec<u8>; 4]) -> Self {
        let mut config = Config::default();
        config.max_bytes = world.max_bytes;
        config.max_messages = world.max_messages;
        config.retries = 100_000;
        config.empty_within = Duration::from_secs(100_000);
        config.close_within = Duration::from_secs(1_000_000);
        let [a, b, c, d] = memory;
        let pipe = world.max_bytes + world.max_messages + 100;
        [&mut *a, &mut *b].into_iter().for_each(|bytes| bytes.resize(pipe, 0));
        c.resize(world.client_inbox, 0);
        d.resize(1000, 0);
        Self {
            dice: Dice(world.seed),
            now: Instant::EPOCH + Duration::from_secs(1),
            client: Client::new(&config, Entropy::insecure_seeded(world.seed)),
            from_server: if world.lent { Inbox::new(c) } else { Inbox::with_limit(world.client_inbox) },
            to_server: if world.lent { Outbox::new(d) } else { Outbox::with_limit(1000) },
            user: App::new(b'c'),
            flights: vec![],
            next_flight: 0,
            client_over: false,
            parcels: vec![],
            replies: vec![],
            waiting: vec![],
            requests: 0,
            troubles: HashMap::new(),
            busy_until: Instant::EPOCH,
            pipes: world.lent.then(|| (Inbox::new(a), Inbox::new(b))),
            session: None,
            owner: None,
            host: App::new(b's'),
            world,
            config,
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        *self.troubles.entry(trouble).or_default() += 1;
    }

    fn soon(&mut self) -> Instant {
        self.now + Duration::from_millis(self.dice.roll(200))
    }

    fn is_over(&self) -> bool {
        let owner_over = self.owner.as_ref().is_none_or(|_| self.host.closed.is_some());
        self.client_over && owner_over
    }

    fn run(&mut self) {
        for _ in 0..400_000 {
            self.owner_turn();
            self.client_turn();
            self.server_turn();
            self.replies_turn();
            if self.is_over() && self.flights.is_empty() {
                return;
            }
            self.now = self.now + Duration::from_millis(1 + self.dice.roll(100));
        }
        panic!(
            "it never ends: client sent {} received {}, server sent {} received {}, over {} {:?}",
            self.user.sent,
            self.user.received,
            self.host.sent,
            self.host.received,
            self.client_over,
            self.host.closed
        );
    }
}

/// 1,000 worlds, or `STILLWIRE_LAW_CASES`.
#[test]
fn every_message_arrives_once_and_in_order() {
    let cases = std::env::var("STILLWIRE_LAW_CASES").map_or(1000, |n| n.parse().expect("a number"));
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 2000, ..Default::default() };
    let (troubles, totals) = (RefCell::new(HashMap::new()), RefCell::new((0, 0)));
    TestRunner::new(config)
        .run(&worlds(), |world| {
            let mut memory = [vec![], vec![], vec![], vec![]];
            let (n, closer) = (world.messages, world.closer);
            let mut simulation = Simulation::new(world, &mut memory);
            simulation.run();
            let (user, host) = (&simulation.user, &simulation.host);
            prop_assert_eq!((user.sent, user.received, host.sent, host.received), (n, n, n, n));
            let codes = (user.closed, host.closed);
            let good = match closer {
                Closer::Client => codes == (Some(1000), Some(1000)),
                Closer::Server => codes == (Some(4000), Some(4000)),
                // Each may hear its own or the other's.
                Closer::Both => [codes.0, codes.1].iter().all(|c| matches!(c, Some(1000 | 4000))),
            };
            prop_assert!(good, "{:?} closed, {:?}", closer, codes);
            prop_assert!(simulation.session.as_ref().is_some_and(Session::is_over));
            for (trouble, n) in simulation.troubles {
                *troubles.borrow_mut().entry(trouble).or_insert(0) += n;
            }
            totals.borrow_mut().0 += 2 * n;
            totals.borrow_mut().1 += simulation.requests;
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let troubles = troubles.into_inner();
    println!("(messages, requests) {:?}, {troubles:?}", totals.into_inner());
    let enough = |n: &u64| cases < 1000 || *n >= 10;
    assert!(troubles.len() == 8 && troubles.values().all(enough), "too good a network: {troubles:?}");
}
