//! The client's side of one connection.

use super::{
    body::{Body, Length, Step, Window},
    config::{Config, Limits},
    error::{Error, SendError},
    event::{Answer, ResponseHead},
    head::{self, Kind, Search},
    view::names_token,
    wait::{For, Wait},
    write,
};
use crate::{Inbox, Instant, Machine, Outbox, Progress};

/// Interim answers (1xx) to one request: more are an attack.
const MAX_INTERIM: u8 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Head,
    Body,
    /// After `101`, or with a tunnel: the connection speaks another protocol, and this machine is done.
    Switched,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    Head,
    Body,
    End,
}

/// The client's side of one HTTP/1.1 connection: requests one after the other, each after the answer before.
///
/// See the [module](super) for the states. The server's end while the connection is idle is [`Progress::Closed`],
/// no error; bytes that come then are [`Error::Unsolicited`].
///
/// ```
/// use stillwire::{Inbox, Instant, Machine, Outbox, http};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut from_peer, mut to_peer) = ([0; 1024], [0; 1024]);
/// let (mut inbox, mut outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
/// let mut client = http::Fetch::new(http::Config::default());
/// client.request("POST", "/say", &[("host", "a.example")], &[b"he", b"llo"], &mut outbox)?;
/// assert_eq!(outbox.chunk(), b"POST /say HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello");
///
/// inbox.push(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nth\r\n4\r\nanks\r\n0\r\n\r\n");
/// while let Some(event) = client.next(Instant::EPOCH, &mut inbox, &mut outbox)? {
///     match event {
///         http::Answer::Head(head) if head.status() == 200 => client.collect(100),
///         http::Answer::Body(body) => assert_eq!(body, b"thanks"),
///         _ => {}
///     }
/// }
/// assert!(client.is_idle());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Fetch {
    limits: Limits,
    search: Search,
    window: Window,
    body: Body,
    wait: Wait,
    phase: Phase,
    shown: Shown,
    keep: bool,
    to_head: bool,
    asks_upgrade: bool,
    asks_tunnel: bool,
    interim: u8,
}

