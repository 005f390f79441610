//! `stillwire sse URL`: follows an event stream.

use core::time::Duration;
use std::io::{self, Write};

use stillwire::sse::{Event, EventSource, SourceConfig, SourceEvent};
use stillwire_tokio::{Source, entropy};

use crate::{
    net::Net,
    out::{Printer, quoted, visible},
};

pub(crate) const HELP: &str = "\
What is printed: for each event a line with its type and ID, then its data. With --json, one object a line:
  {\"event\":\"message\",\"data\":\"…\",\"id\":\"…\"}
Connections that are opened and lost are told on standard error.

The stream is followed over as many connections as it takes: after an error it waits (the server's `retry`, and longer each time,
with jitter) and asks for what came after the last event that it has.

Exit status:
  0  the server said that it is over (204), or the answer is complete (--once)
  1  it has failed for good: no such URL, another status, no event stream, too many attempts
  2  the command line is wrong

Examples:
  stillwire sse http://127.0.0.1:3000/events
  stillwire sse --json http://127.0.0.1:3000/events | jq -r .data
  stillwire sse --last-event-id 41 http://127.0.0.1:3000/events         go on behind an event
  stillwire sse --once -d '{\"stream\":true}' -H 'content-type: application/json' http://127.0.0.1:8000/v1/chat
  stillwire sse --browser http://127.0.0.1:3000/events                  what would a browser do?";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the stream is: http://HOST:PORT/PATH or https://…
    url: String,
    /// Begin behind this event: the first request says `Last-Event-ID: ID`
    #[arg(long, value_name = "ID")]
    last_event_id: Option<String>,
    /// One JSON object a line, for other programs
    #[arg(long)]
    json: bool,
    /// POST this instead of asking with GET
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
    /// End with the first answer that is complete
    #[arg(long)]
    once: bool,
    /// Do as Chromium does: a constant wait, any status but 200 is the end, no limits
    #[arg(long)]
    browser: bool,
    /// Give up when so many attempts in a row have failed
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// A stream that is silent for so many seconds is lost (comments are no silence)
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
    /// The largest event, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_event: usize,
    #[command(flatten)]
    net: Net,
}

/// Follows the stream to its end.
pub(crate) async fn run(args: &Args) -> Result<(), String> {
    let machine = machine(args).map_err(|error| format!("{}: {error}", args.url))?;
    let mut source = Source::via(machine, args.net.route()?);
    if let Some(id) = &args.last_event_id {
        source.machine.resume(id, &mut source.inbox).map_err(|error| format!("--last-event-id: {error}"))?;
    }
    let mut out = Printer::stdout(args.json);
    loop {
        match source.next().await {
            Ok(Some(SourceEvent::Open)) => eprintln!("stillwire: open: {}", args.url),
            Ok(Some(SourceEvent::Lost { why, wait })) => {
                let trouble = source.trouble().map(|why| format!(": {why}")).unwrap_or_default();
                eprintln!("stillwire: lost ({why:?}{trouble}), again in {:.1} s", wait.as_secs_f64());
            }
            Ok(Some(SourceEvent::Message(event))) => match print(&mut out, &event) {
                // Who reads has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                printed => printed.map_err(|error| error.to_string())?,
            },
            Ok(None) => {
                eprintln!("stillwire: the stream is over");
                return Ok(());
            }
            Err(error) => return Err(format!("{}: {error}", args.url)),
        }
    }
}

fn machine(args: &Args) -> Result<EventSource, Box<dyn core::error::Error>> {
    let mut config = if args.browser { SourceConfig::browser() } else { SourceConfig::default() };
    config.stream.max_event = args.max_event;
    config.idle_within = args.idle.map_or(config.idle_within, Duration::from_secs);
    (config.max_attempts, config.once) = (args.max_attempts, args.once);
    let mut machine = EventSource::new(&args.url, config, entropy())?;
    for (name, value) in &args.net.headers {
        machine.header(name, value)?;
    }
    if let Some(body) = &args.data {
        machine.ask("POST", body.as_str())?;
    }
    Ok(machine)
}

fn print<W: Write>(to: &mut Printer<W>, event: &Event<'_>) -> io::Result<()> {
    let Event { event, data, last_event_id } = *event;
    if to.json {
        let [event, data, id] = [event, data, last_event_id].map(quoted);
        writeln!(to.out, "{{\"event\":{event},\"data\":{data},\"id\":{id}}}")?;
    } else {
        let (name, dim, end) = if to.colours { ("\x1b[1;36m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let id = visible(last_event_id);
        let id = if id.is_empty() { id } else { format!(" {dim}{id}{end}") };
        writeln!(to.out, "{name}{}{end}{id}", visible(event))?;
        for line in data.as_str().split('\n') {
            writeln!(to.out, "  {}", visible(line.into()))?;
        }
    }
    to.out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool, plain: bool) -> String {
        let mut printer = Printer { out: Vec::new(), json, terminal: !plain, colours: !plain };
        let event =
            Event { event: "tick".into(), data: "a \"b\"\n\u{1b}[31mred".into(), last_event_id: "7".into() };
        print(&mut printer, &event).unwrap();
        String::from_utf8(printer.out).unwrap()
    }

    #[test]
    fn lines_and_objects() {
        assert_eq!(printed(false, true), "tick 7\n  a \"b\"\n  \u{fffd}[31mred\n");
        assert_eq!(
            printed(false, false),
            "\x1b[1;36mtick\x1b[0m \x1b[2m7\x1b[0m\n  a \"b\"\n  \u{fffd}[31mred\n"
        );
        let json = printed(true, false);
        assert_eq!(json, "{\"event\":\"tick\",\"data\":\"a \\\"b\\\"\\n\\u001b[31mred\",\"id\":\"7\"}\n");
    }
}
