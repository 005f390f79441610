//! One thread, epoll, and **one pair of buffers for all connections**: an idle connection keeps its state and no buffer.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use stillwire::{Instant, Want};
use stillwire_runtimes::{Peer, Table, listen, now, ready, until};

/// More than these wait in the listener's queue.
const MOST: usize = 16_000;
/// So many steps in a row; then it is the next one's turn.
const TURN: usize = 64;
const LISTENER: Token = Token(usize::MAX);
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

struct Connection {
    socket: TcpStream,
    peer: Peer,
    /// epoll speaks up once; until a call would have blocked, these stay true.
    readable: bool,
    writable: bool,
    ended: bool, // by the peer: epoll has said all
}

enum Turn {
    Sleep(Option<Instant>),
    Over,
}

fn main() -> io::Result<()> {
    let (listener, largest) = listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut table, mut turns) = (Table::<Connection>::new(MOST), Vec::new());
    let (mut shared, mut acceptable) = ([vec![0; 64 * 1024], Vec::new()], true);
    loop {
        // 1. Sleep until a socket or a deadline has something to say.
        match poll.poll(&mut events, table.sleep(now())) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        // 2. Whose turn is it?
        for event in &events {
            if let Some(connection) = table.get_mut(event.token().0) {
                connection.readable |= event.is_readable();
                connection.writable |= event.is_writable();
                connection.ended |= event.is_read_closed();
                turns.push(event.token().0);
            } else if event.token() == LISTENER {
                acceptable = true;
            }
        }
        let now = now();
        while let Some(id) = table.woken(now) {
            // It may be late: then bytes that came in time count before the deadline does, so look for them.
            table.get_mut(id).into_iter().for_each(|connection| connection.readable = true);
            turns.push(id);
        }
        // 3. A turn for each of them.
        for id in turns.drain(..) {
            let Some(connection) = table.get_mut(id) else { continue };
            match connection.turn(now, &mut shared) {
                Ok(Turn::Sleep(until)) => table.wake(id, until),
                Ok(Turn::Over) | Err(_) => table.remove(id), // closes the socket, which takes it out of epoll
            }
        }
        // 4. New ones, while there is room for them.
        while acceptable && !table.is_full() {
            match listener.accept() {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    let peer = Peer::new(largest);
                    let new = Connection { socket, peer, readable: true, writable: true, ended: false };
                    let id = table.insert(new);
                    if let Some(Connection { socket, .. }) = table.get_mut(id) {
                        poll.registry().register(socket, Token(id), BOTH)?;
                    }
                    table.wake(id, Some(now)); // its first turn
                }
                Err(error) => {
                    acceptable = error.kind() != ErrorKind::WouldBlock; // out of descriptors: try again later
                    break;
                }
            }
        }
    }
}

impl Connection {
    fn turn(&mut self, now: Instant, [from, to]: &mut [Vec<u8>; 2]) -> io::Result<Turn> {
        self.peer.outbox().into_iter().for_each(|outbox| outbox.lend(to));
        let turn = self.drive(now, from);
        self.peer.inbox().into_iter().for_each(|inbox| inbox.settle(from));
        self.peer.outbox().into_iter().for_each(|outbox| outbox.settle(to));
        turn
    }

    /// All that can be done now without blocking, as far as one turn goes.
    fn drive(&mut self, now: Instant, shared: &mut Vec<u8>) -> io::Result<Turn> {
        let _ = (self.write()?, self.read(shared)?);
        for _ in 0..TURN {
            match self.peer.want(now) {
                Want::Close => return Ok(Turn::Over),
                Want::Finish => {
                    let _ = self.socket.shutdown(std::net::Shutdown::Write); // the peer may have reset it
                    self.peer.shut();
                }
                want => {
                    // Both ways: neither side starves the other.
                    let (wrote, read) = (self.write()?, self.read(shared)?);
                    if !wrote && !read {
                        return Ok(Turn::Sleep(until(want)));
                    }
                }
            }
        }
        Ok(Turn::Sleep(Some(now))) // again after the others
    }

    fn write(&mut self) -> io::Result<bool> {
        let Some(outbox) = self.peer.outbox().filter(|outbox| self.writable && !outbox.is_empty()) else {
            return Ok(false);
        };
        let n = ready(self.socket.write(outbox.chunk()), &mut self.writable)?;
        outbox.advance(n.unwrap_or(0));
        Ok(n.is_some())
    }

    /// Into the shared buffer, or behind the part of a message that it was left with.
    fn read(&mut self, shared: &mut Vec<u8>) -> io::Result<bool> {
        let may_read = self.readable && self.peer.may_read();
        let Some(inbox) = self.peer.inbox().filter(|_| may_read) else { return Ok(false) };
        inbox.lend(shared);
        let spare = inbox.spare();
        let room = spare.len();
        match ready(self.socket.read(spare), &mut self.readable)? {
            None => return Ok(false),
            Some(0) => inbox.finish(),
            Some(n) => {
                self.readable = n == room || self.ended; // less than there was room for: that was all
                inbox.filled(n);
            }
        }
        Ok(true)
    }
}
