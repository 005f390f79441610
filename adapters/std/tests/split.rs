//! One connection, several threads.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod common;

use std::io::ErrorKind;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{boxed, client, echo, masked, read, read_all, server, sockets, write};
use stillwire::{Inbox, Instant, Machine, Outbox, Progress, SendError, ws};
use stillwire_std::{Connection, Error, Reader, WriteError, Writer, entropy};

type Halves = (Reader<'static, ws::Connection>, Writer<'static, ws::Connection>);

/// Message `n` of a stream of messages that are all different and of different lengths.
fn message(n: usize, size: usize) -> Vec<u8> {
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(8 + size - n % 1000, n as u8);
    bytes
}

/// Reads messages 0, 1, 2 … until all of them have come or the connection has ended.
fn expect(reader: &mut Reader<'_, ws::Connection>, count: usize, size: usize) {
    let mut n = 0;
    while n < count {
        match reader.next().unwrap() {
            Some(ws::Event::Binary(bytes)) => {
                assert!(bytes == message(n, size), "message {n} is another one");
                n += 1;
            }
            Some(ws::Event::Ping(_) | ws::Event::Pong(_)) => {}
            other => panic!("{other:?} after {n} messages"),
        }
    }
}

/// Both sides send 8 MiB at once through an outbox of 256 KiB and read meanwhile, with pings between.
#[test]
fn eight_mebibytes_each_way_at_once() {
    const SIZE: usize = 64 * 1024;
    const COUNT: usize = 128;
    let run = |(mut reader, writer): Halves| {
        let pings = writer.clone();
        let sending =
            thread::spawn(move || (0..COUNT).for_each(|n| writer.send_binary(&message(n, SIZE)).unwrap()));
        let pinging = thread::spawn(move || {
            for n in 0..500_u16 {
                pings.command(|ws, outbox| ws.send_ping(&n.to_le_bytes(), outbox)).unwrap();
            }
            pings
        });
        expect(&mut reader, COUNT, SIZE);
        sending.join().unwrap();
        (reader, pinging.join().unwrap())
    };
    let (near, far) = sockets();
    let side = thread::spawn(move || {
        let (mut reader, writer) = run(server(far, ws::Config::default()).split());
        while reader.next().unwrap().is_some() {}
        assert!(matches!(writer.send_text("late"), Err(WriteError::Send(SendError::NotOpen))));
    });
    let (mut reader, writer) = run(client(near).split());
    writer.close("done").unwrap();
    let mut closed = 0;
    while let Some(event) = reader.next().unwrap() {
        closed += usize::from(matches!(event, ws::Event::Closed { code: 1000, .. }));
    }
    assert_eq!(closed, 1);
    side.join().unwrap();
}

/// The other side is one thread that echoes and so waits to write while we write: only a reader that always reads
/// gets it going again.
#[test]
fn a_peer_of_one_thread_is_not_stuck() {
    const SIZE: usize = 100_000;
    const COUNT: usize = 200;
    let (near, far) = sockets();
    let served = thread::spawn(move || echo(&mut server(far, ws::Config::default())).unwrap());
    let (mut reader, writer) = client(near).split();
    let sending = thread::spawn(move || {
        (0..COUNT).for_each(|n| writer.send_binary(&message(n, SIZE)).unwrap());
        writer
    });
    expect(&mut reader, COUNT, SIZE);
    sending.join().unwrap().close("").unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(served.join().unwrap(), COUNT + 1);
}

/// Two readers that echo pings to each other while nobody reads what they write but they themselves: a reader that
/// waited to write its pongs would wait for ever.
#[test]
fn floods_of_pings_both_ways_do_not_block_the_readers() {
    let (near, far) = sockets();
    let flood = |connection: common::Ws, close: bool| {
        let (mut reader, writer) = connection.split();
        let done = writer.clone();
        let sending = thread::spawn(move || {
            for _ in 0..20_000 {
                writer.command(|ws, outbox| ws.send_ping(&[7; 125], outbox)).unwrap();
            }
        });
        let (mut pings, mut pongs) = (0, 0);
        while let Some(event) = reader.next().unwrap() {
            match event {
                ws::Event::Ping(_) => pings += 1,
                ws::Event::Pong(bytes) => {
                    assert_eq!(bytes, [7; 125]);
                    pongs += 1;
                }
                _ => {}
            }
            if close && (pings, pongs) == (20_000, 20_000) {
                done.close("").unwrap();
            }
        }
        sending.join().unwrap();
        (pings, pongs)
    };
    let far = boxed(far, ws::Connection::server(ws::Config::default()), 4096);
    let near = boxed(near, ws::Connection::client(ws::Config::default(), entropy()), 4096);
    let side = thread::spawn(move || flood(far, false));
    assert_eq!(flood(near, true), (20_000, 20_000));
    assert_eq!(side.join().unwrap(), (20_000, 20_000));
}

