//! stillwire beside its peers, in one run: run it on a machine with nothing else to do, and compare ratios, not times.

mod live;
mod measure;
mod pipe;
mod report;
mod sizes;
mod sse;
mod ws;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use measure::{Case, Effort};

/// stillwire beside its peers, in one run.
///
/// `x peer` is the speed in relation to the fastest peer's (2 is twice as fast), `x limit` in relation to one copy of the
/// bytes (for parsing events: to the search for line ends).
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Only benches and cases whose names contain these words.
    #[arg(long, global = true, default_value = "")]
    only: String,
    /// Short and rough.
    #[arg(long, global = true)]
    quick: bool,
    /// Writes an array with one object a row.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Writes a chart a bench into this folder.
    #[arg(long, global = true)]
    svg: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// WebSocket in memory: CPU time per message, the fastest of many turns.
    Ws,
    /// Server-Sent Events in memory, the same way.
    Sse,
    /// The sizes of our machines, and the memory of idle connections in memory, ours and others'.
    Sizes,
    /// WebSocket echoes over the loopback: the server's CPU time per message, on a core of its own.
    WsEcho,
    /// 15,000 idle WebSocket connections: the server's memory for each.
    WsIdle,
    /// 5,000 event streams, one publisher, some who never read: CPU time and delay of a delivered event.
    Fanout,
    #[command(hide = true)]
    Hold { who: String, count: usize },
    #[command(hide = true)]
    Serve { who: String },
    #[command(hide = true)]
    Sit { to: SocketAddr, count: usize },
    #[command(hide = true)]
    Publish { who: String },
    #[command(hide = true)]
    Subscribe { to: SocketAddr, count: usize, stalled: usize },
}

fn main() -> ExitCode {
    let options = Options::parse();
    match &options.what {
        What::Ws => measured(ws::cases(), &options),
        What::Sse => measured(sse::cases(), &options),
        What::Sizes => sizes::show(options.quick),
        What::WsEcho => live::echo::run(options.quick, &options.only),
        What::WsIdle => live::idle::run(options.quick),
        What::Fanout => live::fanout::run(options.quick, &options.only),
        What::Hold { who, count } => sizes::hold(who, *count),
        What::Serve { who } => done(live::servers::serve(who)),
        What::Sit { to, count } => done(live::idle::sit(*to, *count)),
        What::Publish { who } => done(live::fanout::publish(who)),
        What::Subscribe { to, count, stalled } => done(live::fanout::subscribe(*to, *count, *stalled)),
    }
}

/// How a role of a process of ours ended.
fn done(result: live::Checked<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measured(cases: impl IntoIterator<Item = Case>, options: &Options) -> ExitCode {
    let (turn, rounds) = if options.quick { (2, 7) } else { (8, 25) };
    let effort = Effort { turn: Duration::from_millis(turn), rounds };
    let mut rows = Vec::new();
    for case in cases {
        if format!("{}, {}", case.bench, case.case).contains(&options.only) {
            measure::run(case, effort, &mut rows);
        }
    }
    print!("{}{}", report::table(&rows), report::verdicts(&rows, ws::bar));
    let json = options.json.as_ref().map_or(Ok(()), |file| std::fs::write(file, report::json(&rows)));
    match json.and_then(|()| options.svg.as_ref().map_or(Ok(()), |folder| report::svg(&rows, folder))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
