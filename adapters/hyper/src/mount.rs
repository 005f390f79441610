//! One server's rooms behind an HTTP stack: each carrier is an answer to a request.

use core::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use stillwire::{
    http::RequestView,
    polling::{self, Refused},
    ws,
};
use stillwire_tokio::{Carrier, Config, Handle, Request as Asked, Server, stack::Door};

use crate::{
    Accepting, Body, Origin, View,
    answer::{Refusal, of_application, of_polling, response, with_headers},
    events::stream,
    pipe::pipe,
    view::owned,
};

/// The three transports of one [`Server`], to be mounted in a router: as a whole, as a tower service, or each where you
/// like. Whoever comes in is a [`Peer`](stillwire_tokio::Peer), handed out by [`Server::accept`] or
/// [`Server::serve`]; members of a room hear each other whatever carries them. A clone leads to the same server.
///
/// The server's [`Config`] counts: its gate, subprotocols, headers, limits and paths. What belongs to a port does not
/// (`max_connections` bounds the peers here; `http.body_within` counts, the rest of `http` does not, nor does
/// `on_request`): connections are the HTTP stack's. It has waits of its own, and some are not set: give hyper a
/// `header_read_timeout`, HTTP/2 a `keep_alive_interval`, and TCP `TCP_USER_TIMEOUT` where slow readers matter, because a
/// peer that is cut off for being slow lets go of its memory here, but not of hyper's connection.
#[derive(Clone, Debug)]
pub struct Mount {
    door: Door,
}

impl Mount {
    /// A server without a port of its own, and the way into it.
    #[must_use]
    pub fn new(config: Config) -> (Server, Self) {
        let (server, handle) = Server::without_port(config);
        (server, Self::of(&handle))
    }

    /// Another way into a server, one that has a port of its own for example.
    #[must_use]
    pub fn of(handle: &Handle) -> Self {
        Self { door: Door::of(handle) }
    }

