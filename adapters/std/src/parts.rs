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

    /// Another machine takes over, as after an upgrade: no byte is lost.
    pub fn switch<N: Machine>(self, machine: impl FnOnce(M) -> N) -> Connection<'s, N, S> {
        Connection {
            link: self.link.switch(machine),
            socket: self.socket,
            reading: self.reading,
            writing: self.writing,
            over: self.over,
        }
    }
}
