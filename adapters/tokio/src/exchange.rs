//! One request and its answer, on a connection that is kept where that is possible.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use stillwire::{
    http::{self, Answer, Fetch, Url},
    polling::Path,
};

use crate::{Connection, MaybeTls, Route};

/// The most bytes of an answer's body.
const BODY: usize = 4 << 20;
/// The most bytes of a head, with room to spare.
const HEAD: usize = 32 << 10;

/// Whom to ask, and how.
#[derive(Clone)]
pub(crate) struct Server {
    /// A normal URL.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) route: Route,
}

/// What to ask.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// What follows the path of the URL.
    pub(crate) path: Path,
    /// JSON.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) within: Duration,
}

type Wire = Connection<MaybeTls, Fetch>;
type Exchange = Pin<Box<dyn Future<Output = Result<(u16, Vec<u8>, Wire), String>> + Send>>;

/// One exchange at a time.
#[derive(Default)]
pub(crate) struct Lane {
    exchange: Option<Exchange>,
    /// The connection of the last one.
    kept: Option<Wire>,
}

impl Lane {
    pub(crate) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    pub(crate) fn begin(&mut self, server: &Arc<Server>, request: Request) {
        let (server, kept, within) = (server.clone(), self.kept.take(), request.within);
        self.exchange = Some(Box::pin(async move {
            let answer = tokio::time::timeout(within, ask(&server, kept, &request)).await;
            answer.unwrap_or_else(|_| Err("there is no answer in time".to_owned()))
        }));
    }

    /// Status and body, or why there is no answer, in words; ready once for each that began.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u16, Vec<u8>), String>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        let done = ready!(exchange.as_mut().poll(cx));
        self.exchange = None;
        Poll::Ready(done.map(|(status, body, wire)| {
            self.kept = wire.link.machine.is_idle().then_some(wire);
            (status, body)
        }))
    }
}

async fn ask(server: &Server, kept: Option<Wire>, request: &Request) -> Result<(u16, Vec<u8>, Wire), String> {
    if let Some(wire) = kept
        && let Ok(answer) = ask_over(wire, server, request).await
    {
        return Ok(answer);
    }
    // The server may have closed an idle connection: that is no failure yet. All requests may be made again.
    let url = Url::parse(&server.url).map_err(|error| error.to_string())?;
    let stream = server.route.open(&url).await.map_err(|error| error.to_string())?;
    let mut config = http::Config::default();
    config.wait_within = Duration::MAX; // `within` says it
    let wire = Connection::new(stream, Fetch::new(config), BODY + HEAD, BODY + HEAD);
    ask_over(wire, server, request).await
}

async fn ask_over(
    mut wire: Wire,
    server: &Server,
    request: &Request,
) -> Result<(u16, Vec<u8>, Wire), String> {
    let url = Url::parse(&server.url).map_err(|error| error.to_string())?;
    let target = request.path.below(&url);
    let mut headers = vec![("host", url.authority())];
    if request.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    headers.extend(server.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let (link, body) = (&mut wire.link, request.body.as_deref().unwrap_or_default());
    let sent = link.machine.request(request.method, &target, &headers, &[body], &mut link.outbox);
    sent.map_err(|error| error.to_string())?;
    let (mut status, mut body) = (0, Vec::new());
    loop {
        match wire.next().await.map_err(|error| error.to_string())? {
            Some((Answer::Head(head), reply)) => {
                status = head.status();
                reply.machine.collect(BODY);
            }
            Some((Answer::Body(whole), _)) => body = whole.to_vec(),
            Some((Answer::End, _)) => return Ok((status, body, wire)),
            _ => return Err(http::Error::NoAnswer.to_string()),
        }
    }
}
