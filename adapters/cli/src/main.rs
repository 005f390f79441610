//! The command line: `stillwire serve` is the demo; `stillwire ws`, `sse` and `poll` are clients, a curl for endpoints that talk.

mod net;
mod out;
mod poll;
mod serve;
mod sse;
mod talk;
mod ws;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every real-time web protocol as a pure state machine: the demo, and clients for the command line.
///
/// Without a command it serves the demo page on http://127.0.0.1:3000, as `stillwire serve` does.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the demo page: one chat room over polling, Server-Sent Events and WebSocket, side by side
    #[command(after_long_help = serve::ENDPOINTS)]
    Serve(serve::Args),
    /// Follow an event stream (Server-Sent Events), over as many connections as it takes
    #[command(after_long_help = sse::HELP)]
    Sse(sse::Args),
    /// Talk over a WebSocket: lines are messages
    #[command(after_long_help = ws::HELP)]
    Ws(ws::Args),
    /// Talk over long polling: lines are messages
    #[command(after_long_help = poll::HELP)]
    Poll(poll::Args),
}

const EXAMPLES: &str = "\
Examples:
  stillwire                        the demo on http://127.0.0.1:3000
  stillwire serve --port 8080      on another port; 0 takes any free one
  stillwire serve --host 0.0.0.0   for other machines, too: anybody who reaches it can read and write
  stillwire sse URL                what an event stream says, line by line
  stillwire ws URL                 talk over a WebSocket, line by line
  stillwire poll URL               talk over long polling, line by line
  stillwire help ws                options, exit status, examples; likewise sse and poll
  stillwire help serve             what is served where, with commands for curl";

fn main() -> ExitCode {
    let command = Args::parse().command.unwrap_or(Command::Serve(serve::Args::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            match &command {
                Command::Serve(args) => serve::run(args).await,
                Command::Sse(args) => sse::run(args).await,
                Command::Ws(args) => ws::run(args).await,
                Command::Poll(args) => poll::run(args).await,
            }
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stillwire: {error}");
            ExitCode::FAILURE
        }
    }
}
