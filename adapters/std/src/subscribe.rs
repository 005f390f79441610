//! Listening to an event stream.

use core::time::Duration;
use std::io;
use std::net::TcpStream;

use stillwire::http::{self, ResponseView, UrlError};
use stillwire::{Inbox, Machine, Outbox, Progress, SendError, Text, sse};

use crate::{ConnectError, Connection, Error, MaybeTls, Route, Socket, now};

/// Which event stream to listen to. Change what you need of [`Subscribe::new`].
///
/// A stream ends now and then (servers restart, networks change); whoever wants all of it connects again and says
/// where to go on:
///
/// ```no_run
/// use std::time::Duration;
/// use stillwire_std::Subscribe;
///
/// let (mut last_event_id, mut retry) = (String::new(), Duration::from_secs(3));
/// loop {
///     let mut subscribe = Subscribe::new("http://127.0.0.1:9002/events");
///     subscribe.last_event_id = &last_event_id;
///     if let Ok(mut events) = subscribe.connect() {
///         while let Ok(Some(event)) = events.next() {
///             println!("{}: {}", event.event, event.data);
///         }
///         retry = events.retry().unwrap_or(retry).min(Duration::from_secs(60));
///         last_event_id = events.last_event_id().to_string();
///     }
///     std::thread::sleep(retry);
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subscribe<'a> {
    /// `http://host:port/path?query`, or `https://…` with the feature `tls`.
    pub url: &'a str,
    /// More headers: cookies, authorisation. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// The ID of the last event that was seen, to get what came after it; empty for none. Default: empty.
    pub last_event_id: &'a str,
    /// How to get there: waits, a proxy, whom to trust.
    pub route: Route,
    /// How many redirections are followed. To another origin [credentials](http::is_credential) do not go along.
    /// Default: none.
    pub redirects: u8,
    /// How long the server may be silent, before the answer and within it. Servers send a comment now and then.
    /// Default: 60 s.
    pub silence: Duration,
    /// The limits of the stream.
    pub config: sse::Config,
    /// The most bytes of the body that wait to be understood: it bounds events, besides
    /// [`sse::Config::max_event`]. Default: 256 KiB. Memory is taken as bytes arrive.
    pub inbox: usize,
}

