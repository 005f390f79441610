//! The driver alone, over streams that behave badly, on a clock that the tests move.

mod common;

use core::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Duration,
};
use std::{io, sync::Arc};

use common::{SECOND, millis};
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, http, sse, ws};
use stillwire_tokio::{ConnectError, Connection, Error, Opening, Step};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, DuplexStream, ReadBuf, duplex},
    time::{Instant as Clock, sleep, timeout},
};

fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Connection<S, ws::Connection> {
    Connection::new(stream, ws::Connection::server(ws::Config::default()), 1 << 20, 1 << 20)
}

fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Connection<S, ws::Connection> {
    let machine = ws::Connection::client(ws::Config::default(), stillwire_tokio::entropy());
    Connection::new(stream, machine, 1 << 20, 1 << 20)
}

fn send(connection: &mut Connection<impl AsyncRead + AsyncWrite + Unpin, ws::Connection>, text: &str) {
    connection.link.machine.send_text(text, &mut connection.link.outbox).unwrap();
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S, ws::Connection>) -> String {
    loop {
        return match connection.next().await {
            Ok(Some((ws::Event::Text(text), _))) => text.to_string(),
            Ok(Some((ws::Event::Closed { code, .. }, _))) => format!("closed {code}"),
            Ok(Some(_)) => continue,
            Ok(None) => "end".into(),
            Err(error) => format!("error: {error}"),
        };
    }
}

/// Both ends talk at random, and every wait is dropped again and again: each message comes once and in order.
#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let (a, b) = duplex(37);
    let (mut a, mut b) = (client(a), server(b));
    let mut dice = common::Dice(5);
    let (mut said, mut heard) = (0_u64, 0_u64);
    while heard < 300 {
        if said < 300 && dice.below(3) == 0 {
            send(&mut a, &format!("{said} {}", "x".repeat(dice.below(200) as usize)));
            said += 1;
        }
        // Polled once each, then dropped.
        let _ = timeout(millis(0), a.next()).await;
        if let Ok(Ok(Some((ws::Event::Text(text), _)))) = timeout(millis(0), b.next()).await {
            assert_eq!(text.as_str().split(' ').next(), Some(&*heard.to_string()));
            heard += 1;
        }
    }
}

/// Counts how often it is asked.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// An hour of silence costs a few polls for each ping and not one more; the boxes hold (nearly) no memory.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_sleeps_and_keeps_no_buffers() {
    let (a, b) = duplex(4096);
    let polls = Arc::new(AtomicUsize::new(0));
    let (mut a, mut b) = (client(a), server(Counted(b, polls.clone())));
    send(&mut a, &"x".repeat(100_000));
    tokio::spawn(async move { while let Ok(Some(_)) = a.next().await {} });
    assert_eq!(next(&mut b).await.len(), 100_000);
    send(&mut b, &"y".repeat(100_000));
    let _ = timeout(10 * SECOND, next(&mut b)).await;
    assert_eq!(b.link.inbox.allocated(), 0);
    assert!(b.link.outbox.allocated() <= 512, "{}", b.link.outbox.allocated());
    polls.store(0, Ordering::Relaxed);
    assert!(timeout(3600 * SECOND, next(&mut b)).await.is_err(), "pongs keep it open");
    let polls = polls.load(Ordering::Relaxed);
    assert!(polls < 2000, "{polls} polls in an hour of 144 pings");
    assert_eq!(b.link.inbox.allocated(), 0);
}

