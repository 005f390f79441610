//! Both drivers over a scripted socket: what the peer says, cut anywhere, with waits and errors in between.
#![allow(clippy::await_holding_refcell_ref)] // one task at a time: nobody else borrows

use core::{
    cell::{Cell, RefCell},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::VecDeque, rc::Rc, vec::Vec};

use embedded_io::ErrorKind;
use stillwire::{Inbox, Instant, Outbox, http, ws};
use stillwire_embedded::{Connection, Error, Timer, blocking};

/// What happens next on the socket.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    /// A future is pending once; a blocking read times out.
    Later,
    Fails,
}

#[derive(Default)]
struct Script {
    steps: RefCell<VecDeque<Step>>,
    written: RefCell<Vec<u8>>,
    /// How many bytes of it are held back until a flush.
    flushed: Cell<usize>,
    finished: Cell<bool>,
    /// Writes take so many bytes at a time; 0: they are pending for ever.
    takes: Cell<usize>,
    /// Pending before each write and flush.
    slow: Cell<bool>,
    millis: Cell<u64>,
}

#[derive(Clone, Default)]
struct Socket(Rc<Script>);

impl Socket {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let socket = Self::default();
        socket.0.steps.replace(steps.into_iter().collect());
        socket.0.takes.set(usize::MAX);
        socket
    }

    fn written(&self) -> Vec<u8> {
        assert_eq!(self.0.flushed.get(), self.0.written.borrow().len(), "everything was flushed");
        self.0.written.borrow().clone()
    }

    /// `None`: nothing yet.
    fn take(&self, into: &mut [u8]) -> Option<Result<usize, ErrorKind>> {
        assert!(!into.is_empty());
        let mut steps = self.0.steps.borrow_mut();
        match steps.pop_front() {
            None => Some(Ok(0)),
            Some(Step::Later) => None,
            Some(Step::Fails) => Some(Err(ErrorKind::ConnectionReset)),
            Some(Step::Bytes(mut bytes)) => {
                let n = bytes.len().min(into.len());
                into[..n].copy_from_slice(&bytes[..n]);
                if n < bytes.len() {
                    steps.push_front(Step::Bytes(bytes.split_off(n)));
                }
                Some(Ok(n))
            }
        }
    }

    fn put(&self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.0.takes.get());
        self.0.written.borrow_mut().extend_from_slice(&bytes[..n]);
        n
    }

    fn flush(&self) {
        self.0.flushed.set(self.0.written.borrow().len());
    }
}

impl embedded_io::ErrorType for Socket {
    type Error = ErrorKind;
}

impl embedded_io::Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.millis.set(self.0.millis.get() + 1);
        self.take(into).unwrap_or(Err(ErrorKind::TimedOut))
    }
}

impl embedded_io::Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.millis.set(self.0.millis.get() + 1);
        match self.put(bytes) {
            0 => Err(ErrorKind::TimedOut),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Socket::flush(self);
        Ok(())
    }
}

/// Pending once.
async fn later() {
    let mut asked = false;
    core::future::poll_fn(
        |_| if core::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

impl embedded_io_async::Read for Socket {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        loop {
            match self.take(into) {
                Some(taken) => return taken,
                None => later().await,
            }
        }
    }
}

impl embedded_io_async::Write for Socket {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.0.slow.get() {
            later().await;
        }
        match self.put(bytes) {
            0 => core::future::pending().await,
            n => Ok(n),
        }
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        if self.0.slow.get() {
            later().await;
        }
        Socket::flush(self);
        Ok(())
    }
}

/// Time stands still until a future waits for it: then it is that time at once.
impl Timer for Socket {
    fn now(&self) -> Instant {
        Instant::since_epoch(Duration::from_millis(self.0.millis.get()))
    }

    async fn wait(&self, until: Instant) {
        if until > self.now() {
            later().await;
            self.0.millis.set(until.saturating_since(Instant::EPOCH).as_millis() as u64);
        }
    }
}

