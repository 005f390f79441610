//! What a connection is made of.

use stillwire::{Link, Machine};

use crate::Connection;

impl<'s, M: Machine, S> Connection<'s, M, S> {
    /// The socket, for its address, say.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket and all that belongs to the protocol, to be driven by something else.
    pub fn into_parts(self) -> (S, Link<'s, M>) {
        (self.socket, self.link)
    }
}
