//! Lines of standard input are messages, and messages are lines of standard output: what `ws` and `poll` do once they are
//! connected.

use core::{cell::Cell, fmt::Display, pin::pin, time::Duration};
use std::{
    io::{self, BufRead},
    time::{Instant, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use stillwire::SendError;
use stillwire_tokio::Message;
use tokio::sync::{Notify, mpsc};

use crate::{net::seconds, out::Printer};

/// Options of every client that talks.
#[derive(clap::Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Talk {
    /// One JSON object a line, for other programs
    #[arg(long)]
    json: bool,
    /// Lines of standard input are base64, and are sent as binary messages
    #[arg(long)]
    binary: bool,
    /// When standard input has ended, stay until nothing has come for so long, or `forever`: until the server ends it
    #[arg(long, value_name = "SECONDS", value_parser = how_long, default_value = "1")]
    wait: Duration,
    /// Do not read standard input; print what comes
    #[arg(long, conflicts_with_all = ["wait", "binary"])]
    listen: bool,
    /// Send this first, as text; can be given more than once
    #[arg(short, long, value_name = "TEXT")]
    message: Vec<String>,
    /// End when so many messages have come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// How a conversation went.
pub(crate) struct Talked<R> {
    pub(crate) reader: R,
    /// Somebody here wanted it to end.
    ours: bool,
    missing: Option<(u64, u64)>,
}

impl Talk {
    /// Talks until one side ends it.
    pub(crate) async fn talk<R, W, E: Display>(&self, mut reader: R, writer: W) -> Result<Talked<R>, String>
    where
        R: Stream<Item = Result<Message, E>> + Unpin,
        W: Sink<Message, Error = SendError> + Unpin,
    {
        let (stop, heard, mut came) = (Notify::new(), Cell::new(Instant::now()), 0);
        let mut out = Printer::stdout(self.json);
        let mut speaking = pin!(self.speak(writer, &stop, &heard));
        let (mut spoken, mut over) = (false, false);
        loop {
            let message = tokio::select! {
                message = reader.next() => message,
                said = &mut speaking, if !spoken => {
                    said?;
                    spoken = true;
                    continue;
                }
                Ok(()) = tokio::signal::ctrl_c(), if !over => {
                    over = true;
                    stop.notify_one();
                    continue;
                }
            };
            match message.transpose().map_err(|error| error.to_string())? {
                None => break,
                Some(_) if over => {}
                Some(message) => {
                    came += 1;
                    heard.set(Instant::now());
                    over = self.count == Some(came);
                    match out.message(&message, SystemTime::now()) {
                        // Who reads has seen enough.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => over = true,
                        printed => printed.map_err(|error| error.to_string())?,
                    }
                    if over {
                        stop.notify_one();
                    }
                }
            }
        }
        let missing = self.count.map(|count| (came, count)).filter(|(came, count)| came < count);
        Ok(Talked { reader, ours: spoken || over, missing })
    }

    /// Says everything, stays as long as it is to, and says goodbye.
    async fn speak<W>(&self, mut writer: W, stop: &Notify, heard: &Cell<Instant>) -> Result<(), String>
    where
        W: Sink<Message, Error = SendError> + Unpin,
    {
        let said = tokio::select! {
            said = self.say(&mut writer, heard) => said,
            () = stop.notified() => Ok(()),
        };
        // Who is gone already needs no goodbye.
        let _ = writer.close().await;
        said
    }

    /// `heard` is when the last message came.
    async fn say<W>(&self, writer: &mut W, heard: &Cell<Instant>) -> Result<(), String>
    where
        W: Sink<Message, Error = SendError> + Unpin,
    {
        let failed = |error: SendError| match error {
            // The reader knows why.
            SendError::NotOpen => Ok(()),
            error => Err(format!("a message cannot be sent: {error}")),
        };
        for text in &self.message {
            if let Err(error) = writer.send(Message::from(text.as_str())).await {
                return failed(error);
            }
        }
        if self.listen {
            return core::future::pending().await;
        }
        let mut lines = lines();
        while let Some(line) = lines.recv().await {
            // What is there already goes along: polling makes one request of it.
            let mut next = Some(line);
            while let Some(line) = next {
                let line = line.map_err(|error| format!("standard input: {error}"))?;
                let message = match self.binary {
                    true => Message::from(STANDARD.decode(line.trim()).map_err(|error| error.to_string())?),
                    false => Message::from(line),
                };
                if let Err(error) = writer.feed(message).await {
                    return failed(error);
                }
                next = lines.try_recv().ok();
            }
            if let Err(error) = writer.flush().await {
                return failed(error);
            }
        }
        heard.set(Instant::now());
        while let Some(left) = self.wait.checked_sub(heard.get().elapsed()) {
            tokio::time::sleep(left).await;
        }
        Ok(())
    }
}

impl<R> Talked<R> {
    /// Tells how it ended, with the code and the reason of the server if there are any. An error is one of the server's.
    pub(crate) fn tell(&self, talk: &Talk, closed: Option<(u16, &str)>) -> Result<(), String> {
        let (code, reason) = closed.unwrap_or((1006, ""));
        match Printer::stdout(talk.json).closed(code, reason, SystemTime::now()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.to_string()),
            _ => {}
        }
        let reason = crate::out::visible(reason.into());
        let space = if reason.is_empty() { "" } else { " " };
        if let Some((came, count)) = self.missing {
            return Err(format!("it ended (code {code}{space}{reason}) with {came} of {count} messages"));
        }
        if self.ours || matches!(code, 1000 | 1001 | 1005) {
            eprintln!("stillwire: closed, code {code}{space}{reason}");
            return Ok(());
        }
        Err(format!("the server ended it with code {code}{space}{reason}"))
    }
}

fn how_long(text: &str) -> Result<Duration, String> {
    if text == "forever" { Ok(Duration::MAX) } else { seconds(text) }
}

/// Lines of standard input, without their ends. A thread reads them: it may wait for ever, and must not hold up the end.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
