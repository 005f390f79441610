//! Extractors for axum 0.8.

use core::{convert::Infallible, future::Future};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Version, request::Parts};
use hyper::upgrade::OnUpgrade;
use stillwire::{sse, ws};

use crate::{Accepting, Origin, Refusal, View, WebSocket};

/// A request that may become a WebSocket, over HTTP/1.1 or HTTP/2; others are refused before the handler runs. Use it
/// with `axum::routing::any`: HTTP/1.1 comes with GET, HTTP/2 with CONNECT.
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use stillwire::ws;
/// use stillwire_hyper::axum::WebSocketUpgrade;
///
/// async fn echo(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.subprotocols(["echo.v1"]).on_upgrade(|mut socket, _| async move {
///         while let Ok(Some((event, reply))) = socket.next().await {
///             if let ws::Event::Text(text) = event {
///                 if reply.machine.send_text(text, reply.outbox).is_err() { break }
///             }
///         }
///     })
/// }
/// let app: Router = Router::new().route("/echo", any(echo));
/// ```
#[derive(Debug)]
pub struct WebSocketUpgrade {
    accepting: Accepting,
    parts: Parts,
    on: OnUpgrade,
}

impl WebSocketUpgrade {
    /// Limits, subprotocols, origins and compression, all at once.
    #[must_use]
    pub fn accepting(mut self, accepting: Accepting) -> Self {
        self.accepting = accepting;
        self
    }

    /// Limits, waits and compression of the connection.
    #[must_use]
    pub fn config(mut self, config: ws::Config) -> Self {
        self.accepting.config = config;
        self
    }

    /// The subprotocols that are offered.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.accepting.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Which pages may connect. Default: those of this host.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.accepting.origin = origin;
        self
    }

    /// The answer; `handler` gets the connection in a task of its own when the answer was sent, with the subprotocol
    /// that was agreed on. What is refused now (an origin) is answered so.
    pub fn on_upgrade<F: Future<Output = ()> + Send + 'static>(
        self,
        handler: impl FnOnce(WebSocket, Option<String>) -> F + Send + 'static,
    ) -> Response {
        let Self { accepting, parts, on } = self;
        let (answer, machine, subprotocol) = match accepting.agree(&View::of_parts(&parts)) {
            Ok(agreed) => agreed,
            Err(why) => return Refusal::new(why, parts.version).into_response(),
        };
        let upgrading = accepting.upgrading(on, machine, subprotocol.clone());
        tokio::spawn(async move {
            if let Ok(socket) = upgrading.await {
                handler(socket, subprotocol).await;
            }
        });
        answer.into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let refuse = |why, version: Version| Refusal::new(why, version);
        let accepting = Accepting { origin: Origin::Any, ..Accepting::default() };
        accepting.agree(&View::of_parts(parts)).map_err(|why| refuse(why, parts.version))?;
        let on = parts.extensions.remove().ok_or(refuse(ws::UpgradeError::NoUpgrade, parts.version))?;
        Ok(Self { accepting: Accepting::default(), parts: parts.clone(), on })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}

/// Where a subscriber of an event stream wants to go on ([`sse::Feed::last_event_id`]): what a stranger sent, so look it
/// up among the events that this subscriber may see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastEventId(pub Option<Bytes>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(sse::Feed::last_event_id(parts).map(Bytes::copy_from_slice)))
    }
}
