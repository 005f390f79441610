//! The three transports as one machine: `Machine` has no `dyn`, so the set is an enum, and the enum is small.

use bytes::Bytes;
use core::time::Duration;
use stillwire::{
    Inbox, Incoming, Instant, Kind, Machine, Outbox, Progress, SendError, Transport, http,
    hub::{Dialect, Shared},
    polling, sse, ws,
};

use crate::Carrier;

/// From this size on, a copy costs more than a slice of its own in a vectored write.
pub(crate) const SHARE_FROM: usize = 4 << 10;

/// Whatever a peer speaks.
#[derive(Debug)]
pub(crate) enum Protocol {
    WebSocket(ws::Connection),
    Events(sse::Feed),
    Polling(polling::Connection),
}

/// What a peer did to end its connection, by protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A WebSocket.
    #[error(transparent)]
    WebSocket(#[from] ws::Error),
    /// The HTTP exchange below an event stream.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// Long polling.
    #[error(transparent)]
    Polling(#[from] polling::Error),
}

macro_rules! each {
    ($self:ident, $machine:ident => $do:expr) => {
        match $self {
            Self::WebSocket($machine) => $do,
            Self::Events($machine) => $do,
            Self::Polling($machine) => $do,
        }
    };
}

impl Machine for Protocol {
    type Event<'i> = Incoming<'i>;
    type Error = ProtocolError;

    fn advance(
        &mut self,
        now: Instant,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Progress, ProtocolError> {
        Ok(each!(self, machine => machine.advance(now, inbox, outbox)?))
    }

    fn event<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        each!(self, machine => machine.incoming(inbox))
    }

    fn deadline(&self) -> Option<Instant> {
        each!(self, machine => machine.deadline())
    }

    fn release(&mut self, inbox: &mut Inbox<'_>) {
        each!(self, machine => machine.release(inbox));
    }
}

impl Transport for Protocol {
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        self.event(inbox)
    }

    fn send(&mut self, kind: Kind, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        each!(self, machine => machine.send(kind, parts, outbox))
    }

    fn close(&mut self, reason: &str, outbox: &mut Outbox<'_>) {
        each!(self, machine => machine.close(reason, outbox));
    }
}

impl Protocol {
    pub(crate) fn carrier(&self) -> Carrier {
        match self {
            Self::WebSocket(_) => Carrier::WebSocket,
            Self::Events(_) => Carrier::Events,
            Self::Polling(_) => Carrier::Polling,
        }
    }

    /// Sends a message whose payload may be shared: a large one is not copied where the bytes on the wire are its own.
    pub(crate) fn send_owned(
        &mut self,
        kind: Kind,
        payload: &Bytes,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        match self {
            Self::WebSocket(machine) if payload.len() >= SHARE_FROM => {
                machine.send_bytes(kind, payload, outbox)
            }
            _ => self.send(kind, &[payload], outbox),
        }
    }

    /// Sends what many get: encoded once for all of them where the bytes are the same for all.
    pub(crate) fn send_shared(&mut self, message: &Shared, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        match self {
            Self::WebSocket(machine) => {
                let encode = |kind, payload: &Bytes| ws::encode(kind, &[payload]);
                machine.send_encoded(message.form(Dialect::WebSocket, encode), outbox)
            }
            Self::Events(feed) => {
                let encode = |kind, payload: &Bytes| match kind {
                    Kind::Text => sse::Block::message(&[payload]).to_bytes().map_err(SendError::from),
                    Kind::Binary => Err(SendError::Unsuitable),
                };
                feed.send_shared(message.try_form(Dialect::Events, encode)?, outbox)
            }
            Self::Polling(machine) => machine.send(message.kind(), &[message.payload()], outbox),
        }
    }

    /// The goodbye with a hint when to come back, as each protocol can say it.
    ///
    /// # Errors
    /// [`SendError::Full`]: nothing was said, it goes on.
    pub(crate) fn dismiss(&mut self, after: Duration, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        let reason = format!("come back in {} ms", after.as_millis());
        // "Service restart": clients take it for a reason to connect again.
        const SERVICE_RESTART: u16 = 1012;
        match self {
            Self::WebSocket(machine) => machine.send_close(SERVICE_RESTART, &reason, outbox),
            Self::Polling(machine) => machine.send_close(SERVICE_RESTART, &reason, outbox),
            Self::Events(feed) => {
                feed.retry(after, outbox)?;
                feed.close("", outbox);
                Ok(())
            }
        }
    }
}
