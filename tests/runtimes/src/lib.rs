//! Three programs that drive `stillwire` without an adapter of ours, each in an event loop of another kind, and what
//! they have in common: [`Peer`], one connection and what it is there for.
//!
//! * `epoll`: one thread, [mio](https://docs.rs/mio), one receive buffer for all connections
//! * `uring`: one thread, [io_uring](https://docs.rs/io-uring), buffers that the kernel picks
//! * `frames`: a game loop, `std` alone, every socket asked once per frame
//!
//! Each serves a WebSocket echo and `GET /events`, an event a second. `ADDRESS [LARGEST]` are its arguments (127.0.0.1:0, and
//! 1 MiB as the largest message); its first line of output is the address it listens on.
//!
//! The story they tell:
#![doc = include_str!("../../../docs/drivers.md")]

#[cfg(target_os = "linux")]
pub mod ring;
mod table;

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use stillwire::http::{self, RequestView};
use stillwire::{Inbox, Instant, Link, Outbox, Want, sse, ws};

pub use table::Table;

/// One connection: what it speaks now, and the application. It does no I/O.
///
/// An application of one protocol needs none of this: a [`Link`] is enough.
#[derive(Debug)]
pub enum Peer {
    /// Not decided yet.
    Http(Link<'static, http::Exchange>, ws::Config),
    /// Everything comes back.
    Echo(Link<'static, ws::Connection>),
    /// The next event, and when it is due.
    Events(Link<'static, sse::Feed>, u64, Instant),
    /// Nothing more to do with it.
    Over,
}

enum Next {
    Stay,
    Echo(ws::Accept<'static>),
    Events(u64),
}

impl Peer {
    /// A connection that nothing came from yet; messages may have up to `largest` bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        let mut config = ws::Config::default();
        config.max_message = largest;
        // The inbox takes the message and what may lie behind it; the outbox shows events while half of it is free.
        let boxes = (Inbox::with_limit(largest + 4096), Outbox::with_limit(2 * largest + 4096));
        Self::Http(Link::new(http::Exchange::new(http::Config::default()), boxes.0, boxes.1), config)
    }

    /// What to do next; never [`Want::Deliver`]: the application is in here.
    pub fn want(&mut self, now: Instant) -> Want {
        loop {
            let want = match self {
                Self::Http(link, _) => link.want(now).map_err(drop),
                Self::Echo(link) => link.want(now).map_err(drop),
                Self::Events(link, id, due) => {
                    tick(link, id, due, now);
                    link.want(now).map(|want| sooner(want, *due)).map_err(drop)
                }
                Self::Over => Ok(Want::Close),
            };
            match want.unwrap_or(Want::Close) {
                // The peer was told what it did wrong. A server would log it here.
                Want::Deliver => self.deliver(),
                want => return want,
            }
        }
    }

    /// One event, answered while it is borrowed.
    fn deliver(&mut self) {
        let next = match self {
            Self::Http(link, config) => {
                let Some((http::Event::Head(head), reply)) = link.turn() else { return };
                request(&head, config, reply.machine, reply.outbox)
            }
            Self::Echo(link) => {
                let Some((event, reply)) = link.turn() else { return };
                // It fails when the message came behind our close frame: then nobody waits for it.
                let _ = match event {
                    ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox),
                    ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox),
                    _ => Ok(()),
                };
                Next::Stay
            }
            _ => Next::Stay, // A feed has one event: the subscriber has left.
        };
        if matches!(next, Next::Stay) {
            return;
        }
        let Self::Http(link, config) = core::mem::replace(self, Self::Over) else { return };
        *self = match next {
            Next::Events(id) => {
                let feed = link.switch(|exchange| sse::Feed::over(exchange, sse::FeedConfig::default()));
                Self::Events(feed, id, Instant::EPOCH)
            }
            Next::Echo(accept) => Self::Echo(link.switch(|_| accept.connection(config))),
            Next::Stay => Self::Http(link, config),
        };
    }

    /// Where received bytes go. `None`: it is over.
    pub fn inbox(&mut self) -> Option<&mut Inbox<'static>> {
        match self {
            Self::Http(link, _) => Some(&mut link.inbox),
            Self::Echo(link) => Some(&mut link.inbox),
            Self::Events(link, ..) => Some(&mut link.inbox),
            Self::Over => None,
        }
    }

