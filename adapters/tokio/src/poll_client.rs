//! A client that polls.

use core::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use bytes::Bytes;
use stillwire::{
    Inbox, Kind, Machine, Outbox, Progress, SendError, Transport,
    http::{self, Url, UrlError},
    polling::{Batch, Client, Config, Error, Event, What},
};

use crate::{
    ConnectError, Message, Reader, Route, Writer,
    clock::{entropy, now},
    exchange::{Lane, Request, Server},
    split::{Whole, split, stream_and_sink},
    timer::Timer,
    wakers::Waiting,
};

/// The client's end of [polling](stillwire::polling): messages over plain HTTP requests, each exactly once and in order,
/// whatever the network does to connections. It has the methods of a [`WebSocket`](crate::WebSocket).
///
/// Requests are made while a task waits in [`recv`](Self::recv), [`send`](Self::send) or [`flush`](Self::flush), on two
/// connections that are kept. What fails is tried again, later each time ([`Config::retry_min`], [`Config::retries`]).
/// All futures may be dropped at any time: no message is lost, and one whose `send` was dropped was not queued.
///
/// ```
/// use stillwire_tokio::{Config, Message, PollClient, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # let (server, _handle) = Server::new(listener, Config::default());
/// # tokio::spawn(server.serve(|mut peer| async move {
/// #     while let Ok(Some(message)) = peer.recv().await { let _ = peer.send(message).await; }
/// # }));
/// let mut client = PollClient::new(&format!("http://{address}/poll"))?;
/// client.send("hello").await?;
/// assert_eq!(client.recv().await?, Some(Message::from("hello"))); // from a server that echoes
/// client.close("").await?;
/// # Ok(()) }
/// ```
///
/// It does not follow redirections: [`Error::Refused`] tells the status. An answer above 4 MiB counts as failed. To drop it without
/// [`close`](Self::close) lets the server wait for the session's deadline ([`Config::empty_within`]).
pub struct PollClient {
    machine: Client,
    inbox: Inbox<'static>,
    outbox: Outbox<'static>,
    timer: Timer,
    server: Arc<Server>,
    /// The requests that wait for messages.
    down: (What, Lane),
    /// All others.
    up: (What, Lane),
    waiting: Waiting,
    watch: Option<Watch>,
    closed: Option<(u16, Box<str>)>,
    /// The machine's last word; it is told when the server knows.
    ended: Option<Result<(), Error>>,
    over: bool,
}

type Watch = Box<dyn FnMut(Notice<'_>) + Send>;

/// What happens below the messages, for a log: see [`PollClient::watch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The server has opened a session.
    Opened,
    /// A request failed. Unless that was once too often, it will be made again.
    Failed {
        /// Which of the four.
        what: What,
        /// Why, in words.
        why: &'a str,
    },
}

impl PollClient {
    /// How long the end may wait for the server to hear of it.
    const GOODBYE: Duration = Duration::from_secs(2);

    /// A client of the server whose polling is below `http://host:port/base` or, with the feature `tls`, `https://…`. A
    /// query of the URL goes along with each request. Nothing happens yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`].
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        Self::with(url, &Config::default(), Route::default())
    }

    /// With limits and waits of yours, by a route of yours. Twice [`Config::max_bytes`] wait to be received at most, four
    /// times as many to be acknowledged.
    ///
    /// # Errors
    /// [`ConnectError::Url`].
    pub fn with(url: &str, config: &Config, route: Route) -> Result<Self, ConnectError> {
        let url = Url::normalize(url)?;
        if !matches!(Url::parse(&url)?.scheme(), "http" | "https") {
            return Err(UrlError::Scheme.into());
        }
        let box_of = |times: usize| config.max_bytes.max(1024).saturating_mul(times);
        Ok(Self {
            machine: Client::new(config, entropy()),
            inbox: Inbox::with_limit(box_of(2)),
            outbox: Outbox::with_limit(box_of(4)),
            timer: Timer::default(),
            server: Arc::new(Server { url, headers: Vec::new(), route }),
            down: (What::Receive, Lane::default()),
            up: (What::Open, Lane::default()),
            waiting: Waiting::default(),
            watch: None,
            closed: None,
            ended: None,
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
        Arc::make_mut(&mut self.server).headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Hears of sessions that open and requests that fail. It must not block.
    pub fn watch(&mut self, watch: impl FnMut(Notice<'_>) + Send + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// How it was ended, once [`recv`](Self::recv) has said `None`: the code (1006: the connection was lost) and the reason.
    #[must_use]
    pub fn closed(&self) -> Option<(u16, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, &**reason))
    }

    /// The next message. `None`: it has ended, for ever.
    ///
    /// # Errors
    /// [`Error`]: the server broke the protocol, does not know the session any more, or cannot be reached in
    /// [`Config::retries`] attempts. `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for room, queues a message and begins to send it, unless another request is under way: then it goes along with
    /// the next, in [`recv`](Self::recv) or [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`SendError`]: the message was not queued; [`SendError::NotOpen`] when it is closed, or has failed.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_send(cx, |client| client.queue(kind, &payload))).await
    }

    /// Waits for room and queues a message: feed many, then [`flush`](Self::flush) once.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let (kind, payload) = message.into().into_parts();
        poll_fn(|cx| self.poll_feed(kind, &payload, cx)).await
    }

    /// Waits until the server has acknowledged all that was queued.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: it will not.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| Whole::poll_flush(self, cx)).await
    }

    /// Says goodbye with code 1000 and waits until the server knows, no longer than [`Config::close_within`]; messages that
    /// still come are dropped.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn close(&mut self, reason: &str) -> Result<(), Error> {
        self.end(reason);
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// Two halves, for a task that receives and others that send.
    #[must_use]
    pub fn split(mut self) -> (Reader<Self>, Writer<Self>) {
        self.waiting.together();
        split(self)
    }

    /// Makes the requests that are due. True: something came of one.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut came = false;
        loop {
            while let Some(ask) = self.machine.next_request(now(), &self.inbox, &self.outbox) {
                let body = ask.body().map(Batch::to_vec);
                let (method, path) = (ask.method(), ask.path());
                let courtesy = ask.what() == What::Close;
                let within = if courtesy { ask.within().min(Self::GOODBYE) } else { ask.within() };
                let request = Request { method, path, body, within };
                let lane = if ask.what() == What::Receive { &mut self.down } else { &mut self.up };
                lane.0 = ask.what();
                lane.1.begin(&self.server, request);
            }
            let mut landed = false;
            for (what, lane) in [&mut self.down, &mut self.up] {
                let Poll::Ready(answer) = lane.poll(cx) else { continue };
                landed = true;
                let boxes = (&mut self.inbox, &mut self.outbox);
                land(&mut self.machine, boxes, *what, answer, self.watch.as_mut());
            }
            if !landed {
                if came {
                    // Messages for the one who receives, room for those who send, whoever has driven.
                    self.waiting.wake();
                }
                return came;
            }
            came = true;
        }
    }

    /// Until it is over, or something is to be looked at again.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.drive(cx) {
            return Poll::Ready(());
        }
        let now = now();
        // What is due already and not done is for `recv` to do.
        let deadline = self.machine.deadline().filter(|at| now < *at);
        self.timer.poll(deadline, now, cx)
    }

    /// The same, for what the end of all would never bring.
    fn poll_unless_over(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.over || self.machine.is_over() {
            return Poll::Ready(Err(SendError::NotOpen));
        }
        self.poll_more(cx).map(Ok)
    }
}

