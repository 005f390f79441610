//! stillwire on tokio.
pub mod clock;
mod connection;
mod error;
mod timer;

pub use connection::Connection;
pub use error::Error;
