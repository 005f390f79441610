//! The part of io_uring that `uring` needs, safe to use: what an operation under way points to belongs to the ring.
#![allow(unsafe_code)] // `submit`, `adopt`: what the kernel is told to write to, or gives us, no compiler can check

use core::{ptr::null_mut, time::Duration};
use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

/// The pool: buffers, and the size of each.
const BUFFERS: u16 = 64;
const SIZE: usize = 16 * 1024;
/// So many buffers of sent bytes are kept.
const MOST_SPARE: usize = 64;
/// What an answer is about: its low two bits. The others tell the connection.
const RECEIVED: u64 = 0;
const SENT: u64 = 1;
const ACCEPTED: u64 = 2;
const PROVIDED: u64 = 3;
const MSG_NOSIGNAL: i32 = 0x4000;
const EBUSY: i32 = 16;
const ETIME: i32 = 62;
const ENOBUFS: i32 = 105;

/// Operations under way, their bytes, and a pool of buffers of which the kernel picks one when there is something to put into it.
pub struct Ring {
    ring: IoUring,
    pool: Vec<Box<[u8]>>,
    sending: HashMap<usize, Vec<u8>>,
    /// For the next ones to send.
    spare: Vec<Vec<u8>>,
}

/// What the kernel did.
pub enum Answer {
    /// Accepted a connection, or failed to.
    Accepted(Option<TcpStream>),
    /// Sent so many bytes for this connection.
    Sent(usize, io::Result<usize>),
    /// Received for this connection.
    Received(usize, Received),
}

/// What it received.
pub enum Received {
    /// Bytes: look at them, then give the buffer back.
    Bytes(Buffer),
    /// The peer's end.
    End,
    /// Nothing: all buffers were in use. Ask again.
    Nothing,
    /// The connection broke.
    Broken,
}

/// A buffer of the pool that is not the kernel's now.
pub struct Buffer(u16, usize);

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring").field("sending", &self.sending.len()).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring that lives for ever: whenever it went, the kernel might be at its buffers still.
    ///
    /// # Errors
    /// This kernel has no io_uring, does not allow it, or is older than 5.11.
    pub fn new() -> io::Result<&'static mut Self> {
        let ring = IoUring::new(1024)?;
        if !ring.params().is_feature_ext_arg() {
            return Err(io::Error::other("older than 5.11"));
        }
        let pool = (0..BUFFERS).map(|_| vec![0; SIZE].into()).collect();
        let ring = Box::leak(Box::new(Self { ring, pool, sending: HashMap::new(), spare: Vec::new() }));
        (0..BUFFERS).try_for_each(|id| ring.give_back(Buffer(id, 0)))?;
        Ok(ring)
    }

    /// Asks for the next connection.
    ///
    /// # Errors
    /// The ring is broken; so with the others.
    pub fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let accept = opcode::Accept::new(types::Fd(listener.as_raw_fd()), null_mut(), null_mut());
        self.submit(accept.build(), 0, ACCEPTED)
    }

    /// Asks for up to `room` bytes from the socket of connection `id`.
    pub fn receive(&mut self, id: usize, socket: &TcpStream, room: usize) -> io::Result<()> {
        let fd = types::Fd(socket.as_raw_fd());
        let receive = opcode::Recv::new(fd, null_mut(), room.min(SIZE) as u32).buf_group(0).build();
        self.submit(receive.flags(squeue::Flags::BUFFER_SELECT), id, RECEIVED)
    }

    /// Asks to send a copy of `from`; the next ones of this connection after the answer.
    pub fn send(&mut self, id: usize, socket: &TcpStream, from: &[u8]) -> io::Result<()> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(from);
        let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32);
        let replaced = self.sending.insert(id, bytes);
        assert!(replaced.is_none(), "one after the other");
        self.submit(send.flags(MSG_NOSIGNAL).build(), id, SENT)
    }

    /// Hands over what was asked for, in one call, and sleeps until there are answers, or for `most`.
    pub fn wait(&mut self, most: Option<Duration>) -> io::Result<Vec<Answer>> {
        let time = most.map(types::Timespec::from);
        let arguments = time.iter().fold(types::SubmitArgs::new(), |all, time| all.timespec(time));
        while let Err(error) = self.ring.submitter().submit_with_args(1, &arguments) {
            match error.raw_os_error() {
                Some(EBUSY | ETIME) => break, // many answers wait; the time is over
                _ if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
        let entries: Vec<cqueue::Entry> = self.ring.completion().collect();
        Ok(entries.into_iter().filter_map(|entry| self.answer(&entry)).collect())
    }

    fn answer(&mut self, entry: &cqueue::Entry) -> Option<Answer> {
        let (id, n) = ((entry.user_data() >> 2) as usize, entry.result());
        let done = usize::try_from(n).map_err(|_| io::Error::from_raw_os_error(-n));
        Some(match entry.user_data() & 3 {
            ACCEPTED => Answer::Accepted(adopt(n)),
            SENT => {
                if let Some(mut sent) = self.sending.remove(&id)
                    && self.spare.len() < MOST_SPARE
                    && sent.capacity() <= 2 * SIZE
                {
                    sent.clear();
                    self.spare.push(sent);
                }
                Answer::Sent(id, done)
            }
            RECEIVED => Answer::Received(
                id,
                match (done, cqueue::buffer_select(entry.flags())) {
                    (Ok(n @ 1..), Some(buffer)) => Received::Bytes(Buffer(buffer, n)),
                    (Ok(_), _) => Received::End,
                    (Err(error), _) if error.raw_os_error() == Some(ENOBUFS) => Received::Nothing,
                    (Err(_), _) => Received::Broken,
                },
            ),
            _ => return None,
        })
    }

    /// What was received.
    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        &self.pool[usize::from(buffer.0)][..buffer.1]
    }

    /// The kernel may use it again.
    pub fn give_back(&mut self, buffer: Buffer) -> io::Result<()> {
        let bytes = &mut self.pool[usize::from(buffer.0)];
        let provide = opcode::ProvideBuffers::new(bytes.as_mut_ptr(), SIZE as i32, 1, 0, buffer.0);
        self.submit(provide.build(), 0, PROVIDED)
    }

    fn submit(&mut self, operation: squeue::Entry, id: usize, what: u64) -> io::Result<()> {
        let operation = operation.user_data((id as u64) << 2 | what);
        // SAFETY: an operation points to a buffer of the pool, which is never freed and not looked at while the kernel has it
        // (a `Buffer` is proof that it has not), or to bytes in `sending`, which nobody changes or drops before the answer.
        while unsafe { self.ring.submission().push(&operation) }.is_err() {
            self.ring.submit()?; // the queue is full
        }
        Ok(())
    }
}

/// The socket that was accepted. `None`: none was.
fn adopt(fd: i32) -> Option<TcpStream> {
    // SAFETY: the kernel has just made it for us, and nobody else knows of it.
    (fd >= 0).then(|| unsafe { TcpStream::from_raw_fd(fd) })
}
