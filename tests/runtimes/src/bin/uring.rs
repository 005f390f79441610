//! One thread, io_uring: the kernel is asked to receive, to send, and to accept, and answers when it has done so.
//!
//! What an operation under way points to must stay where it is, so the boxes are left out of it: received bytes land in a pool of
//! buffers of which the kernel picks one when there is something to put into it, so idle connections hold none, and bytes to send
//! are copied out of the outbox first. A connection goes only when nothing of it is under way.
#![allow(unsafe_code)] // `submit`, `adopt`: what the kernel is told to write to, or gives us, no compiler can check

use core::ptr::null_mut;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use stillwire::{Instant, Want};
use stillwire_runtimes::{Peer, Table, listen, now, until};

const MOST: usize = 4096;
/// The pool: buffers, and the size of each.
const BUFFERS: u16 = 64;
const SIZE: usize = 16 * 1024;
/// What an answer is about: its low two bits. The others tell the connection.
const RECEIVED: u64 = 0;
const SENT: u64 = 1;
const ACCEPTED: u64 = 2;
const PROVIDED: u64 = 3;
const MOST_SENT: usize = 256 * 1024;
const MSG_NOSIGNAL: i32 = 0x4000;

struct Connection {
    socket: TcpStream,
    peer: Peer,
    receiving: bool,
    /// The bytes under way; empty when none are.
    sending: Vec<u8>,
    /// It has ended, and goes when nothing is under way.
    over: bool,
}

fn main() -> io::Result<()> {
    let mut ring = match IoUring::new(1024) {
        Ok(ring) if ring.params().is_feature_ext_arg() => ring,
        refused => {
            println!(
                "no io_uring: {}",
                refused.map_or_else(|error| error.to_string(), |_| "older than 5.11".into())
            );
            return Ok(());
        }
    };
    let (listener, largest) = listen()?;
    let accept = opcode::Accept::new(types::Fd(listener.as_raw_fd()), null_mut(), null_mut()).build();
    // Leaked: whenever this function ends, the kernel may be at it still.
    let pool: &mut Vec<Box<[u8]>> = Box::leak(Box::default());
    let table: &mut Table<Connection> = Box::leak(Box::new(Table::new(MOST)));
    for id in 0..BUFFERS {
        pool.push(vec![0; SIZE].into());
        provide(&mut ring, &mut pool[usize::from(id)], id)?;
    }
    let (mut turns, mut accepting) = (Vec::new(), false);
    loop {
        if !accepting && !table.is_full() {
            submit(&mut ring, accept.clone(), 0, ACCEPTED)?;
            accepting = true;
        }
        // 1. One call hands over what was asked for, and sleeps until an answer or a deadline.
        let time = table.sleep(now()).map(types::Timespec::from);
        let arguments =
            time.iter().fold(types::SubmitArgs::new(), |arguments, time| arguments.timespec(time));
        match ring.submitter().submit_with_args(1, &arguments) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue, // answers come before deadlines
            // EBUSY: many answers wait; ETIME: a deadline.
            Err(error) if ![Some(16), Some(62)].contains(&error.raw_os_error()) => return Err(error),
            _ => {}
        }
        // 2. Whose turn is it?
        for answer in ring.completion().collect::<Vec<cqueue::Entry>>() {
            let (id, what, n) = ((answer.user_data() >> 2) as usize, answer.user_data() & 3, answer.result());
            if what == ACCEPTED {
                accepting = false;
                turns.extend(adopt(n).map(|socket| table.insert(Connection::new(socket, largest))));
                continue;
            }
            let Some(connection) = table.get_mut(id).filter(|_| what != PROVIDED) else { continue };
            if what == SENT {
                connection.sent(n);
            } else {
                let buffer = cqueue::buffer_select(answer.flags());
                connection.received(n, buffer.map_or(&[], |buffer| &pool[usize::from(buffer)]));
                if let Some(buffer) = buffer {
                    provide(&mut ring, &mut pool[usize::from(buffer)], buffer)?;
                }
            }
            turns.push(id);
        }
        let now = now();
        turns.extend(core::iter::from_fn(|| table.woken(now)));
        // 3. A turn for each of them.
        for id in turns.drain(..) {
            let Some(connection) = table.get_mut(id) else { continue };
            let until = connection.turn(id, now, &mut ring)?;
            if connection.over && !connection.receiving && connection.sending.is_empty() {
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
        Self { socket, peer: Peer::new(largest), receiving: false, sending: Vec::new(), over: false }
    }

    /// Asks the kernel for what the machine wants and what is not under way.
    fn turn(&mut self, id: usize, now: Instant, ring: &mut IoUring) -> io::Result<Option<Instant>> {
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
        let fd = types::Fd(self.socket.as_raw_fd());
        if let Some(outbox) =
            self.peer.outbox().filter(|outbox| self.sending.is_empty() && !outbox.is_empty())
        {
            let chunk = outbox.chunk();
            self.sending = chunk[..chunk.len().min(MOST_SENT)].to_vec();
            let send = opcode::Send::new(fd, self.sending.as_ptr(), self.sending.len() as u32);
            submit(ring, send.flags(MSG_NOSIGNAL).build(), id, SENT)?;
        }
        let may_receive = !self.receiving && self.peer.may_read();
        if let Some(inbox) = self.peer.inbox().filter(|_| may_receive) {
            let room = inbox.room().min(SIZE) as u32;
            let receive = opcode::Recv::new(fd, null_mut(), room).buf_group(0).build();
            submit(ring, receive.flags(squeue::Flags::BUFFER_SELECT), id, RECEIVED)?;
            self.receiving = true;
        }
        Ok(until(want))
    }

    fn sent(&mut self, n: i32) {
        self.sending = Vec::new();
        match (usize::try_from(n), self.peer.outbox()) {
            (Ok(n), Some(outbox)) => outbox.advance(n),
            _ => self.over = true,
        }
    }

    fn received(&mut self, n: i32, buffer: &[u8]) {
        self.receiving = false;
        let Some(inbox) = self.peer.inbox() else { return };
        match usize::try_from(n) {
            Ok(0) => inbox.finish(),
            // All of it fits: no more was asked for than there was room for.
            Ok(n) => self.over |= inbox.push(&buffer[..n]) < n,
            Err(_) => self.over |= n != -105, // ENOBUFS: the pool was empty, and is not any more
        }
    }
}

/// Gives a buffer to the kernel, which tells its number when there is something in it. Until then, nobody looks at it.
fn provide(ring: &mut IoUring, buffer: &mut [u8], id: u16) -> io::Result<()> {
    let provide = opcode::ProvideBuffers::new(buffer.as_mut_ptr(), buffer.len() as i32, 1, 0, id);
    submit(ring, provide.build(), 0, PROVIDED)
}

/// Puts an operation into the queue.
fn submit(ring: &mut IoUring, operation: squeue::Entry, id: usize, what: u64) -> io::Result<()> {
    let operation = operation.user_data((id as u64) << 2 | what);
    // SAFETY: an operation here points to a buffer of the pool, which is never freed and not looked at while the kernel has
    // it, or to `sending` of a connection, which is neither changed nor dropped before the answer has come.
    while unsafe { ring.submission().push(&operation) }.is_err() {
        ring.submit()?; // the queue is full
    }
    Ok(())
}

/// The socket that was accepted. `None`: none was.
fn adopt(fd: i32) -> Option<TcpStream> {
    // SAFETY: the kernel has just made it for us, and nobody else knows of it.
    (fd >= 0).then(|| unsafe { TcpStream::from_raw_fd(fd) })
}
