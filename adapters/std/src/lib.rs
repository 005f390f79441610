//! `stillwire` on blocking sockets: a thread per connection.
//!
//! The protocols are machines in the crate `stillwire`; this crate reads, writes, waits and tells the time, and knows
//! nothing about any of them.
//!
//! * [`connect`] and [`Connect`], [`Accept`]: to a WebSocket, from either side.
//! * [`Connection`]: one thread drives a machine on a socket.
//! * [`Connection::split`]: one thread reads, others write meanwhile.
//! * [`Socket`]: what it runs on: TCP, Unix sockets, or yours.
//! * [`now`] and [`entropy`]: the clock and the random numbers of the system.

// This crate is std.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

use std::sync::OnceLock;

mod client;
mod connection;
mod error;
mod server;
mod socket;
mod split;

pub use client::{Connect, ConnectError, WebSocket, connect};
pub use connection::Connection;
pub use error::Error;
pub use server::{Accept, AcceptError, Accepted};
pub use socket::Socket;
pub use split::{Reader, WriteError, Writer};

/// The moment it is, for machines: since the first call in this process.
#[must_use]
pub fn now() -> stillwire::Instant {
    static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();
    stillwire::Instant::since_epoch(EPOCH.get_or_init(std::time::Instant::now).elapsed())
}

/// Unpredictable bytes from the system.
///
/// # Panics
/// Not this, but the machine that uses it, when the system has no random bytes to give: going on with predictable
/// ones would be worse.
#[must_use]
pub fn entropy() -> stillwire::Entropy {
    stillwire::Entropy::from_fn(|bytes| {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the system has no random bytes: {error}");
        }
    })
}