/// To its end, dropping the future after every `patience` polls of it and beginning another.
fn drive<F: Future>(mut next: impl FnMut() -> F, patience: usize) -> F::Output {
    for _ in 0..10_000 {
        let mut future = pin!(next());
        for _ in 0..patience {
            if let Poll::Ready(output) =
                Pin::as_mut(&mut future).poll(&mut Context::from_waker(Waker::noop()))
            {
                return output;
            }
        }
    }
    panic!("it never ends");
}

const UPGRADE: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const FRAMES: &[u8] = b"\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d\x89\x80\x00\x00\x00\x00\
    \x80\x82\x37\xfa\x21\x3d\x5b\x95\x88\x82\x00\x00\x00\x00\x03\xe8";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x8a\x00\x81\x05Hello\x88\x02\x03\xe8";

fn steps(size: usize, wait: bool) -> Vec<Step> {
    let all: Vec<u8> = [UPGRADE, FRAMES].concat();
    let mut steps = Vec::new();
    for bytes in all.chunks(size) {
        steps.push(Step::Bytes(bytes.to_vec()));
        if wait {
            steps.push(Step::Later);
        }
    }
    steps
}

macro_rules! accept {
    ($event:expr, $reply:expr) => {{
        let http::Event::Head(head) = $event else { panic!() };
        ws::Accept::new(&head, &[], &ws::Config::TINY).unwrap().write(&[], $reply.outbox).unwrap();
    }};
}

macro_rules! echo {
    ($event:expr, $reply:expr) => {
        if let ws::Event::Text(text) = $event {
            $reply.machine.send_text(text, $reply.outbox).unwrap();
        }
    };
}

fn finish(socket: &mut Socket) {
    socket.0.finished.set(true);
}

/// Dropped at every point where it can be, and never: the same bytes.
#[test]
fn a_dropped_future_loses_nothing() {
    for (size, wait, takes, patience) in [
        (1, true, 1, 1),
        (1, true, 3, 2),
        (7, true, usize::MAX, 1),
        (1000, false, 1, 3),
        (1000, true, usize::MAX, usize::MAX),
    ] {
        for slow in [false, true] {
            // A future that is dropped before it was asked twice never gets anywhere on such a socket.
            if slow && patience == 1 {
                continue;
            }
            let socket = Socket::new(steps(size, wait));
            socket.0.takes.set(takes);
            socket.0.slow.set(slow);
            let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
            let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
            let exchange = http::Exchange::new(http::Config::TINY);
            let peer = RefCell::new(Connection::new(
                socket.clone(),
                socket.clone(),
                finish,
                exchange,
                inbox,
                outbox,
            ));
            // The lock is a RefCell, because a closure cannot lend what it captures.
            drive(
                || async {
                    let mut peer = peer.borrow_mut();
                    let (event, reply) = peer.next().await.unwrap().unwrap();
                    accept!(event, reply);
                },
                patience,
            );
            let peer = RefCell::new(peer.into_inner().switch(|_| ws::Connection::server(ws::Config::TINY)));
            let over = || async {
                let mut peer = peer.borrow_mut();
                let Some((event, reply)) = peer.next().await.unwrap() else { return true };
                echo!(event, reply);
                false
            };
            while !drive(over, patience) {}
            assert_eq!(socket.written(), ANSWER, "{size} {wait} {takes} {patience} {slow}");
            assert!(socket.0.finished.get());
            assert!(drive(over, patience), "it stays at that");
        }
    }
}

#[test]
fn the_blocking_driver_says_the_same() {
    for (size, wait, takes) in [(1, true, 1), (7, false, 3), (1000, true, usize::MAX)] {
        let socket = Socket::new(steps(size, wait));
        socket.0.takes.set(takes);
        let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
        let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
        let exchange = http::Exchange::new(http::Config::TINY);
        let clock = socket.clone();
        let mut peer =
            blocking::Connection::new(socket.clone(), move || clock.now(), finish, exchange, inbox, outbox);
        let (event, reply) = peer.next().unwrap().unwrap();
        accept!(event, reply);
        let mut peer = peer.switch(|_| ws::Connection::server(ws::Config::TINY));
        while let Some((event, reply)) = peer.next().unwrap() {
            echo!(event, reply);
        }
        assert_eq!(socket.written(), ANSWER, "{size} {wait} {takes}");
        assert!(socket.0.finished.get());
        assert!(peer.next().unwrap().is_none(), "it stays at that");
    }
}

