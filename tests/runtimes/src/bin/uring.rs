//! One thread, io_uring: the kernel is asked to receive, to send, and to accept, and answers when it has done so.
//!
//! What an operation under way points to must stay where it is, so the boxes are left out of it: received bytes land in buffers of
//! the [`Ring`], of which the kernel picks one when there is something to put into it, so idle connections hold none, and bytes to
//! send are copied out of the outbox first. A connection goes only when nothing of it is under way.

use std::io;
use std::net::{Shutdown, TcpStream};

use stillwire::{Instant, Outbox, Want};
use stillwire_runtimes::ring::{Answer, Received, Ring};
use stillwire_runtimes::{Peer, Table, listen, now, until};

const MOST: usize = 4096;
const MOST_SENT: usize = 256 * 1024;

struct Connection {
    socket: TcpStream,
    peer: Peer,
    receiving: bool,
    sending: bool,
    /// It has ended, and goes when nothing is under way.
    over: bool,
}

fn main() -> io::Result<()> {
    let ring = match Ring::new() {
        Ok(ring) => ring,
        Err(refused) => {
            println!("no io_uring: {refused}");
            return Ok(());
        }
    };
    let (listener, largest) = listen()?;
    let mut table = Table::<Connection>::new(MOST);
    let (mut turns, mut accepting) = (Vec::new(), false);
    loop {
        if !accepting && !table.is_full() {
            ring.accept(&listener)?;
            accepting = true;
        }
        // 1. One call hands over what was asked for, and sleeps until an answer or a deadline.
        for answer in ring.wait(table.sleep(now()))? {
            // 2. Whose turn is it?
            match answer {
                Answer::Accepted(socket) => {
                    accepting = false;
                    turns.extend(socket.map(|socket| table.insert(Connection::new(socket, largest))));
                }
                Answer::Sent(id, n) => {
                    table.get_mut(id).into_iter().for_each(|connection| connection.sent(&n));
                    turns.push(id);
                }
                Answer::Received(id, received) => {
                    table.get_mut(id).into_iter().for_each(|connection| connection.received(&received, ring));
                    turns.push(id);
                    if let Received::Bytes(buffer) = received {
                        ring.give_back(buffer)?;
                    }
                }
            }
        }
        let now = now();
        turns.extend(core::iter::from_fn(|| {
            let id = table.woken(now)?;
            // Nothing has happened for a while: what the last burst took is not kept.
            table.get_mut(id)?.peer.outbox().into_iter().for_each(Outbox::rest);
            Some(id)
        }));
        // 3. A turn for each of them.
        for id in turns.drain(..) {
            let Some(connection) = table.get_mut(id) else { continue };
            let until = connection.turn(id, now, ring)?;
            if connection.over && !connection.receiving && !connection.sending {
                table.remove(id);
            } else {
                table.wake(id, until);
            }
        }
    }
}

impl Connection {
    fn new(socket: TcpStream, largest: usize) -> Self {
        let _ = socket.set_nodelay(true);
        Self { socket, peer: Peer::new(largest), receiving: false, sending: false, over: false }
    }

    /// Asks the kernel for what the machine wants and what is not under way.
    fn turn(&mut self, id: usize, now: Instant, ring: &mut Ring) -> io::Result<Option<Instant>> {
        let mut want = self.peer.want(now);
        if want == Want::Finish {
            let _ = self.socket.shutdown(Shutdown::Write); // the peer may have reset it
            self.peer.shut();
            want = self.peer.want(now);
        }
        if want == Want::Close || self.over {
            self.over = true;
            let _ = self.socket.shutdown(Shutdown::Both); // ends what is under way
            return Ok(None);
        }
        if let Some(outbox) = self.peer.outbox().filter(|outbox| !self.sending && !outbox.is_empty()) {
            let chunk = outbox.chunk();
            ring.send(id, &self.socket, &chunk[..chunk.len().min(MOST_SENT)])?;
            self.sending = true;
        }
        let may_receive = !self.receiving && self.peer.may_read();
        if let Some(inbox) = self.peer.inbox().filter(|_| may_receive) {
            ring.receive(id, &self.socket, inbox.room())?;
            self.receiving = true;
        }
        Ok(until(want))
    }

    fn sent(&mut self, n: &io::Result<usize>) {
        self.sending = false;
        match (n, self.peer.outbox()) {
            (Ok(n), Some(outbox)) => outbox.advance(*n),
            _ => self.over = true,
        }
    }

    fn received(&mut self, received: &Received, ring: &Ring) {
        self.receiving = false;
        let Some(inbox) = self.peer.inbox() else { return };
        match received {
            // All of it fits: no more was asked for than there was room for.
            Received::Bytes(buffer) => {
                let bytes = ring.bytes(buffer);
                self.over |= inbox.push(bytes) < bytes.len();
            }
            Received::End => inbox.finish(),
            Received::Nothing => {}
            Received::Broken => self.over = true,
        }
    }
}
