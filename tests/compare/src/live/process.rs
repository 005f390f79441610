//! A child that serves or loads, and what the kernel tells about it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Checked;

/// It does not outlive this.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on one core, and returns its first line with it. `None`: on any core.
    pub fn start(program: &Path, arguments: &[&str], core: Option<usize>) -> Checked<(Self, String)> {
        let mut command = match core {
            None => Command::new(program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
        };
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output) =
            (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let mut process = Self { child, input, output: BufReader::new(output) };
        let first = process.line()?;
        Ok((process, first))
    }

    /// One of our own roles: `compare ROLE ...`.
    pub fn ours(arguments: &[&str], core: Option<usize>) -> Checked<(Self, String)> {
        Self::start(&std::env::current_exe()?, arguments, core)
    }

    pub fn line(&mut self) -> Checked<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a process has ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    pub fn tell(&mut self, what: &str) -> Checked<()> {
        Ok(writeln!(self.input, "{what}")?)
    }

    pub fn ask(&mut self, what: &str) -> Checked<String> {
        self.tell(what)?;
        self.line()
    }

    /// CPU time of all its threads, in nanoseconds.
    pub fn cpu(&self) -> Checked<f64> {
        let mut sum = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split(' ').next().ok_or("empty")?.parse::<f64>()?;
        }
        Ok(sum)
    }

    /// Its own memory in bytes, without files and without the kernel's.
    pub fn memory(&self) -> Checked<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
