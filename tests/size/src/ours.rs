//! Our endpoints, each with the conversation that it has. All use the blocking driver.

use core::convert::Infallible;

#[cfg(any(feature = "polling", feature = "all-three"))]
use stillwire::Link;
use stillwire::{Inbox, Instant, Machine, Outbox, http};
use stillwire_embedded::blocking::Connection;

use crate::{Wire, memory};

impl embedded_io::ErrorType for Wire {
    type Error = Infallible;
}

impl embedded_io::Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.get(into))
    }
}

impl embedded_io::Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

type Peer<'w, M> = Connection<'static, M, &'w mut Wire, fn() -> Instant>;

fn now() -> Instant {
    Instant::EPOCH
}

#[allow(dead_code)]
fn connect<M: Machine>(wire: &mut Wire, machine: M) -> Peer<'_, M> {
    Connection::new(wire, now, |_| (), machine, Inbox::new(memory::<0>()), Outbox::new(memory::<1>()))
}

/// Of the machine with its boxes.
fn state<M: Machine>(peer: &Peer<'_, M>) -> Option<usize> {
    Some(size_of_val(&peer.link))
}

#[allow(dead_code)]
fn single(wire: &mut Wire) -> Peer<'_, http::Single> {
    connect(wire, http::Single::new(http::Config::TINY))
}

/// The next connection, in the same memory.
#[cfg(any(feature = "polling", feature = "all-three"))]
fn renew(peer: Peer<'_, http::Single>) -> Peer<'_, http::Single> {
    let Link { machine, inbox, outbox, .. } = peer.link.renew(http::Single::new(http::Config::TINY));
    Connection::new(peer.socket, now, |_| (), machine, inbox, outbox)
}

#[cfg(any(feature = "websocket-server", feature = "all-three"))]
mod upgrade {
    use stillwire::{Outbox, http, ws};

    /// The strict handshake. Whether it is a WebSocket now.
    pub fn accept(head: &http::RequestHead<'_>, single: &mut http::Single, outbox: &mut Outbox<'_>) -> bool {
        match ws::Accept::new(head, &[], &ws::Config::TINY) {
            Ok(accept) => accept.write(&[], outbox).is_ok(),
            Err(refusal) => {
                let _ = single.respond(refusal.http_status(), refusal.headers(), &[], outbox);
                false
            }
        }
    }
}

#[cfg(any(
    feature = "websocket-server",
    feature = "websocket-frames",
    feature = "websocket-exchange",
    feature = "websocket-client",
    feature = "all-three"
))]
fn echo(mut peer: Peer<'_, stillwire::ws::Connection>) -> Option<usize> {
    use stillwire::ws::Event;
    while let Some((event, reply)) = peer.next().ok()? {
        let _ = match event {
            Event::Text(text) => reply.machine.send_text(text, reply.outbox),
            Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox),
            _ => Ok(()),
        };
    }
    state(&peer)
}

#[cfg(feature = "websocket-server")]
mod endpoint {
    use super::*;
    use stillwire::ws;

    pub static CONVERSATION: &[&[u8]] = &[crate::UPGRADE, crate::FRAMES];

    /// Request, strict handshake, echo, close.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (mut peer, mut accepted) = (single(wire), false);
        while !accepted {
            let (event, reply) = peer.next().ok()??;
            if let http::Event::Head(head) = event {
                accepted = upgrade::accept(&head, reply.machine, reply.outbox);
            }
        }
        echo(peer.switch(|_| ws::Connection::server(ws::Config::TINY)))
    }
}

#[cfg(feature = "websocket-frames")]
mod endpoint {
    use super::*;
    use stillwire::ws;

    pub static CONVERSATION: &[&[u8]] = &[crate::FRAMES];

    /// Frames only: somebody else does the handshake.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        echo(connect(wire, ws::Connection::server(ws::Config::TINY)))
    }
}

#[cfg(feature = "websocket-exchange")]
mod endpoint {
    use super::*;
    use stillwire::ws;

    pub static CONVERSATION: &[&[u8]] = &[crate::UPGRADE, crate::FRAMES];

