//! The slow path: everything that is not one whole, unfragmented data frame.

use super::{
    Connection, Error, Header, Opcode,
    assembly::{Frame, Message},
    close, mask,
    state::{Shown, State, Step},
};
use crate::{Inbox, Kind, Outbox, inbox::slide};

impl Connection {
    /// One frame, or as much of one as can be used up.
    pub(super) fn step(&mut self, inbox: &mut Inbox<'_>, outbox: &mut Outbox<'_>) -> Result<Step, Error> {
        if let (Some(frame), Some(message)) = (self.frame, self.message) {
            return self.payload(frame, message, inbox);
        }
        let raw = inbox.unread().get(self.raw..).unwrap_or_default();
        match Header::parse(raw, self.server)? {
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
        message.fragments = message.fragments.saturating_add(1);
        // What comes after our close frame is dropped, so its size does not matter.
        let left = if self.is_open() {
            if message.fragments > self.config.max_fragments.max(1) {
                return Err(Error::TooManyFragments { limit: self.config.max_fragments });
            }
            let too_large = Error::TooLarge { limit: self.limit };
            let left = usize::try_from(header.len).map_err(|_| too_large)?;
            if left > self.limit.saturating_sub(self.held) {
                return Err(too_large);
            }
            left as u64
        } else {
            header.len
        };
        self.raw += header.size();
        if self.held == 0 {
            // The payload stays where it is.
            inbox.consume(core::mem::take(&mut self.raw));
        }
        self.message = Some(message);
        self.frame = Some(Frame { fin: header.fin, left, key: header.key.unwrap_or_default() });
        Ok(Step::Again)
    }

    /// Payload of a data frame joins what is held as it arrives.
    fn payload(&mut self, frame: Frame, message: Message, inbox: &mut Inbox<'_>) -> Result<Step, Error> {
        let (mut frame, mut message) = (frame, message);
        let here = inbox.unread().len().saturating_sub(self.raw);
        let n = usize::try_from(frame.left).unwrap_or(usize::MAX).min(here);
        if n == 0 && frame.left > 0 {
            return Ok(Step::NeedInput);
        }
        frame.left -= n as u64;
        let ended = frame.left == 0 && frame.fin;
        self.frame = (frame.left > 0).then_some(Frame { key: mask::rotated(frame.key, n), ..frame });
        if !self.is_open() {
            inbox.consume(self.raw + n);
            self.raw = 0;
            self.message = (!ended).then_some(message);
            return Ok(Step::Again);
        }
        if self.server {
            mask::unmask_to(frame.key, inbox.unread_mut(), self.raw..self.raw + n, self.held);
        } else if self.held < self.raw {
            slide(inbox.unread_mut(), self.raw..self.raw + n, self.held);
        }
        self.held += n;
        self.raw += n;
        message.check(inbox.unread().get(..self.held).unwrap_or_default(), ended)?;
        if !ended {
            self.message = Some(message);
            return Ok(Step::Again);
        }
        self.message = None;
        self.at = 0..core::mem::take(&mut self.held);
        self.shown = if message.kind == Kind::Text { Shown::Text } else { Shown::Binary };
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
                (self.state, self.until) = (State::Lingering, None);
            }
            _ => self.shown = Shown::Pong,
        }
        Ok(Step::Event)
    }
}
