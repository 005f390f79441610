//! Accepting a WebSocket.

use core::time::Duration;
use std::io;

use stillwire::{Inbox, Outbox, http, ws};

use crate::{Connection, Error, Socket, client::WebSocket};

/// How to answer requests for a WebSocket. Change what you need of [`Accept::default`].
///
/// ```no_run
/// use stillwire::ws;
/// use stillwire_std::{Accept, Accepted};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (listener, server) = (std::net::TcpListener::bind("127.0.0.1:9001")?, Accept::default());
/// loop {
///     let (socket, _) = listener.accept()?;
///     let server = server.clone();
///     std::thread::spawn(move || {
///         // What the closure returns is kept: say 404 where there is nothing, 403 to those who may not come.
///         let Ok(Accepted { connection: mut peer, request: room, .. }) = server.accept(socket, |request| {
///             if ws::is_same_origin(request) { Ok(request.target().to_owned()) } else { Err(403) }
///         }) else { return };
///         let greeting = format!("this is {room}");
///         let _ = peer.link.machine.send_text(&greeting, &mut peer.link.outbox);
///         while let Ok(Some((event, reply))) = peer.next() {
///             if let ws::Event::Text(text) = event {
///                 let _ = reply.machine.send_text(text, reply.outbox);
///             }
///         }
///         peer.end();
///     });
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accept<'a> {
    /// The subprotocols that are spoken here; the client's first choice of them is taken. Default: none.
    pub subprotocols: &'a [&'a str],
    /// More headers of the answer: cookies. Default: none.
    pub headers: &'a [(&'a str, &'a str)],
    /// The limits and waits of the connection.
    pub config: ws::Config,
    /// The limits and waits of the request. Default: those of HTTP, but 10 s to the first byte
    /// ([`idle_within`](http::Config::idle_within)).
    pub http: http::Config,
    /// The most bytes that wait to be understood, and so, less 139, the largest message that can be received.
    /// Default: 1 MiB and 4 KiB. Memory is taken as bytes arrive.
    pub inbox: usize,
    /// The most bytes that wait to be sent, and so, less some 141, the largest message that can be sent. Default: 2
    /// MiB. Memory is taken as bytes are written.
    pub outbox: usize,
}

impl Default for Accept<'_> {
    fn default() -> Self {
        let mut http = http::Config::default();
        http.idle_within = Duration::from_secs(10);
        Self {
            subprotocols: &[],
            headers: &[],
            config: ws::Config::default(),
            http,
            inbox: (1 << 20) + (4 << 10),
            outbox: 2 << 20,
        }
    }
}

/// A client that was let in.
#[derive(Debug)]
pub struct Accepted<'a, T, S> {
    /// The connection. The answer to the request has been written.
    pub connection: WebSocket<S>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<&'a str>,
    /// What was taken from the request.
    pub request: T,
}

/// Why there is no WebSocket. The client has been told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The headers of the answer cannot be sent.
    #[error("the answer cannot be sent")]
    Answer(#[from] http::SendError),
    /// The request is no HTTP, or did not come in time.
    #[error("the request is not understood")]
    Http(#[from] http::Error),
    /// The request asks for something else, or for a WebSocket in a wrong way.
    #[error(transparent)]
    Upgrade(#[from] ws::UpgradeError),
    /// The application refused, with this status.
    #[error("refused with status {0}")]
    Refused(u16),
    /// The client left without a request.
    #[error("the client left without a request")]
    Left,
}

impl From<Error<http::Error>> for AcceptError {
    fn from(error: Error<http::Error>) -> Self {
        match error {
            Error::Io(error) => Self::Io(error),
            Error::Protocol(error) => Self::Http(error),
        }
    }
}

impl<'a> Accept<'a> {
    /// Reads one request and answers it: an upgrade, or a refusal.
    ///
    /// `decide` sees a request that could be upgraded and says with which status it is refused (400 to 599), or
    /// what is worth keeping of it. Ask [`ws::is_same_origin`] where cookies mean something.
    ///
    /// # Errors
    /// [`AcceptError`]; the connection has then ended in order.
    pub fn accept<T, S: Socket>(
        &self,
        socket: S,
        decide: impl FnOnce(&http::RequestHead<'_>) -> Result<T, u16>,
    ) -> Result<Accepted<'a, T, S>, AcceptError> {
        let (inbox, outbox) = (Inbox::with_limit(self.inbox), Outbox::with_limit(self.outbox));
        let mut connection = Connection::new(socket, http::Exchange::new(self.http), inbox, outbox);
        let (accept, request) = match self.answer(&mut connection, decide) {
            Ok(accepted) => accepted,
            Err(error) => {
                // An answer that could not be sent must not leave the client waiting; one that was sent stays.
                let link = &mut connection.link;
                link.machine.close_after();
                let _ = link.machine.respond(500, &[], b"", &mut link.outbox);
                connection.end();
                return Err(error);
            }
        };
        let config = self.config.clone();
        let mut connection = connection.switch(|_| accept.connection(config));
        connection.flush()?;
        Ok(Accepted { connection, subprotocol: accept.subprotocol(), request })
    }

    fn answer<T, S: Socket>(
        &self,
        connection: &mut Connection<'static, http::Exchange, S>,
        decide: impl FnOnce(&http::RequestHead<'_>) -> Result<T, u16>,
    ) -> Result<(ws::Accept<'a>, T), AcceptError> {
        let Some((http::Event::Head(head), reply)) = connection.next()? else {
            return Err(AcceptError::Left);
        };
        let decided = ws::Accept::new(&head, self.subprotocols, &self.config)
            .map_err(|error| (error.http_status(), error.headers(), AcceptError::Upgrade(error)))
            .and_then(|accept| match decide(&head) {
                Ok(request) => Ok((accept, request)),
                Err(status) => Err((status, &[][..], AcceptError::Refused(status))),
            });
        match decided {
            Ok((accept, request)) => {
                accept.write(self.headers, reply.outbox)?;
                Ok((accept, request))
            }
            Err((status, headers, error)) => {
                reply.machine.close_after();
                reply.machine.respond(status, headers, b"", reply.outbox)?;
                Err(error)
            }
        }
    }
}