/// A peer that takes nothing is cut off after `stall`; with the outbox full and deadlines past nothing spins.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_cut_off() {
    let (a, b) = duplex(1024);
    let polls = Arc::new(AtomicUsize::new(0));
    let mut b = server(Counted(b, polls.clone()));
    b.link.stall = 7 * SECOND;
    while b.link.machine.send_text("0123456789", &mut b.link.outbox).is_ok() {}
    let begun = Clock::now();
    assert_eq!(next(&mut b).await, "error: timed out");
    assert!((7 * SECOND..8 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(polls.load(Ordering::Relaxed) < 50);

    let (c, d) = duplex(1024);
    let mut d = server(d);
    d.link.stall = 7 * SECOND;
    send(&mut d, &"x".repeat(100_000));
    let begun = Clock::now();
    assert_eq!(d.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!((7 * SECOND..8 * SECOND).contains(&begun.elapsed()));
    drop((a, c));
}

/// "For ever" is a long time, not an overflow.
#[tokio::test(start_paused = true)]
async fn waits_without_end() {
    let (mut a, b) = duplex(64);
    let mut b = server(b);
    b.link.stall = Duration::MAX;
    send(&mut b, &"x".repeat(100));
    let year = 365 * 86_400 * SECOND;
    assert!(timeout(year, b.flush()).await.is_err());
    let mut frame = [0; 102];
    let (read, flushed) = tokio::join!(a.read_exact(&mut frame), b.flush());
    assert!(read.is_ok() && flushed.is_ok());
}

/// A slow peer is not a stalled one.
#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_served() {
    let (mut a, b) = duplex(64);
    let mut b = server(b);
    send(&mut b, &"x".repeat(1000));
    tokio::spawn(async move {
        let mut buffer = [0; 16];
        loop {
            sleep(15 * SECOND).await;
            a.read_exact(&mut buffer).await.unwrap();
        }
    });
    b.flush().await.unwrap();
}

/// The task was away for longer than `stall`, and nobody had tried to write meanwhile: that is not the peer's fault.
#[tokio::test(start_paused = true)]
async fn a_busy_task_does_not_stall_its_peer() {
    let (mut a, b) = duplex(64);
    let mut b = server(b);
    send(&mut b, &"x".repeat(80));
    assert!(timeout(SECOND, b.next()).await.is_err()); // 64 bytes left
    let mut buffer = [0; 64];
    a.read_exact(&mut buffer).await.unwrap();
    sleep(60 * SECOND).await; // busy elsewhere
    assert!(timeout(SECOND, b.next()).await.is_err(), "cut off");
    a.read_exact(&mut buffer[..18]).await.unwrap();

    send(&mut b, &"x".repeat(80));
    assert!(timeout(SECOND, b.flush()).await.is_err());
    a.read_exact(&mut buffer).await.unwrap();
    sleep(60 * SECOND).await;
    b.flush().await.unwrap();
}

/// The pong was there all the time; only the task was away.
#[tokio::test(start_paused = true)]
async fn a_busy_task_does_not_time_its_peer_out() {
    let (mut a, b) = duplex(64);
    let mut b = server(b);
    assert!(timeout(26 * SECOND, b.next()).await.is_err());
    let mut ping = [0; 2];
    a.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping, [0x89, 0]);
    a.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
    sleep(60 * SECOND).await; // busy elsewhere
    let next = timeout(SECOND, next(&mut b)).await;
    assert!(next.is_err(), "{next:?}");
}

/// A stream with a buffer of its own gets flushed before the driver sleeps.
#[tokio::test(start_paused = true)]
async fn what_a_stream_buffers_is_flushed() {
    let (mut a, b) = duplex(4096);
    let mut b = server(BufWriter::new(b));
    send(&mut b, "hello");
    let waiting = tokio::spawn(async move { next(&mut b).await });
    let mut frame = [0; 7];
    timeout(SECOND, a.read_exact(&mut frame)).await.expect("flushed").unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
    drop(a);
    assert_eq!(waiting.await.unwrap(), "closed 1006");
}

/// The shutdown of this stream never ends, as that of TLS when the peer takes nothing.
struct Stuck(DuplexStream);

impl AsyncRead for Stuck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_never_ends_is_given_up() {
    let (_a, b) = duplex(4096);
    let mut b = server(Stuck(b));
    b.link.machine.send_close(1000, "", &mut b.link.outbox).unwrap();
    let ended = timeout(600 * SECOND, async { while !matches!(next(&mut b).await.as_str(), "end") {} }).await;
    assert!(ended.is_ok());
}

