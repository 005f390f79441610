//! What each of them does when it is its turn.

use core::time::Duration;

use stillwire::{
    Entropy, Inbox, Instant, Machine, Outbox, Progress, Transport,
    polling::{Answer, Request, Served, Session, Sid, What},
};

use super::{Closer, Parcel, Reply, Simulation, Trouble, Waiting};

impl Simulation<'_> {
    pub(crate) fn client_turn(&mut self) {
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

    pub(crate) fn owner_turn(&mut self) {
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

    pub(crate) fn server_turn(&mut self) {
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

    pub(crate) fn replies_turn(&mut self) {
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
}
