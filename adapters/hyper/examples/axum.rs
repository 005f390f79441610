//! One chat room behind axum, over TLS with HTTP/2 and HTTP/1.1: WebSocket, Server-Sent Events and polling.
//!
//! `cargo run -p stillwire-hyper --features axum --example axum [PORT]`, then `https://127.0.0.1:3443/` in a browser, which
//! has to be told that it may trust a certificate that was made a moment ago.

use core::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use std::{env, error::Error, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use stillwire::ws;
use stillwire_hyper::{Address, Mount};
use stillwire_tokio::{Config, Handle, Message, Peer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use tower_http::compression::CompressionLayer;

const ROOM: &str = "chat";

#[derive(Clone)]
struct App {
    mount: Mount,
    seen: Arc<Seen>,
}

/// How WebSockets came here.
#[derive(Default)]
struct Seen {
    upgrades: AtomicUsize,
    connects: AtomicUsize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args().nth(1).map_or(Ok(3443), |port| port.parse())?;
    let mut config = Config::default().gate(|_carrier, request| {
        // Browsers let any page come here: only our own may.
        if ws::is_same_origin(request) { Ok(()) } else { Err(stillwire_tokio::Response::new(403)) }
    });
    config.websocket.deflate = Some(ws::Deflate::default());
    let (server, mount) = Mount::new(config);
    let handle = mount.handle();
    let rooms = handle.clone();
    tokio::spawn(server.serve(move |peer| chat(peer, rooms.clone())));

    let app = App { mount, seen: Arc::default() };
    let router = Router::new()
        .route("/", get(|| async { Html(include_str!("axum.html")) }))
        .route("/ws", any(websocket)) // GET in HTTP/1.1, CONNECT in HTTP/2
        .route("/events", get(events))
        .route("/poll/{*rest}", any(polling))
        .route("/say", post(say))
        .route("/stats", get(stats))
        .layer(CompressionLayer::new()) // leaves event streams as they are
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app);

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("https://{}/", listener.local_addr()?);
    let tls = TlsAcceptor::from(Arc::new(certificate()?));
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, address) = accepted?;
                tokio::spawn(connection(tls.clone(), stream, address, router.clone()));
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    // Everybody is told, and when to come back: not all at once.
    let left = handle.shut_down(Duration::from_secs(3), Duration::from_secs(1)).await;
    println!("{left} did not leave");
    Ok(())
}

/// One of these for each peer, whatever carries it.
async fn chat(mut peer: Peer, rooms: Handle) {
    peer.join(ROOM);
    while let Ok(Some(message)) = peer.recv().await {
        if let Message::Text(text) = message {
            rooms.broadcast(ROOM, text.as_str(), None);
        }
    }
}

async fn websocket(State(app): State<App>, mut request: Request) -> impl IntoResponse {
    app.mount.websocket(&mut request)
}

async fn events(State(app): State<App>, request: Request) -> impl IntoResponse {
    app.mount.events(&request).await
}

async fn polling(State(app): State<App>, request: Request) -> impl IntoResponse {
    app.mount.polling(request).await
}

/// The other direction of the event stream.
async fn say(State(app): State<App>, text: String) -> StatusCode {
    app.mount.handle().broadcast(ROOM, text.as_str(), None);
    StatusCode::NO_CONTENT
}

async fn stats(State(app): State<App>) -> impl IntoResponse {
    let (upgrades, connects) = (app.seen.upgrades.load(Relaxed), app.seen.connects.load(Relaxed));
    let peers = app.mount.handle().peers();
    let json = format!("{{\"upgrades\":{upgrades},\"connects\":{connects},\"peers\":{peers}}}");
    ([("content-type", "application/json"), ("cache-control", "no-store")], json)
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.extensions().get::<hyper::ext::Protocol>().is_some() {
        app.seen.connects.fetch_add(1, Relaxed);
    } else if request.headers().contains_key("upgrade") {
        app.seen.upgrades.fetch_add(1, Relaxed);
    }
    next.run(request).await
}

/// `axum::serve` does the same without TLS.
async fn connection(tls: TlsAcceptor, stream: TcpStream, address: SocketAddr, router: Router) {
    let _ = stream.set_nodelay(true);
    let within = Duration::from_secs(10);
    let Ok(Ok(stream)) = tokio::time::timeout(within, tls.accept(stream)).await else { return };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(within);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(20));
    builder.http2().enable_connect_protocol(); // RFC 8441
    let router = router.layer(axum::Extension(Address(address)));
    let _ =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

/// Made at each start: for a demonstration, and nothing else.
fn certificate() -> Result<ServerConfig, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