/// The end is said once, and asking again is harmless.
#[tokio::test(start_paused = true)]
async fn the_end_is_said_once() {
    let (a, b) = duplex(64);
    let (mut a, mut b) = (client(a), server(b));
    a.link.machine.send_close(4000, "bye", &mut a.link.outbox).unwrap();
    let (a_end, b_end) =
        tokio::join!(async { (next(&mut a).await, next(&mut a).await, next(&mut a).await) }, async {
            (next(&mut b).await, next(&mut b).await, next(&mut b).await)
        },);
    assert_eq!(a_end, ("closed 4000".into(), "end".into(), "end".into()));
    assert_eq!(b_end, a_end);

    let (mut a, b) = duplex(64);
    let mut b = server(b);
    a.write_all(b"\x81\x01x").await.unwrap(); // not masked
    let error = b.next().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(ws::Error::Masking)), "{error}");
    assert!(matches!(b.next().await, Ok(None)));
    let mut goodbye = Vec::new();
    a.read_to_end(&mut goodbye).await.unwrap();
    assert_eq!(goodbye, [0x88, 2, 0x03, 0xea]); // 1002
}

/// A machine that keeps most of a small inbox for itself: the first read must not bring more than there is room for.
#[tokio::test(start_paused = true)]
async fn the_first_read_brings_no_more_than_fits() {
    struct Keeper(usize);
    impl Machine for Keeper {
        type Event<'i> = ();
        type Error = sse::Error;
        fn advance(
            &mut self,
            _: Instant,
            inbox: &mut Inbox<'_>,
            outbox: &mut Outbox<'_>,
        ) -> Result<Progress, sse::Error> {
            inbox.keep(3000);
            let bytes = inbox.unread().len();
            self.0 += bytes;
            inbox.consume(bytes);
            if inbox.is_finished() {
                outbox.finish();
                return Ok(Progress::Closed);
            }
            Ok(Progress::NeedInput)
        }
        fn event(&self, _: &Inbox<'_>) -> Option<()> {
            None
        }
        fn deadline(&self) -> Option<Instant> {
            None
        }
        fn release(&mut self, _: &mut Inbox<'_>) {}
    }
    let (mut a, b) = duplex(1 << 16);
    let mut b = Connection::new(b, Keeper(0), 4096, 64);
    a.write_all(&[0; 20_000]).await.unwrap();
    drop(a);
    assert!(b.next().await.unwrap().is_none());
    assert_eq!(b.link.machine.0, 20_000);
}

/// The client's handshake: chunked at will, refused, silent, gone.
#[tokio::test(start_paused = true)]
async fn opening() {
    async fn open(answer: &'static [u8], hold: bool) -> Result<(), ConnectError> {
        let (a, mut b) = duplex(7);
        let other = tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(b.read_u8().await.unwrap());
            }
            b.write_all(answer).await.unwrap();
            if hold {
                sleep(100 * SECOND).await;
            }
        });
        let opened = Opening::new("test", "/").open(a).await.map(drop);
        other.abort();
        opened
    }
    assert!(matches!(
        open(b"", false).await,
        Err(ConnectError::Http(http::Error::NoAnswer) | ConnectError::Io(_))
    ));
    assert!(matches!(open(b"", true).await, Err(ConnectError::TimedOut(Step::Answer))));
    let refused = open(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", true).await;
    assert!(matches!(refused, Err(ConnectError::Upgrade(ws::UpgradeError::Status(403)))), "{refused:?}");
    assert!(matches!(open(b"SSH-2.0\r\n\r\n", true).await, Err(ConnectError::Http(_))));

    // Frames right behind the answer are not lost.
    let (a, b) = duplex(1 << 12);
    let server = tokio::spawn(async move {
        let mut exchange = Connection::new(b, http::Exchange::new(http::Config::default()), 4096, 4096);
        let Some((http::Event::Head(head), reply)) = exchange.next().await.unwrap() else { panic!() };
        let accept = ws::Accept::new(&head, &["chat"], &ws::Config::default()).unwrap();
        accept.write(&[], reply.outbox).unwrap();
        let mut server = exchange.switch(|_| accept.connection(ws::Config::default()));
        send(&mut server, "first");
        next(&mut server).await
    });
    let mut opening = Opening::new("test", "/");
    opening.subprotocols = &["other", "chat"];
    let (mut client, chosen) = opening.open(a).await.unwrap();
    assert_eq!((chosen, next(&mut client).await), (Some(1), "first".into()));
    send(&mut client, "one");
    client.flush().await.unwrap();
    assert_eq!(server.await.unwrap(), "one");
}
