//! What is printed, and how.

use std::{
    io::{self, IsTerminal, Write},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use stillwire::{
    Text,
    json::{escape, escaped_len},
};
use stillwire_tokio::Message;

/// Prints messages, one a line.
pub(crate) struct Printer<W> {
    pub(crate) out: W,
    /// One object a line.
    pub(crate) json: bool,
    /// Somebody watches.
    pub(crate) terminal: bool,
    pub(crate) colours: bool,
}

impl Printer<io::Stdout> {
    pub(crate) fn stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { out: io::stdout(), json, terminal, colours }
    }
}

impl<W: Write> Printer<W> {
    pub(crate) fn message(&mut self, message: &Message, at: SystemTime) -> io::Result<()> {
        if self.json {
            let (kind, name, value) = match message {
                Message::Text(text) => ("text", "text", text.clone()),
                Message::Binary(bytes) => ("binary", "base64", STANDARD.encode(bytes)),
            };
            let (value, time) = (quoted(value.as_str().into()), time(at));
            writeln!(self.out, "{{\"kind\":\"{kind}\",\"{name}\":{value},\"time\":{time}}}")?;
            return self.out.flush();
        }
        let (mark, dim, end) =
            if self.colours { ("\x1b[1;36m< \x1b[0m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        match message {
            Message::Text(text) if self.terminal => {
                writeln!(self.out, "{mark}{}", visible(text.as_str().into()))?;
            }
            Message::Text(text) => writeln!(self.out, "{text}")?,
            Message::Binary(bytes) => {
                writeln!(self.out, "{mark}{dim}binary{end} {}", STANDARD.encode(bytes))?;
            }
        }
        self.out.flush()
    }

    /// How it ended, for programs; people read it on standard error.
    pub(crate) fn closed(&mut self, code: u16, reason: &str, at: SystemTime) -> io::Result<()> {
        if self.json {
            let (reason, time) = (quoted(reason.into()), time(at));
            writeln!(
                self.out,
                "{{\"kind\":\"closed\",\"code\":{code},\"reason\":{reason},\"time\":{time}}}"
            )?;
        }
        self.out.flush()
    }
}

/// Seconds since 1970, as a number of JSON.
fn time(at: SystemTime) -> String {
    let time = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// As a JSON string.
pub(crate) fn quoted(text: Text<'_>) -> String {
    let mut room = vec![0; escaped_len(text.as_bytes())];
    escape(text.as_bytes(), &mut room);
    format!("\"{}\"", String::from_utf8_lossy(&room))
}

/// A server must not command the terminal: control characters are shown, not sent.
pub(crate) fn visible(text: Text<'_>) -> String {
    let show = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.as_str().chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool, terminal: bool) -> String {
        let mut printer = Printer { out: Vec::new(), json, terminal, colours: terminal };
        let at = SystemTime::UNIX_EPOCH + core::time::Duration::from_millis(1_001);
        printer.message(&Message::from("a \"b\"\n\u{1b}[31mred"), at).unwrap();
        printer.message(&Message::from(vec![0, 1, 2]), at).unwrap();
        printer.closed(1000, "é", at).unwrap();
        String::from_utf8(printer.out).unwrap()
    }

    #[test]
    fn lines_and_objects() {
        assert_eq!(printed(false, false), "a \"b\"\n\u{1b}[31mred\nbinary AAEC\n");
        let mark = "\x1b[1;36m< \x1b[0m";
        assert_eq!(
            printed(false, true),
            format!("{mark}a \"b\"\u{fffd}\u{fffd}[31mred\n{mark}\x1b[2mbinary\x1b[0m AAEC\n")
        );
        assert_eq!(
            printed(true, true),
            "{\"kind\":\"text\",\"text\":\"a \\\"b\\\"\\n\\u001b[31mred\",\"time\":1.001}\n\
             {\"kind\":\"binary\",\"base64\":\"AAEC\",\"time\":1.001}\n\
             {\"kind\":\"closed\",\"code\":1000,\"reason\":\"é\",\"time\":1.001}\n"
        );
    }
}
