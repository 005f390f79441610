//! One port, every transport.

use core::{
    future::Future,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use stillwire::{
    Entropy,
    hub::{self, Mailbox, Shared},
    polling::{self, Answer, Sid},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    Carrier, Config, Connection, Peer, Request, Traffic,
    clock::{entropy, now},
    post::Post,
    protocol::Protocol,
    rooms::{Rooms, lock},
    serve,
    session::{Session, SessionStream},
    stream::Stream,
    traffic::Meter,
};

/// Accepts connections on one port, recognises what they speak, and hands the application a [`Peer`] for each.
///
/// ```
/// use stillwire_tokio::{Config, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let (server, handle) = Server::new(listener, Config::default());
/// # handle.shut_down(std::time::Duration::ZERO, std::time::Duration::ZERO).await;
/// server
///     .serve(|mut peer| async move {
///         while let Ok(Some(message)) = peer.recv().await {
///             if peer.send(message).await.is_err() { break } // an echo
///         }
///     })
///     .await;
/// # Ok(()) }
/// ```
///
/// Dropping it lets go of the peers that nobody has accepted; the port stays open until [`Handle::shut_down`].
#[derive(Debug)]
pub struct Server {
    incoming: mpsc::Receiver<Peer>,
    inner: Arc<Inner>,
}

/// The part of a server that any task may hold: broadcasts, figures, shutdown. A clone is the same server.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) rooms: Rooms,
    next: AtomicU64,
    peers: Mutex<HashMap<u64, Arc<Post>>>,
    sessions: Mutex<HashMap<Sid, Arc<Session>>>,
    entropy: Mutex<Entropy>,
    pub(crate) incoming: mpsc::Sender<Peer>,
    closing: AtomicBool,
    count: watch::Sender<usize>,
    pub(crate) stage: watch::Sender<Stage>,
    meters: [Arc<Meter>; 3],
}

impl Inner {
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn meter(&self, carrier: Carrier) -> Arc<Meter> {
        let [websocket, events, polling] = &self.meters;
        match carrier {
            Carrier::WebSocket => websocket.clone(),
            Carrier::Events => events.clone(),
            Carrier::Polling => polling.clone(),
        }
    }

    pub(crate) fn session(&self, sid: Sid) -> Option<Arc<Session>> {
        // One lock after the other: a session's is held while a body is read.
        let session = lock(&self.sessions).get(&sid).cloned();
        session.filter(|session| !session.is_over())
    }

    /// A session under a new name, unless there are too many.
    fn open(&self, make: impl FnOnce(Sid) -> Arc<Session>) -> Option<(Sid, Arc<Session>)> {
        let sid = Sid::new(&mut lock(&self.entropy));
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= self.config.max_sessions {
            return None;
        }
        let session = make(sid);
        sessions.insert(sid, session.clone());
        Some((sid, session))
    }

    /// A new session, the answer that names it, and the peer that owns it, unless there are too many.
    pub(crate) fn open_session(self: &Arc<Self>, request: Request) -> Option<(Answer, Peer)> {
        let config = &self.config;
        let mut opened = None;
        let (sid, session) = self.open(|sid| {
            let session = polling::Session::new(sid, &config.polling, now());
            opened = Some((session.opened(), session.connection()));
            Session::new(session)
        })?;
        let (answer, machine) = opened?;
        let stream = Stream::Session(SessionStream::new(session));
        let connection = Connection::new(stream, Protocol::Polling(machine), config.inbox, config.outbox);
        Some((answer, self.peer(connection, request, Some(sid))))
    }

    pub(crate) fn peer(
        self: &Arc<Self>,
        mut connection: Connection<Stream, Protocol>,
        request: Request,
        sid: Option<Sid>,
    ) -> Peer {
        connection.link.stall = self.config.stall;
        if sid.is_some() {
            // A waiting client reads by asking: the session's own deadline decides whether it still does.
            connection.link.stall = self.config.polling.empty_within.saturating_mul(2);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let post = Arc::new(Post::new(Mailbox::new(self.config.mailbox, self.config.slow)));
        let mut peers = lock(&self.peers);
        peers.insert(id, post.clone());
        self.count.send_replace(peers.len());
        drop(peers);
        if self.is_closing() {
            post.dismiss(Duration::from_secs(1));
        }
        Peer::new((id, post), self.clone(), connection, request, sid)
    }

    pub(crate) fn forget(&self, id: u64, sid: Option<Sid>) {
        if let Some(sid) = sid {
            lock(&self.sessions).remove(&sid);
        }
        let mut peers = lock(&self.peers);
        peers.remove(&id);
        self.count.send_replace(peers.len());
    }
}

/// How far a server has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    Open,
    /// Peers are told to go. Who polls may have to come again to hear it, so the port is open.
    Leaving,
    /// The port is closed.
    Gone,
}

/// Ends when the server has come so far.
pub(crate) async fn reached(stage: &mut watch::Receiver<Stage>, what: Stage) {
    let _ = stage.wait_for(|stage| *stage >= what).await;
}

/// A shutdown that is waited for; the port closes with it, also when nobody waits any more.
struct Leaving<'a>(&'a watch::Sender<Stage>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.send_replace(Stage::Gone);
    }
}

