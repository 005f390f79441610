//! A client that polls.

use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::{io, thread};

use stillwire::http::{self, Answer, Fetch, Url, UrlError};
use stillwire::polling::{Batch, Client, Config, Error, Event, Path, What};
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, SendError};

use crate::{ConnectError, Connection, MaybeTls, Route, entropy, now};

/// The client's end of [polling](stillwire::polling): messages over plain HTTP requests, each exactly once and in order,
/// whatever the network does to connections.
///
/// Two threads of its own make the requests, one waits for messages and one sends; what fails is tried again, later each
/// time ([`Config::retry_min`], [`Config::retries`]). What to ask is decided in [`next`](Self::next), [`flush`](Self::flush)
/// and the commands, so a thread has to be in one of the first two now and then.
///
/// ```no_run
/// use stillwire::polling::Event;
/// use stillwire_std::PollClient;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = PollClient::new("http://127.0.0.1:3000/poll")?;
/// client.send_text("hello")?;
/// while let Some(event) = client.next()? {
///     if let Event::Text(text) = event {
///         println!("{text}");
///     }
/// }
/// # Ok(()) }
/// ```
///
/// It follows no redirection: a session lives where it was opened, and a message that is sent is no GET. Give it the URL
/// where it ends; [`Error::Refused`] tells the status. An answer above 4 MiB counts as failed, and so does one that is not
/// there as a whole in time, however it trickles. When it is dropped, a thread may wait on for its answer, no longer than
/// that may take.
#[derive(Debug)]
pub struct PollClient {
    machine: Client,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    /// To the two threads, for GET and for everything else.
    lanes: [SyncSender<Request>; 2],
    answers: Receiver<Answered>,
    headers: Vec<(String, String)>,
    over: bool,
}

#[derive(Debug)]
struct Request {
    what: What,
    method: &'static str,
    path: Path,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    within: Duration,
}

type Answered = (What, Result<(u16, Vec<u8>), String>);
type Wire = Connection<'static, Fetch, MaybeTls>;

impl PollClient {
    /// How long the end may wait for the server to hear of it.
    const GOODBYE: Duration = Duration::from_secs(2);

    /// A client of the server whose polling is below `http://host:port/base` or, with the feature `tls`, `https://…`. A
    /// query of the URL goes along with each request.
    ///
    /// # Errors
    /// [`ConnectError::Url`], and [`ConnectError::Io`]: there is no thread to be had.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        Self::with(url, &Config::default(), Route::default())
    }

    /// With limits and waits of yours, by a route of yours. Twice [`Config::max_bytes`] wait to be received at most, four
    /// times as many to be acknowledged.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(url: &str, config: &Config, route: Route) -> Result<Self, ConnectError> {
        let url = Url::normalize(url)?;
        if !matches!(Url::parse(&url)?.scheme(), "http" | "https") {
            return Err(UrlError::Scheme.into());
        }
        let server = Arc::new((url, route));
        let (sender, answers) = sync_channel(2);
        let lane = || -> io::Result<SyncSender<Request>> {
            let (requests, todo) = sync_channel(1);
            let (server, answers) = (server.clone(), sender.clone());
            thread::Builder::new().name("polling".to_owned()).spawn(move || {
                let mut kept = None;
                for request in todo {
                    let answer = ask(&server.0, &server.1, &request, &mut kept);
                    if answers.send((request.what, answer)).is_err() {
                        break;
                    }
                }
            })?;
            Ok(requests)
        };
        let box_of = |times: usize| config.max_bytes.max(1024).saturating_mul(times);
        Ok(Self {
            machine: Client::new(config, entropy()),
            inbox: Inbox::with_limit(box_of(2)),
            outbox: Outbox::with_limit(box_of(4)),
            lanes: [lane()?, lane()?],
            answers,
            headers: Vec::new(),
            over: false,
        })
    }

    /// A header for every request: a cookie, authorisation.
    ///
    /// # Errors
    /// [`http::SendError::BadHeader`]: it cannot be sent, or is one that is written for you (`Host`, `Content-Type`,
    /// `Content-Length`, `Transfer-Encoding`, `Connection`).
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), http::SendError> {
        let ours = ["host", "content-type", "content-length", "transfer-encoding", "connection"];
        http::check_headers(&[(name, value)], &ours)?;
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Queues a text message and begins to send it, unless another request is under way: then it goes along with the next.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued. [`SendError::Full`]: [`flush`](Self::flush) first.
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.machine.send_text(text, &mut self.outbox)?;
        self.ask_what_is_due();
        Ok(())
    }

    /// As [`send_text`](Self::send_text), with bytes.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.machine.send_binary(bytes, &mut self.outbox)?;
        self.ask_what_is_due();
        Ok(())
    }

    /// Says goodbye; [`next`](Self::next) meets the end. Codes are those of RFC 6455 §7.4.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn send_close(&mut self, code: u16, reason: &str) -> Result<(), SendError> {
        self.machine.send_close(code, reason, &mut self.outbox)?;
        self.ask_what_is_due();
        Ok(())
    }

    /// Waits for the next event. `Ok(None)`: it has ended, for ever; the event before says how.
    ///
    /// # Errors
    /// [`Error`]: the server broke the protocol, does not know the session any more, or cannot be reached in
    /// [`Config::retries`] attempts. `None` follows.
    #[allow(clippy::should_implement_trait)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        while !self.over {
            match self.machine.advance(now(), &mut self.inbox, &mut self.outbox) {
                Ok(Progress::Event) => return Ok(self.machine.event(&self.inbox)),
                Ok(Progress::NeedInput | Progress::NeedRoom) => self.wait(),
                ended => {
                    self.over = true;
                    self.say_goodbye();
                    return ended.map(|_| None);
                }
            }
        }
        Ok(None)
    }

    /// Waits until the server has acknowledged all that was queued.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: it will not; [`next`](Self::next) says why.
    pub fn flush(&mut self) -> Result<(), SendError> {
        while !self.outbox.is_empty() {
            if self.over || self.machine.is_over() {
                return Err(SendError::NotOpen);
            }
            self.wait();
        }
        Ok(())
    }

    /// The last of them.
    fn ask_what_is_due(&mut self) -> Option<What> {
        let mut last = None;
        while let Some(ask) = self.machine.next_request(now(), &self.inbox, &self.outbox) {
            let what = ask.what();
            let request = Request {
                what,
                method: ask.method(),
                path: ask.path(),
                headers: self.headers.clone(),
                body: ask.body().map(Batch::to_vec),
                within: if what == What::Close { Self::GOODBYE } else { ask.within() },
            };
            // Each thread has one request at a time: the channel has room.
            let [down, up] = &self.lanes;
            let lane = if what == What::Receive { down } else { up };
            let _ = lane.send(request);
            last = Some(what);
        }
        last
    }

    /// Until an answer comes, or a request is due.
    fn wait(&mut self) {
        self.ask_what_is_due();
        let left = self.machine.deadline().map(|at| at.saturating_since(now()));
        let answer = match left {
            None => self.answers.recv().map_err(|_| RecvTimeoutError::Disconnected),
            // What is due already is for `next` to do; `flush` looks again now and then.
            Some(left) => self.answers.recv_timeout(left.max(Duration::from_millis(1))),
        };
        match answer {
            Ok((what, Ok((status, body)))) => {
                self.machine.answered(what, status, &body, &mut self.inbox, &mut self.outbox, now());
            }
            Ok((what, Err(_))) => self.machine.failed(what, now()),
            Err(_) => {}
        }
    }

    /// The server is told before the application is, but once, and not for long.
    fn say_goodbye(&mut self) {
        if self.ask_what_is_due() == Some(What::Close) {
            while self.answers.recv_timeout(Self::GOODBYE).is_ok_and(|(what, _)| what != What::Close) {}
        }
    }
}