    /// Where the bytes to send are. `None`: it is over.
    pub fn outbox(&mut self) -> Option<&mut Outbox<'static>> {
        match self {
            Self::Http(link, _) => Some(&mut link.outbox),
            Self::Echo(link) => Some(&mut link.outbox),
            Self::Events(link, ..) => Some(&mut link.outbox),
            Self::Over => None,
        }
    }

    /// Whether to read: the machine takes bytes, and while it waits for a write the inbox is not crowded.
    pub fn may_read(&mut self) -> bool {
        let writing = self.outbox().is_some_and(|outbox| !outbox.is_empty());
        self.inbox().is_some_and(|inbox| {
            let crowded = inbox.unread().len() > inbox.capacity() / 2;
            inbox.wants() && !(writing && crowded)
        })
    }

    /// The write side is shut down.
    pub fn shut(&mut self) {
        match self {
            Self::Http(link, _) => link.shut(),
            Self::Echo(link) => link.shut(),
            Self::Events(link, ..) => link.shut(),
            Self::Over => {}
        }
    }
}

fn request(
    head: &http::RequestHead<'_>,
    config: &ws::Config,
    exchange: &mut http::Exchange,
    outbox: &mut Outbox<'_>,
) -> Next {
    // Every answer fits into the empty outbox of a request.
    if head.has_token("upgrade", "websocket") {
        match ws::Accept::new(head, &[], config) {
            Ok(accept) if accept.write(&[], outbox).is_ok() => return Next::Echo(accept),
            Ok(_) => {}
            Err(error) => {
                exchange.close_after();
                let _ = exchange.respond(error.http_status(), error.headers(), b"", outbox);
            }
        }
    } else if RequestView::path(head) == "/events" {
        let last =
            sse::Feed::last_event_id(head).and_then(|id| core::str::from_utf8(id).ok()?.parse::<u64>().ok());
        if sse::Feed::begin(exchange, &[], outbox).is_ok() {
            return Next::Events(last.map_or(0, |last| last.saturating_add(1)));
        }
    } else {
        let _ = exchange.respond(404, &[], b"a WebSocket, or /events\n", outbox);
    }
    Next::Stay
}

/// One event a second. Who is too slow to take one misses it.
fn tick(link: &mut Link<'static, sse::Feed>, id: &mut u64, due: &mut Instant, now: Instant) {
    if now >= *due && link.machine.is_open() {
        let (text, data) = (id.to_string(), format!("event {id}"));
        let data: sse::Parts<'_> = &[data.as_bytes()];
        let block = sse::Block { id: Some(&text), ..sse::Block::message(data) };
        let _ = link.machine.send_block(&block, &mut link.outbox);
        (*id, *due) = (id.saturating_add(1), now + Duration::from_secs(1));
    }
}

/// The same, to come back at `due` at the latest.
fn sooner(want: Want, due: Instant) -> Want {
    let sooner = |until: Option<Instant>| Some(until.map_or(due, |until| until.min(due)));
    match want {
        Want::Read { until } => Want::Read { until: sooner(until) },
        Want::Write { until } => Want::Write { until: sooner(until) },
        other => other,
    }
}

/// When to come back at the latest.
#[must_use]
pub fn until(want: Want) -> Option<Instant> {
    match want {
        Want::Read { until } | Want::Write { until } | Want::Wait { until } => until,
        _ => None,
    }
}

/// The listener that the arguments ask for, and the largest message. Says where it listens.
///
/// # Errors
/// The address cannot be had.
pub fn listen() -> io::Result<(TcpListener, usize)> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let largest = arguments.next().and_then(|largest| largest.parse().ok()).unwrap_or(1 << 20);
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    Ok((listener, largest))
}

/// The time, as machines count it.
#[must_use]
pub fn now() -> Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    Instant::since_epoch(START.get_or_init(std::time::Instant::now).elapsed())
}

/// What a call that does not block came to. `None`: it would have blocked; `flag` is down until it will not any more.
///
/// # Errors
/// Those of the call.
pub fn ready(done: io::Result<usize>, flag: &mut bool) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => *flag = false,
        done => return done.map(Some),
    }
    Ok(None)
}
