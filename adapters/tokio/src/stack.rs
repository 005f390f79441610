//! For HTTP stacks that have the port themselves: hyper, axum. `stillwire-hyper` is made of this, and an adapter for
//! another stack would be.
//!
//! Such a stack reads heads and bodies and writes the answers. What it hands over here is a stream (upgraded, or the
//! body of an answer) or the body of a request; what comes out is a [`Peer`] like any other, in the same rooms.
//!
//! ```
//! use stillwire::http::RequestView;
//! use stillwire_tokio::{Config, Server, stack::Door};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (mut server, handle) = Server::without_port(Config::default());
//! let door = Door::of(&handle);
//! let (body, stream) = tokio::io::duplex(4096); // the body of an answer, as the HTTP stack would send it
//! let request = stillwire_tokio::Request {
//!     method: "GET".into(),
//!     target: "/events".into(),
//!     headers: [("accept", "text/event-stream")].into_iter().collect(),
//!     address: ([127, 0, 0, 1], 50000).into(),
//!     body: Vec::new(),
//! };
//! let peer = door.events(stream, request);
//! assert!(door.hand_over(peer).await);
//! assert_eq!(server.accept().await.unwrap().request().path(), "/events");
//! # drop(body);
//! # }
//! ```

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use stillwire::{
    polling::{Answer, Sid},
    sse, ws,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use crate::session::{Seat, Session};
use crate::{
    Carrier, Config, Connection, Handle, Peer, Request, Response, protocol::Protocol, server::Inner,
    stream::Stream, traffic::Metered,
};

/// The way into a server for peers that an HTTP stack has let in. A clone leads to the same server.
#[derive(Clone, Debug)]
pub struct Door(Arc<Inner>);

impl Door {
    /// The door of a server, with a port of its own or [without](crate::Server::without_port).
    #[must_use]
    pub fn of(handle: &Handle) -> Self {
        Self(handle.0.clone())
    }

    /// The server behind it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.0.clone())
    }

    /// What the server was told; the stack obeys `event_paths`, `polling_base`, `subprotocols`, `websocket` and `polling`.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Whether somebody may come in; ask before the opening is answered, and before [`open`](Self::open).
    ///
    /// # Errors
    /// The answer instead: 503 while the server shuts down or when there are [`Config::max_connections`] peers, or that
    /// of [`Config::gate`].
    pub fn ask(&self, carrier: Carrier, request: &Request) -> Result<(), Response> {
        let inner = &self.0;
        if inner.is_closing() || self.handle().peers() >= inner.config.max_connections {
            return Err(Response::new(503).header("retry-after", "2"));
        }
        inner.config.gate.ask(carrier, request)
    }

    /// A peer over an upgraded stream, behind an answer that the stack has written. `machine` is
    /// [`ws::Accept::connection`]'s.
    #[must_use]
    pub fn websocket<S>(&self, stream: S, machine: ws::Connection, request: Request) -> Peer
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.peer(Carrier::WebSocket, stream, Protocol::WebSocket(machine), request)
    }

    /// A peer over the body of an answer with status 200 and [`sse::Feed::HEADERS`]. The end of what can be read from
    /// `stream` says that the subscriber has left; everything written belongs to the body, and the shutdown is its end.
    #[must_use]
    pub fn events<S>(&self, stream: S, request: Request) -> Peer
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let feed = sse::Feed::as_body(self.0.config.events);
        self.peer(Carrier::Events, stream, Protocol::Events(feed), request)
    }

    fn peer<S>(&self, carrier: Carrier, stream: S, machine: Protocol, request: Request) -> Peer
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let meter = self.0.meter(carrier);
        meter.request();
        let mut stream = Metered::new(Foreign::new(stream), Arc::default());
        stream.charge(Some(meter));
        let config = &self.0.config;
        let connection = Connection::new(Stream::Foreign(stream), machine, config.inbox, config.outbox);
        self.0.peer(connection, request, None)
    }

    /// A new polling session, the answer that names it, and the peer that owns it: `POST base/open`. `None`: there are
    /// [`Config::max_sessions`]; answer 503.
    #[must_use]
    pub fn open(&self, request: Request) -> Option<(Answer, Peer)> {
        self.0.meter(Carrier::Polling).request();
        self.0.open_session(request)
    }

    /// The session that a request names, which is counted. `None`: answer [`Refused::NotFound`].
    ///
    /// [`Refused::NotFound`]: stillwire::polling::Refused::NotFound
    #[must_use]
    pub fn session(&self, sid: Sid) -> Option<Arc<Session>> {
        self.0.meter(Carrier::Polling).request();
        self.0.session(sid)
    }

    /// Gives the peer to [`Server::accept`](crate::Server::accept), which may be busy: it waits for a place in the
    /// backlog. False: the server is gone, or leaving, and so is the peer.
    pub async fn hand_over(&self, peer: Peer) -> bool {
        self.0.incoming.send(peer).await.is_ok()
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Duplex for S {}

/// A stream of whatever type. The mutex is never locked: it makes a peer `Sync` over a stream that is not.
pub(crate) struct Foreign(Mutex<Pin<Box<dyn Duplex>>>);

impl Foreign {
    fn new(stream: impl Duplex + 'static) -> Self {
        Self(Mutex::new(Box::pin(stream)))
    }

    fn get(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }
}

impl AsyncRead for Foreign {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get().poll_read(cx, buf)
    }
}

impl AsyncWrite for Foreign {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get().poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get().poll_shutdown(cx)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign(..)")
    }
}
