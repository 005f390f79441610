//! `stillwire sse URL`: follows an event stream.

use core::time::Duration;
use std::io::{self, IsTerminal, Write};

use stillwire::{
    Text,
    json::{escape, escaped_len},
    sse::{Event, EventSource, SourceConfig, SourceEvent},
};
use stillwire_tokio::{Source, entropy};

pub(crate) const HELP: &str = "\
What is printed: for each event a line with its type and ID, then its data. With --json, one object a line:
  {\"event\":\"message\",\"data\":\"…\",\"id\":\"…\"}
Connections that are opened and lost are told on standard error.

The stream is followed over as many connections as it takes: after an error it waits (the server's `retry`, and longer each time,
with jitter) and asks for what came after the last event that it has.

Exit status:
  0  the server said that it is over (204), or the answer is complete (--once)
  1  it has failed for good: another status, no event stream, too many attempts
  2  the command line is wrong

Examples:
  stillwire sse http://127.0.0.1:3000/events
  stillwire sse --json http://127.0.0.1:3000/events | jq -r .data
  stillwire sse --last-event-id 41 http://127.0.0.1:3000/events         go on behind an event
  stillwire sse --once -d '{\"stream\":true}' -H 'content-type: application/json' http://127.0.0.1:8000/v1/chat
  stillwire sse --browser http://127.0.0.1:3000/events                  what would a browser do?";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the stream is: http://HOST:PORT/PATH
    url: String,
    /// Begin behind this event: the first request says `Last-Event-ID: ID`
    #[arg(long, value_name = "ID")]
    last_event_id: Option<String>,
    /// One JSON object a line, for other programs
    #[arg(long)]
    json: bool,
    /// Another header for each request, such as 'authorization: Bearer …'
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,
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
}

/// Follows the stream to its end.
pub(crate) async fn run(args: &Args) -> Result<(), String> {
    let mut source = Source::new(machine(args).map_err(|error| format!("{}: {error}", args.url))?);
    if let Some(id) = &args.last_event_id {
        source.machine.resume(id, &mut source.inbox).map_err(|error| format!("--last-event-id: {error}"))?;
    }
    let plain = !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let mut out = Printer { out: io::stdout(), json: args.json, plain };
    loop {
        match source.next().await {
            Ok(Some(SourceEvent::Open)) => eprintln!("stillwire: open: {}", args.url),
            Ok(Some(SourceEvent::Lost { why, wait })) => {
                eprintln!("stillwire: lost ({why:?}), again in {:.1} s", wait.as_secs_f64());
            }
            Ok(Some(SourceEvent::Message(event))) => match out.print(&event) {
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
    if machine.url().starts_with("https") {
        return Err("https is not supported here".into());
    }
    for header in &args.header {
        let (name, value) = header.split_once(':').ok_or("a header looks like 'name: value'")?;
        machine.header(name.trim(), value.trim())?;
    }
    if let Some(body) = &args.data {
        machine.ask("POST", body.as_str())?;
    }
    Ok(machine)
}

struct Printer<W> {
    out: W,
    json: bool,
    plain: bool,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, event: &Event<'_>) -> io::Result<()> {
        let Event { event, data, last_event_id } = *event;
        if self.json {
            let [event, data, id] = [event, data, last_event_id].map(quoted);
            writeln!(self.out, "{{\"event\":{event},\"data\":{data},\"id\":{id}}}")?;
        } else {
            let (name, dim, end) =
                if self.plain { ("", "", "") } else { ("\x1b[1;36m", "\x1b[2m", "\x1b[0m") };
            let id = visible(last_event_id);
            let id = if id.is_empty() { id } else { format!(" {dim}{id}{end}") };
            writeln!(self.out, "{name}{}{end}{id}", visible(event))?;
            for line in data.as_str().split('\n') {
                writeln!(self.out, "  {}", visible(line.into()))?;
            }
        }
        self.out.flush()
    }
}

/// As a JSON string.
fn quoted(text: Text<'_>) -> String {
    let mut room = vec![0; escaped_len(text.as_bytes())];
    escape(text.as_bytes(), &mut room);
    format!("\"{}\"", String::from_utf8_lossy(&room))
}

/// A server must not command the terminal: control characters are shown, not sent.
fn visible(text: Text<'_>) -> String {
    let show = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.as_str().chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool, plain: bool) -> String {
        let mut printer = Printer { out: Vec::new(), json, plain };
        let event =
            Event { event: "tick".into(), data: "a \"b\"\n\u{1b}[31mred".into(), last_event_id: "7".into() };
        printer.print(&event).unwrap();
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
