//! Long polling: messages over plain HTTP requests, each exactly once, in both directions.
mod answer;
mod batch;
mod config;
mod connection;
mod desk;
mod error;
mod event;
mod record;
mod request;
mod session;

pub use answer::{Answer, HEADERS};
pub use batch::Batch;
pub use config::Config;
pub use connection::Connection;
pub use desk::{Desk, Policy, Second, Ticket, Tray, Turned};
pub use error::Error;
pub use event::Event;
pub use request::{Refused, Request, Sid};
pub use session::{Ack, Served, Session};
