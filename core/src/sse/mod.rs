//! sse
mod config;
mod draft;
mod error;
mod event;
mod field;
mod stream;
mod utf8;
pub use config::{Config, FeedConfig};
pub use error::{BlockError, Error};
pub use event::{Event, Gone};
pub use stream::Stream;