    /// The same behind the whole HTTP server: other requests may come first.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let mut peer = connect(wire, http::Exchange::new(http::Config::TINY));
        loop {
            let (event, reply) = peer.next().ok()??;
            let http::Event::Head(head) = event else { continue };
            match ws::Accept::new(&head, &[], &ws::Config::TINY) {
                Ok(accept) => {
                    accept.write(&[], reply.outbox).ok()?;
                    break;
                }
                Err(refusal) => {
                    reply.machine.close_after();
                    let _ =
                        reply.machine.respond(refusal.http_status(), refusal.headers(), b"", reply.outbox);
                }
            }
        }
        echo(peer.switch(|_| ws::Connection::server(ws::Config::TINY)))
    }
}

#[cfg(feature = "websocket-client")]
mod endpoint {
    use super::*;
    use stillwire::{Entropy, ws};

    pub static CONVERSATION: &[&[u8]] = &[
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: CdXSYUsvsaMthlEXWDNURGWA/1o=\r\n\r\n",
        b"\x81\x05hello",
        b"\x88\x02\x03\xe8",
    ];

    /// Offer, check of the answer, echo, close.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let mut entropy = Entropy::from_fn(|bytes| bytes.fill(7)); // a firmware asks its hardware
        let mut peer = connect(wire, http::Fetch::new(http::Config::TINY));
        let offer = ws::Offer::new(&mut entropy, &ws::Config::TINY);
        offer.send(&mut peer.link.machine, "a.example", "/", &[], &[], &mut peer.link.outbox).ok()?;
        loop {
            let (event, _) = peer.next().ok()??;
            if let http::Answer::Head(head) = event {
                offer.check(&head, &[]).ok()?;
                break;
            }
        }
        echo(peer.switch(|_| ws::Connection::client(ws::Config::TINY, entropy)))
    }
}

#[cfg(any(feature = "event-feed", feature = "all-three"))]
fn feed(peer: Peer<'_, http::Single>) -> Option<usize> {
    use stillwire::sse;
    let mut peer = peer.switch(|single| sse::Feed::over(single, sse::FeedConfig::TINY));
    for id in ["1", "2", "3"] {
        let block = sse::Block {
            id: Some(id),
            data: Some(&[b"{\"celsius\":", id.as_bytes(), b"}"]),
            ..Default::default()
        };
        peer.link.machine.send_block(&block, &mut peer.link.outbox).ok()?;
    }
    while peer.next().ok()?.is_some() {}
    state(&peer)
}

#[cfg(feature = "event-feed")]
mod endpoint {
    use super::*;
    use stillwire::sse;

    pub static CONVERSATION: &[&[u8]] = &[
        b"GET /events HTTP/1.1\r\nhost: a.example\r\naccept: text/event-stream\r\nlast-event-id: 0\r\n\r\n",
    ];

    /// Request, answer, three events, and the peer leaves.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (mut peer, mut begun) = (single(wire), false);
        while !begun {
            let (event, reply) = peer.next().ok()??;
            if let http::Event::Head(head) = event {
                begun = sse::Feed::last_event_id(&head) == Some(b"0")
                    && reply.machine.begin(200, &sse::Feed::HEADERS, reply.outbox).is_ok();
            }
        }
        feed(peer)
    }
}

#[cfg(feature = "event-stream")]
mod endpoint {
    use super::*;
    use stillwire::sse;

    pub static CONVERSATION: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        b"id: 1\ndata: hello\n\n",
        b": a comment\nevent: add\nid: 2\ndata: two\ndata: lines\n\n",
    ];

    /// Request, check of the answer, two events.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let mut peer = connect(wire, http::Fetch::new(http::Config::TINY));
        let headers = [("host", "a.example"), ("accept", "text/event-stream")];
        peer.link.machine.request("GET", "/events", &headers, &[], &mut peer.link.outbox).ok()?;
        loop {
            let (event, _) = peer.next().ok()??;
            if let http::Answer::Head(head) = event {
                if head.status() != 200 {
                    return None;
                }
                break;
            }
        }
        let mut peer = peer.switch(|_| sse::Stream::new(sse::Config::TINY));
        let mut bytes = 0;
        while let Some((event, _)) = peer.next().ok()? {
            bytes += event.data.as_bytes().len() + event.last_event_id.as_bytes().len();
        }
        (bytes == 16).then_some(state(&peer)?)
    }
}

