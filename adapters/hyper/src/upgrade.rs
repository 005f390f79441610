//! WebSockets in a request of hyper's: `Upgrade` in HTTP/1.1 (RFC 6455), extended CONNECT in HTTP/2 (RFC 8441).

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use stillwire::{http::RequestView, ws};
use stillwire_tokio::Connection;

use crate::{Body, Refusal, View, answer::response};

/// A WebSocket over a stream that hyper has upgraded: a connection of HTTP/1.1, or one stream of HTTP/2.
pub type WebSocket = Connection<TokioIo<Upgraded>, ws::Connection>;

/// Whether pages of this origin may connect.
pub type OriginCheck = dyn Fn(Option<&[u8]>) -> bool + Send + Sync;

/// Which pages may open a WebSocket. **Browsers let any page connect to any host**, with that host's cookies.
#[derive(Clone, Default)]
pub enum Origin {
    /// Pages of this very host, and whatever is no browser ([`ws::is_same_origin`]). The default. A proxy that puts
    /// another name into `Host` breaks it.
    #[default]
    Same,
    /// Every page.
    Any,
    /// Asks, with the value of `Origin`: `None` when it is missing or came twice.
    If(Arc<OriginCheck>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "Same",
            Self::Any => "Any",
            Self::If(_) => "If(..)",
        })
    }
}

impl Origin {
    /// Exactly these: `Origin::one_of(["https://a.example", "https://b.example"])`.
    pub fn one_of<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        Self::If(Arc::new(move |origin| origins.iter().any(|known| Some(known.as_bytes()) == origin)))
    }

    fn allows(&self, request: &impl RequestView) -> bool {
        match self {
            Self::Same => ws::is_same_origin(request),
            Self::Any => true,
            Self::If(check) => check(request.only("origin")),
        }
    }
}

/// What a server agrees to, and the limits of the connection then.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accepting {
    /// Limits, waits and compression of the connection.
    pub config: ws::Config,
    /// The subprotocols that are offered; the first one that a client names and that is here wins. Default: none.
    pub subprotocols: Vec<String>,
    /// Which pages may connect. Default: those of this host.
    pub origin: Origin,
    /// The most bytes that wait unread, and so the bound of a message. Default: 1 MiB + 64 KiB, which
    /// lets a compressed message of 1 MiB be read in large pieces.
    pub inbox: usize,
    /// The most bytes that wait to be sent. Default: 2 MiB.
    pub outbox: usize,
    /// A peer that takes no byte of what waits for it for this long is cut off. Default: 20 s.
    pub stall: Duration,
}

impl Default for Accepting {
    fn default() -> Self {
        Self {
            config: ws::Config::default(),
            subprotocols: Vec::new(),
            origin: Origin::default(),
            inbox: (1 << 20) + (64 << 10),
            outbox: 2 << 20,
            stall: Duration::from_secs(20),
        }
    }
}

impl Accepting {
    /// Checks a request strictly, and begins the upgrade: the answer for hyper, and what becomes the connection when
    /// hyper has sent it. Await that in a task of its own; add headers of yours (cookies) to the answer.
    ///
    /// # Errors
    /// [`Refusal`]: give its [`response`](Refusal::response).
    pub fn upgrade<B>(&self, request: &mut Request<B>) -> Result<(Response<Body>, Upgrading), Refusal> {
        // A request that breaks a rule keeps its upgrade, for whoever looks at it next.
        let (answer, machine, subprotocol) = self
            .agree(&View::of(request))
            .and_then(|agreed| {
                let can = request.extensions().get::<OnUpgrade>().is_some();
                if can { Ok(agreed) } else { Err(ws::UpgradeError::NoUpgrade) }
            })
            .map_err(|why| Refusal::new(why, request.version()))?;
        Ok((answer, self.upgrading(hyper::upgrade::on(request), machine, subprotocol)))
    }

    /// The answer, the machine and the subprotocol.
    pub(crate) fn agree(
        &self,
        request: &impl RequestView,
    ) -> Result<(Response<Body>, ws::Connection, Option<String>), ws::UpgradeError> {
        let offered: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let accept = ws::Accept::new(request, &offered, &self.config)?;
        if !self.origin.allows(request) {
            return Err(ws::UpgradeError::Origin);
        }
        let answer = response(accept.http_status(), accept.headers(), Body::empty());
        Ok((answer, accept.connection(self.config.clone()), accept.subprotocol().map(str::to_owned)))
    }

    pub(crate) fn upgrading(
        &self,
        on: OnUpgrade,
        machine: ws::Connection,
        subprotocol: Option<String>,
    ) -> Upgrading {
        let Self { inbox, outbox, stall, .. } = *self;
        Upgrading { on, machine: Some(machine), subprotocol, inbox, outbox, stall }
    }
}

/// A [`WebSocket`] as soon as hyper has sent the answer.
#[derive(Debug)]
pub struct Upgrading {
    on: OnUpgrade,
    machine: Option<ws::Connection>,
    subprotocol: Option<String>,
    inbox: usize,
    outbox: usize,
    stall: Duration,
}

impl Upgrading {
    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The stream and the machine, for a driver of your own.
    ///
    /// # Errors
    /// As of the future.
    pub async fn into_parts(mut self) -> hyper::Result<(Upgraded, ws::Connection)> {
        let stream = (&mut self.on).await?;
        Ok((stream, self.machine.take().expect("it is taken only once")))
    }
}

/// Fails when the answer was not sent, or not this one, or the connection is not served with upgrades.
impl Future for Upgrading {
    type Output = hyper::Result<WebSocket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = ready!(Pin::new(&mut self.on).poll(cx))?;
        let machine = self.machine.take().expect("a future is not polled after its end");
        let mut connection = Connection::new(TokioIo::new(stream), machine, self.inbox, self.outbox);
        connection.link.stall = self.stall;
        Poll::Ready(Ok(connection))
    }
}
