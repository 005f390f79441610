#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
#![doc = include_str!("lib.md")]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod base64;
mod decimal;
mod entropy;
mod find;
mod inbox;
mod link;
mod machine;
mod outbox;
mod slide;
mod text;
mod time;
mod transport;

pub mod http;
#[cfg(feature = "alloc")]
pub mod hub;
pub mod json;
pub mod polling;
pub mod sse;
pub mod ws;

pub use entropy::Entropy;
pub use inbox::Inbox;
#[cfg(feature = "count-work")]
#[doc(hidden)]
pub use inbox::Work;
pub use link::{Link, Reply, Want};
pub use machine::{Machine, Progress};
pub use outbox::{Full, Outbox};
pub use text::Text;
pub use time::Instant;
pub use transport::{Incoming, Kind, SendError, Transport};
