//! Sending: whole or not at all.

use super::{
    Connection, Header, Opcode, close, is_close_code,
    mask::copy,
    masked::total,
    state::{CONTROL_ROOM, State},
};
use crate::{Full, Inbox, Incoming, Kind, Machine, Outbox, SendError, Text, Transport};

impl Connection {
    /// Sends a text message.
    ///
    /// # Errors
    /// [`SendError::NotOpen`] once either side has closed, [`SendError::Unsuitable`] between the fragments of
    /// another message, [`SendError::Full`]: there must be room for the frame and, behind it, 131 bytes for a close
    /// frame.
    #[inline]
    pub fn send_text<'t>(
        &mut self,
        text: impl Into<Text<'t>>,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.send_message(Kind::Text, &[text.into().as_bytes()], outbox)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send_message(Kind::Binary, &[bytes], outbox)
    }

    /// Sends a part of a message, when the whole is not there yet: the `first` part names the kind, the `last` one
    /// ends it, pings and the close frame may go between them (RFC 6455 §5.4). The parts of a text must be UTF-8 once
    /// joined; that is the caller's promise and is not checked.
    ///
    /// Where compression was agreed on, the message is compressed, part by part.
    ///
    /// # Errors
    /// [`SendError::Unsuitable`] when `first` comes inside of a message or a later part without a first one;
    /// otherwise as [`send_text`](Self::send_text).
    pub fn send_fragment(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        first: bool,
        last: bool,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.extension.is_some() {
            return self.send_fragment_with(kind, bytes, first, last, super::Compress::Auto, outbox);
        }
        self.check_fragment(first)?;
        let opcode = if first { opcode(kind) } else { Opcode::Continuation };
        self.frame(last, opcode, &[bytes], CONTROL_ROOM, outbox)?;
        self.sending = !last;
        Ok(())
    }

    pub(super) fn check_fragment(&self, first: bool) -> Result<(), SendError> {
        self.check_open()?;
        if first == self.sending { Err(SendError::Unsuitable) } else { Ok(()) }
    }

    /// Sends a ping with at most 125 bytes. Rarely needed: see [`Config::ping_every`](super::Config::ping_every).
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::TooLarge`] above 125 bytes, [`SendError::Full`].
    pub fn send_ping(&mut self, payload: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.signal(Opcode::Ping, payload, outbox)
    }

    /// Sends a pong that nobody asked for, with at most 125 bytes: a one-way sign of life (RFC 6455 §5.5.3). Pings
    /// are answered without it.
    ///
    /// # Errors
    /// As [`send_ping`](Self::send_ping).
    pub fn send_pong(&mut self, payload: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.signal(Opcode::Pong, payload, outbox)
    }

    /// Begins the closing handshake (RFC 6455 §7.1.2). Nothing more can be sent; messages that still arrive are
    /// dropped, pings are answered. [`Event::Closed`](super::Event::Closed) comes with the peer's close frame, or
    /// [`Error::TimedOut`](super::Error::TimedOut) after
    /// [`Config::close_within`](super::Config::close_within), counted from the next `advance`.
    ///
    /// A `reason` of more than 123 bytes is cut between characters, and where the outbox has no room for it, it is
    /// left out.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::Unsuitable`] for a [code that may not be sent](is_close_code).
    /// [`SendError::Full`] only if others wrote into the outbox: this machine always keeps room for a close frame.
    pub fn send_close(&mut self, code: u16, reason: &str, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_open()?;
        if !is_close_code(code) {
            return Err(SendError::Unsuitable);
        }
        let code = code.to_be_bytes();
        let with_reason = self.write(Opcode::Close, &[&code, close::cut(reason).as_bytes()], outbox);
        with_reason.or_else(|_| self.write(Opcode::Close, &[&code], outbox))?;
        self.closing();
        Ok(())
    }

    fn signal(&mut self, opcode: Opcode, payload: &[u8], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > close::MAX_CONTROL {
            return Err(SendError::TooLarge { limit: close::MAX_CONTROL });
        }
        Ok(self.any_frame(true, opcode, &[payload], CONTROL_ROOM, outbox)?)
    }

    #[inline(always)]
    pub(super) fn send_message(
        &mut self,
        kind: Kind,
        parts: &[&[u8]],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.extension.is_some() {
            return self.send_with(kind, parts, super::Compress::Auto, outbox);
        }
        self.check_message()?;
        Ok(self.frame(true, opcode(kind), parts, CONTROL_ROOM, outbox)?)
    }

    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.state == State::Open { Ok(()) } else { Err(SendError::NotOpen) }
    }

    /// Whether a whole message can be sent now.
    #[inline]
    pub(super) fn check_message(&self) -> Result<(), SendError> {
        self.check_open()?;
        if self.sending { Err(SendError::Unsuitable) } else { Ok(()) }
    }

    /// A control frame of the machine itself: it may use the room that is kept for it.
    #[inline(never)]
    pub(super) fn write(
        &mut self,
        opcode: Opcode,
        parts: &[&[u8]],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), Full> {
        self.frame(true, opcode, parts, 0, outbox)
    }

    /// Writes one frame when `keep` bytes are free behind it.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    #[cfg_attr(target_os = "none", inline)]
    pub(super) fn frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        parts: &[&[u8]],
        keep: usize,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), Full> {
        // The other path does the same; where flash is counted in kilobytes it does so alone.
        if cfg!(not(target_os = "none"))
            && let &[part] = parts
            && part.len() < 1 << 16
            && self.frame_at_hand(fin, opcode, part, keep, outbox).is_some()
        {
            return Ok(());
        }
        self.any_frame(fin, opcode, parts, keep, outbox)
    }

    /// A frame below 64 KiB where memory is at hand. The key is taken only for a frame that fits: who fails changes nothing.
    #[inline]
    fn frame_at_hand(
        &mut self,
        fin: bool,
        opcode: Opcode,
        part: &[u8],
        keep: usize,
        outbox: &mut Outbox<'_>,
    ) -> Option<()> {
        const KEY: usize = 4;
        const OVER: usize = size_of::<u64>() - 2;
        let len = part.len();
        let header = Header { fin, opcode, key: None, len: len as u64 };
        let n = header.size() + len;
        match &mut self.entropy {
            None => write_frame(&header, part, outbox.claim_at_hand(n, OVER, keep)?),
            Some(entropy) => {
                let room = outbox.claim_at_hand(n + KEY, OVER, keep)?;
                write_frame(&Header { key: Some(entropy.take()), ..header }, part, room)
            }
        }
    }

    #[inline(never)]
    fn any_frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        parts: &[&[u8]],
        keep: usize,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), Full> {
        let Some(entropy) = &mut self.entropy else {
            let len = total(parts);
            let header = Header { fin, opcode, key: None, len: len as u64 };
            let needed = len.saturating_add(header.size() + keep);
            if outbox.room() < needed {
                return Err(Full { needed });
            }
            outbox.put(&[header.emit().as_bytes()])?;
            return outbox.put(parts);
        };
        #[cfg(target_os = "none")]
        return self.masked.map_or(Ok(()), |masked| masked(entropy, fin, opcode, parts, keep, outbox));
        #[cfg(not(target_os = "none"))]
        super::masked::masked(entropy, fin, opcode, parts, keep, outbox)
    }
}

#[inline(always)]
fn write_frame(header: &Header, part: &[u8], room: &mut [u8]) -> Option<()> {
    *room.first_chunk_mut()? = header.word()?.to_le_bytes();
    let size = header.size();
    copy(header.key, part, room.get_mut(size..size + part.len())?);
    Some(())
}

pub(super) const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

impl Transport for Connection {
    #[inline]
    fn incoming<'i>(&self, inbox: &'i Inbox<'_>) -> Option<Incoming<'i>> {
        use super::Event;
        Some(match self.event(inbox)? {
            Event::Text(text) => Incoming::Text(text),
            Event::Binary(bytes) => Incoming::Binary(bytes),
            Event::Closed { .. } => Incoming::Closed,
            // A layer above takes whole messages: it leaves `Config::piece` alone.
            Event::Ping(_) | Event::Pong(_) | Event::Piece { .. } => Incoming::Other,
        })
    }

    #[inline]
    fn send(&mut self, kind: Kind, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        self.send_message(kind, parts, outbox)
    }

    /// With code 1000.
    fn close(&mut self, reason: &str, outbox: &mut Outbox<'_>) {
        let _ = self.send_close(1000, reason, outbox);
    }
}
