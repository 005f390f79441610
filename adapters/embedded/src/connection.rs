//! The driver for asynchronous sockets.

use core::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use embedded_io_async::{Read, Write};
use stillwire::{Inbox, Instant, Link, Machine, Outbox, Reply, Want};

use crate::{Error, Timer, log::log};

/// A machine over a socket: `embassy_net::tcp::TcpSocket`, TLS, a serial line, anything that implements `Read + Write`
/// of `embedded-io-async` 0.7.
///
/// Everything it knows is in the struct, so a future of [`next`](Self::next) may be dropped at any time (`select` with
/// a sensor, a timeout) and called again: no byte is lost, as long as dropping the socket's `read` and `write` loses
/// none. (These traits ask for that; a socket that moves bytes by DMA says so when it cannot.) Nothing happens while nobody
/// waits in it; pongs and deadlines wait, too.
#[derive(Debug)]
pub struct Connection<'s, M: Machine, S, T> {
    /// The machine and its boxes. Commands take effect at the next [`next`](Self::next):
    /// `connection.link.machine.send_text("hi", &mut connection.link.outbox)`.
    pub link: Link<'s, M>,
    /// Where the bytes come from and go to.
    pub socket: S,
    /// Whether the socket holds bytes back until it is flushed, as TLS does. Default: true, which is always right. Off
    /// for a socket that sends by itself: `flush` of `embassy_net::tcp::TcpSocket` waits until the peer has
    /// acknowledged everything, which costs a round trip per answer.
    pub flushes: bool,
    timer: T,
    finish: fn(&mut S),
    /// Since when the socket may hold bytes back.
    unflushed: Option<Instant>,
    over: bool,
}

impl<'s, M: Machine, S: Read + Write, T: Timer> Connection<'s, M, S, T> {
    /// A connection of `machine` over `socket`; the boxes lie in memory that the caller lends.
    ///
    /// `finish` shuts the write side down after the last byte, and the read side stays open: `|socket| socket.close()` for
    /// embassy-net and smoltcp. The traits of `embedded-io` know no such call. For a socket that cannot do it,
    /// `|_| ()`: the peer then sees the end when the socket is closed.
    pub fn new(
        socket: S,
        timer: T,
        finish: fn(&mut S),
        machine: M,
        inbox: Inbox<'s>,
        outbox: Outbox<'s>,
    ) -> Self {
        let link = Link::new(machine, inbox, outbox);
        Self { link, socket, flushes: true, timer, finish, unflushed: None, over: false }
    }

    /// The next event, and the right to answer it while it is borrowed. `None`: the connection has ended; close the
    /// socket. It stays at that.
    ///
    /// # Errors
    /// The socket failed, the peer takes nothing, or it broke the protocol; then it was told before you are.
    #[allow(clippy::type_complexity)]
    pub async fn next(
        &mut self,
    ) -> Result<Option<(M::Event<'_>, Reply<'_, 's, M>)>, Error<M::Error, S::Error>> {
        self.catch_up().await?;
        while !self.over {
            let now = self.timer.now();
            let done = match self.link.want(now).map_err(Error::Protocol)? {
                Want::Deliver => return Ok(self.link.turn()),
                Want::Write { until } => self.write(until).await,
                Want::Read { until } | Want::Wait { until } if self.unflushed.is_some() => {
                    self.flush(now, until).await
                }
                Want::Read { until } => self.read(until).await,
                Want::Wait { until: Some(until) } => {
                    self.timer.wait(until).await;
                    Ok(())
                }
                // Only a command moves it on: whoever gives it drops this future.
                Want::Wait { until: None } => pending().await,
                Want::Finish if self.unflushed.is_some() => self.flush(now, None).await,
                Want::Finish => {
                    (self.finish)(&mut self.socket);
                    self.link.shut();
                    Ok(())
                }
                Want::Close if !self.link.outbox.is_empty() => Err(Error::Stalled),
                Want::Close => {
                    log!(debug, "stillwire: ended");
                    self.over = true;
                    Ok(())
                }
            };
            self.checked(done)?;
        }
        Ok(None)
    }

