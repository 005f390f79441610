//! What a server is told before it begins.

use core::{future::Future, time::Duration};

use stillwire::{
    http,
    hub::{Bounds, Slow},
    polling, sse, ws,
};

use crate::{
    Carrier, Handle, Request, Response,
    request::{Gate, OnRequest},
};

/// Limits, waits and hooks of a [`Server`](crate::Server). The default serves the three transports, refuses nobody
/// and answers everything else with 404.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes that wait unread on a connection, and so the bound of a message. Default: 1 MiB + 64 KiB, which
    /// lets a compressed message of 1 MiB be read in large pieces.
    pub inbox: usize,
    /// The most bytes that wait to be sent on a connection; messages above half of it cannot be answered in one
    /// piece. Default: 2 MiB.
    pub outbox: usize,
    /// How much may wait for a peer that other tasks write to. Default: 256 KiB and 4096 messages.
    pub mailbox: Bounds,
    /// What happens to a peer that is too slow for that. Default: it is dismissed.
    pub slow: Slow,
    /// Heads, bodies and idle connections: 8 KiB, 10 s for a head, 20 s between pieces of a body, 60 s idle.
    pub http: http::Config,
    /// WebSocket: message limit, keepalive (ping after 25 s, pong within 20 s), closing.
    pub websocket: ws::Config,
    /// The subprotocols that are offered; the first one that a client names and that is here wins. Default: none.
    pub subprotocols: Vec<String>,
    /// Event streams: the keepalive comment.
    pub events: sse::FeedConfig,
    /// Paths that are event streams for every `GET`. Elsewhere a `GET` is one when it accepts
    /// `text/event-stream`, as every `EventSource` says. Default: `/events`.
    pub event_paths: Vec<String>,
    /// Polling: body limits, waits, abandoned sessions.
    pub polling: polling::Config,
    /// The base path of polling. Default: `/poll`.
    pub polling_base: String,
    /// The most polling sessions at once; more are answered 503. Default: 10,000.
    pub max_sessions: usize,
    /// The most TCP connections at once; more are answered 503, and twice as many are dropped at once. Default:
    /// 10,000.
    pub max_connections: usize,
    /// The most bytes of a request's body for [`on_request`](Self::on_request). Default: 64 KiB.
    pub max_body: usize,
    /// Whether a POST, PUT or PATCH for `on_request` must declare the length of its body or send it in chunks: 411
    /// otherwise. Default: no, it has an empty body then.
    pub require_length: bool,
    /// A peer that takes no byte of what waits for it for this long is cut off. Default: 20 s.
    pub stall: Duration,
    /// Peers that wait to be [accepted](crate::Server::accept); behind so many, the others wait, too, each with its
    /// connection open. Default: 64.
    pub backlog: usize,
    /// The certificate and the key for `https:` and `wss:`, as from [`tls::server`](crate::tls::server); then nothing
    /// else is spoken on this port. Default: none, plain `http:` and `ws:`.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<crate::tls::rustls::ServerConfig>>,
    /// Headers for every answer, such as `access-control-allow-origin`. Default: none.
    pub headers: Vec<(String, String)>,
    pub(crate) gate: Gate,
    pub(crate) on_request: OnRequest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbox: (1 << 20) + (64 << 10),
            outbox: 2 << 20,
            mailbox: Bounds::default(),
            slow: Slow::default(),
            http: http::Config::default(),
            websocket: ws::Config::default(),
            subprotocols: Vec::new(),
            events: sse::FeedConfig::default(),
            event_paths: vec!["/events".to_owned()],
            polling: polling::Config::default(),
            polling_base: "/poll".to_owned(),
            max_sessions: 10_000,
            max_connections: 10_000,
            max_body: 64 << 10,
            require_length: false,
            stall: Duration::from_secs(20),
            backlog: 64,
            #[cfg(feature = "tls")]
            tls: None,
            headers: Vec::new(),
            gate: Gate::new(|_, _| Ok(())),
            on_request: OnRequest::new(|_, _| async {
                Response::with(404, "text/plain; charset=utf-8", "There is nothing here.\n")
            }),
        }
    }
}

impl Config {
    /// Looks at everybody who wants to become a peer, before the opening is answered: `Err` is the answer instead
    /// (401, 403, 503; for an event stream 204 tells an `EventSource` to stay away). It must not block.
    ///
    /// **Browsers let any page open a WebSocket to any host**, with that host's cookies. Where cookies mean something,
    /// refuse other origins: [`ws::is_same_origin`].
    ///
    /// ```
    /// use stillwire::ws;
    /// use stillwire_tokio::{Config, Response};
    ///
    /// let config = Config::default().gate(|_carrier, request| {
    ///     if ws::is_same_origin(request) { Ok(()) } else { Err(Response::new(403)) }
    /// });
    /// ```
    #[must_use]
    pub fn gate(
        mut self,
        gate: impl Fn(Carrier, &Request) -> Result<(), Response> + Send + Sync + 'static,
    ) -> Self {
        self.gate = Gate::new(gate);
        self
    }

    /// Answers every request that is none of the three transports: pages, posts, health checks. The handle is the
    /// server's own, to broadcast what was posted.
    ///
    /// ```
    /// use stillwire_tokio::{Config, Response};
    ///
    /// let config = Config::default().on_request(|request, handle| async move {
    ///     match (request.method.as_str(), request.target.as_str()) {
    ///         ("GET", "/") => Response::with(200, "text/html; charset=utf-8", "<h1>Hello</h1>"),
    ///         ("POST", "/say") => match String::from_utf8(request.body) {
    ///             Ok(text) => {
    ///                 handle.broadcast("chat", text.as_str(), None);
    ///                 Response::new(204)
    ///             }
    ///             Err(_) => Response::new(400),
    ///         },
    ///         _ => Response::new(404),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_request<F: Future<Output = Response> + Send + 'static>(
        mut self,
        answer: impl Fn(Request, Handle) -> F + Send + Sync + 'static,
    ) -> Self {
        self.on_request = OnRequest::new(answer);
        self
    }
}
