//! One TCP connection, until it ends or becomes a peer.
//!
//! What a head asks for is decided while it is borrowed, and carried out after.

use std::{net::SocketAddr, sync::Arc};

use stillwire::{
    http::{self, Event, Exchange, Framing, RequestHead, RequestView},
    polling::{self, Answer, Refused},
    sse, ws,
};
use tokio::net::TcpStream;

use crate::{
    Carrier, Config, Connection, Error, Handle, MaybeTls, Request, Response,
    protocol::Protocol,
    server::{Inner, Stage, reached},
    session::Session,
    stream::Stream,
    traffic::Metered,
};

/// In a box: a future has room for all that it ever holds, several times for what is moved, and most connections become peers
/// and outlive this one by far.
type Http = Box<Connection<Metered<MaybeTls>, Exchange>>;
type Ended = Result<(), Error<http::Error>>;

/// What a head asks for.
enum Route<'a> {
    Upgrade(ws::Accept<'a>),
    Events,
    Poll(polling::Request),
    Application,
    Refuse(Response),
}

pub(crate) async fn connection(
    inner: Arc<Inner>,
    socket: TcpStream,
    address: SocketAddr,
    crowded: bool,
    guard: Arc<()>,
) -> Ended {
    let config = &inner.config;
    let wire = secure(config, socket).await?;
    let exchange = Exchange::new(config.http);
    let mut http =
        Box::new(Connection::new(Metered::new(wire, guard), exchange, config.inbox, config.outbox));
    http.link.stall = config.stall;
    let offered: Vec<&str> = config.subprotocols.iter().map(String::as_str).collect();
    let (mut stage, mut told) = (inner.stage.subscribe(), false);
    // Who comes while the server is leaving may ask once more, for a goodbye that is polled for.
    let last = if inner.is_closing() { Stage::Gone } else { Stage::Leaving };
    loop {
        http.stream.charge(None);
        let (request, route) = tokio::select! {
            biased;
            event = http.next() => match event? {
                None => return Ok(()),
                Some((Event::Head(head), _)) => {
                    let request = Request::new(&head, address);
                    let route = if crowded { unavailable() } else { route(&inner, &head, &request, &offered) };
                    (request, route)
                }
                Some(_) => continue,
            },
            () = reached(&mut stage, last), if !told => {
                told = true;
                http.link.machine.close_after();
                continue;
            }
        };
        match route {
            Route::Upgrade(accept) => return upgrade(&inner, http, request, accept).await,
            Route::Events => return events(&inner, http, request).await,
            // In boxes: what an exchange holds is no room that each connection needs.
            Route::Poll(asked) => Box::pin(poll(&inner, &mut http, request, asked)).await?,
            Route::Application => match Box::pin(application(&inner, &mut http, request)).await? {
                true => {}
                false => return Ok(()),
            },
            Route::Refuse(response) => {
                http.link.machine.close_after();
                respond(&inner, &mut http, &response).await?;
            }
        }
        http.flush().await?;
    }
}

/// What the application answers itself. False: the peer is gone.
async fn application(
    inner: &Arc<Inner>,
    http: &mut Http,
    request: Request,
) -> Result<bool, Error<http::Error>> {
    let config = &inner.config;
    http.link.machine.collect(config.max_body);
    if config.require_length && matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
        http.link.machine.require_length();
    }
    let Some(body) = body(http).await? else { return Ok(false) };
    let response = config.on_request.answer(Request { body, ..request }, Handle(inner.clone())).await;
    if let Some(carrier) = response.carrier {
        let meter = inner.meter(carrier);
        meter.request();
        meter.messages(1);
        http.stream.charge(Some(meter));
    }
    respond(inner, http, &response).await?;
    Ok(true)
}

/// TLS, where the server speaks it: within the time that a head has.
async fn secure(config: &Config, socket: TcpStream) -> std::io::Result<MaybeTls> {
    #[cfg(feature = "tls")]
    if let Some(tls) = &config.tls {
        let handshake = tokio_rustls::TlsAcceptor::from(tls.clone()).accept(socket);
        let tls = tokio::time::timeout(config.http.head_within, handshake).await??;
        return Ok(MaybeTls::Tls(Box::new(tls.into())));
    }
    let _ = config;
    Ok(MaybeTls::Tcp(socket))
}

