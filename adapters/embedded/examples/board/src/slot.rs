//! One connection: first HTTP, and then what its request asked for.

use core::time::Duration;

use smoltcp::socket::tcp::{Socket, State};
use stillwire::{
    Inbox, Instant, Link, Outbox, Reply,
    http::{self, RequestHead, RequestView, Single},
    polling::{self, Answer, Refused, Served},
    sse, ws,
};

use crate::{
    App,
    drive::{Turn, turn},
};

const PAGE: &[u8] = include_bytes!("page.html");
const PAGE_HEADERS: [(&str, &str); 2] =
    [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")];
const JSON: [(&str, &str); 2] = [("content-type", "application/json"), ("cache-control", "no-store")];

/// The largest message of the echo: larger ones are refused with 1009.
pub const MAX_MESSAGE: usize = 1900;
/// It holds a message and what stillwire wants besides.
pub const INBOX: usize = 2048;
/// It holds the answer to a message, its header and a close frame.
pub const OUTBOX: usize = 2048;

/// A connection and its memory.
pub struct Slot {
    /// `None` only inside of `change`.
    talk: Option<Talk>,
    /// The machine is done: by then, so is the socket.
    leaving: Option<Instant>,
    is_open: bool,
}

enum Talk {
    Http(Link<'static, Single>, Task),
    Echo(Link<'static, ws::Connection>),
    /// Telemetry, and the number of the last reading that was sent.
    Live(Link<'static, ws::Connection>, u32),
    Feed(Link<'static, sse::Feed>, u32),
}

/// What is left to do for a request.
enum Task {
    Nothing,
    /// These bytes of the page are still to be sent.
    Page(&'static [u8]),
    /// It waits for messages of a session.
    Receive(polling::Sid, polling::Ticket),
    /// Its body is for a session.
    Send(polling::Sid),
    /// The connection becomes something else.
    Echo,
    Live,
    Feed(u32),
}

fn http_config() -> http::Config {
    let mut config = http::Config::TINY;
    config.max_head = INBOX;
    // A connection that nobody uses is a slot that somebody else could.
    config.idle_within = Duration::from_secs(3);
    config.close_within = Duration::from_secs(1);
    config
}

fn ws_config() -> ws::Config {
    let mut config = ws::Config::TINY;
    config.max_message = MAX_MESSAGE;
    config.max_fragments = 2000;
    config.close_within = Duration::from_secs(1);
    config
}

impl Slot {
    pub fn new(inbox: &'static mut [u8], outbox: &'static mut [u8]) -> Self {
        let link = Link::new(Single::new(http_config()), Inbox::new(inbox), Outbox::new(outbox));
        Self { talk: Some(Talk::Http(link, Task::Nothing)), leaving: None, is_open: false }
    }

    /// Once each time round the main loop. Whether the slot is free: its socket may listen.
    pub fn turn(&mut self, now: Instant, socket: &mut Socket<'_>, app: &mut App) -> bool {
        if socket.state() == State::TimeWait {
            socket.abort(); // sockets are too few to let them rest
        }
        if !socket.is_open() || socket.is_listening() {
            if core::mem::take(&mut self.is_open) {
                self.hang_up(now, app);
            }
            return !socket.is_listening();
        }
        if let Some(until) = self.leaving {
            let _ = socket.recv(|bytes| (bytes.len(), ())); // nobody listens any more
            if now >= until {
                socket.abort();
            }
            return false;
        }
        if !self.is_open && !matches!(socket.state(), State::Established | State::CloseWait) {
            return false; // its handshake is under way
        }
        self.is_open = true;
        if self.talk(now, socket, app) == Turn::Over {
            socket.close();
            self.leaving = Some(now + Duration::from_secs(1));
            self.hang_up(now, app);
        }
        false
    }

    /// Whether a client has it.
    pub fn is_taken(&self) -> bool {
        self.is_open
    }

    /// The memory is ready for the next client.
    fn hang_up(&mut self, now: Instant, app: &mut App) {
        if let Some(Talk::Http(_, Task::Receive(sid, ticket))) = &self.talk
            && let Some(poll) = app.polls.find(*sid)
        {
            poll.session.abort(*ticket, now);
        }
        if !self.is_open {
            self.leaving = None;
        }
        let single = || Single::new(http_config());
        self.change(|talk| {
            let link = match talk {
                Talk::Http(link, _) => link.renew(single()),
                Talk::Echo(link) | Talk::Live(link, _) => link.renew(single()),
                Talk::Feed(link, _) => link.renew(single()),
            };
            Talk::Http(link, Task::Nothing)
        });
    }

    fn change(&mut self, f: impl FnOnce(Talk) -> Talk) {
        self.talk = self.talk.take().map(f);
    }

    fn talk(&mut self, now: Instant, socket: &mut Socket<'_>, app: &mut App) -> Turn {
        match &mut self.talk {
            Some(Talk::Http(link, task)) => {
                let mut done = Turn::Idle;
                // What was still to be done makes room for more, or for the next request.
                loop {
                    let before = link.outbox.sent();
                    if done != Turn::Stopped {
                        done = turn(now, link, socket, |event, reply| on_http(event, reply, task, now, app));
                    }
                    let more = done == Turn::Idle && go_on(link, task, now, app);
                    if !more && link.outbox.sent() == before {
                        break;
                    }
                    if done != Turn::Idle {
                        break;
                    }
                }
                if done == Turn::Stopped {
                    self.upgrade();
                    return self.talk(now, socket, app);
                }
                done
            }
            Some(Talk::Echo(link)) => turn(now, link, socket, |event, reply| {
                // There is room for the answer: see `upgrade`.
                let _ = match event {
                    ws::Event::Text(text) => reply.machine.send_text(text, reply.outbox),
                    ws::Event::Binary(bytes) => reply.machine.send_binary(bytes, reply.outbox),
                    _ => Ok(()),
                };
                true
            }),
            Some(Talk::Live(link, seen)) => {
                while let Some(reading) = app.telemetry.after(*seen) {
                    // To a slow reader later; what is overwritten by then is lost to it.
                    if link.machine.send_text(reading.json().as_str(), &mut link.outbox).is_err() {
                        break;
                    }
                    *seen = reading.number;
                }
                turn(now, link, socket, |_, _| true)
            }
            Some(Talk::Feed(link, seen)) => {
                while let Some(reading) = app.telemetry.after(*seen) {
                    let (json, mut digits) = (reading.json(), [0; 10]);
                    let id = Some(crate::json::decimal(reading.number, &mut digits));
                    let data: &[&[u8]] = &[json.as_str().as_bytes()];
                    let block = sse::Block { id, data: Some(data), ..sse::Block::default() };
                    if link.machine.send_block(&block, &mut link.outbox).is_err() {
                        break;
                    }
                    *seen = reading.number;
                }
                turn(now, link, socket, |sse::Gone, _| true)
            }
            None => Turn::Over,
        }
    }

    /// The answer that agrees to it is in the outbox already.
    fn upgrade(&mut self) {
        self.change(|talk| match talk {
            Talk::Http(link, Task::Echo) => {
                let mut link = link.switch(|_| ws::Connection::server(ws_config()));
                link.headroom = OUTBOX; // a message is read when its answer has room, however large it is
                Talk::Echo(link)
            }
            Talk::Http(link, Task::Live) => {
                Talk::Live(link.switch(|_| ws::Connection::server(ws_config())), 0)
            }
            Talk::Http(link, Task::Feed(seen)) => {
                Talk::Feed(link.switch(|single| sse::Feed::over(single, sse::FeedConfig::TINY)), seen)
            }
            other => other,
        });
    }
}

/// Whether to go on; else the task says what the connection becomes.
fn on_http(
    event: http::Event<'_>,
    reply: Reply<'_, '_, Single>,
    task: &mut Task,
    now: Instant,
    app: &mut App,
) -> bool {
    match (event, &*task) {
        (http::Event::Head(head), _) => {
            // An answer that has no room (none is that large) ends with the connection.
            *task = on_head(&head, reply, now, app).unwrap_or(Task::Nothing);
        }
        (http::Event::Body(body), Task::Send(sid)) => {
            let done = post(*sid, body, app);
            let _ = respond(reply, &done);
            *task = Task::Nothing;
        }
        (http::Event::End, Task::Send(sid)) => {
            let done = post(*sid, b"", app);
            let _ = respond(reply, &done);
            *task = Task::Nothing;
        }
        _ => {}
    }
    !matches!(task, Task::Echo | Task::Live | Task::Feed(_))
}

fn on_head(
    head: &RequestHead<'_>,
    reply: Reply<'_, '_, Single>,
    now: Instant,
    app: &mut App,
) -> Result<Task, http::SendError> {
    let path = head.path();
    if let Some(below) = path.strip_prefix("/poll") {
        let query = head.target().split_once('?').map(|(_, query)| query);
        let asked = polling::Request::parse(head.method(), below, query);
        return match asked.and_then(|asked| on_poll(asked, now, app)) {
            Ok(Asked::Answer(answer)) => respond(reply, &answer),
            Ok(Asked::Task(task)) => {
                if let Task::Send(_) = task {
                    reply.machine.collect(polling::Config::TINY.max_bytes);
                }
                Ok(task)
            }
            Ok(Asked::Busy) => refuse(reply, 503, &[("retry-after", "5")]),
            Err(refused) => respond(reply, &refused.answer()),
        };
    }
    match (head.method(), path) {
        (_, "/echo" | "/live") if !ws::is_same_origin(head) => refuse(reply, 403, &[]),
        (_, "/echo" | "/live") => match ws::Accept::new(head, &[], &ws_config()) {
            Ok(accept) => {
                accept.write(&[], reply.outbox)?;
                Ok(if path == "/echo" { Task::Echo } else { Task::Live })
            }
            Err(error) => refuse(reply, error.http_status(), error.headers()),
        },
        ("GET", "/events") => {
            reply.machine.begin(200, &sse::Feed::HEADERS, reply.outbox)?;
            let last = app.telemetry.last();
            // What is no number of ours (from before the last reboot, perhaps) is as good as none.
            let seen =
                sse::Feed::last_event_id(head).and_then(|id| core::str::from_utf8(id).ok()?.parse().ok());
            Ok(Task::Feed(seen.filter(|seen| *seen <= last).unwrap_or(last.saturating_sub(1))))
        }
        ("GET" | "HEAD", "/") => {
            reply.machine.begin(200, &PAGE_HEADERS, reply.outbox)?;
            Ok(Task::Page(PAGE))
        }
        ("GET", "/stats") => {
            let stats = app.stats();
            reply.machine.respond(200, &JSON, &[stats.as_str().as_bytes()], reply.outbox)?;
            Ok(Task::Nothing)
        }
        _ => refuse(reply, 404, &[]),
    }
}

fn refuse(
    reply: Reply<'_, '_, Single>,
    status: u16,
    headers: &[(&str, &str)],
) -> Result<Task, http::SendError> {
    reply.machine.respond(status, headers, &[], reply.outbox)?;
    Ok(Task::Nothing)
}

fn respond(reply: Reply<'_, '_, Single>, answer: &Answer) -> Result<Task, http::SendError> {
    let mut headers = [("", ""); 3];
    let mut len = 0;
    for (place, header) in headers.iter_mut().zip(answer.headers()) {
        *place = header;
        len += 1;
    }
    reply.machine.respond(
        answer.status(),
        headers.get(..len).unwrap_or_default(),
        &[answer.body()],
        reply.outbox,
    )?;
    Ok(Task::Nothing)
}

enum Asked {
    Answer(Answer),
    Task(Task),
    Busy,
}

fn on_poll(asked: polling::Request, now: Instant, app: &mut App) -> Result<Asked, Refused> {
    if let polling::Request::Open = asked {
        let opened = app.polls.open(now, &app.telemetry).map(|poll| poll.session.opened());
        return Ok(opened.map_or(Asked::Busy, Asked::Answer));
    }
    let sid = asked.sid().ok_or(Refused::NotFound)?;
    let session = &mut app.polls.find(sid).ok_or(Refused::NotFound)?.session;
    Ok(match asked {
        polling::Request::Receive { after, .. } => Asked::Task(Task::Receive(sid, session.sit(after, now)?)),
        polling::Request::Close { .. } => {
            session.end()?;
            Asked::Answer(Answer::EMPTY)
        }
        _ => Asked::Task(Task::Send(sid)),
    })
}

fn post(sid: polling::Sid, body: &[u8], app: &mut App) -> Answer {
    let posted = app.polls.find(sid).ok_or(Refused::NotFound).and_then(|poll| poll.session.post(body));
    posted.map_or_else(|refused| refused.answer(), polling::Ack::answer)
}

/// Goes on with what is left to do. Whether it did something.
fn go_on(link: &mut Link<'static, Single>, task: &mut Task, now: Instant, app: &mut App) -> bool {
    match task {
        Task::Page(rest) => {
            let n = rest.len().min(link.outbox.room());
            let (part, later) = rest.split_at(n);
            // It fails when there is nothing to send it to: the request was HEAD, or the client is gone.
            let sent = link.machine.chunk(&[part], &mut link.outbox).is_ok();
            *rest = later;
            if !sent || rest.is_empty() {
                link.machine.end(&mut link.outbox);
                *task = Task::Nothing;
            }
            n > 0
        }
        Task::Receive(sid, ticket) => {
            let Some(poll) = app.polls.find(*sid) else {
                *task = Task::Nothing;
                return link.machine.respond(204, &[], &[], &mut link.outbox).is_ok();
            };
            match poll.session.serve(*ticket, now) {
                Served::Nothing { .. } => return false,
                Served::Batch(batch) => {
                    // There is room: a batch is smaller than the outbox.
                    let _ = link.machine.respond(200, &polling::HEADERS, &batch.parts(), &mut link.outbox);
                }
                Served::TimedOut | Served::Replaced | Served::Over => {
                    let _ =
                        link.machine.respond(204, &[("cache-control", "no-store")], &[], &mut link.outbox);
                }
            }
            poll.session.done(*ticket, now);
            *task = Task::Nothing;
            true
        }
        _ => false,
    }
}