impl Fetch {
    /// A connection on which nothing was sent yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            limits: Limits::new(&config),
            search: Search::default(),
            window: Window::default(),
            body: Body::new(Length::Exactly(0)),
            wait: Wait::new(),
            phase: Phase::Idle,
            shown: Shown::Nothing,
            keep: true,
            to_head: false,
            asks_upgrade: false,
            asks_tunnel: false,
            interim: 0,
        }
    }

    /// No answer is under way and the connection is open: the next request may be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Sends a request: `parts` of the body one behind the other, whole or not at all. `headers` hold exactly one
    /// `host`; `content-length` is written for you. `connection` is yours: an upgrade names itself there, and
    /// `close` ends the connection after the answer.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written. CONNECT is [`SendError::Unsuitable`]: see [`tunnel`](Self::tunnel).
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[&[u8]],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        if self.phase != Phase::Idle {
            return Err(SendError::NotYourTurn);
        }
        write::check_request(method, target, headers)?;
        write::request(method, target, headers, body, outbox)?;
        let says = |token| {
            let mut connection = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
            connection.any(|(_, value)| names_token(value.as_bytes(), token))
        };
        self.keep = !says("close");
        (self.asks_upgrade, self.asks_tunnel) = (says("upgrade"), false);
        self.to_head = method == "HEAD";
        self.expect_head();
        Ok(())
    }

    /// Asks a proxy to connect to `authority`, host and port, and to pass on whatever comes from then on (`CONNECT`, RFC 9110,
    /// 9.3.6). `headers` hold exactly one `host`, the same as `authority`, and the
    /// [credentials](super::basic_credentials) that the proxy may want.
    ///
    /// The tunnel is there with a status of 200 to 299 and begins right behind that head, whatever it says about a body:
    /// [`Link::switch`](crate::Link::switch). Any other answer is a whole one, as always.
    ///
    /// # Errors
    /// [`SendError`]: nothing was written. An `authority` without a port is [`SendError::Unsuitable`].
    pub fn tunnel(
        &mut self,
        authority: &str,
        headers: &[(&str, &str)],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        if self.phase != Phase::Idle {
            return Err(SendError::NotYourTurn);
        }
        write::check_tunnel(authority, headers)?;
        write::request("CONNECT", authority, headers, &[], outbox)?;
        (self.keep, self.asks_upgrade, self.asks_tunnel) = (true, false, true);
        self.to_head = false;
        self.expect_head();
        Ok(())
    }

    fn expect_head(&mut self) {
        self.interim = 0;
        self.search = Search::default();
        self.phase = Phase::Head;
    }

    /// Asks for the body in one piece; call it at [`Answer::Head`], or before the first piece was seen. A body
    /// above `limit` bytes, or one that the inbox cannot hold, is [`Error::TooLarge`] as soon as that is known.
    pub fn collect(&mut self, limit: usize) {
        self.body.collect(limit);
    }

    /// One step; `None` to go on.
    fn step(&mut self, now: Instant, inbox: &mut Inbox<'_>) -> Result<Option<Progress>, Error> {
        match self.phase {
            Phase::Idle => self.rest(now, inbox),
            Phase::Head => self.read_head(now, inbox),
            Phase::Body => self.read_body(now, inbox),
            Phase::Switched => {
                self.phase = Phase::Closed;
                Ok(None)
            }
            Phase::Closed => Ok(Some(Progress::Closed)),
        }
    }

    fn rest(&mut self, now: Instant, inbox: &mut Inbox<'_>) -> Result<Option<Progress>, Error> {
        self.window.give_back(true, inbox);
        if !inbox.unread().is_empty() {
            return Err(Error::Unsolicited);
        }
        if inbox.is_finished() || self.wait.is_over(For::Request, now, self.limits.idle_within) {
            self.phase = Phase::Closed;
            return Ok(None);
        }
        Ok(Some(Progress::NeedInput))
    }

    fn read_head(&mut self, now: Instant, inbox: &mut Inbox<'_>) -> Result<Option<Progress>, Error> {
        let start = self.window.raw();
        let Some(length) = self.search.run(Kind::Response, start, &self.limits, inbox)? else {
            self.window.make_room(inbox);
            let has_begun = self.search.has_begun();
            if inbox.is_finished() {
                return Err(if has_begun { Error::Truncated } else { Error::NoAnswer });
            }
            let over = match has_begun {
                true => self.wait.is_over(For::Head, now, self.limits.head_within),
                false => self.wait.is_over(For::Answer, now, self.limits.wait_within),
            };
            return if over { Err(Error::TimedOut) } else { Ok(Some(Progress::NeedInput)) };
        };
        let bytes = inbox.unread().get(start..start + length).unwrap_or_default();
        let response = head::parse_response(bytes, self.to_head)?;
        self.wait.stop();
        self.search = Search::default();
        match response.status {
            101 if !self.asks_upgrade => return Err(Error::Unsolicited),
            101 => self.phase = Phase::Switched,
            100..=199 => {
                self.window.skip(length);
                self.interim += 1;
                return if self.interim > MAX_INTERIM { Err(Error::Unsolicited) } else { Ok(None) };
            }
            200..=299 if self.asks_tunnel => self.phase = Phase::Switched,
            _ => self.phase = Phase::Body,
        }
        self.window.hold(length, inbox);
        self.body = Body::new(response.length);
        self.keep &= response.keep;
        Ok(Some(self.show(Shown::Head)))
    }

    fn read_body(&mut self, now: Instant, inbox: &mut Inbox<'_>) -> Result<Option<Progress>, Error> {
        match self.body.step(false, &mut self.window, inbox)? {
            Step::Data(_) => {
                self.wait.stop();
                Ok((!self.body.is_collected()).then(|| self.show(Shown::Body)))
            }
            Step::Complete if !self.window.held().is_empty() => Ok(Some(self.show(Shown::Body))),
            // From here on, the next request may be sent.
            Step::Complete => {
                self.wait.stop();
                self.phase = if self.keep { Phase::Idle } else { Phase::Closed };
                Ok(Some(self.show(Shown::End)))
            }
            Step::Starved => {
                self.body.make_room(&mut self.window, inbox)?;
                if inbox.is_finished() {
                    return Err(Error::Truncated);
                }
                if self.wait.is_over(For::Body, now, self.limits.wait_within) {
                    return Err(Error::TimedOut);
                }
                Ok(Some(Progress::NeedInput))
            }
        }
    }

    fn show(&mut self, what: Shown) -> Progress {
        self.shown = what;
        Progress::Event
    }

    fn see(&mut self) {
        match core::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Head | Shown::Body => self.window.release(),
            Shown::End | Shown::Nothing => {}
        }
    }
}

impl Machine for Fetch {
    type Event<'i> = Answer<'i>;
    type Error = Error;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, Error> {
        self.see();
        loop {
            let step = self.step(now, inbox);
            if step.is_err() {
                self.phase = Phase::Closed;
            }
            if self.phase == Phase::Closed && self.shown == Shown::Nothing {
                // Whoever has all answers has nothing to wait for: the server is told, and that is all.
                inbox.consume(inbox.unread().len());
                self.window = Window::default();
                self.wait.stop();
                outbox.finish();
            }
            match step {
                Ok(None) => {}
                Ok(Some(progress)) => return Ok(progress),
                Err(error) => return Err(error),
            }
        }
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Answer<'i>> {
        let held = || inbox.unread().get(self.window.held()).unwrap_or_default();
        match self.shown {
            Shown::Nothing => None,
            Shown::Head => Some(Answer::Head(ResponseHead::new(held()))),
            Shown::Body => Some(Answer::Body(held())),
            Shown::End => Some(Answer::End),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.wait.deadline()
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        self.see();
        self.window.give_back(true, inbox);
    }
}
