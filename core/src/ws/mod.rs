//! WebSocket (RFC 6455), client and server.

mod assembly;
mod close;
mod command;
mod config;
mod connection;
mod error;
mod event;
mod header;
mod mask;

pub use close::is_close_code;
pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use event::Event;
pub use header::{Head, Header, Opcode};
pub use mask::apply_mask;