impl Server {
    /// A server on a port that is bound already. It begins at once, in tasks of the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(listener: TcpListener, config: Config) -> (Self, Handle) {
        let (server, handle) = Self::without_port(config);
        tokio::spawn(listen(listener, server.inner.clone()));
        (server, handle)
    }

    /// A server whose peers come through a [`Door`](crate::stack::Door), from an HTTP stack that has the port.
    #[must_use]
    pub fn without_port(config: Config) -> (Self, Handle) {
        let (sender, incoming) = mpsc::channel(config.backlog.max(1));
        let inner = Arc::new(Inner {
            config,
            rooms: Rooms::default(),
            next: AtomicU64::new(1),
            peers: Mutex::default(),
            sessions: Mutex::default(),
            entropy: Mutex::new(entropy()),
            incoming: sender,
            closing: AtomicBool::new(false),
            count: watch::Sender::new(0),
            stage: watch::Sender::new(Stage::Open),
            meters: Default::default(),
        });
        (Self { incoming, inner: inner.clone() }, Handle(inner))
    }

    /// The next peer, whatever it speaks. `None` after [`Handle::shut_down`] has begun, behind those that wait already.
    /// The future may be dropped at any time.
    pub async fn accept(&mut self) -> Option<Peer> {
        let mut stage = self.inner.stage.subscribe();
        tokio::select! {
            biased;
            peer = self.incoming.recv() => peer,
            () = reached(&mut stage, Stage::Leaving) => {
                // Whoever finds no place in the backlog any more is dropped, or the end would wait for it.
                self.incoming.close();
                self.incoming.recv().await
            }
        }
    }

    /// A task for each peer: what most programs want. Ends when a shutdown has ended every handler.
    pub async fn serve<F: Future<Output = ()> + Send + 'static>(mut self, handler: impl Fn(Peer) -> F) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                peer = self.accept() => match peer {
                    Some(peer) => drop(tasks.spawn(handler(peer))),
                    None => break,
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

impl Handle {
    /// To every member of a room but `except`, in the same order for all; never waits. Encoded once for all who
    /// speak the same. Returns the number of mailboxes that took it.
    ///
    /// A peer that cannot be sent it at all is left out without a word: binary over an event stream, more than
    /// `polling.max_bytes`, more than its [`Config::outbox`](crate::Config::outbox).
    pub fn broadcast(&self, room: &str, message: impl Into<Shared>, except: Option<u64>) -> usize {
        let message = message.into();
        let post_all = |room: &hub::Room<Arc<Post>>| {
            let members = room.members().filter(|(id, _)| Some(*id) != except);
            members.filter(|(_, post)| post.post(message.clone())).count()
        };
        self.0.rooms.with(room, post_all).unwrap_or_default()
    }

    /// To one peer, from any task; never waits. False: it is gone, or its mailbox did not take it.
    pub fn send_to(&self, peer: u64, message: impl Into<Shared>) -> bool {
        let post = lock(&self.0.peers).get(&peer).cloned();
        post.is_some_and(|post| post.post(message.into()))
    }

    /// The members of a room, in the order in which they came.
    #[must_use]
    pub fn members(&self, room: &str) -> Vec<u64> {
        self.0.rooms.with(room, |room| room.members().map(|(id, _)| id).collect()).unwrap_or_default()
    }

    /// How many peers there are.
    #[must_use]
    pub fn peers(&self) -> usize {
        lock(&self.0.peers).len()
    }

    /// How many polling sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.0.sessions).len()
    }

    /// What a carrier has cost so far.
    #[must_use]
    pub fn traffic(&self, carrier: Carrier) -> Traffic {
        self.0.meter(carrier).read()
    }

    /// An orderly end. Each peer is told to go, and to come back after its share of `spread`, so that they do not all
    /// come at once; connections without a request are closed, requests are answered 503, but for those of polling
    /// sessions: their clients fetch the goodbye, and the handlers end when it was acknowledged. Returns when all
    /// peers are gone, or after `within`: the number of those still there. Then nobody listens any more, and the same
    /// goes for a future that is dropped.
    pub async fn shut_down(&self, within: Duration, spread: Duration) -> usize {
        self.0.closing.store(true, Ordering::Release);
        self.0.stage.send_modify(|stage| *stage = (*stage).max(Stage::Leaving));
        let _leaving = Leaving(&self.0.stage);
        let posts: Vec<_> = lock(&self.0.peers).values().cloned().collect();
        for (n, post) in posts.iter().enumerate() {
            post.dismiss(hub::spread(n, posts.len(), spread));
        }
        let mut count = self.0.count.subscribe();
        let _ = tokio::time::timeout(within, count.wait_for(|count| *count == 0)).await;
        self.peers()
    }
}

async fn listen(listener: TcpListener, inner: Arc<Inner>) {
    let mut stage = inner.stage.subscribe();
    let connections = Arc::new(());
    loop {
        let accepted = tokio::select! {
            () = reached(&mut stage, Stage::Gone) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, address)) = accepted else {
            // Out of descriptors, most likely: a pause, not a busy loop.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let max = inner.config.max_connections;
        let open = Arc::strong_count(&connections) - 1;
        if open >= max.saturating_mul(2) {
            continue;
        }
        // Small messages must not wait for the acknowledgement of the ones before.
        let _ = socket.set_nodelay(true);
        let (inner, guard) = (inner.clone(), connections.clone());
        tokio::spawn(async move {
            let _ = serve::connection(inner, socket, address, open >= max, guard).await;
        });
    }
}