#[cfg(any(feature = "polling", feature = "all-three"))]
mod poll {
    use super::*;
    use stillwire::{
        Entropy, Link, Outbox, Want,
        http::{Event, RequestView, SendError},
        polling::{Answer, Config, Connection, HEADERS, Refused, Request, Served, Session, Sid, Ticket},
    };

    /// One session, and its owner, who says everything back.
    pub struct Poll {
        session: Option<Session<'static>>,
        owner: Link<'static, Connection>,
        entropy: Entropy,
        /// Who waits for messages.
        seat: Option<Ticket>,
        /// A body is on its way.
        sending: bool,
    }

    impl Poll {
        pub fn new() -> Self {
            let (inbox, outbox) = (Inbox::new(memory::<2>()), Outbox::new(memory::<3>()));
            let owner = Link::new(Connection::new(&Config::TINY), inbox, outbox);
            // A firmware asks its hardware.
            let entropy = Entropy::from_fn(|bytes| bytes.fill(7));
            Self { session: None, owner, entropy, seat: None, sending: false }
        }

        pub fn event(
            &mut self,
            event: Event<'_>,
            single: &mut http::Single,
            outbox: &mut Outbox<'_>,
        ) -> Result<(), SendError> {
            let answer = match event {
                Event::Head(head) => {
                    let below = head.path().strip_prefix("/poll").unwrap_or_default();
                    let query = head.target().split_once('?').map(|(_, query)| query);
                    match Request::parse(head.method(), below, query).and_then(|request| self.ask(request)) {
                        Ok(None) => {
                            single.collect(Config::TINY.max_bytes);
                            None
                        }
                        Ok(answer) => answer,
                        Err(refused) => Some(refused.answer()),
                    }
                }
                Event::Body(body) if core::mem::take(&mut self.sending) => {
                    let session = self.session.as_mut().ok_or(Refused::NotFound);
                    let posted = session.and_then(|session| session.post(body));
                    Some(posted.map_or_else(Answer::from, |ack| ack.answer()))
                }
                _ => None,
            };
            self.own();
            if let Some(answer) = answer {
                let mut headers = [("", ""); 3];
                let mut len = 0;
                headers
                    .iter_mut()
                    .zip(answer.headers())
                    .for_each(|(to, header)| (*to, len) = (header, len + 1));
                let headers = headers.get(..len).unwrap_or_default();
                single.respond(answer.status(), headers, &[answer.body()], outbox)?;
            }
            self.serve(single, outbox)
        }

        fn ask(&mut self, request: Request) -> Result<Option<Answer>, Refused> {
            if let Request::Open = request {
                let (up, down) = (Inbox::new(memory::<4>()), Inbox::new(memory::<5>()));
                let session = Session::over(Sid::new(&mut self.entropy), &Config::TINY, up, down, now());
                let answer = session.opened();
                self.session.get_or_insert(session);
                return Ok(Some(answer));
            }
            let sid = request.sid().ok_or(Refused::NotFound)?;
            let session =
                self.session.as_mut().filter(|session| session.sid() == sid).ok_or(Refused::NotFound)?;
            match request {
                Request::Receive { after, .. } => self.seat = Some(session.sit(after, now())?),
                Request::Close { .. } => {
                    session.end()?;
                    return Ok(Some(Answer::EMPTY));
                }
                _ => self.sending = true,
            }
            Ok(None)
        }

