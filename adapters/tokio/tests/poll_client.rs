//! The client that polls, against our server.

mod common;

use std::sync::{Arc, Mutex};

use common::{Http, echoing, millis, soon, start};
use futures_util::{SinkExt, StreamExt};
use stillwire::{SendError, polling};
use stillwire_tokio::{Config, Message, Notice, PollClient, Route};
use tokio::net::TcpListener;

fn client(address: std::net::SocketAddr) -> PollClient {
    PollClient::new(&format!("http://{address}/poll")).unwrap()
}

/// Messages of every kind and size go and come back, in order, many at once.
#[tokio::test]
async fn an_echo() {
    let (_handle, address) = echoing(Config::default()).await;
    let (mut reader, writer) = client(address).split();
    let messages: Vec<Message> = (0..2000_usize)
        .map(|n| match n % 3 {
            0 => Message::from(format!("{n} \"é\"\n{}", "x".repeat(n * 7 % 5000))),
            1 => Message::from(vec![n as u8; n % 300]),
            _ => Message::from(""),
        })
        .collect();
    let sent = messages.clone();
    let sending = tokio::spawn(async move {
        for message in sent {
            writer.feed(message).await.unwrap();
        }
        writer.flush().await.unwrap();
        writer
    });
    for message in &messages {
        assert_eq!(soon(reader.recv()).await.unwrap().as_ref(), Some(message));
    }
    let writer = soon(sending).await.unwrap();
    soon(writer.close("done")).await.unwrap();
    assert_eq!(soon(reader.recv()).await, Ok(None));
    assert_eq!(reader.with(|client| client.closed().map(|(code, _)| code)), Some(1000));
    assert_eq!(writer.send("late").await, Err(SendError::NotOpen));
}

/// The server's end is told once, with its reason; afterwards there is nothing.
#[tokio::test]
async fn the_server_ends_it() {
    let (mut server, _handle, address) = start(Config::default()).await;
    let serving = tokio::spawn(async move {
        let mut peer = server.accept().await.unwrap();
        peer.send("one").await.unwrap();
        peer.end("enough");
        while let Ok(Some(_)) = peer.recv().await {}
        drop(server);
    });
    let mut client = client(address);
    assert_eq!(soon(client.next()).await, Some(Ok(Message::from("one"))));
    assert_eq!(soon(client.next()).await, None);
    assert_eq!(client.closed(), Some((1000, "enough")));
    assert_eq!(soon(client.recv()).await, Ok(None));
    assert_eq!(soon(SinkExt::send(&mut client, Message::from("x"))).await, Err(SendError::NotOpen));
    soon(serving).await.unwrap();
}

/// Who is not there is asked again, and heard of; then it is given up.
#[tokio::test]
async fn nobody_is_there() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = polling::Config::default();
    (config.retries, config.retry_min) = (2, millis(10));
    let url = format!("http://{address}/poll");
    let mut client = PollClient::with(&url, &config, Route::default()).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    client.watch(move |notice| log.lock().unwrap().push(format!("{notice:?}")));
    soon(SinkExt::feed(&mut client, Message::from("lost"))).await.unwrap();
    assert_eq!(soon(SinkExt::flush(&mut client)).await, Err(SendError::NotOpen), "it was never acknowledged");
    assert_eq!(soon(client.recv()).await, Err(polling::Error::Unreachable { failures: 3 }));
    assert_eq!(soon(client.recv()).await, Ok(None));
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 3);
    assert!(heard.iter().all(|notice| notice.starts_with("Failed { what: Open")), "{heard:?}");
}

/// Headers and the query of the URL go along with each request; who is refused hears the status.
#[tokio::test]
async fn what_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = PollClient::new(&format!("http://{address}/poll/?room=7")).unwrap();
    assert!(client.header("content-type", "text/plain").is_err());
    client.header("cookie", "token=7").unwrap();
    let opened = Arc::new(Mutex::new(false));
    let log = opened.clone();
    client.watch(move |notice| *log.lock().unwrap() |= notice == Notice::Opened);
    let serving = async {
        let mut http = Http(tokio::io::BufReader::new(listener.accept().await.unwrap().0));
        let head = http.head().await;
        assert!(head.starts_with("POST /poll/open?room=7 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncookie: token=7\r\n") && !head.contains("content-type"), "{head}");
        let body = r#"{"sid":"AbCdEfGhIjKlMnOpQrStUv","wait_ms":1,"max_bytes":65536,"max_messages":64}"#;
        http.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        let mut down = Http(tokio::io::BufReader::new(listener.accept().await.unwrap().0));
        let head = down.head().await;
        assert!(head.starts_with("GET /poll/AbCdEfGhIjKlMnOpQrStUv?after=0&room=7 "), "{head}");
        down.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let head = http.head().await; // on the connection that was kept
        assert!(head.starts_with("DELETE /poll/AbCdEfGhIjKlMnOpQrStUv?room=7 "), "{head}");
        http.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let (answer, ()) = tokio::join!(soon(client.recv()), soon(serving));
    assert_eq!(answer, Err(polling::Error::Refused { status: 403 }));
    assert!(*opened.lock().unwrap());
}
