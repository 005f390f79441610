//! What compression remembers of a connection: the settings that were agreed on, and zlib's states.

use core::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Deflate, Error};

/// The inbox takes so many bytes of compressed input while it keeps room for the largest message.
pub(super) const READ_WINDOW: usize = 1024;
/// What a sender cuts off at the end of a message (§7.2.1).
pub(super) const END: [u8; 4] = [0, 0, 0xff, 0xff];
/// Nothing refers further back.
const WINDOW: usize = 1 << 15;

/// What was agreed on, and the states, which exist from their first use on.
pub(super) struct Extension {
    pub(super) settings: Deflate,
    pub(super) deflate: Option<zlib_rs::Deflate>,
    /// The message that goes out in fragments is compressed.
    pub(super) sending: bool,
    inflate: Option<Inflate>,
    /// So many bytes of the frame's payload in `raw` are unmasked.
    pub(super) clear: usize,
    /// So many bytes of [`END`] were fed.
    pub(super) tail: usize,
    /// The last output filled its room: there may be more without more input.
    pub(super) pending: bool,
    /// Nothing was read since the message, or a stream inside of it, began.
    pub(super) fresh: bool,
}

/// The states have no form to show.
impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Extension {
    pub(super) const fn new(settings: Deflate) -> Self {
        Self {
            settings,
            deflate: None,
            sending: false,
            inflate: None,
            clear: 0,
            tail: 0,
            pending: false,
            fresh: true,
        }
    }

    pub(super) fn begin_message(&mut self) {
        (self.clear, self.tail, self.pending, self.fresh) = (0, 0, false, true);
    }

    pub(super) fn end_message(&mut self) {
        if self.settings.lend {
            self.inflate = None;
        } else if let (Some(state), false) = (&mut self.inflate, self.settings.peer_takeover) {
            state.reset(false);
        }
    }

    /// One step from `input` to `output`: the bytes used, the bytes made, and whether it is deflate data.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> (usize, usize, Result<Status, Error>) {
        // The window is always the largest: it costs the same, and holds every smaller one.
        let state = self.inflate.get_or_insert_with(|| Inflate::new(false, 15));
        let before = (state.total_in(), state.total_out());
        let status = state.decompress(input, output, InflateFlush::SyncFlush);
        let used = usize::try_from(state.total_in() - before.0).unwrap_or(input.len());
        let made = usize::try_from(state.total_out() - before.1).unwrap_or(output.len());
        self.pending = made == output.len();
        self.fresh &= used == 0;
        (used, made, status.map_err(|_| Error::Deflate))
    }

    /// Behind a final block a new stream begins, and may refer to what came before it in its message (§7.2.3.5). What came
    /// in earlier messages is forgotten: who ends a stream has no history of it either, and zlib does not give it back.
    pub(super) fn begin_stream(&mut self, held: &[u8]) {
        (self.pending, self.fresh) = (false, true);
        if let Some(state) = &mut self.inflate {
            state.reset(false);
            let history = held.get(held.len().saturating_sub(WINDOW)..).unwrap_or_default();
            let _ = state.set_dictionary(history);
        }
    }
}
