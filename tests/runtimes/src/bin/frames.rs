//! A game loop: everything happens once per frame, on one thread, with `std` alone.
//!
//! Nothing here waits for a socket. A frame is the time between two moves of the world, so no answer needs to be faster; and the
//! time is asked for once per frame, so all connections live in the same moment.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use stillwire::{Instant, Want};
use stillwire_runtimes::{Peer, listen, now};

const FRAME: Duration = Duration::from_millis(16);
const MOST: usize = 256;
/// So many reads and writes of one player in a frame: the world does not wait for whoever floods it.
const PER_FRAME: usize = 64;

fn main() -> io::Result<()> {
    let (listener, largest) = listen()?;
    listener.set_nonblocking(true)?;
    let mut players: Vec<(TcpStream, Peer)> = Vec::new();
    loop {
        let start = std::time::Instant::now();
        while players.len() < MOST
            && let Ok((socket, _)) = listener.accept()
        {
            let _ = (socket.set_nonblocking(true), socket.set_nodelay(true));
            players.push((socket, Peer::new(largest)));
        }
        let now = now();
        players.retain_mut(|(socket, peer)| frame(socket, peer, now).unwrap_or(false));
        // Here the world would move, and tell the players: their links are at hand.
        std::thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }
}

/// Whether it goes on. Deadlines need no timer: every connection is asked in every frame.
fn frame(socket: &mut TcpStream, peer: &mut Peer, now: Instant) -> io::Result<bool> {
    // First of all, as a frame may come late: what the player did in time counts before the deadline does.
    let _ = (write(socket, peer)?, read(socket, peer)?);
    for _ in 0..PER_FRAME {
        match peer.want(now) {
            Want::Close => return Ok(false),
            Want::Finish => {
                let _ = socket.shutdown(Shutdown::Write);
                peer.shut();
            }
            _ => {
                let (wrote, read) = (write(socket, peer)?, read(socket, peer)?);
                if !wrote && !read {
                    break;
                }
            }
        }
    }
    Ok(true)
}

fn write(socket: &mut TcpStream, peer: &mut Peer) -> io::Result<bool> {
    let Some(outbox) = peer.outbox().filter(|outbox| !outbox.is_empty()) else { return Ok(false) };
    let n = if_ready(socket.write(outbox.chunk()))?;
    outbox.advance(n.unwrap_or(0));
    Ok(n.is_some())
}

fn read(socket: &mut TcpStream, peer: &mut Peer) -> io::Result<bool> {
    let may_read = peer.may_read();
    let Some(inbox) = peer.inbox().filter(|_| may_read) else { return Ok(false) };
    let n = if_ready(socket.read(inbox.spare()))?;
    match n {
        None => {}
        Some(0) => inbox.finish(),
        Some(n) => inbox.filled(n),
    }
    Ok(n.is_some())
}

/// `None`: not in this frame.
fn if_ready(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}