/// Why there is no event stream, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The server cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be sent cannot be sent: the host, the target or a header.
    #[error("the request cannot be sent")]
    Request(#[from] http::SendError),
    /// The last event ID cannot be sent, or is too long.
    #[error("the last event id cannot be sent")]
    LastEventId(#[from] SendError),
    /// The answer is no HTTP, did not come in time, or breaks off.
    #[error("the server's answer is not understood")]
    Http(#[from] http::Error),
    /// The answer is a redirection that cannot be followed.
    #[error(transparent)]
    Redirect(#[from] http::RedirectError),
    /// The server refuses, redirects once too often, or (204) wants nobody to connect again (HTML 9.2.3).
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The answer is not of the type `text/event-stream`.
    #[error("the answer is no event stream")]
    Type,
    /// The stream broke a limit.
    #[error("the stream broke a limit")]
    Stream(#[from] sse::Error),
}

impl From<Error<http::Error>> for SubscribeError {
    fn from(error: Error<http::Error>) -> Self {
        match error {
            Error::Io(error) => Self::Io(error),
            Error::Protocol(error) => Self::Http(error),
        }
    }
}

impl<'a> Subscribe<'a> {
    /// The defaults, for this URL.
    #[must_use]
    pub fn new(url: &'a str) -> Self {
        Self {
            url,
            headers: &[],
            last_event_id: "",
            route: Route::default(),
            redirects: 0,
            silence: Duration::from_secs(60),
            config: sse::Config::default(),
            inbox: 256 << 10,
        }
    }

    /// Connects, and begins to listen.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn connect(&self) -> Result<Events<MaybeTls>, SubscribeError> {
        let mut redirects = self.redirects()?;
        loop {
            let here = redirects.clone();
            if !matches!(here.url().scheme(), "http" | "https") {
                return Err(ConnectError::Url(UrlError::Scheme).into());
            }
            let stream = self.route.open(&here.url())?;
            if let Some(events) = self.ask(stream, &here, |head| redirects.follow(head))? {
                return Ok(events);
            }
        }
    }

    /// Begins to listen over a socket that is connected already.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn over<S: Socket>(&self, socket: S) -> Result<Events<S>, SubscribeError> {
        let events = self.ask(socket, &self.redirects()?, |_| Ok(false))?;
        events.ok_or(SubscribeError::Type) // nothing was followed
    }

    fn redirects(&self) -> Result<http::Redirects<'a>, SubscribeError> {
        let redirects = http::Redirects::new(self.url, self.headers, self.redirects);
        Ok(redirects.map_err(ConnectError::Url)?)
    }

    /// Asks for the stream. `None`: the answer is followed.
    fn ask<S: Socket>(
        &self,
        socket: S,
        here: &http::Redirects<'_>,
        mut follow: impl FnMut(&http::ResponseHead<'_>) -> Result<bool, http::RedirectError>,
    ) -> Result<Option<Events<S>>, SubscribeError> {
        let url = here.url();
        let mut body = Inbox::with_limit(self.inbox);
        let stream = match self.last_event_id {
            "" => sse::Stream::new(self.config),
            id => sse::Stream::resume(self.config, id, None, &mut body)?,
        };
        let mut headers =
            vec![("Host", url.authority()), ("Accept", "text/event-stream"), ("Cache-Control", "no-store")];
        headers.extend_from_slice(here.headers());
        if !self.last_event_id.is_empty() {
            headers.push(("Last-Event-ID", self.last_event_id));
        }
        let mut waits = http::Config::default();
        (waits.head_within, waits.wait_within) = (self.route.waits.answer, self.silence);
        let (inbox, outbox) = (Inbox::with_limit(16 << 10), Outbox::with_limit(16 << 10));
        let mut connection = Connection::new(socket, http::Fetch::new(waits), inbox, outbox);
        let link = &mut connection.link;
        link.machine.request("GET", url.target(), &headers, &[], &mut link.outbox)?;
        match connection.next()? {
            Some((http::Answer::Head(head), _)) if follow(&head)? => return Ok(None),
            Some((http::Answer::Head(head), _)) if head.status() != 200 => {
                return Err(SubscribeError::Status(head.status()));
            }
            Some((http::Answer::Head(head), _)) if !is_event_stream(&head) => {
                return Err(SubscribeError::Type);
            }
            Some((http::Answer::Head(_), _)) => {}
            _ => return Err(http::Error::NoAnswer.into()),
        }
        Ok(Some(Events { connection, stream, body, taken: None }))
    }
}

/// The type, whatever parameters it has.
fn is_event_stream(head: &http::ResponseHead<'_>) -> bool {
    let value = head.only("content-type").unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// An event stream that is listened to.
#[derive(Debug)]
pub struct Events<S = TcpStream> {
    connection: Connection<'static, http::Fetch, S>,
    stream: sse::Stream,
    /// The decoded body. (In the other inbox it has the framing of HTTP between its pieces.)
    body: Inbox<'static>,
    /// How much was taken of the piece that the connection shows.
    taken: Option<usize>,
}

impl<S: Socket> Events<S> {
    /// Waits for the next event. `Ok(None)`: the stream has ended; ask for [`retry`](Self::retry) and
    /// [`last_event_id`](Self::last_event_id), and connect again.
    ///
    /// # Errors
    /// [`SubscribeError`]: that is an end, too.
    #[allow(clippy::should_implement_trait)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<sse::Event<'_>>, SubscribeError> {
        let mut nothing = Outbox::new(&mut []);
        loop {
            match self.stream.advance(now(), &mut self.body, &mut nothing)? {
                Progress::Event => break,
                Progress::Closed => return Ok(None),
                Progress::NeedInput | Progress::NeedRoom => self.feed()?,
            }
        }
        Ok(self.stream.event(&self.body))
    }

    /// More of the body, or its end.
    fn feed(&mut self) -> Result<(), SubscribeError> {
        let link = &mut self.connection.link;
        if let (Some(taken), Some(http::Answer::Body(piece))) = (self.taken, link.machine.event(&link.inbox))
        {
            let n = self.body.push(piece.get(taken..).unwrap_or_default());
            if n == 0 && taken < piece.len() {
                // The stream wants more and has no room for it: the box is too small for anything.
                return Err(io::Error::from(io::ErrorKind::Deadlock).into());
            }
            self.taken = (taken + n < piece.len()).then_some(taken + n);
            return Ok(());
        }
        match self.connection.next()? {
            Some((http::Answer::Body(_), _)) => self.taken = Some(0),
            _ => self.body.finish(),
        }
        Ok(())
    }

    /// The ID of the last event that was seen, for [`Subscribe::last_event_id`]; empty when there is none.
    #[must_use]
    pub fn last_event_id(&self) -> Text<'_> {
        self.stream.last_event_id(&self.body)
    }

    /// How long the server asks to wait before connecting again; `None` if it never said. It may be any time: bound
    /// it.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.stream.retry()
    }
}
