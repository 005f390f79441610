//! Sending compressed messages (RFC 7692 §7.2.1): from the caller's bytes into the outbox, then masked there.

use zlib_rs::{Deflate as State, DeflateConfig, DeflateFlush};

use super::{
    Compress, Connection, Header, Opcode, command::opcode, deflate::Deflate, extension::END,
    header::COMPRESSED, mask::apply_mask, masked::total, state::CONTROL_ROOM,
};
use crate::{Full, Kind, Outbox, SendError};

impl Connection {
    /// Sends a message made of `parts` one behind the other, and says whether to compress it. Text must be UTF-8 as a
    /// whole, which is the caller's promise.
    ///
    /// Compression never makes a send fail: where the outbox lacks room for the worst case (an eighth more than the
    /// message), it is sent as it is.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_with(
        &mut self,
        kind: Kind,
        parts: &[&[u8]],
        compress: Compress,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.check_message()?;
        let len = total(parts);
        if len > 0 && self.wants(compress, len) && self.squeeze(true, opcode(kind), parts, outbox) {
            return Ok(());
        }
        Ok(self.frame(true, opcode(kind), parts, CONTROL_ROOM, outbox)?)
    }

    /// [`send_fragment`](Self::send_fragment), and says whether to compress the message; the `first` part decides. Each
    /// part of a compressed message can be read by the peer when it arrives.
    ///
    /// # Errors
    /// As [`send_fragment`](Self::send_fragment). A later part of a compressed message needs room for its worst case, an
    /// eighth more, or it is [`SendError::Full`].
    pub fn send_fragment_with(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        first: bool,
        last: bool,
        compress: Compress,
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        self.check_fragment(first)?;
        let opcode = if first { opcode(kind) } else { Opcode::Continuation };
        let goes_on = !first && self.extension.as_ref().is_some_and(|extension| extension.sending);
        // Nobody knows how large the message will be, but it was worth being cut.
        let wanted = goes_on || first && self.wants(compress, if last { bytes.len() } else { usize::MAX });
        let squeezed = wanted && self.squeeze(last, opcode, &[bytes], outbox);
        if goes_on && !squeezed {
            return Err(Full { needed: bound(bytes.len()).saturating_add(Header::MAX + CONTROL_ROOM) }.into());
        }
        if !squeezed {
            self.frame(last, opcode, &[bytes], CONTROL_ROOM, outbox)?;
        }
        if let Some(extension) = &mut self.extension {
            extension.sending = squeezed && !last;
        }
        self.sending = !last;
        Ok(())
    }

    fn wants(&self, compress: Compress, len: usize) -> bool {
        let Some(extension) = &self.extension else { return false };
        extension.settings.can_send()
            && match compress {
                Compress::Auto => len >= extension.settings.at_least,
                Compress::Always => true,
                Compress::Never => false,
            }
    }

    /// Writes one compressed frame. `false`, and nothing happened: there is no room for the worst case, or it is not worth it.
    fn squeeze(&mut self, last: bool, opcode: Opcode, parts: &[&[u8]], outbox: &mut Outbox<'_>) -> bool {
        let most = bound(total(parts)).saturating_add(Header::MAX);
        let Some(extension) = &mut self.extension else { return false };
        let settings = extension.settings;
        if outbox.room() < most.saturating_add(CONTROL_ROOM) {
            return false;
        }
        let Ok(room) = outbox.claim(most) else { return false };
        let state = extension.deflate.get_or_insert_with(|| fresh(&settings));
        let made = room.get_mut(Header::MAX..).and_then(|body| compressed(state, parts, last, body));
        let first = opcode != Opcode::Continuation;
        // Without takeover nothing refers to a message that was not sent like that.
        let worth = made.filter(|made| settings.takeover || !first || !last || *made < total(parts));
        match (last, worth) {
            // What was compressed and not sent cannot be referred to.
            (_, None) => extension.deflate = extension.deflate.take().filter(|_| made.is_some()).map(reset),
            (true, Some(_)) if settings.lend => extension.deflate = None,
            (true, Some(_)) if !settings.takeover => extension.deflate = extension.deflate.take().map(reset),
            _ => {}
        }
        let Some(len) = worth else {
            outbox.unclaim(most);
            return false;
        };
        let key = self.entropy.as_mut().map(crate::Entropy::take);
        let head = Header { fin: last, opcode, key, len: len as u64 }.emit();
        let size = head.as_bytes().len();
        room.copy_within(Header::MAX..Header::MAX + len, size);
        if let Some((front, body)) = room.split_at_mut_checked(size) {
            front.copy_from_slice(head.as_bytes());
            if let (Some(byte), true) = (front.first_mut(), first) {
                *byte |= COMPRESSED;
            }
            if let (Some(key), Some(body)) = (key, body.get_mut(..len)) {
                apply_mask(key, body);
            }
        }
        outbox.unclaim(most - size - len);
        true
    }
}

/// The most bytes that `n` bytes become: one eighth and a little more, where zlib's fixed codes meet noise.
const fn bound(n: usize) -> usize {
    n.saturating_add(n / 8).saturating_add(n / 64 + 32)
}

fn fresh(settings: &Deflate) -> State {
    let mut config = DeflateConfig::new(settings.level.clamp(1, 9).into());
    config.window_bits = -i32::from(settings.window_bits);
    config.mem_level = settings.mem_level.clamp(1, 9).into();
    State::new_with_config(config)
}

fn reset(mut state: State) -> State {
    state.reset();
    state
}

/// The number of bytes that `parts` became in `out`; `None` when they did not fit, or zlib failed.
fn compressed(state: &mut State, parts: &[&[u8]], last: bool, out: &mut [u8]) -> Option<usize> {
    let mut end = 0;
    for (i, part) in parts.iter().enumerate() {
        let flush = if i + 1 == parts.len() { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        let mut rest = *part;
        loop {
            let before = (state.total_in(), state.total_out());
            state.compress(rest, out.get_mut(end..)?, flush).ok()?;
            rest = rest.get(usize::try_from(state.total_in() - before.0).ok()?..)?;
            end += usize::try_from(state.total_out() - before.1).ok()?;
            if end >= out.len() {
                return None; // there may be more
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    if !last {
        return Some(end);
    }
    let made = out.get_mut(..end)?;
    match made.strip_suffix(&END) {
        Some(kept) => Some(kept.len()),
        // Nothing to flush since the last fragment: the head of an empty block, of which the rest is cut off (§7.2.3.6).
        None if end == 0 => {
            *out.first_mut()? = 0;
            Some(1)
        }
        None => None,
    }
}