    /// Broadcasts, figures, shutdown. Shut it down before the HTTP stack: event streams and upgraded connections end
    /// with their peers.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.door.handle()
    }

    /// A WebSocket, in HTTP/1.1 and HTTP/2. The connection must be served with upgrades, and for HTTP/2 the server must
    /// have said `enable_connect_protocol()`. (`axum::serve` does both.)
    pub fn websocket<B>(&self, request: &mut Request<B>) -> Response<Body> {
        let asked = owned(request);
        let config = self.door.config();
        let accepting = Accepting {
            config: config.websocket.clone(),
            subprotocols: config.subprotocols.clone(),
            origin: Origin::Any, // the gate's business
            ..Accepting::default()
        };
        let refuse = |why| self.finish(Refusal::new(why, request.version()).response());
        // A request that is no handshake is told so, and the gate sees only those that are.
        let (answer, machine, subprotocol) = match accepting.agree(&View::of(request)) {
            Ok(agreed) => agreed,
            Err(why) => return refuse(why),
        };
        if let Err(answer) = self.door.ask(Carrier::WebSocket, &asked) {
            return self.finish(of_application(&answer));
        }
        if request.extensions().get::<OnUpgrade>().is_none() {
            return refuse(ws::UpgradeError::NoUpgrade);
        }
        let upgrading = accepting.upgrading(hyper::upgrade::on(request), machine, subprotocol);
        let door = self.door.clone();
        tokio::spawn(async move {
            if let Ok((stream, machine)) = upgrading.into_parts().await {
                let peer = door.websocket(TokioIo::new(stream), machine, asked);
                door.hand_over(peer).await;
            }
        });
        self.finish(answer)
    }

    /// An event stream: its body ends with the peer, and the peer with its body.
    ///
    /// Waits for a place in the server's backlog before it answers.
    pub fn events<B>(&self, request: &Request<B>) -> impl Future<Output = Response<Body>> + Send + use<B> {
        let (mount, asked) = (self.clone(), owned(request));
        async move {
            let answer = mount.subscribe(asked).await;
            mount.finish(answer)
        }
    }

    async fn subscribe(&self, asked: Asked) -> Response<Body> {
        if asked.method != "GET" {
            return response(405, [("allow", "GET")], Body::empty());
        }
        if let Err(answer) = self.door.ask(Carrier::Events, &asked) {
            return of_application(&answer);
        }
        let (pipe, outlet) = pipe();
        if self.door.hand_over(self.door.events(pipe, asked)).await { stream(outlet) } else { unavailable() }
    }

    /// One request of the polling protocol: `POST base/open`, and `GET`, `POST` and `DELETE` of `base/SID`. The base is
    /// `polling_base`; where a router has taken it off already, the whole path is what follows it.
    ///
    /// A `GET` waits; dropping the future (the client has left) gives its place back.
    pub async fn polling<B: http_body::Body>(&self, request: Request<B>) -> Response<Body> {
        let config = self.door.config();
        let path = request.path();
        let below = path.strip_prefix(config.polling_base.as_str()).filter(|below| below.starts_with('/'));
        let query = request.uri().query();
        let asked = polling::Request::parse(RequestView::method(&request), below.unwrap_or(path), query);
        let answer = match asked {
            Ok(asked) => {
                self.poll(request, asked).await.unwrap_or_else(|refused| of_polling(&refused.answer()))
            }
            Err(refused) => of_polling(&refused.answer()),
        };
        self.finish(answer)
    }

    async fn poll<B: http_body::Body>(
        &self,
        request: Request<B>,
        asked: polling::Request,
    ) -> Result<Response<Body>, Refused> {
        let session = match asked.sid() {
            Some(sid) => self.door.session(sid).ok_or(Refused::NotFound)?,
            None => return Ok(self.open(owned(&request)).await),
        };
        match asked {
            polling::Request::Receive { after, .. } => {
                let mut seat = session.sit(after)?;
                Ok(match seat.next().await {
                    Ok(batch) => response(200, polling::HEADERS, Body::batch(batch, seat)),
                    Err(answer) => {
                        seat.done();
                        of_polling(&answer)
                    }
                })
            }
            polling::Request::Send { .. } => {
                let body = match self.collect(request.into_body()).await {
                    Ok(body) => body,
                    Err(Unread::Refused(refused)) => return Err(refused),
                    Err(Unread::Slow) => return Ok(response(408, [("connection", "close")], Body::empty())),
                };
                Ok(of_polling(&session.post(&body)?.answer()))
            }
            _ => {
                session.end()?;
                Ok(of_polling(&polling::Answer::EMPTY))
            }
        }
    }

    async fn open(&self, asked: Asked) -> Response<Body> {
        if let Err(answer) = self.door.ask(Carrier::Polling, &asked) {
            return of_application(&answer);
        }
        let Some((answer, peer)) = self.door.open(asked) else {
            return unavailable();
        };
        // Not answered, not opened: a client that leaves while the server is busy takes its peer with it.
        if self.door.hand_over(peer).await { of_polling(&answer) } else { unavailable() }
    }

    /// A body of at most `polling.max_bytes`, each piece of it in time.
    async fn collect<B: http_body::Body>(&self, body: B) -> Result<Vec<u8>, Unread> {
        let config = self.door.config();
        let polling::Config { max_bytes, max_messages, .. } = config.polling;
        let mut body = core::pin::pin!(body);
        let mut bytes = Vec::new();
        loop {
            let frame = core::future::poll_fn(|cx| body.as_mut().poll_frame(cx));
            let frame =
                tokio::time::timeout(config.http.body_within, frame).await.map_err(|_| Unread::Slow)?;
            let Some(frame) = frame else { return Ok(bytes) };
            let frame = frame.map_err(|_| Unread::Refused(Refused::BadRequest { why: "body" }))?;
            let Ok(mut data) = frame.into_data() else { continue };
            if data.remaining() > max_bytes - bytes.len() {
                return Err(Unread::Refused(Refused::TooLarge { max_bytes, max_messages }));
            }
            while data.has_remaining() {
                let piece = data.chunk();
                bytes.extend_from_slice(piece);
                let n = piece.len();
                data.advance(n);
            }
        }
    }

    /// Whatever it is of the three: by its upgrade, by [`Config::event_paths`] or `Accept: text/event-stream`, by
    /// [`Config::polling_base`].
    ///
    /// # Errors
    /// The request, which is none of them.
    pub async fn serve<B: http_body::Body>(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Body>, Request<B>> {
        match self.carrier(&request) {
            Some(Carrier::WebSocket) => Ok(self.websocket(&mut request)),
            Some(Carrier::Events) => Ok(self.events(&request).await),
            Some(Carrier::Polling) => Ok(self.polling(request).await),
            None => Err(request),
        }
    }

    fn carrier<B>(&self, request: &Request<B>) -> Option<Carrier> {
        let (config, path) = (self.door.config(), request.path());
        let below = path.strip_prefix(config.polling_base.as_str());
        let is_polled = below.is_some_and(|below| below.starts_with('/'));
        let accepts = |kind: &str| request.values("accept").any(|value| value.starts_with(kind.as_bytes()));
        let is_stream =
            || config.event_paths.iter().any(|stream| stream == path) || accepts("text/event-stream");
        if View::of(request).protocol().is_some() || request.has_token("upgrade", "websocket") {
            return Some(Carrier::WebSocket);
        }
        match RequestView::method(request) {
            "GET" if is_stream() => Some(Carrier::Events),
            "OPTIONS" => None,
            _ => is_polled.then_some(Carrier::Polling),
        }
    }

    fn finish(&self, answer: Response<Body>) -> Response<Body> {
        with_headers(answer, &self.door.config().headers)
    }
}

/// Too many, or going away.
fn unavailable() -> Response<Body> {
    response(503, [("retry-after", "2")], Body::empty())
}

enum Unread {
    Refused(Refused),
    Slow,
}

/// [`serve`](Mount::serve), and 404 for everything else: for `Router::fallback_service`, `Router::nest_service`, and
/// whatever else mounts services.
impl<B> tower_service::Service<Request<B>> for Mount
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mount = self.clone();
        Box::pin(async move {
            let nothing = |_| response(404, [], Body::empty());
            Ok(mount.serve(request).await.unwrap_or_else(nothing))
        })
    }
}

/// As the tower service, for hyper itself.
impl<B> hyper::service::Service<Request<B>> for Mount
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        tower_service::Service::call(&mut self.clone(), request)
    }
}