    /// Drives the connection to its end and ignores what the peer still says: what to do after a closing command, or
    /// the closing event, so that the peer gets the last bytes. The machine's deadlines bound it.
    ///
    /// The socket comes back, to be closed or to take the next connection.
    pub async fn end(mut self) -> S {
        // Each machine says one error of its own at most; behind any other nothing follows.
        while matches!(self.next().await, Ok(Some(_)) | Err(Error::Protocol(_))) {}
        self.socket
    }

    /// Another machine takes the socket and the boxes over, as after an upgrade: no byte is lost.
    pub fn switch<N: Machine>(self, machine: impl FnOnce(M) -> N) -> Connection<'s, N, S, T> {
        let Self { link, socket, flushes, timer, finish, unflushed, over } = self;
        Connection { link: link.switch(machine), socket, flushes, timer, finish, unflushed, over }
    }

    /// A task that was away may find a deadline past that its peer has kept: before the machine, or the link, acts on
    /// it, the socket is looked at once.
    async fn catch_up(&mut self) -> Result<(), Error<M::Error, S::Error>> {
        let now = self.timer.now();
        let deadlines = [self.link.machine.deadline(), self.link.stall_deadline(now)];
        if !self.over && deadlines.into_iter().flatten().any(|at| now >= at) {
            if !self.link.outbox.is_empty() {
                let wrote = self.write(Some(now)).await;
                self.checked(wrote)?;
            }
            if self.link.inbox.wants() {
                let read = self.read(Some(now)).await;
                self.checked(read)?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, until: Option<Instant>) -> Result<(), Error<M::Error, S::Error>> {
        match before(self.socket.read(self.link.inbox.spare()), &self.timer, until).await {
            None => {}
            Some(Ok(0)) => self.link.inbox.finish(),
            Some(Ok(n)) => {
                log!(trace, "stillwire: read {}", n);
                self.link.inbox.filled(n);
            }
            Some(Err(error)) => return Err(Error::Socket(error)),
        }
        Ok(())
    }

    async fn write(&mut self, until: Option<Instant>) -> Result<(), Error<M::Error, S::Error>> {
        match before(self.socket.write(self.link.outbox.chunk()), &self.timer, until).await {
            None => {}
            Some(Ok(0)) => return Err(Error::Stalled),
            Some(Ok(n)) => {
                log!(trace, "stillwire: wrote {}", n);
                self.link.outbox.advance(n);
                self.unflushed = self.unflushed.or(self.flushes.then(|| self.timer.now()));
            }
            Some(Err(error)) => return Err(Error::Socket(error)),
        }
        Ok(())
    }

    /// Bounded, too: there are sockets whose `flush` never comes back once the peer has reset the connection.
    async fn flush(&mut self, now: Instant, until: Option<Instant>) -> Result<(), Error<M::Error, S::Error>> {
        let stalled = self.unflushed.unwrap_or(now) + self.link.stall;
        let until = until.map_or(stalled, |at| at.min(stalled));
        match before(self.socket.flush(), &self.timer, Some(until)).await {
            None if until == stalled => Err(Error::Stalled),
            None => Ok(()),
            Some(flushed) => {
                self.unflushed = None;
                flushed.map_err(Error::Socket)
            }
        }
    }

    /// A socket that failed is used no more.
    fn checked(
        &mut self,
        done: Result<(), Error<M::Error, S::Error>>,
    ) -> Result<(), Error<M::Error, S::Error>> {
        if done.is_err() {
            log!(debug, "stillwire: the socket failed, or the peer takes nothing");
            self.over = true;
        }
        done
    }
}

/// What the future has come to by then; it is asked once at least, however late it is.
async fn before<F: Future>(future: F, timer: &impl Timer, until: Option<Instant>) -> Option<F::Output> {
    let Some(until) = until else { return Some(future.await) };
    let (mut future, mut over) = (pin!(future), pin!(timer.wait(until)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.as_mut().poll(cx).map(|()| None),
    })
    .await
}
