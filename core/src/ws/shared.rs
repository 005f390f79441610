//! Frames and payloads that are sent without a copy.

use alloc::vec::Vec;
use bytes::Bytes;

use super::{Connection, Header, command::opcode, masked::total, state::CONTROL_ROOM};
use crate::{Full, Kind, Outbox, SendError};

/// One unmasked message as a frame that a server can send to many: encode it once, then
/// [`send_encoded`](Connection::send_encoded) it to each.
///
/// `parts` lie one behind the other in the message; text must be UTF-8 as a whole, which is the caller's promise.
///
/// ```
/// use stillwire::{Kind, Outbox, ws};
///
/// let frame = ws::encode(Kind::Text, &[b"hello"]);
/// for _ in 0..1000 {
///     let (mut outbox, mut server) = (Outbox::with_limit(256), ws::Connection::server(ws::Config::default()));
///     server.send_encoded(&frame, &mut outbox)?;
///     assert_eq!(outbox.chunk(), b"\x81\x05hello");
/// }
/// # Ok::<(), stillwire::SendError>(())
/// ```
#[must_use]
pub fn encode(kind: Kind, parts: &[&[u8]]) -> Bytes {
    let len = total(parts);
    let head = Header { fin: true, opcode: opcode(kind), key: None, len: len as u64 }.emit();
    let mut frame = Vec::with_capacity(head.as_bytes().len() + len);
    frame.extend_from_slice(head.as_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    Bytes::from(frame)
}

impl Connection {
    /// Sends a message that was [encoded](encode) once for many. From 512 bytes on it is not copied. Only a server
    /// can: a client masks each frame with a key of its own.
    ///
    /// # Errors
    /// [`SendError::Unsuitable`] from a client; otherwise as [`send_text`](Self::send_text).
    pub fn send_encoded(&mut self, frame: &Bytes, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_message()?;
        if !self.server {
            return Err(SendError::Unsuitable);
        }
        keep_room(frame.len(), outbox)?;
        Ok(outbox.push_shared(frame)?)
    }

    /// Sends a message without copying its payload, if this is a server and it has 512 bytes or more; worth it from
    /// about 4 KiB. Text must be UTF-8, which is the caller's promise. Where compression was agreed on, this is an
    /// ordinary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_bytes(
        &mut self,
        kind: Kind,
        payload: &Bytes,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.extension.is_some() {
            return self.send_message(kind, &[payload], outbox);
        }
        if !self.server {
            return self.send_message(kind, &[payload], outbox);
        }
        self.check_message()?;
        let head = Header { fin: true, opcode: opcode(kind), key: None, len: payload.len() as u64 }.emit();
        keep_room(head.as_bytes().len().saturating_add(payload.len()), outbox)?;
        outbox.put(&[head.as_bytes()])?;
        Ok(outbox.push_shared(payload)?)
    }
}

/// Room for a frame of `size` bytes and a close frame behind it.
fn keep_room(size: usize, outbox: &Outbox<'_>) -> Result<(), Full> {
    let needed = size.saturating_add(CONTROL_ROOM);
    if outbox.room() < needed { Err(Full { needed }) } else { Ok(()) }
}