fn land(
    machine: &mut Client,
    (inbox, outbox): (&mut Inbox<'_>, &mut Outbox<'_>),
    what: What,
    answer: Result<(u16, Vec<u8>), String>,
    watch: Option<&mut Watch>,
) {
    let tell = |notice: Notice<'_>| {
        if let Some(watch) = watch {
            watch(notice);
        }
    };
    match answer {
        Ok((status, body)) => {
            let was = machine.sid();
            machine.answered(what, status, &body, inbox, outbox, now());
            if was.is_none() && machine.sid().is_some() {
                tell(Notice::Opened);
            } else if status >= 300 && (machine.is_open() || status != 404) {
                // A session that we have ended is not found any more.
                tell(Notice::Failed { what, why: &format!("status {status}") });
            }
        }
        Err(why) => {
            machine.failed(what, now());
            tell(Notice::Failed { what, why: &why });
        }
    }
}

impl Whole for PollClient {
    type Error = Error;

    fn waiting(&mut self) -> &mut Waiting {
        &mut self.waiting
    }

    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        while !self.over {
            if self.ended.is_none() {
                match self.machine.advance(now(), &mut self.inbox, &mut self.outbox) {
                    Ok(Progress::Event) => match self.machine.event(&self.inbox) {
                        Some(Event::Text(text)) => {
                            return Poll::Ready(Ok(Some(Message::Text(text.as_str().to_owned()))));
                        }
                        Some(Event::Binary(bytes)) => {
                            return Poll::Ready(Ok(Some(Message::Binary(Bytes::copy_from_slice(bytes)))));
                        }
                        Some(Event::Closed { code, reason }) => {
                            self.closed = Some((code, reason.as_str().into()));
                            continue;
                        }
                        None => continue,
                    },
                    Ok(Progress::Closed) => self.ended = Some(Ok(())),
                    Ok(Progress::NeedInput | Progress::NeedRoom) => {}
                    Err(error) => self.ended = Some(Err(error)),
                }
            }
            let more = self.poll_more(cx);
            // The server is told before the application is, but once.
            if self.ended.is_some() && !self.up.1.is_busy() {
                self.abandon();
                return Poll::Ready(self.ended.take().unwrap_or(Ok(())).map(|()| None));
            }
            ready!(more);
        }
        Poll::Ready(Ok(None))
    }

    fn queue(&mut self, kind: Kind, payload: &Bytes) -> Result<(), SendError> {
        if self.over || self.machine.is_over() {
            return Err(SendError::NotOpen);
        }
        self.machine.send(kind, &[payload], &mut self.outbox)
    }

    fn queued(&self) -> usize {
        self.outbox.capacity() - self.outbox.room()
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_unless_over(cx)
    }

    fn drain_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        while !self.outbox.is_empty() {
            ready!(self.poll_unless_over(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn make_headroom(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        loop {
            if self.over || !self.machine.is_open() {
                return Poll::Ready(Err(SendError::NotOpen));
            }
            if self.outbox.room() >= self.outbox.capacity() / 4 {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_unless_over(cx))?;
        }
    }

    fn nudge(&mut self, cx: &mut Context<'_>) {
        self.drive(cx);
    }

    fn end(&mut self, reason: &str) {
        self.machine.close(reason, &mut self.outbox);
        self.waiting.wake(); // it has a deadline
    }

    fn abandon(&mut self) {
        self.over = true;
        (self.down.1, self.up.1) = Default::default();
        self.waiting.wake();
    }
}

stream_and_sink!([] PollClient, Error);

impl fmt::Debug for PollClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = f.debug_struct("PollClient");
        client.field("route", &self.server.route).field("is_open", &self.machine.is_open());
        client.field("closed", &self.closed).field("over", &self.over).finish_non_exhaustive()
    }
}
