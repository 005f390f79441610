//! Receiving compressed messages (RFC 7692 §7.2.2): payload is inflated in the inbox, from `raw` into the gap before it.

use alloc::boxed::Box;

use zlib_rs::Status;

use super::{
    Connection, Deflate, Error,
    assembly::{Frame, Message},
    extension::{END, Extension},
    mask,
    state::Step,
};
use crate::Inbox;

/// The gap is widened when there is less room than this for output.
const SMALL_GAP: usize = 64;

impl Connection {
    /// The same connection with compression.
    pub(super) fn with(mut self, settings: Deflate) -> Self {
        self.extension = Some(Box::new(Extension::new(settings)));
        self
    }

    /// Payload of a compressed frame joins what is held, inflated.
    pub(super) fn inflate(
        &mut self,
        mut frame: Frame,
        mut message: Message,
        inbox: &mut Inbox<'_>,
    ) -> Result<Step, Error> {
        let (most, largest) = (self.most(), self.largest());
        let Some(mut extension) = self.extension.take() else { return Err(Error::Reserved) };
        self.clear(&mut extension, &mut frame, inbox);
        let mut moved = false;
        let mut verdict = Ok(());
        while verdict.is_ok() && !(self.pieces && self.held == most) {
            let ending = frame.left == 0 && frame.fin;
            if ending && extension.fresh {
                // Nothing to end: an empty message, or a final block without the empty one behind it.
                extension.tail = END.len();
            }
            let left = if ending { END.len() - extension.tail } else { extension.clear };
            if left == 0 && !extension.pending {
                break;
            }
            let room = (most - self.held).min(largest - message.total);
            if self.raw - self.held < room.min(SMALL_GAP) {
                self.raw = inbox.widen_gap(self.held..self.raw, SMALL_GAP);
            }
            let Some((front, raw)) = inbox.unread_mut().split_at_mut_checked(self.raw) else { break };
            let input = if ending { END.get(extension.tail..) } else { raw.get(..extension.clear) };
            let mut probe = [0];
            let output = match front.get_mut(self.held..) {
                // At the limit, one byte more tells that there is one.
                _ if room == 0 => &mut probe[..],
                Some(gap) => {
                    let n = gap.len().min(room);
                    gap.get_mut(..n).unwrap_or_default()
                }
                None => break,
            };
            if output.is_empty() {
                // What came before the first `keep` takes the room.
                verdict = Err(Error::TooLarge { limit: largest });
                break;
            }
            let (used, made, status) = extension.step(input.unwrap_or_default(), output);
            moved |= used > 0 || made > 0;
            if ending {
                extension.tail += used;
            } else {
                extension.clear -= used;
                frame.left -= used as u64;
                self.raw += used;
            }
            if room == 0 && made > 0 {
                verdict = Err(Error::TooLarge { limit: largest });
                break;
            }
            self.held += made;
            message.total += made;
            match status {
                Ok(Status::StreamEnd) => {
                    extension.begin_stream(inbox.unread().get(..self.held).unwrap_or_default());
                }
                Ok(_) if used == 0 && made == 0 => {
                    extension.pending = false;
                    break;
                }
                Ok(_) => {}
                Err(error) => verdict = Err(error),
            }
        }
        let all = frame.left == 0 && !extension.pending && verdict.is_ok();
        let done = all && (!frame.fin || extension.tail == END.len());
        if done && frame.fin && self.held <= self.limit {
            extension.end_message();
        }
        // A bad character, or a whole piece, comes before what is wrong behind it.
        extension.pending |= verdict.is_err();
        self.extension = Some(extension);
        if !moved && !done && verdict.is_ok() && self.held <= self.limit {
            (self.frame, self.message) = (Some(frame), Some(message));
            return Ok(Step::NeedInput);
        }
        match self.joined(frame, message, done, inbox)? {
            Step::Event => Ok(Step::Event),
            step => verdict.map(|()| step),
        }
    }

    /// Unmasks what has arrived of the frame, once.
    fn clear(&self, extension: &mut Extension, frame: &mut Frame, inbox: &mut Inbox<'_>) {
        let here = inbox.unread().len().saturating_sub(self.raw);
        let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(here);
        let fresh = self.raw + extension.clear..self.raw + here;
        if let (true, Some(bytes)) = (self.server, inbox.unread_mut().get_mut(fresh)) {
            mask::apply_mask(frame.key, bytes);
            frame.key = mask::rotated(frame.key, bytes.len());
        }
        extension.clear = here;
    }
}
