//! What can happen on a polling connection.

use crate::Text;

/// What the other end sent, as a view of the inbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'i> {
    /// A text message.
    Text(Text<'i>),
    /// A binary message, decoded.
    Binary(&'i [u8]),
    /// It is over: the last word. Nothing can be sent any more.
    Closed {
        /// The other end's code, or ours when it was we who closed, with the meaning of RFC 6455 §7.4. 1006: the
        /// connection was lost, nobody closed it.
        code: u16,
        /// The other end's reason; empty when it gave none.
        reason: Text<'i>,
    },
}
