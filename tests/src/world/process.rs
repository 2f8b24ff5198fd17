//! A child process: its log in a file, signals, and an end that is never forgotten.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::wait::PATIENCE;

/// A running program; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`, except a standard output that `command` takes itself.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        writeln!(file, "== {name} starts")?;
        command.stdin(Stdio::null()).stderr(file).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().ok_or_else(|| anyhow!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), child, pid, log: log.to_owned() })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its standard output, if the command asked for a pipe.
    pub fn output(&mut self) -> Option<tokio::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system does not know it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    /// With its exit status.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, tail(&self.log, 20)),
        }
    }

    /// Ends it without a warning and waits until it is gone.
    ///
    /// # Errors
    /// If it does not go.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.start_kill().or_else(|error| self.child.try_wait().map(drop).map_err(|_| error))?;
        self.wait().await.map(drop)
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait().await
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(ended.map_err(|_| anyhow!("{} does not end", self.name))??)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("it has no number")?;
        kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever it still writes must not outlive the folder that it writes to.
        let killed = self.child.start_kill().is_ok();
        while killed && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
    }
}

/// Runs a program to its end; gives its standard output and exit code.
pub(super) async fn run(mut command: Command, log: &Path) -> Result<(Option<i32>, String)> {
    let file = OpenOptions::new().create(true).append(true).open(log)?;
    command.stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.spawn()?.wait_with_output()).await;
    let output = ended.map_err(|_| anyhow!("{command:?} does not end"))??;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The last lines of a log.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}
