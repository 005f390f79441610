//! Our event source as a program, for servers that nobody here wrote: what happens is printed as one JSON object a line.
//! The exit status is 0 when the stream ended in order, 1 when it did not.

use core::time::Duration;
use std::io::{self, Write};

use clap::Parser;
use serde_json::{Value, json};
use stillwire::sse::{EventSource, SourceConfig, SourceEvent};
use stillwire_tokio::{Source, entropy};

/// Follows an event stream.
#[derive(Parser)]
struct Args {
    /// `http://HOST:PORT/TARGET`
    url: String,
    /// As a browser does it.
    #[arg(long)]
    browser: bool,
    /// Begins behind this event.
    #[arg(long)]
    last_event_id: Option<String>,
    /// More headers, `name: value`.
    #[arg(long)]
    header: Vec<String>,
    /// POSTs this, and ends with the answer.
    #[arg(long)]
    post: Option<String>,
    /// How many attempts in a row may fail.
    #[arg(long)]
    attempts: Option<u32>,
    /// How long the stream may be silent, in milliseconds.
    #[arg(long)]
    idle: Option<u64>,
    /// The most that is added to waits, in milliseconds.
    #[arg(long)]
    backoff: Option<u64>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut config = if args.browser { SourceConfig::browser() } else { SourceConfig::default() };
    config.max_attempts = args.attempts;
    config.idle_within = args.idle.map_or(config.idle_within, Duration::from_millis);
    config.backoff_max = args.backoff.map_or(config.backoff_max, Duration::from_millis);
    config.once = args.post.is_some();
    config.stream.max_event = 1 << 20;
    let mut machine = EventSource::new(&args.url, config, entropy())?;
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or("a header looks like `name: value`")?;
        machine.header(name, value.trim())?;
    }
    if let Some(body) = args.post {
        machine.ask("POST", body)?;
    }
    let mut source = Source::new(machine);
    if let Some(id) = &args.last_event_id {
        source.machine.resume(id, &mut source.inbox)?;
    }
    loop {
        match source.next().await {
            Ok(Some(SourceEvent::Open)) => say(&json!({ "kind": "open" }))?,
            Ok(Some(SourceEvent::Message(event))) => say(&json!({
                "kind": "event", "type": event.event.as_str(), "data": event.data.as_str(),
                "lastEventId": event.last_event_id.as_str(),
            }))?,
            Ok(Some(SourceEvent::Lost { why, wait })) => {
                say(&json!({ "kind": "lost", "why": format!("{why:?}"), "wait": wait.as_secs_f64() * 1e3 }))?;
            }
            Ok(None) => return say(&json!({ "kind": "closed" })),
            Err(error) => {
                say(&json!({ "kind": "error", "error": format!("{error:?}") }))?;
                return Err(error.into());
            }
        }
    }
}

fn say(what: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    Ok(out.flush()?)
}
