//! The proofs of stillwire: one harness that every machine of the core stands in.
//!
//! * [`subject`]: what the harness must know of a machine, and the list of all of them;
//! * [`stage`]: a machine with its boxes, watched while bytes and time come in;
//! * [`laws`]: the four laws, over every subject;
//! * [`pair`]: two machines that talk, over a simulated clock and network;
//! * [`fuzz`]: all of that for input that a fuzzer makes up;
//! * [`transcript`]: files that tell what bytes, moments and commands lead to, replayed at every chunk size;
//! * [`vectors`]: language-neutral cases of Server-Sent Events, for a parser and for a client.
//!
//! A machine of the core that has no subject does not compile into this crate: `build.rs` finds them all.

pub mod fuzz;
pub mod laws;
pub mod pair;
pub mod stage;
pub mod subject;
pub mod subjects;
pub mod transcript;
pub mod vectors;

pub use subject::{Covered, Listed, Options, Seen, Subject};

include!(concat!(env!("OUT_DIR"), "/covered.rs"));
