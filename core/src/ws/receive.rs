//! The slow path: everything that is not one whole, unfragmented data frame.

#[cfg(feature = "deflate")]
use super::header::COMPRESSED;
use super::{
    Connection, Error, Header, Opcode,
    assembly::{Frame, Message},
    close, mask,
    state::{Shown, State, Step},
};
use crate::{Inbox, Instant, Kind, Outbox, slide::slide};

impl Connection {
    /// One frame, or as much of one as can be used up.
    pub(super) fn step(&mut self, inbox: &mut Inbox<'_>, outbox: &mut Outbox<'_>) -> Result<Step, Error> {
        if let (Some(frame), Some(message)) = (self.frame, self.message) {
            #[cfg(feature = "deflate")]
            if message.compressed && self.is_open() {
                return self.inflate(frame, message, inbox);
            }
            return self.payload(frame, message, inbox);
        }
        let raw = inbox.unread().get(self.raw..).unwrap_or_default();
        #[cfg(feature = "deflate")]
        let header = Header::parse_with(raw, self.server, self.extension.is_some())?;
        #[cfg(not(feature = "deflate"))]
        let header = Header::parse(raw, self.server)?;
        match header {
            None => Ok(Step::NeedInput),
            Some(header) if header.opcode.is_control() => self.control(header, inbox, outbox),
            Some(header) => self.data(header, inbox),
        }
    }

    /// The header of a data frame: all that it declares is judged here, before anything is waited for.
    fn data(&mut self, header: Header, inbox: &mut Inbox<'_>) -> Result<Step, Error> {
        let mut message = match (header.opcode, self.message) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Text, None) => Message::new(Kind::Text),
            (Opcode::Binary, None) => Message::new(Kind::Binary),
            _ => return Err(Error::Sequence),
        };
        #[cfg(feature = "deflate")]
        if header.opcode != Opcode::Continuation
            && let Some(extension) = &mut self.extension
        {
            let first = inbox.unread().get(self.raw).copied().unwrap_or_default();
            message.compressed = first & COMPRESSED != 0;
            extension.begin_message();
        }
        message.fragments = message.fragments.saturating_add(1);
        // What comes after our close frame is dropped, so its size does not matter.
        if self.is_open() {
            if message.fragments > self.config.max_fragments {
                return Err(Error::TooManyFragments { limit: self.config.max_fragments });
            }
            self.count(&mut message, header.len)?;
        }
        self.raw += header.size();
        if self.held == 0 {
            // The payload stays where it is.
            inbox.consume(core::mem::take(&mut self.raw));
        }
        self.message = Some(message);
        self.frame = Some(Frame { fin: header.fin, left: header.len, key: header.key.unwrap_or_default() });
        Ok(Step::Again)
    }

    /// The declared length of a plain frame counts at once, that of a compressed one says nothing.
    #[inline]
    fn count(&self, message: &mut Message, len: u64) -> Result<(), Error> {
        #[cfg(feature = "deflate")]
        if message.compressed {
            return Ok(());
        }
        let too_large = Error::TooLarge { limit: self.largest() };
        let len = usize::try_from(len).map_err(|_| too_large)?;
        if len > self.largest().saturating_sub(message.total) {
            return Err(too_large);
        }
        message.total += len;
        Ok(())
    }

    /// Payload of a data frame joins what is held as it arrives.
    fn payload(&mut self, frame: Frame, message: Message, inbox: &mut Inbox<'_>) -> Result<Step, Error> {
        let here = inbox.unread().len().saturating_sub(self.raw);
        let mut n = usize::try_from(frame.left).unwrap_or(usize::MAX).min(here);
        if n == 0 && frame.left > 0 {
            return Ok(Step::NeedInput);
        }
        if !self.is_open() {
            let left = frame.left - n as u64;
            self.frame = (left > 0).then_some(Frame { left, ..frame });
            inbox.consume(self.raw + n);
            self.raw = 0;
            self.message = (left > 0 || !frame.fin).then_some(message);
            return Ok(Step::Again);
        }
        n = n.min(self.most().saturating_sub(self.held));
        if self.server {
            mask::unmask_to(frame.key, inbox.unread_mut(), self.raw..self.raw + n, self.held);
        } else if self.held < self.raw {
            slide(inbox.unread_mut(), self.raw..self.raw + n, self.held);
        }
        self.held += n;
        self.raw += n;
        let frame = Frame { left: frame.left - n as u64, key: mask::rotated(frame.key, n), ..frame };
        self.joined(frame, message, frame.left == 0, inbox)
    }

    /// What follows from what is new in `held`. `done`: the frame has nothing more.
    #[inline]
    pub(super) fn joined(
        &mut self,
        frame: Frame,
        mut message: Message,
        done: bool,
        inbox: &Inbox<'_>,
    ) -> Result<Step, Error> {
        let held = inbox.unread().get(..self.held).unwrap_or_default();
        let over = self.pieces && self.held > self.limit;
        let ended = done && frame.fin && !over;
        message.check(held, ended)?;
        if over {
            self.at = 0..message.cut(held, self.limit);
            self.shown = Shown::Piece { kind: message.kind, first: !message.begun, last: false };
            message.begun = true;
            (self.message, self.frame) = (Some(message), Some(frame));
            return Ok(Step::Event);
        }
        self.frame = (!done).then_some(frame);
        if !ended {
            self.message = Some(message);
            return Ok(Step::Again);
        }
        self.message = None;
        self.at = 0..core::mem::take(&mut self.held);
        self.shown = match message.kind {
            kind if message.begun => Shown::Piece { kind, first: false, last: true },
            Kind::Text => Shown::Text,
            Kind::Binary => Shown::Binary,
        };
        Ok(Step::Event)
    }

    /// A control frame, once all of it is there (at most 131 bytes).
    fn control(
        &mut self,
        header: Header,
        inbox: &mut Inbox<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Step, Error> {
        let start = self.raw + header.size();
        let at = start..start + usize::try_from(header.len).unwrap_or(close::MAX_CONTROL);
        let Some(payload) = inbox.unread_mut().get_mut(at.clone()) else { return Ok(Step::NeedInput) };
        if let Some(key) = header.key {
            mask::apply_mask(key, payload);
        }
        self.raw = at.end;
        self.at = at;
        match header.opcode {
            Opcode::Ping => {
                // §5.5.2; also after our close frame, as long as the peer's has not come.
                let _ = self.write(Opcode::Pong, &[payload], outbox);
                self.shown = Shown::Ping;
            }
            Opcode::Close => {
                let code = close::parse(payload)?;
                if self.is_open() {
                    // §5.5.1: our close frame says the same code.
                    let echo = payload.get(..2).unwrap_or_default();
                    let _ = self.write(Opcode::Close, &[echo], outbox);
                }
                if self.server {
                    outbox.finish();
                }
                self.at.start = self.at.end.min(self.at.start + 2);
                self.shown = Shown::Closed(code);
                (self.state, self.until) = (State::Lingering, Instant::MAX);
            }
            _ => self.shown = Shown::Pong,
        }
        Ok(Step::Event)
    }
}
