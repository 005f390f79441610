//! Client and server over a network that loses requests and answers, delivers requests twice and late, and breaks
//! connections: every message arrives once and in order, in both directions, and so does the end.

use core::{cell::RefCell, time::Duration};
use std::collections::HashMap;

use proptest::{prelude::*, test_runner::TestRunner};
use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress, Transport,
    polling::{Answer, Client, Config, Connection, Event, Request, Served, Session, Sid, Ticket, What},
};

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

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
    fn happens(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// Message `n` of one side: sometimes binary, sometimes full of escapes, of all sizes.
fn message(side: u8, n: u64) -> (bool, Vec<u8>) {
    let mut dice = Dice(n * 2 + u64::from(side));
    let len = if dice.happens(20) { dice.roll(90) } else { dice.roll(20) };
    let mut content = format!("{}{n} ", side as char).into_bytes();
    let binary = dice.happens(30);
    for _ in 0..len {
        content.push(if binary { dice.roll(256) as u8 } else { b"a\"\\ \x01z"[dice.roll(6) as usize] });
    }
    content.truncate(if content.contains(&1) && !binary { 24 } else { 90 });
    (binary, content)
}

/// The application of one side.
struct App {
    side: u8,
    sent: u64,
    received: u64,
    closed: Option<u16>,
    asked_to_close: bool,
}

impl App {
    fn new(side: u8) -> Self {
        Self { side, sent: 0, received: 0, closed: None, asked_to_close: false }
    }
    fn hear(&mut self, event: Event<'_>) {
        assert_eq!(self.closed, None, "an event after the end");
        let (binary, content) = match event {
            Event::Text(text) => (false, text.as_bytes()),
            Event::Binary(bytes) => (true, bytes),
            Event::Closed { code, .. } => {
                self.closed = Some(code);
                return;
            }
        };
        let other = if self.side == b'c' { b's' } else { b'c' };
        let expected = message(other, self.received);
        assert_eq!((binary, content), (expected.0, expected.1.as_slice()), "message {}", self.received);
        self.received += 1;
    }
    /// Sends one more; false when there is no room.
    fn say(&mut self, machine: &mut impl Transport, outbox: &mut Outbox<'_>) -> bool {
        let (binary, content) = message(self.side, self.sent);
        let kind = if binary { stillwire::Kind::Binary } else { stillwire::Kind::Text };
        let (before, behind) = content.split_at(content.len() / 2);
        match machine.send(kind, &[before, behind], outbox) {
            Ok(()) => self.sent += 1,
            Err(stillwire::SendError::Full(_)) => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }
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

    fn client_turn(&mut self) {
        while !self.client_over {
            match self.client.advance(self.now, &mut self.from_server, &mut self.to_server) {
                Ok(Progress::Event) => {
                    self.user.hear(self.client.event(&self.from_server).expect("an event"));
                }
                Ok(Progress::Closed) => self.client_over = true,
                Ok(_) => break,
                Err(error) => panic!("the client failed: {error}"),
            }
        }
        if self.client.is_open() && self.user.sent < self.world.messages && self.dice.happens(50) {
            while self.user.sent < self.world.messages
                && self.dice.happens(80)
                && self.user.say(&mut self.client, &mut self.to_server)
            {}
        }
        if self.client.is_open() && self.all_said() && self.world.closer != Closer::Server {
            self.client.close("done", &mut self.to_server);
            self.user.asked_to_close = true;
        }
        while let Some(ask) = self.client.next_request(self.now, &self.from_server, &self.to_server) {
            let body = ask.body().map(stillwire::polling::Batch::to_vec).unwrap_or_default();
            let limit = self.config.max_bytes;
            assert!(body.len() <= limit, "a body of {} bytes, {limit} is the limit", body.len());
            let (flight, what) = (self.next_flight, ask.what());
            let (method, path, within) = (ask.method(), ask.path().as_str().to_owned(), ask.within());
            self.next_flight += 1;
            self.requests += 1;
            self.flights.push((flight, what, self.now + within));
            let parcel = Parcel { flight: Some(flight), what, method, path, body, arrives: self.soon() };
            if what != What::Open && self.dice.happens(self.world.twice) {
                self.trouble(Trouble::RequestTwice);
                // A copy that arrives first, soon after, or so late that it is history.
                let late = [1, 300, 60_000][self.dice.roll(3) as usize];
                let arrives = self.now + Duration::from_millis(self.dice.roll(late));
                self.parcels.push(Parcel { flight: None, arrives, ..parcel.clone() });
            }
            if self.dice.happens(self.world.lost) {
                self.trouble(Trouble::RequestLost);
                if self.dice.happens(50) {
                    let arrives = self.soon();
                    self.replies.push(Reply { flight, what, answer: None, arrives }); // refused at once
                } // else nobody answers, and the driver gives up in time
                continue;
            }
            self.parcels.push(parcel);
        }
    }

    fn all_said(&self) -> bool {
        let n = self.world.messages;
        [&self.user, &self.host].iter().all(|app| app.sent == n && app.received == n)
    }

    fn owner_turn(&mut self) {
        if self.now < self.busy_until {
            return;
        }
        if self.dice.happens(self.world.busy) {
            self.busy_until = self.now + Duration::from_millis(self.dice.roll(3000));
        }
        let (Some(session), Some((connection, inbox, outbox))) = (&mut self.session, &mut self.owner) else {
            return;
        };
        session.tick(self.now);
        let mut buffer = [0; 300];
        let most = 1 + self.dice.roll(300) as usize;
        let room = inbox.capacity() - inbox.unread().len();
        match session.read(&mut buffer[..most.min(room)]) {
            Some(0) => inbox.finish(),
            Some(n) => assert_eq!(inbox.push(&buffer[..n]), n),
            None => {}
        }
        while connection.advance(self.now, inbox, outbox).expect("the client sends no nonsense")
            == Progress::Event
        {
            self.host.hear(connection.event(inbox).expect("an event"));
        }
        while connection.is_open() && self.host.sent < self.world.messages && self.dice.happens(70) {
            if !self.host.say(connection, outbox) {
                break;
            }
        }
        let n = self.world.messages;
        let all_said = self.host.sent == n && self.host.received == n && self.user.received == n;
        if connection.is_open() && all_said && self.world.closer != Closer::Client {
            connection.send_close(4000, "done", outbox).expect("there is room for it");
            self.host.asked_to_close = true;
        }
        // In pieces: records are torn apart.
        let most = outbox.chunk().len().min(1 + self.dice.roll(200) as usize);
        let n = session.write(&outbox.chunk()[..most]);
        outbox.advance(n);
        if outbox.is_finished() && outbox.is_empty() {
            session.finish();
        }
    }

    fn answer(&mut self, parcel: &Parcel, status: u16, body: Vec<u8>) {
        let Some(flight) = parcel.flight else { return };
        let broken = self.dice.happens(self.world.lost);
        if broken {
            self.trouble(Trouble::AnswerLost);
        }
        let arrives = self.soon();
        if broken && self.dice.happens(50) {
            return;
        }
        let answer = (!broken).then_some((status, body));
        self.replies.push(Reply { flight, what: parcel.what, answer, arrives });
    }

    fn server_turn(&mut self) {
        let due = |at: Instant, now: Instant| at <= now;
        while let Some(at) = self.parcels.iter().position(|parcel| due(parcel.arrives, self.now)) {
            let parcel = self.parcels.swap_remove(at);
            let (path, query) = parcel
                .path
                .split_once('?')
                .map_or((&parcel.path[..], None), |(path, query)| (path, Some(query)));
            let request = Request::parse(parcel.method, path, query).expect("a request of ours");
            let whole = |answer: &Answer| (answer.status(), answer.body().to_vec());
            if request == Request::Open {
                // An answer that is lost leaves a session behind that nobody comes to.
                let sid = Sid::new(&mut Entropy::insecure_seeded(self.dice.roll(u64::MAX)));
                let session = match self.pipes.take() {
                    Some((up, down)) => Session::over(sid, &self.config, up, down, self.now),
                    None => Session::new(sid, &self.config, self.now),
                };
                let (status, body) = whole(&session.opened());
                if self.session.is_none() {
                    let connection = session.connection();
                    self.owner = Some((connection, Inbox::with_limit(4000), Outbox::with_limit(500)));
                    self.session = Some(session);
                }
                let flight = parcel.flight.expect("never twice");
                let arrives = self.soon();
                let answer = Some((status, body));
                self.replies.push(Reply { flight, what: What::Open, answer, arrives });
                continue;
            }
            let session = self.session.as_mut().expect("it was opened");
            let refused = match request {
                Request::Open => unreachable!(),
                Request::Send { .. } => session.post(&parcel.body).map(|ack| Some(ack.answer())),
                Request::Close { .. } => session.end().map(|()| Some(Answer::EMPTY)),
                Request::Receive { after, .. } => session.sit(after, self.now).map(|ticket| {
                    let breaks = self.dice.happens(self.world.broken);
                    let breaks = breaks.then(|| self.now + Duration::from_millis(self.dice.roll(400)));
                    self.waiting.push(Waiting { ticket, parcel: parcel.clone(), breaks });
                    None
                }),
            };
            match refused {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    let (status, body) = whole(&answer);
                    self.answer(&parcel, status, body);
                }
                Err(refused) => {
                    let (status, body) = whole(&refused.answer());
                    match status {
                        409 => self.trouble(Trouble::OutOfStep),
                        413 => self.trouble(Trouble::NoRoomYet),
                        _ => {}
                    }
                    assert!(
                        parcel.flight.is_none() || matches!(status, 404 | 413),
                        "{parcel:?} was refused: {refused}"
                    );
                    self.answer(&parcel, status, body);
                }
            }
        }
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.retain(|one| {
            let session = self.session.as_mut().expect("it was opened");
            if one.breaks.is_some_and(|at| at <= self.now) {
                session.abort(one.ticket, self.now);
                self.trouble(Trouble::ReceiverBroken);
                if let Some(flight) = one.parcel.flight {
                    let arrives = self.now;
                    self.replies.push(Reply { flight, what: What::Receive, answer: None, arrives });
                }
                return false;
            }
            let (status, body) = match session.serve(one.ticket, self.now) {
                Served::Nothing { .. } => return true,
                Served::Batch(batch) => {
                    assert!(batch.len() <= self.config.max_bytes);
                    assert!(batch.count() <= self.config.max_messages as u64);
                    (200, batch.to_vec())
                }
                Served::Over => (204, vec![]),
                Served::TimedOut => {
                    *self.troubles.entry(Trouble::TimedOut).or_default() += 1;
                    (204, vec![])
                }
                Served::Replaced => {
                    *self.troubles.entry(Trouble::Replaced).or_default() += 1;
                    (204, vec![])
                }
            };
            session.done(one.ticket, self.now);
            self.answer(&one.parcel, status, body);
            false
        });
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }

    fn replies_turn(&mut self) {
        while let Some(at) = self.replies.iter().position(|reply| reply.arrives <= self.now) {
            let reply = self.replies.swap_remove(at);
            let Some(at) = self.flights.iter().position(|flight| flight.0 == reply.flight) else { continue };
            self.flights.swap_remove(at);
            match reply.answer {
                None => self.client.failed(reply.what, self.now),
                Some((status, body)) => {
                    let (inbox, outbox) = (&mut self.from_server, &mut self.to_server);
                    self.client.answered(reply.what, status, &body, inbox, outbox, self.now);
                }
            }
        }
        let now = self.now;
        while let Some(at) = self.flights.iter().position(|flight| flight.2 <= now) {
            let (_, what, _) = self.flights.swap_remove(at);
            self.client.failed(what, now);
        }
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
