//! (being built)

mod body;
mod config;
mod error;
mod event;
mod exchange;
mod fetch;
mod head;
mod view;
mod wait;
mod write;

pub use config::Config;
pub use error::{Error, SendError};
pub use event::{Answer, Event, RequestHead, ResponseHead};
pub use exchange::{Exchange, Framing};
pub use fetch::Fetch;
pub use view::{RequestView, ResponseView};
