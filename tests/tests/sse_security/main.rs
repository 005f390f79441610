//! Every attack that is known against Server-Sent Events, as a test: one for each row of the table in
//! `vectors/README.md`.

mod client;
mod server;
mod stream;

use stillwire::Instant;

fn now() -> Instant {
    Instant::EPOCH
}
