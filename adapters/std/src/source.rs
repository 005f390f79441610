//! An event stream over as many connections as it takes.

use core::time::Duration;
use std::thread;

use stillwire::http::{self, Answer, Fetch, UrlError};
use stillwire::sse::{Ask, EventSource, SourceConfig, SourceError, SourceEvent};
use stillwire::{Inbox, Machine, Outbox, Progress};

use crate::{Connection, Error, MaybeTls, Route, entropy, now};

/// An [`EventSource`] with its connections: what a browser's `EventSource` does, on the thread that calls
/// [`next`](Self::next). ([`Subscribe`](crate::Subscribe) is one connection.)
///
/// ```no_run
/// use stillwire::sse::{SourceConfig, SourceEvent};
/// use stillwire_std::Source;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = Source::new("http://127.0.0.1:9002/events", SourceConfig::default())?;
/// while let Some(event) = source.next()? {
///     match event {
///         SourceEvent::Open => println!("open"),
///         SourceEvent::Message(event) => println!("{}: {}", event.event, event.data),
///         SourceEvent::Lost { why, wait } => println!("{why:?}, again in {wait:?}"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Source {
    /// The machine, for its commands and for what it knows.
    pub machine: EventSource,
    /// What was received and not parsed yet; the event ID in force is in front of it.
    pub inbox: Inbox<'static>,
    route: Route,
    /// How long a connection may be silent.
    silence: Duration,
    wire: Option<Wire>,
    /// How much of the piece of body in hand is in the inbox.
    taken: usize,
    trouble: Option<String>,
}

type Wire = Connection<'static, Fetch, MaybeTls>;

impl Source {
    /// The most bytes of a request: its head, headers of yours included, and its body.
    const REQUEST: usize = 1 << 20;
    /// The most bytes that are read at once; a head has to fit in.
    const READ: usize = 64 << 10;
    /// The most bytes of the inbox. It grows as an event does, up to the limits of the stream.
    const INBOX: usize = 4 << 20;

    /// A source of the events of this URL, `http://…` or, with the feature `tls`, `https://…`. Nothing happens yet.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(url: &str, config: SourceConfig) -> Result<Self, UrlError> {
        Self::via(url, config, Route::default())
    }

    /// By a route of yours.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn via(url: &str, config: SourceConfig, route: Route) -> Result<Self, UrlError> {
        // The socket waits for the longer of the two; what is late by then, the machine says.
        let silence = config.answer_within.max(config.idle_within);
        let machine = EventSource::new(url, config, entropy())?;
        let inbox = Inbox::with_limit(Self::INBOX);
        Ok(Self { machine, inbox, route, silence, wire: None, taken: 0, trouble: None })
    }

    /// Why the last connection could not be made or broke, in words for a log; `None`: it did not.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Waits for the next event. `Ok(None)`: it has ended, in order.
    ///
    /// # Errors
    /// [`SourceError`]: it has ended for good. What can be mended is an event, [`SourceEvent::Lost`].
    #[allow(clippy::should_implement_trait)] // its items borrow from it
    pub fn next(&mut self) -> Result<Option<SourceEvent<'_>>, SourceError> {
        let mut none = Outbox::new(&mut []);
        loop {
            match self.machine.advance(now(), &mut self.inbox, &mut none)? {
                Progress::Event => break,
                Progress::Closed => {
                    self.wire = None;
                    return Ok(None);
                }
                Progress::NeedInput | Progress::NeedRoom => {}
            }
            if !self.machine.is_connected() {
                self.wire = None;
            }
            let Some(ask) = self.machine.next_request(now(), &self.inbox) else {
                self.wait();
                continue;
            };
            match Self::connect(&self.route, &ask, self.silence) {
                Ok(wire) => (self.wire, self.taken, self.trouble) = (Some(wire), 0, None),
                Err(error) => self.fail(&error),
            }
        }
        Ok(self.machine.event(&self.inbox))
    }

    fn connect(route: &Route, ask: &Ask<'_>, silence: Duration) -> Result<Wire, String> {
        let stream = route.open(&ask.url()).map_err(|error| error.to_string())?;
        let mut waits = http::Config::default();
        (waits.head_within, waits.wait_within) = (silence, silence);
        let (inbox, outbox) = (Inbox::with_limit(Self::READ), Outbox::with_limit(Self::REQUEST));
        let mut wire = Connection::new(stream, Fetch::new(waits), inbox, outbox);
        let host = [("host", ask.url().authority())];
        let headers: Vec<_> = host.into_iter().chain(ask.headers()).collect();
        let link = &mut wire.link;
        let sent =
            link.machine.request(ask.method(), ask.url().target(), &headers, &[ask.body()], &mut link.outbox);
        sent.map(|()| wire).map_err(|error| error.to_string())
    }

    /// Until something happens on the connection, or time is up.
    fn wait(&mut self) {
        let Some(wire) = &mut self.wire else { return self.sleep() };
        if let Some(Answer::Body(body)) = wire.link.machine.event(&wire.link.inbox)
            && let Some(rest @ [_, ..]) = body.get(self.taken..)
        {
            self.taken += self.inbox.push(rest);
            return;
        }
        match wire.next() {
            Ok(Some((Answer::Head(head), _))) => drop(self.machine.answered(&head)),
            Ok(Some((Answer::Body(body), _))) => self.taken = self.inbox.push(body),
            Ok(Some(_)) => self.machine.ended(),
            Ok(None) => self.machine.failed(),
            // The machine knows what was late.
            Err(Error::Protocol(http::Error::TimedOut)) => self.sleep(),
            Err(error) => self.fail(&error),
        }
    }

    /// Until the deadline.
    fn sleep(&self) {
        if let Some(at) = self.machine.deadline() {
            thread::sleep(at.saturating_since(now()));
        }
    }

    fn fail(&mut self, trouble: &impl ToString) {
        self.trouble = Some(trouble.to_string());
        self.machine.failed();
    }
}
