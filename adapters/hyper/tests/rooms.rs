//! One server's rooms, with every carrier in them, over both versions of HTTP.

mod common;

use core::time::Duration;

use bytes::Bytes;
use common::{
    H1, SECOND, connect, frame, h1, h2, heard, request, say, socket_h1, socket_h2, soon, text, until,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use stillwire::{SendError, sse};
use stillwire_hyper::{Mount, events};
use stillwire_tokio::{Carrier, Config, Handle, Message, Server};

/// Everybody is in one room, and what one says is heard by all.
fn chat(config: Config) -> (Mount, Handle) {
    let (server, mount) = Mount::new(config);
    let handle = mount.handle();
    serve(server, handle.clone());
    (mount, handle)
}

fn serve(server: Server, rooms: Handle) {
    tokio::spawn(server.serve(move |mut peer| {
        let rooms = rooms.clone();
        async move {
            peer.join("all");
            while let Ok(Some(message)) = peer.recv().await {
                if let Message::Text(text) = message {
                    rooms.broadcast("all", text.as_str(), None);
                }
            }
        }
    }));
}

async fn ask(client: &mut H1, request: Request<Full<Bytes>>) -> Response<Incoming> {
    soon(client.ready()).await.unwrap();
    soon(client.send_request(request)).await.unwrap()
}

async fn open(client: &mut H1) -> String {
    let response = ask(client, request("POST", "/poll/open", "")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let opened: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    opened["sid"].as_str().unwrap().to_owned()
}

async fn receive(client: &mut H1, sid: &str, after: u64) -> (u64, Vec<String>) {
    let response = ask(client, request("GET", &format!("/poll/{sid}?after={after}"), "")).await;
    assert_eq!(response.status(), 200);
    let batch: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let messages = batch["messages"].as_array().unwrap().iter();
    (batch["last"].as_u64().unwrap(), messages.map(|text| text.as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn everybody_hears_everybody() {
    let (mount, handle) = chat(Config::default());
    let new = || connect(mount.clone());
    let (_, mut one) = socket_h1(new(), "").await;
    let mut sender = h2(new()).await;
    let mut two = socket_h2(&mut sender).await;
    let mut stream = h1(new()).await;
    let mut accepting = request("GET", "/anything", "");
    accepting.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let events_h1 = ask(&mut stream, accepting).await;
    assert_eq!(events_h1.headers()["content-type"], "text/event-stream");
    let mut events_h1 = events_h1.into_body();
    // On the connection of the WebSocket.
    let mut events_h2 = soon(sender.send_request(request("GET", "/events", ""))).await.unwrap().into_body();
    let (mut down, mut up) = (h1(new()).await, h1(new()).await);
    let sid = open(&mut down).await;
    until("all are in", || handle.members("all").len() == 5).await;

    say(&mut one, "from http/1.1").await;
    say(&mut two, "from http/2").await;
    let body = r#"{"seq":1,"messages":["from polling"]}"#;
    let posted = ask(&mut up, request("POST", &format!("/poll/{sid}"), body)).await;
    assert_eq!(text(posted).await, r#"{"ack":1}"#);

    let mut all = Vec::new();
    for _ in 0..3 {
        let text = heard(&mut one).await;
        assert_eq!(heard(&mut two).await, text, "the same order for all");
        all.push(text);
    }
    for stream in [&mut events_h1, &mut events_h2] {
        let mut lines = String::new();
        while lines.matches("\n\n").count() < 3 {
            lines += &frame(stream).await.unwrap();
        }
        assert_eq!(lines, all.iter().map(|text| format!("data: {text}\n\n")).collect::<String>());
    }
    let (mut after, mut polled) = (0, Vec::new());
    while polled.len() < 3 {
        let (last, messages) = receive(&mut down, &sid, after).await;
        after = last;
        polled.extend(messages);
    }
    assert_eq!(polled, all);
    assert_eq!(handle.traffic(Carrier::WebSocket).requests, 2);
    assert!(handle.traffic(Carrier::Events).bytes > 100);

    // Whoever leaves is missed, whatever the carrier.
    drop((one, two, events_h1, events_h2, sender, stream));
    until("the others have left", || handle.peers() == 1).await;
    let deleted = ask(&mut up, request("DELETE", &format!("/poll/{sid}"), "")).await;
    assert_eq!(deleted.status(), 204);
    until("all have left", || (handle.peers(), handle.sessions()) == (0, 0)).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again() {
    let (mount, handle) = chat(Config::default());
    let mut client = h1(connect(mount.clone())).await;
    let sid = open(&mut client).await;
    until("it is in", || handle.members("all").len() == 1).await;
    // A receiver that leaves while it waits, and one that leaves when it was answered.
    let mut leaves = h1(connect(mount.clone())).await;
    let waiting = leaves.send_request(request("GET", &format!("/poll/{sid}?after=0"), ""));
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    drop(leaves);
    handle.broadcast("all", "one", None);
    assert_eq!(receive(&mut client, &sid, 0).await, (1, vec!["one".to_owned()]));
    handle.broadcast("all", "two", None);
    until("both are there", || handle.members("all").len() == 1).await;
    let (last, messages) = receive(&mut client, &sid, 0).await;
    assert_eq!(messages.first().map(String::as_str), Some("one"));
    if last == 1 {
        assert_eq!(receive(&mut client, &sid, 1).await, (2, vec!["two".to_owned()]));
    }
}

#[tokio::test]
async fn requests_that_cannot_be_served() {
    let mut config = Config::default();
    config.polling.max_bytes = 200;
    config.headers = vec![("access-control-allow-origin".to_owned(), "*".to_owned())];
    config.max_sessions = 1;
    let (mount, handle) = chat(config);
    let mut client = h1(connect(mount.clone())).await;
    let sid = open(&mut client).await;
    let (path, nobody) = (format!("/poll/{sid}"), "/poll/AAAAAAAAAAAAAAAAAAAAAA");
    let large = format!(r#"{{"seq":1,"messages":["{}"]}}"#, "x".repeat(300));
    for (method, target, body, status) in [
        ("POST", "/poll/open", "", 503),
        ("GET", &*format!("{path}?after=7"), "", 409),
        ("GET", &path, "", 400),
        ("PUT", &path, "", 405),
        ("POST", &path, &large, 413),
        ("POST", &path, "{}", 400),
        ("POST", nobody, "{}", 404),
        ("GET", "/poll/x", "", 404),
        ("GET", "/", "", 404),
        ("GET", "/pollux", "", 404),
    ] {
        // A body that is not read ends the connection of HTTP/1.1.
        let mut client = h1(connect(mount.clone())).await;
        let response = ask(&mut client, request(method, target, body)).await;
        assert_eq!(response.status(), status, "{method} {target}");
        let is_ours = target.starts_with("/poll/");
        assert_eq!(response.headers().contains_key("access-control-allow-origin"), is_ours, "{target}");
    }
    // The session is as it was.
    handle.broadcast("all", "still there", None);
    until("it is in", || handle.members("all").len() == 1).await;
    handle.broadcast("all", "hello", None);
    assert_eq!(receive(&mut client, &sid, 0).await.1.last().map(String::as_str), Some("hello"));
}

#[tokio::test]
async fn a_gate_and_an_end() {
    let config = Config::default().gate(|carrier, request| {
        let who = request.headers.iter().find(|(name, _)| *name == "host").map(|(_, value)| value);
        assert_eq!(who, Some(&b"a.example"[..]), "of HTTP/2, too");
        if carrier == Carrier::Events { Err(stillwire_tokio::Response::new(204)) } else { Ok(()) }
    });
    let (mount, handle) = chat(config);
    let mut sender = h2(connect(mount.clone())).await;
    let response = soon(sender.send_request(request("GET", "/events", ""))).await.unwrap();
    assert_eq!(response.status(), 204, "an EventSource stays away");
    let mut socket = socket_h2(&mut sender).await;
    until("it is in", || handle.peers() == 1).await;
    let (left, goodbye) = tokio::join!(soon(handle.shut_down(5 * SECOND, Duration::ZERO)), async {
        let mut head = [0; 4];
        soon(tokio::io::AsyncReadExt::read_exact(&mut socket, &mut head)).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"\x88\x80\0\0\0\0").await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        head
    });
    assert_eq!((left, goodbye[0], &goodbye[2..]), (0, 0x88, &1012_u16.to_be_bytes()[..]));
    let response = soon(sender.send_request(request("POST", "/poll/open", ""))).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
}

/// A server that nobody accepts from any more.
#[tokio::test]
async fn without_a_server() {
    let (server, mount) = Mount::new(Config::default());
    drop(server);
    let mut sender = h2(connect(mount.clone())).await;
    for (method, path) in [("GET", "/events"), ("POST", "/poll/open")] {
        let response = soon(sender.send_request(request(method, path, ""))).await.unwrap();
        assert_eq!(response.status(), 503, "{path}");
    }
    assert_eq!((mount.handle().peers(), mount.handle().sessions()), (0, 0));
}

/// The same rooms as those of a server with a port of its own.
#[tokio::test]
async fn beside_a_port() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, handle) = Server::new(listener, Config::default());
    serve(server, handle.clone());
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut there, _) = soon(stillwire_tokio::Opening::new("a", "/ws").open(stream)).await.unwrap();
    let (_, mut here) = socket_h1(connect(Mount::of(&handle)), "").await;
    until("both are in", || handle.members("all").len() == 2).await;
    there.link.machine.send_text("hello", &mut there.link.outbox).unwrap();
    soon(there.flush()).await.unwrap();
    assert_eq!(heard(&mut here).await, "hello");
}

// --- one event stream alone ---

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive() {
    let (response, mut stream) = events(sse::FeedConfig::default());
    let mut body = response.into_body();
    tokio::spawn(async move { stream.closed().await });
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n\n");
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n\n");
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back() {
    let (response, mut stream) = events(sse::FeedConfig::default());
    let data = "x".repeat(1000);
    let (mut sent, mut body) = (0_usize, response.into_body());
    loop {
        let id = sent.to_string();
        let block = sse::Block { id: Some(&id), data: Some(&[data.as_bytes()]), ..sse::Block::default() };
        let sending = tokio::time::timeout(Duration::from_millis(100), stream.send(&block));
        match sending.await {
            Ok(result) => result.unwrap(),
            Err(_) => break, // dropped while it waited: this one was not sent
        }
        sent += 1;
        assert!(sent < 1000, "nobody reads, and nothing bounds it");
    }
    assert!(sent > 100);
    let reading = tokio::spawn(async move {
        let mut all = String::new();
        while let Some(frame) = frame(&mut body).await {
            assert!(frame.len() <= 16 << 10);
            all += &frame;
        }
        all
    });
    soon(stream.end()).await;
    let all = soon(reading).await.unwrap();
    let ids: Vec<usize> =
        all.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, (0..sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_subscriber_that_leaves_is_noticed() {
    let (response, mut stream) = events(sse::FeedConfig::default());
    stream.send(&sse::Block::message(&[b"hello"])).await.unwrap();
    let waiting = tokio::spawn(async move {
        stream.closed().await;
        stream.send(&sse::Block::message(&[b"hello?"])).await
    });
    drop(response);
    assert_eq!(soon(waiting).await.unwrap(), Err(SendError::NotOpen));
}
