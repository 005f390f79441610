//! Halves over a pipe that holds next to nothing, so that every circle of waiting becomes one.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::pipe::{Pipe, pipe};
use common::{Ws, boxed, echo};
use stillwire::{Inbox, Outbox, ws};
use stillwire_std::{Connection, Reader, Socket, entropy};

/// Boxes that are small, too: 4 KiB each.
fn side(pipe: Pipe, machine: ws::Connection) -> Ws<Pipe> {
    let mut connection = Connection::new(pipe, machine, Inbox::with_limit(4096), Outbox::with_limit(4096));
    connection.link.stall = Duration::from_secs(10);
    connection
}

fn sides(capacity: usize) -> (Ws<Pipe>, Ws<Pipe>) {
    let (near, far) = pipe(capacity);
    let client = ws::Connection::client(ws::Config::default(), entropy());
    (side(near, client), side(far, ws::Connection::server(ws::Config::default())))
}

fn message(n: usize) -> Vec<u8> {
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(8 + n * 97 % 3000, n as u8);
    bytes
}

fn expect(reader: &mut Reader<'_, ws::Connection, Pipe>, count: usize) {
    let mut n = 0;
    while n < count {
        match reader.next().unwrap() {
            Some(ws::Event::Binary(bytes)) => {
                assert!(bytes == message(n), "message {n} is another one");
                n += 1;
            }
            Some(ws::Event::Ping(_) | ws::Event::Pong(_)) => {}
            other => panic!("{other:?} after {n} messages"),
        }
    }
}

/// Far more in flight each way than all the boxes hold, with pings between.
#[test]
fn both_sides_send_at_once() {
    const COUNT: usize = 200;
    for capacity in [1, 64, 2000] {
        let run = |connection: Ws<Pipe>| {
            let (mut reader, writer) = connection.split();
            let pings = writer.clone();
            let sending =
                thread::spawn(move || (0..COUNT).for_each(|n| writer.send_binary(&message(n)).unwrap()));
            let pinging = thread::spawn(move || {
                for _ in 0..200 {
                    pings.command(|ws, outbox| ws.send_ping(&[7; 100], outbox)).unwrap();
                }
                pings
            });
            expect(&mut reader, COUNT);
            // Our own may still be on their way: the peer's pongs and pings are read meanwhile.
            let closing = thread::spawn(move || {
                sending.join().unwrap();
                pinging.join().unwrap().close("").unwrap();
            });
            while reader.next().unwrap().is_some() {}
            closing.join().unwrap();
        };
        let (near, far) = sides(capacity);
        let other = thread::spawn(move || run(far));
        run(near);
        other.join().unwrap();
    }
}

/// The other side is one thread that echoes: it waits to write until we read.
#[test]
fn a_peer_of_one_thread_is_not_stuck() {
    const COUNT: usize = 1000;
    let (near, mut far) = sides(64);
    let served = thread::spawn(move || echo(&mut far).unwrap());
    let (mut reader, writer) = near.split();
    let sending = thread::spawn(move || {
        (0..COUNT).for_each(|n| writer.send_binary(&message(n)).unwrap());
        writer
    });
    expect(&mut reader, COUNT);
    sending.join().unwrap().close("").unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(served.join().unwrap(), COUNT + 1);
}

/// Pings only, both ways: a reader that waited to write its pongs would wait for a reader that does the same.
#[test]
fn readers_do_not_wait_for_each_other() {
    const COUNT: usize = 30;
    let run = |connection: Ws<Pipe>, first: bool| {
        let (mut reader, writer) = connection.split();
        // All at once, and no writer after that: the readers are alone with their pongs.
        for _ in 0..20 {
            writer.queue(|ws, outbox| ws.send_ping(&[7; 100], outbox)).unwrap();
        }
        let (mut pings, mut pongs) = (0, 0);
        while let Some(event) = reader.next().unwrap() {
            match event {
                ws::Event::Ping(_) => pings += 1,
                ws::Event::Pong(_) => {
                    pongs += 1;
                    if pongs <= COUNT - 20 {
                        writer.queue(|ws, outbox| ws.send_ping(&[7; 100], outbox)).unwrap();
                    }
                }
                _ => {}
            }
            if first && (pings, pongs) == (COUNT, COUNT) {
                writer.close("").unwrap();
            }
        }
        assert_eq!((pings, pongs), (COUNT, COUNT));
    };
    let (near, far) = sides(16);
    let other = thread::spawn(move || run(far, false));
    run(near, true);
    other.join().unwrap();
}

/// A writer comes while the reader is trying to write, and then the reader's application is busy for ever: the
/// writer has not relied on the reader.
#[test]
fn a_writer_does_not_leave_its_bytes_to_the_reader() {
    for round in 0..10 {
        let (mut near, far) = pipe(16);
        let far = boxed(far, ws::Connection::server(ws::Config::default()), 4096);
        let (mut reader, writer) = far.split();
        let (go_on, busy) = mpsc::channel::<()>();
        let application = thread::spawn(move || {
            while let Some(event) = reader.next().unwrap() {
                if matches!(event, ws::Event::Text(_)) {
                    let _ = busy.recv();
                    return;
                }
            }
        });
        // Two pings, and their pongs do not fit into the pipe: the reader tries, reads, tries …
        let send = |near: &mut Pipe, bytes: &[u8]| {
            bytes
                .iter()
                .for_each(|byte| assert_eq!(near.write(&[std::io::IoSlice::new(&[*byte])]).unwrap(), 1));
        };
        for _ in 0..2 {
            send(&mut near, &common::masked(0x89, &[7; 20]));
        }
        thread::sleep(Duration::from_millis(5 + round));
        let sending = thread::spawn(move || writer.send_text("here").unwrap());
        thread::sleep(Duration::from_millis(2));
        send(&mut near, &common::masked(0x81, b"busy"));
        // … and now the application has its text.
        let mut got = Vec::new();
        near.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        while got.len() < 2 * 22 + 6 {
            let mut bytes = [0; 16];
            let n = near.read(&mut bytes).expect("the rest was left behind");
            assert!(n > 0);
            got.extend_from_slice(&bytes[..n]);
        }
        assert!(got.windows(6).any(|window| window == b"\x81\x04here"));
        sending.join().unwrap();
        drop(go_on);
        application.join().unwrap();
    }
}