        fn own(&mut self) {
            let Some(session) = &mut self.session else { return };
            loop {
                match self.owner.want(now()) {
                    Ok(Want::Deliver) => {
                        let Some((event, reply)) = self.owner.turn() else { return };
                        if let stillwire::polling::Event::Text(text) = event {
                            let _ = reply.machine.send_text(text, reply.outbox);
                        }
                    }
                    Ok(Want::Write { .. }) => match session.write(self.owner.outbox.chunk()) {
                        0 => return,
                        n => self.owner.outbox.advance(n),
                    },
                    Ok(Want::Read { .. }) => match session.read(self.owner.inbox.spare()) {
                        None => return,
                        Some(0) => self.owner.inbox.finish(),
                        Some(n) => self.owner.inbox.filled(n),
                    },
                    Ok(Want::Finish) => {
                        session.finish();
                        self.owner.shut();
                    }
                    Ok(Want::Wait { .. } | Want::Close) | Err(_) => return,
                }
            }
        }

        fn serve(&mut self, single: &mut http::Single, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
            let (Some(session), Some(seat)) = (&mut self.session, self.seat) else { return Ok(()) };
            match session.serve(seat, now()) {
                Served::Nothing { .. } => return Ok(()),
                Served::Batch(batch) => {
                    single.respond(200, &HEADERS, &batch.parts(), outbox)?;
                }
                _ => single.respond(204, &[], &[], outbox)?,
            }
            session.done(seat, now());
            self.seat = None;
            Ok(())
        }
    }
}

#[cfg(feature = "polling")]
mod endpoint {
    use super::*;

    pub static CONVERSATION: &[&[u8]] = &[
        b"POST /poll/open HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n",
        b"",
        b"POST /poll/BwcHBwcHBwcHBwcHBwcHBw HTTP/1.1\r\nhost: a.example\r\ncontent-length: 30\r\n\r\n",
        b"{\"seq\":1,\"messages\":[\"hello\"]}",
        b"",
        b"GET /poll/BwcHBwcHBwcHBwcHBwcHBw?after=0 HTTP/1.1\r\nhost: a.example\r\n\r\n",
        b"",
        b"DELETE /poll/BwcHBwcHBwcHBwcHBwcHBw HTTP/1.1\r\nhost: a.example\r\n\r\n",
    ];

    /// A session is opened, says something, hears it, and ends.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (mut peer, mut poll) = (single(wire), poll::Poll::new());
        loop {
            if let Some((event, reply)) = peer.next().ok()? {
                poll.event(event, reply.machine, reply.outbox).ok()?;
                continue;
            }
            if peer.socket.is_over() {
                return Some(state(&peer)? + size_of_val(&poll));
            }
            peer = renew(peer);
        }
    }
}

#[cfg(feature = "all-three")]
mod endpoint {
    use super::*;
    use stillwire::{http::RequestView, sse, ws};

    pub static CONVERSATION: &[&[u8]] = &[
        b"POST /poll/open HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n",
        b"",
        b"POST /poll/BwcHBwcHBwcHBwcHBwcHBw HTTP/1.1\r\nhost: a.example\r\ncontent-length: 30\r\n\r\n",
        b"{\"seq\":1,\"messages\":[\"hello\"]}",
        b"",
        b"GET /poll/BwcHBwcHBwcHBwcHBwcHBw?after=0 HTTP/1.1\r\nhost: a.example\r\n\r\n",
        b"",
        crate::UPGRADE,
        crate::FRAMES,
    ];

    enum Becomes {
        Socket,
        Feed,
    }

    /// A server that takes all three, as the request says.
    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (mut peer, mut poll) = (single(wire), poll::Poll::new());
        let becomes = loop {
            let Some((event, reply)) = peer.next().ok()? else {
                peer = renew(peer);
                continue;
            };
            match event {
                http::Event::Head(head) if head.path() == "/chat" => {
                    if upgrade::accept(&head, reply.machine, reply.outbox) {
                        break Becomes::Socket;
                    }
                }
                http::Event::Head(head) if head.path() == "/events" => {
                    let _ = sse::Feed::last_event_id(&head);
                    if reply.machine.begin(200, &sse::Feed::HEADERS, reply.outbox).is_ok() {
                        break Becomes::Feed;
                    }
                }
                event => poll.event(event, reply.machine, reply.outbox).ok()?,
            }
        };
        match becomes {
            Becomes::Socket => echo(peer.switch(|_| ws::Connection::server(ws::Config::TINY))),
            Becomes::Feed => feed(peer),
        }
    }
}

pub use endpoint::{CONVERSATION, run};
