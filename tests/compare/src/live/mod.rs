//! Over sockets: servers in processes of their own, on a core of their own, and what they take for each message.

pub mod client;
pub mod echo;
pub mod fanout;
pub mod idle;
mod process;
pub mod servers;

use std::error::Error;

pub type Checked<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Binds this thread, and those that it starts, to one core. With one core there is nothing to choose.
pub fn pin(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &cores);
}

/// As many open files as are allowed.
pub fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