/// The most bytes of an answer's body, and of a head with room to spare.
const BODY: usize = 4 << 20;
const HEAD: usize = 32 << 10;

fn ask(
    url: &str,
    route: &Route,
    request: &Request,
    kept: &mut Option<Wire>,
) -> Result<(u16, Vec<u8>), String> {
    let end_at = now() + request.within;
    // The server may have closed an idle connection: that is no failure yet. All requests may be made again.
    if let Some(wire) = kept.take() {
        let answer = ask_over(wire, url, request, end_at, kept);
        if answer.is_ok() || now() >= end_at {
            return answer;
        }
    }
    let at = Url::parse(url).map_err(|error| error.to_string())?;
    let stream = route.open(&at).map_err(|error| error.to_string())?;
    let mut waits = http::Config::default();
    // How long the whole of an answer may take is the connection's to know.
    (waits.head_within, waits.wait_within) = (Duration::MAX, Duration::MAX);
    let (inbox, outbox) = (Inbox::with_limit(BODY + HEAD), Outbox::with_limit(BODY + HEAD));
    ask_over(Connection::new(stream, Fetch::new(waits), inbox, outbox), url, request, end_at, kept)
}

fn ask_over(
    mut wire: Wire,
    url: &str,
    request: &Request,
    end_at: Instant,
    kept: &mut Option<Wire>,
) -> Result<(u16, Vec<u8>), String> {
    (wire.reading.end_at, wire.writing.end_at) = (Some(end_at), Some(end_at));
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let target = request.path.below(&url);
    let mut headers = vec![("host", url.authority())];
    if request.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    headers.extend(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (link, body) = (&mut wire.link, request.body.as_deref().unwrap_or_default());
    let sent = link.machine.request(request.method, &target, &headers, &[body], &mut link.outbox);
    sent.map_err(|error| error.to_string())?;
    let (mut status, mut body) = (0, Vec::new());
    loop {
        match wire.next().map_err(|error| error.to_string())? {
            Some((Answer::Head(head), reply)) => {
                status = head.status();
                reply.machine.collect(BODY);
            }
            Some((Answer::Body(whole), _)) => body = whole.to_vec(),
            Some((Answer::End, _)) => {
                *kept = wire.link.machine.is_idle().then_some(wire);
                return Ok((status, body));
            }
            _ => return Err(http::Error::NoAnswer.to_string()),
        }
    }
}
