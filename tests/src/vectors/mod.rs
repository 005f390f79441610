//! Replays the vectors of Server-Sent Events: what a parser makes of a body, and what a client does over several
//! connections. `vectors/README.md` tells the two formats.

mod client;
mod parser;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

/// What became of a file.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many runs held: a case in one way.
    pub passed: usize,
    /// What failed: the case, the way, and why.
    pub failed: Vec<String>,
}

impl Tally {
    /// Runs a case in one way.
    fn run(&mut self, what: impl Fn() -> String, body: impl FnOnce()) {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(()) => self.passed += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                self.failed.push(format!("{}: {text}", what()));
            }
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
    }
}

/// Replays a file, whichever of the two it is.
///
/// # Errors
/// It is neither.
pub fn replay(file: &str) -> Result<Tally, String> {
    let file: Value = serde_json::from_str(file).map_err(|error| error.to_string())?;
    if let Some(cases) = file["cases"].as_array() {
        Ok(parser::replay(cases))
    } else if let Some(scenarios) = file["scenarios"].as_array() {
        Ok(client::replay(scenarios))
    } else {
        Err("no cases and no scenarios in it".to_owned())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