/// What is appended while another thread writes is written by that thread: nothing stays behind, nothing is torn,
/// and each thread's messages keep their order. The outbox is so small that all of them wait all the time.
#[test]
fn many_writers_lose_nothing() {
    const THREADS: usize = 8;
    const EACH: usize = 3000;
    for capacity in [512, 64 * 1024] {
        let (near, far) = sockets();
        let sides = thread::spawn(move || {
            let (mut reader, writer) =
                boxed(far, ws::Connection::server(ws::Config::default()), capacity).split();
            thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let writer = writer.clone();
                        scope.spawn(move || {
                            for n in 0..EACH {
                                let text = format!("{thread} {n} {}", "x".repeat(n % 100));
                                writer.send_text(&text).unwrap();
                            }
                        })
                    })
                    .collect();
                scope.spawn(move || {
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                    writer.close("").unwrap();
                });
                while reader.next().unwrap().is_some() {}
            });
        });
        let mut client = client(near);
        let mut next = [0; THREADS];
        while let Some((event, _)) = client.next().unwrap() {
            if let ws::Event::Text(text) = event {
                let mut words = text.as_str().split(' ');
                let thread: usize = words.next().unwrap().parse().unwrap();
                let n: usize = words.next().unwrap().parse().unwrap();
                assert_eq!((n, words.next().unwrap().len()), (next[thread], n % 100));
                next[thread] += 1;
            }
        }
        assert_eq!(next, [EACH; THREADS]);
        sides.join().unwrap();
    }
}

/// Each send is on its way when it returns, though nobody calls the reader and other threads come and go: the last
/// one who wrote has left nothing behind.
#[test]
fn nothing_waits_for_the_next_message() {
    let (near, far) = sockets();
    let (_reader, writer) = server(far, ws::Config::default()).split();
    for _ in 0..2000 {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| writer.send_text("x").unwrap());
            }
        });
        assert_eq!(read(&near, 9), b"\x81\x01x\x81\x01x\x81\x01x");
    }
}

/// What the reader's thread queues goes out while the reader waits.
#[test]
fn the_readers_thread_queues_its_answers() {
    let (near, far) = sockets();
    let served = thread::spawn(move || {
        let (mut reader, writer) = server(far, ws::Config::default()).split();
        while let Some(event) = reader.next().unwrap() {
            if let ws::Event::Text(text) = event {
                writer.queue(|ws, outbox| ws.send_text(text, outbox)).unwrap(); // the event is still borrowed
            }
        }
    });
    for _ in 0..100 {
        write(&near, &[masked(0x81, b"one"), masked(0x81, b"two")].concat());
        assert_eq!(read(&near, 10), b"\x81\x03one\x81\x03two");
    }
    write(&near, &masked(0x88, b"\x03\xe8"));
    assert_eq!(read_all(&near), b"\x88\x02\x03\xe8");
    drop(near);
    served.join().unwrap();
}

/// `flush` comes back when nothing is left in the outbox, though another thread wrote it.
#[test]
fn flush_waits_for_the_others() {
    let (near, far) = sockets();
    let (_reader, writer) = server(far, ws::Config::default()).split();
    writer.queue(|ws, outbox| ws.send_text("queued", outbox)).unwrap();
    let other = writer.clone();
    let sending = thread::spawn(move || other.send_binary(&[1; 100_000]).unwrap());
    sending.join().unwrap();
    writer.flush().unwrap();
    writer.queue(|ws, outbox| ws.send_text("again", outbox)).unwrap();
    writer.flush().unwrap();
    let got = read(&near, 8 + 10 + 100_000 + 7);
    assert_eq!((&got[..8], &got[got.len() - 5..]), (&b"\x81\x06queued"[..], &b"again"[..]));
}

