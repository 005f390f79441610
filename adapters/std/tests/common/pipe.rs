//! A socket with buffers of a few bytes. The system's hold megabytes, and so hide who waits for whom.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use stillwire_std::Socket;

#[derive(Debug, Default)]
struct Way {
    bytes: VecDeque<u8>,
    finished: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// One end of a two-way pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    incoming: Arc<(Mutex<Way>, Condvar)>,
    outgoing: Arc<(Mutex<Way>, Condvar)>,
    capacity: usize,
}

/// Both ends; each way holds so many bytes.
pub(crate) fn pipe(capacity: usize) -> (Pipe, Pipe) {
    let (a, b) = (Arc::default(), Arc::default());
    let near = Pipe { incoming: Arc::clone(&a), outgoing: Arc::clone(&b), capacity };
    (near, Pipe { incoming: b, outgoing: a, capacity })
}

/// Waits until `ready`, or until the time is up.
fn wait<T>(
    way: &(Mutex<Way>, Condvar),
    timeout: impl Fn(&Way) -> Option<Duration>,
    mut ready: impl FnMut(&mut Way) -> Option<io::Result<T>>,
) -> io::Result<T> {
    let (lock, changed) = way;
    let mut state = lock.lock().unwrap();
    let until = timeout(&state).map(|timeout| Instant::now() + timeout);
    loop {
        if let Some(result) = ready(&mut state) {
            changed.notify_all();
            return result;
        }
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        state = changed.wait_timeout(state, left.min(Duration::from_secs(60))).unwrap().0;
    }
}

impl Socket for &Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        wait(
            &self.incoming,
            |way| way.read_timeout,
            |way| {
                let n = into.len().min(way.bytes.len());
                into.iter_mut().zip(way.bytes.drain(..n)).for_each(|(to, from)| *to = from);
                (n > 0 || way.finished).then_some(Ok(n))
            },
        )
    }

    /// As blocking sockets do: it waits until all is taken, and tells what was when time is up.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut done = 0;
        let result = wait(
            &self.outgoing,
            |way| way.write_timeout,
            |way| {
                if way.finished {
                    return Some(Err(ErrorKind::BrokenPipe.into()));
                }
                let n = (bytes.len() - done).min(self.capacity - way.bytes.len());
                way.bytes.extend(&bytes[done..done + n]);
                done += n;
                if n > 0 {
                    self.outgoing.1.notify_all();
                }
                (done == bytes.len()).then_some(Ok(done))
            },
        );
        if done > 0 { Ok(done) } else { result }
    }

    fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
        assert!(after.is_none_or(|after| !after.is_zero()));
        self.incoming.0.lock().unwrap().read_timeout = after;
        Ok(())
    }

    fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
        assert!(after.is_none_or(|after| !after.is_zero()));
        self.outgoing.0.lock().unwrap().write_timeout = after;
        Ok(())
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        for (way, meant) in
            [(&self.incoming, how != Shutdown::Write), (&self.outgoing, how != Shutdown::Read)]
        {
            way.0.lock().unwrap().finished |= meant;
            way.1.notify_all();
        }
        Ok(())
    }
}

impl Socket for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write(slices)
    }
    fn set_read_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
        (&*self).set_read_timeout(after)
    }
    fn set_write_timeout(&mut self, after: Option<Duration>) -> io::Result<()> {
        (&*self).set_write_timeout(after)
    }
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        (&*self).shutdown(how)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = (&*self).shutdown(Shutdown::Both);
    }
}
