//! An event stream over as many connections as it takes.

use core::{future::Future, pin::Pin, time::Duration};
use std::{io, sync::Arc};

use stillwire::{
    Inbox, Instant, Machine, Outbox, Progress,
    http::{Answer, Fetch, Url},
    sse::{EventSource, SourceError, SourceEvent},
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Connection, Route, clock::now};

/// Any stream that a [`Source`] may read from.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// Connects to where a URL leads.
type Connect = Box<dyn Fn(String) -> Connecting + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Wire>>> + Send>>;

/// An [`EventSource`] with its connections.
///
/// ```no_run
/// use stillwire::sse::{EventSource, SourceConfig, SourceEvent};
/// use stillwire_tokio::{Source, entropy};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = EventSource::new("http://127.0.0.1:3000/events", SourceConfig::default(), entropy())?;
/// let mut source = Source::new(source);
/// while let Some(event) = source.next().await? {
///     match event {
///         SourceEvent::Open => println!("open"),
///         SourceEvent::Message(event) => println!("{}: {}", event.event, event.data),
///         SourceEvent::Lost { why, wait } => println!("{why:?}, again in {wait:?}"),
///     }
/// }
/// # Ok(()) }
/// ```
pub struct Source {
    /// The machine, for its commands and for what it knows.
    pub machine: EventSource,
    /// What was received and not parsed yet; the event ID in force is in front of it.
    pub inbox: Inbox<'static>,
    connect: Connect,
    wire: Option<Connection<Box<dyn Wire>, Fetch>>,
    connecting: Option<(Connecting, Fetch, Outbox<'static>)>,
    /// How much of the piece of body in hand is in the inbox.
    taken: usize,
    trouble: Option<String>,
}

impl Source {
    /// The most bytes of a request: its head, headers of yours included, and its body.
    const REQUEST: usize = 1 << 20;
    /// The most bytes that are read at once; a head has to fit in.
    const READ: usize = 64 << 10;
    /// The most bytes of the inbox. It grows as an event does, up to the limits of the stream.
    const INBOX: usize = 4 << 20;

    /// A source that goes to its server directly; to `https` with the feature `tls`, trusting the default roots.
    #[must_use]
    pub fn new(machine: EventSource) -> Self {
        Self::via(machine, Route::default())
    }

    /// A source with waits, a proxy or roots of yours.
    #[must_use]
    pub fn via(machine: EventSource, route: Route) -> Self {
        let route = Arc::new(route);
        Self::with(machine, move |url| {
            let route = route.clone();
            async move {
                let url = Url::parse(&url).map_err(io::Error::other)?;
                route.open(&url).await.map_err(io::Error::other)
            }
        })
    }

    /// A source over what `connect` makes of a URL: a Unix socket, TLS of another kind.
    #[must_use]
    pub fn with<S, F>(machine: EventSource, connect: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        S: Wire + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let connect: Connect = Box::new(move |url| {
            let stream = connect(url);
            Box::pin(async move { Ok(Box::new(stream.await?) as Box<dyn Wire>) })
        });
        let inbox = Inbox::with_limit(Self::INBOX);
        Self { machine, inbox, connect, wire: None, connecting: None, taken: 0, trouble: None }
    }

    /// Why the last connection could not be made or broke, in words for a log; `None`: it did not.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The next event. `None`: it has ended, in order. The future may be dropped at any time.
    ///
    /// # Errors
    /// [`SourceError`]: it has ended for good. What can be mended is an event, [`SourceEvent::Lost`].
    pub async fn next(&mut self) -> Result<Option<SourceEvent<'_>>, SourceError> {
        let mut none = Outbox::new(&mut []);
        loop {
            // A task that was away finds what has come before it finds that time is up.
            if self.machine.deadline().is_some_and(|at| now() >= at) {
                self.wait().await;
            }
            match self.machine.advance(now(), &mut self.inbox, &mut none)? {
                Progress::Event => break,
                Progress::Closed => {
                    (self.wire, self.connecting) = (None, None);
                    return Ok(None);
                }
                Progress::NeedInput | Progress::NeedRoom => {}
            }
            if !self.machine.is_connected() {
                (self.wire, self.connecting) = (None, None);
            }
            if let Some(ask) = self.machine.next_request(now(), &self.inbox) {
                let mut outbox = Outbox::with_limit(Self::REQUEST);
                let fetch = ask.send(&mut outbox);
                let url = format!("{}://{}", ask.url().scheme(), ask.url().authority());
                match fetch {
                    Ok(fetch) => self.connecting = Some(((self.connect)(url), fetch, outbox)),
                    Err(_) => self.machine.failed(),
                }
                continue;
            }
            self.wait().await;
        }
        Ok(self.machine.event(&self.inbox))
    }

    /// Until something happens on the connection, or time is up.
    async fn wait(&mut self) {
        let deadline = self.machine.deadline();
        if let Some((connecting, ..)) = &mut self.connecting {
            let Some(stream) = until(deadline, connecting).await else { return };
            let Some((_, fetch, outbox)) = self.connecting.take() else { return };
            match stream {
                Ok(stream) => {
                    let mut wire = Connection::new(stream, fetch, Self::READ, 0);
                    wire.link.outbox = outbox;
                    (self.wire, self.taken, self.trouble) = (Some(wire), 0, None);
                }
                Err(error) => self.fail(&error),
            }
            return;
        }
        let Some(wire) = &mut self.wire else {
            until(deadline, core::future::pending::<()>()).await;
            return;
        };
        if let Some(Answer::Body(body)) = wire.link.machine.event(&wire.link.inbox)
            && let Some(rest @ [_, ..]) = body.get(self.taken..)
        {
            self.taken += self.inbox.push(rest);
            return;
        }
        match until(deadline, wire.next()).await {
            None => {}
            Some(Ok(Some((Answer::Head(head), _)))) => drop(self.machine.answered(&head)),
            Some(Ok(Some((Answer::Body(body), _)))) => self.taken = self.inbox.push(body),
            Some(Ok(Some(_))) => self.machine.ended(),
            Some(Ok(None)) => self.machine.failed(),
            Some(Err(error)) => {
                let trouble = error.to_string();
                self.fail(&trouble);
            }
        }
    }

    fn fail(&mut self, trouble: &impl ToString) {
        self.trouble = Some(trouble.to_string());
        self.machine.failed();
    }
}

/// What the future says, if it does so in time; it is asked first.
async fn until<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(future.await),
        Some(at) => {
            let wait: Duration = at.saturating_since(now());
            tokio::time::timeout(wait, future).await.ok()
        }
    }
}

impl core::fmt::Debug for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Source").field("machine", &self.machine).finish_non_exhaustive()
    }
}
