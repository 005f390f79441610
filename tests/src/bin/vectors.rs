//! Replays files of vectors for Server-Sent Events, in the formats that `vectors/README.md` tells:
//! `cargo run --release -p stillwire-tests --bin vectors -- FILE…`. The last line is `N passed, N failed`, in runs: a case
//! in one way. The exit status is 0 when none failed, 1 when some did, 2 when a file cannot be read.

use std::process::ExitCode;

use stillwire_tests::vectors::{Tally, replay};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: vectors FILE...");
        return ExitCode::from(2);
    }
    // What fails is told once, below.
    std::panic::set_hook(Box::new(|_| {}));
    let mut all = Tally::default();
    let mut unread = 0;
    for file in &files {
        let tally =
            std::fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| replay(&text));
        match tally {
            Ok(tally) => {
                tally.failed.iter().for_each(|failure| println!("FAILED {failure}"));
                println!("{file}: {} passed, {} failed", tally.passed, tally.failed.len());
                all.add(tally);
            }
            Err(error) => {
                println!("FAILED {file}: {error}");
                unread += 1;
            }
        }
    }
    println!("{} passed, {} failed", all.passed, all.failed.len() + unread);
    match (unread, all.failed.len()) {
        (0, 0) if all.passed > 0 => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}