/// A peer that takes nothing ends both halves, whoever of them notices.
#[test]
fn a_stalled_peer_ends_both_halves() {
    let (near, far) = sockets();
    let mut server = server(far, ws::Config::default());
    server.link.stall = Duration::from_millis(200);
    let (mut reader, writer) = server.split();
    let sending = thread::spawn(move || {
        let error = (0..1000).find_map(|_| writer.send_binary(&[0; 100_000]).err()).unwrap();
        assert!(matches!(writer.send_text("more"), Err(WriteError::Io(_))));
        error
    });
    let error = reader.next().map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
    assert!(reader.next().unwrap().is_none());
    let error = sending.join().unwrap();
    assert!(matches!(&error, WriteError::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
    drop(near);
}

/// A reset while one half waits to write and the other one to read.
#[test]
fn a_reset_ends_both_halves() {
    let (near, far) = sockets();
    let (mut reader, writer) = server(far, ws::Config::default()).split();
    let (sender, progress) = mpsc::channel();
    let sending = thread::spawn(move || {
        (0..1000).find_map(|_| {
            let result = writer.send_binary(&[0; 100_000]).err();
            sender.send(()).unwrap();
            result
        })
    });
    let reading = thread::spawn(move || {
        while let Ok(Some(_)) = reader.next() {}
        assert!(reader.next().unwrap().is_none());
    });
    progress.iter().take(5).for_each(drop);
    drop(near);
    reading.join().unwrap();
    while progress.recv().is_ok() {}
    assert!(sending.join().unwrap().is_some(), "100 MB do not fit into a closed connection");
}

/// Nobody drives the machine any more: a writer that waits is told so, the peer sees the end.
#[test]
fn dropping_the_reader_ends_the_connection() {
    let (near, far) = sockets();
    let (reader, writer) = server(far, ws::Config::default()).split();
    let (sender, progress) = mpsc::channel();
    let sending = thread::spawn(move || {
        (0..1000).find_map(|_| {
            let result = writer.send_binary(&[0; 100_000]).err();
            sender.send(()).unwrap();
            result
        })
    });
    progress.iter().take(5).for_each(drop);
    drop(reader);
    while progress.recv().is_ok() {}
    assert!(sending.join().unwrap().is_some());
    assert!(!read_all(&near).is_empty());
}

/// A machine that has its input complete and waits for a command.
struct Patient {
    told: bool,
}

impl Machine for Patient {
    type Event<'i> = ();
    type Error = ws::Error;
    fn advance(&mut self, _: Instant, _: &mut Inbox<'_>, _: &mut Outbox<'_>) -> Result<Progress, ws::Error> {
        Ok(if self.told { Progress::Closed } else { Progress::NeedInput })
    }
    fn event(&self, _: &Inbox<'_>) -> Option<()> {
        None
    }
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn release(&mut self, _: &mut Inbox<'_>) {}
}

/// The reader has nothing to read and no deadline: a command of the other half wakes it.
#[test]
fn a_command_wakes_a_reader_that_waits() {
    for queued in [false, true] {
        let (near, far) = sockets();
        drop(near);
        let machine = Patient { told: false };
        let (mut reader, writer) =
            Connection::new(far, machine, Inbox::with_limit(64), Outbox::with_limit(64)).split();
        let (started, start) = mpsc::channel();
        let waiting = thread::spawn(move || {
            started.send(()).unwrap();
            reader.next().map(|event| event.is_none()).unwrap()
        });
        start.recv().unwrap();
        thread::sleep(Duration::from_millis(30)); // it waits by now, or will find out before it does
        let tell = |machine: &mut Patient, outbox: &mut Outbox<'_>| {
            machine.told = true;
            Ok(outbox.put(&[b"bye"])?)
        };
        // Its peer has gone, so writing may fail; the reader hears of the command all the same.
        let _ = if queued { writer.queue(tell) } else { writer.command(tell) };
        assert!(waiting.join().unwrap());
    }
}