fn route<'a>(inner: &Inner, head: &RequestHead<'_>, request: &Request, offered: &[&'a str]) -> Route<'a> {
    let config = &inner.config;
    let path = RequestView::path(head);
    let below = path.strip_prefix(config.polling_base.as_str()).filter(|below| below.starts_with('/'));
    let polled = below.filter(|_| head.method() != "OPTIONS").map(|below| {
        let query = head.target().split_once('?').map(|(_, query)| query);
        polling::Request::parse(head.method(), below, query)
    });
    let is_known = polled.is_some_and(|polled| polled.is_ok_and(|asked| asked.sid().is_some()));
    if inner.is_closing() && !is_known {
        return unavailable();
    }
    if head.has_token("upgrade", "websocket") {
        let accept = ws::Accept::new(head, offered, &config.websocket);
        return match (config.gate.ask(Carrier::WebSocket, request), accept) {
            (_, Err(error)) => Route::Refuse(refusal(error)),
            (Err(response), _) => Route::Refuse(response),
            (Ok(()), Ok(accept)) => Route::Upgrade(accept),
        };
    }
    let accepts = |kind: &str| head.values("accept").any(|value| value.starts_with(kind.as_bytes()));
    let is_stream = config.event_paths.iter().any(|stream| stream == path) || accepts("text/event-stream");
    if head.method() == "GET" && is_stream {
        return match config.gate.ask(Carrier::Events, request) {
            Ok(()) => Route::Events,
            Err(response) => Route::Refuse(response),
        };
    }
    match polled {
        None => Route::Application,
        Some(Err(refused)) => Route::Refuse(from_answer(&refused.answer())),
        Some(Ok(polling::Request::Open)) => match config.gate.ask(Carrier::Polling, request) {
            Ok(()) => Route::Poll(polling::Request::Open),
            Err(response) => Route::Refuse(response),
        },
        Some(Ok(asked)) => Route::Poll(asked),
    }
}

/// Too many, or going away.
fn unavailable<'a>() -> Route<'a> {
    Route::Refuse(Response::new(503).header("retry-after", "2"))
}

fn refusal(error: ws::UpgradeError) -> Response {
    let plain = Response::with(error.http_status(), "text/plain; charset=utf-8", format!("{error}\n"));
    error.headers().iter().fold(plain, |response, (name, value)| response.header(name, value))
}

fn from_answer(answer: &Answer) -> Response {
    let mut response = Response::new(answer.status());
    response.body = answer.body().to_vec().into();
    answer.headers().fold(response, |response, (name, value)| response.header(name, value))
}

fn headers<'a>(inner: &'a Inner, more: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    inner.config.headers.iter().chain(more).map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Writes an answer; the caller flushes. One of the application's that cannot be sent is its mistake: 500 goes out in
/// its place, and the result is false.
async fn respond(inner: &Inner, http: &mut Http, response: &Response) -> Result<bool, Error<http::Error>> {
    let headers = headers(inner, &response.headers);
    let (exchange, outbox) = (&mut http.link.machine, &mut http.link.outbox);
    if inner.is_closing() {
        exchange.close_after();
    }
    let sent = match exchange.respond(response.status, &headers, &response.body, outbox) {
        Err(http::SendError::Full(_)) => exchange.begin(response.status, &headers, Framing::Chunks, outbox),
        sent => return sent.map(|()| true).or_else(|error| Ok(mistake(http, error))),
    };
    if let Err(error) = sent {
        return Ok(mistake(http, error));
    }
    // More than the outbox holds leaves in pieces.
    let gone = |_| Error::Io(std::io::ErrorKind::BrokenPipe.into());
    for piece in response.body.chunks(http.link.headroom.clamp(1, PIECE)) {
        http.flush().await?;
        http.link.machine.chunk(&[piece], &mut http.link.outbox).map_err(gone)?;
    }
    http.flush().await?;
    http.link.machine.end(&mut http.link.outbox).map_err(gone)?;
    Ok(true)
}

const PIECE: usize = 64 << 10;

fn mistake(http: &mut Http, error: http::SendError) -> bool {
    if error != http::SendError::NotYourTurn {
        http.link.machine.close_after();
        let _ = http.link.machine.respond(500, &[], b"", &mut http.link.outbox);
    }
    false
}

/// The whole body. `None`: the peer is gone.
async fn body(http: &mut Http) -> Result<Option<Vec<u8>>, Error<http::Error>> {
    let mut body = Vec::new();
    while let Some((event, _)) = http.next().await? {
        match event {
            Event::Body(piece) => body.extend_from_slice(piece),
            Event::End => return Ok(Some(body)),
            Event::Gone => break,
            _ => {}
        }
    }
    Ok(None)
}

async fn upgrade(inner: &Arc<Inner>, mut http: Http, request: Request, accept: ws::Accept<'_>) -> Ended {
    let meter = inner.meter(Carrier::WebSocket);
    meter.request();
    http.stream.charge(Some(meter));
    if accept.write(&headers(inner, &[]), &mut http.link.outbox).is_err() {
        respond(inner, &mut http, &Response::new(500)).await?;
        return Ok(http.flush().await?);
    }
    // The opening leaves before the peer is handed over: it may have to wait for somebody to accept it.
    http.flush().await?;
    let websocket = accept.connection(inner.config.websocket.clone());
    hand_over(inner, http, request, |_| Protocol::WebSocket(websocket)).await;
    Ok(())
}

async fn events(inner: &Arc<Inner>, mut http: Http, request: Request) -> Ended {
    let meter = inner.meter(Carrier::Events);
    meter.request();
    http.stream.charge(Some(meter));
    let begun = sse::Feed::begin(&mut http.link.machine, &headers(inner, &[]), &mut http.link.outbox);
    if begun.is_err() {
        respond(inner, &mut http, &Response::new(500)).await?;
        return Ok(http.flush().await?);
    }
    http.flush().await?;
    let config = inner.config.events;
    hand_over(inner, http, request, |exchange| Protocol::Events(sse::Feed::over(exchange, config))).await;
    Ok(())
}

/// The connection is a peer's from here on.
fn hand_over(
    inner: &Arc<Inner>,
    http: Http,
    request: Request,
    protocol: impl FnOnce(Exchange) -> Protocol,
) -> impl Future<Output = ()> {
    let mut connection = http.map_stream(Stream::Socket).switch(protocol);
    // Most are silent from here on: what the answer took is not kept for them.
    connection.link.outbox.rest();
    let peer = inner.peer(connection, request, None);
    async move { drop(inner.incoming.send(peer).await) }
}

async fn poll(inner: &Arc<Inner>, http: &mut Http, request: Request, asked: polling::Request) -> Ended {
    let meter = inner.meter(Carrier::Polling);
    meter.request();
    http.stream.charge(Some(meter));
    let known = match asked.sid() {
        None => None,
        Some(sid) => match inner.session(sid) {
            Some(session) => Some(session),
            None => return answer(inner, http, &Refused::NotFound.answer()).await,
        },
    };
    let answered = match (asked, known) {
        (polling::Request::Receive { after, .. }, Some(session)) => {
            return receive(inner, http, &session, after).await;
        }
        (polling::Request::Send { .. }, Some(session)) => {
            http.link.machine.collect(inner.config.polling.max_bytes);
            let Some(body) = body(http).await? else { return Ok(()) };
            session.post(&body).map_or_else(|refused| refused.answer(), polling::Ack::answer)
        }
        (polling::Request::Close { .. }, Some(session)) => {
            session.end().map_or_else(|refused| refused.answer(), |()| Answer::EMPTY)
        }
        _ => return open(inner, http, request).await,
    };
    answer(inner, http, &answered).await
}

async fn answer(inner: &Inner, http: &mut Http, answer: &Answer) -> Ended {
    respond(inner, http, &from_answer(answer)).await.map(drop)
}

/// A new session, and a peer that owns it.
async fn open(inner: &Arc<Inner>, http: &mut Http, request: Request) -> Ended {
    let Some((opened, peer)) = inner.open_session(request) else {
        return respond(inner, http, &Response::new(503).header("retry-after", "2")).await.map(drop);
    };
    if respond(inner, http, &from_answer(&opened)).await? {
        http.flush().await?;
        let _ = inner.incoming.send(peer).await;
    }
    Ok(())
}

/// The application's turn lasts until the session has something; meanwhile the exchange watches for the peer's end.
async fn receive(inner: &Inner, http: &mut Http, session: &Arc<Session>, after: u64) -> Ended {
    let mut seat = match session.sit(after) {
        Ok(seat) => seat,
        Err(refused) => return answer(inner, http, &refused.answer()).await,
    };
    let served = loop {
        tokio::select! {
            biased;
            served = seat.next() => break served,
            event = http.next() => match event? {
                None | Some((Event::Gone, _)) => return Ok(()), // the seat is dropped: aborted
                Some(_) => {}
            }
        }
    };
    let response = match served {
        Ok(batch) => {
            let [kind, cache] = polling::HEADERS;
            Response::with(200, kind.1, batch).header(cache.0, cache.1)
        }
        Err(answer) => from_answer(&answer),
    };
    respond(inner, http, &response).await?;
    // "Done" is said when the bytes have left, not when they were queued.
    http.flush().await?;
    seat.done();
    Ok(())
}
