//! WebSocket (RFC 6455), client and server.

mod accept;
mod assembly;
mod close;
mod command;
mod config;
mod connection;
mod error;
mod event;
mod header;
mod mask;
mod offer;
mod upgrade;

pub use accept::{Accept, is_same_origin};
pub use close::is_close_code;
pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use event::Event;
pub use header::{Head, Header, Opcode};
pub use mask::apply_mask;
pub use offer::Offer;
pub use upgrade::UpgradeError;
