//! The extractors, and what stands between an event and its reader in a usual router.

#![cfg(feature = "axum")]

mod common;

use std::io::Write;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use common::{
    answer_to, connect, echoes_and_closes, h1, h2, request, socket_h1, socket_h2, soon, text, upgrade,
};
use http_body_util::BodyExt;
use hyper_util::service::TowerToHyperService;
use stillwire::{sse, ws};
use stillwire_hyper::{
    Mount, Origin,
    axum::{LastEventId, WebSocketUpgrade},
    events,
};
use stillwire_tokio::Config;
use tokio::sync::mpsc;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.subprotocols(["echo.v1"]).origin(Origin::one_of(["https://a.example"]));
    upgrade.on_upgrade(|mut socket, subprotocol| async move {
        assert_eq!(subprotocol, None);
        while let Ok(Some((event, reply))) = socket.next().await {
            if let ws::Event::Text(text) = event {
                reply.machine.send_text(text, reply.outbox).unwrap();
            }
        }
    })
}

async fn last(LastEventId(id): LastEventId) -> String {
    format!("{id:?}")
}

fn router() -> Router {
    Router::new().route("/ws", any(echo)).route("/last", get(last))
}

#[tokio::test]
async fn an_upgrade_is_extracted() {
    let new = || connect(TowerToHyperService::new(router()));
    let (_, stream) = socket_h1(new(), "origin: https://a.example\r\n").await;
    echoes_and_closes(stream).await;
    for (raw, status) in [
        (upgrade("origin: https://b.example\r\n"), "403"),
        (upgrade("origin: https://a.example\r\n").replace("version: 13", "version: 7"), "426"),
        (upgrade("").replace("GET", "PUT"), "405"),
    ] {
        let head = answer_to(&mut new(), &raw).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{head}");
    }
}

#[tokio::test]
async fn the_last_event_id_is_extracted() {
    let mut client = h1(connect(TowerToHyperService::new(router()))).await;
    let mut asked = request("GET", "/last", "");
    asked.headers_mut().insert("last-event-id", "7".parse().unwrap());
    assert_eq!(text(client.send_request(asked).await.unwrap()).await, "Some(b\"7\")");
    client.ready().await.unwrap();
    assert_eq!(text(client.send_request(request("GET", "/last", "")).await.unwrap()).await, "None");
}

/// A mount below a path, which axum takes off.
#[tokio::test]
async fn a_mount_is_a_service() {
    let (mut server, mount) = Mount::new(Config::default());
    let router: Router = Router::new().nest_service("/live", mount);
    let new = || connect(TowerToHyperService::new(router.clone()));
    let mut sender = h2(new()).await;
    let opened = soon(sender.send_request(request("POST", "/live/poll/open", ""))).await.unwrap();
    assert_eq!(opened.status(), 200);
    let polling = server.accept().await.unwrap();
    let events = soon(sender.send_request(request("GET", "/live/events", ""))).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let subscriber = server.accept().await.unwrap();
    assert_eq!(
        (polling.request().target.as_str(), subscriber.request().target.as_str()),
        ("/poll/open", "/events")
    );
    let (router, (mut server, mount)) = (Router::new(), Mount::new(Config::default()));
    let router: Router = router.fallback_service(mount);
    let mut sender = h2(connect(TowerToHyperService::new(router))).await;
    let _socket = socket_h2(&mut sender).await;
    assert_eq!(soon(server.accept()).await.unwrap().request().method, "CONNECT");
}

/// A compressor between the stream and its reader: each event comes out before the next one goes in.
#[tokio::test]
async fn compression_does_not_hold_events_back() {
    let layer = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let (send, mut next) = mpsc::channel::<String>(1);
    let (answer, mut stream) = events(sse::FeedConfig::default());
    tokio::spawn(async move {
        while let Some(data) = next.recv().await {
            stream.send(&sse::Block::message(&[data.as_bytes()])).await.unwrap();
        }
    });
    let answer = std::sync::Arc::new(std::sync::Mutex::new(Some(answer)));
    let handler = move || async move { answer.lock().unwrap().take().unwrap().into_response() };
    let router: Router = Router::new().route("/", get(handler)).layer(layer);
    let mut client = h1(connect(TowerToHyperService::new(router))).await;
    let mut asked = request("GET", "/", "");
    asked.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let response = soon(client.send_request(asked)).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let (mut body, mut read) = (response.into_body(), flate2::write::GzDecoder::new(Vec::new()));
    for n in 0..20 {
        let event = format!("data: event {n}\n\n");
        send.send(format!("event {n}")).await.unwrap();
        while !read.get_ref().ends_with(event.as_bytes()) {
            let frame = soon(body.frame()).await.expect("it goes on").unwrap();
            read.write_all(&frame.into_data().unwrap()).unwrap();
            read.flush().unwrap();
        }
    }
}

/// As it stands by default, tower-http leaves event streams as they are.
#[tokio::test]
async fn by_default_events_are_not_compressed() {
    let handler = || async { events(sse::FeedConfig::default()).0 };
    let router: Router = Router::new().route("/", get(handler)).layer(CompressionLayer::new());
    let mut client = h1(connect(TowerToHyperService::new(router))).await;
    let mut asked = request("GET", "/", "");
    asked.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let response = soon(client.send_request(asked)).await.unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
}