fn echo_over(
    socket: &Socket,
    boxes: &'static mut ([u8; 512], [u8; 512]),
) -> Connection<'static, ws::Connection, Socket, Socket> {
    let mut config = ws::Config::TINY;
    config.ping_every = Some(Duration::from_secs(5));
    config.pong_within = Duration::from_secs(5);
    let (inbox, outbox) = (Inbox::new(&mut boxes.0), Outbox::new(&mut boxes.1));
    Connection::new(socket.clone(), socket.clone(), finish, ws::Connection::server(config), inbox, outbox)
}

fn boxes() -> &'static mut ([u8; 512], [u8; 512]) {
    Box::leak(Box::new(([0; 512], [0; 512])))
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("it never ends");
}

/// A peer that says nothing is asked, then given up.
#[test]
fn deadlines_are_kept() {
    let socket = Socket::new(std::vec![Step::Later; 5000]);
    let mut peer = echo_over(&socket, boxes());
    let ended = run(peer.next()).map(|_| ());
    assert!(matches!(ended, Err(Error::Protocol(ws::Error::TimedOut))), "{ended:?}");
    assert_eq!(socket.written(), b"\x89\x00\x88\x02\x03\xe9", "a ping, and a close frame");
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    let socket = Socket::new(std::vec![Step::Later; 5000]);
    socket.0.takes.set(0);
    let mut peer = echo_over(&socket, boxes());
    peer.link.machine.send_text("hello", &mut peer.link.outbox).unwrap();
    // Its machine gives up, too; what counts is that it ends, and when.
    while !matches!(run(peer.next()), Err(Error::Stalled) | Ok(None)) {}
    assert!(socket.0.millis.get() <= 31_000, "{}", socket.0.millis.get());
}

#[test]
fn errors_of_the_socket_end_it() {
    let socket = Socket::new([Step::Bytes(b"\x81\x80\x00\x00\x00\x00".to_vec()), Step::Fails]);
    let mut peer = echo_over(&socket, boxes());
    assert!(matches!(run(peer.next()), Ok(Some((ws::Event::Text(_), _)))));
    assert!(matches!(run(peer.next()), Err(Error::Socket(ErrorKind::ConnectionReset))));
    assert!(matches!(run(peer.next()), Ok(None)));
}

#[test]
fn a_broken_protocol_is_told_to_both() {
    let socket = Socket::new([Step::Bytes(b"\x81\x01a".to_vec())]);
    let mut peer = echo_over(&socket, boxes());
    assert!(matches!(run(peer.next()), Err(Error::Protocol(ws::Error::Masking))));
    run(peer.end());
    assert_eq!(socket.written(), b"\x88\x02\x03\xea");
    assert!(socket.0.finished.get());
}

/// Nothing can come any more, and an answer is owed.
#[test]
fn whose_turn_it_is() {
    let socket = Socket::new([Step::Bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec())]);
    let mut config = http::Config::TINY;
    config.half_close = true;
    let (mut from_peer, mut to_peer) = ([0; 512], [0; 512]);
    let (inbox, outbox) = (Inbox::new(&mut from_peer), Outbox::new(&mut to_peer));
    let clock = socket.clone();
    let exchange = http::Exchange::new(config);
    let mut peer =
        blocking::Connection::new(socket.clone(), move || clock.now(), finish, exchange, inbox, outbox);
    assert!(matches!(peer.next(), Ok(Some((http::Event::Head(_), _)))));
    assert!(matches!(peer.next(), Ok(Some((http::Event::End, _)))));
    assert!(matches!(peer.next(), Err(Error::Deadlock)));
    peer.link.machine.respond(204, &[], b"", &mut peer.link.outbox).unwrap();
    peer.end();
    assert_eq!(socket.written(), b"HTTP/1.1 204 No Content\r\n\r\n");
}
