//! The processes of a demo. They live no longer than this one: each is stopped in order, and killed when dropped.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::codes;
use crate::error::{CliError, Outcome, unreadable, unwritable};
use crate::exit::Exit;
use crate::text::plain;

/// Longest wait for a process to be ready: a first start makes keys and certificates.
const READY: Duration = Duration::from_secs(60);
/// Longest wait for a command that runs and ends.
const COMMAND: Duration = Duration::from_secs(60);
/// Time to stop in peace.
const GRACE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Largest readiness file or first line.
const SMALL: u64 = 64 * 1024;
/// How much of each log is shown when something went wrong.
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 8 * 1024;

/// The processes, in the order in which they were started.
#[derive(Debug)]
pub(super) struct Children {
    logs: PathBuf,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
}

impl Children {
    pub(super) fn new(logs: PathBuf) -> Self {
        Self { logs, running: Vec::new() }
    }

    /// Starts a process whose output goes to its log.
    pub(super) fn start(&mut self, name: &str, mut command: Command) -> Outcome {
        let (log, file) = self.log(name)?;
        let copy = file.try_clone().map_err(|error| unwritable(&log, error))?;
        self.spawn(name, command.stdout(copy).stderr(file))
    }

    /// Starts a process and returns the first line it prints.
    pub(super) async fn start_for_line(&mut self, name: &str, mut command: Command) -> Outcome<String> {
        let (_, file) = self.log(name)?;
        self.spawn(name, command.stdout(Stdio::piped()).stderr(file))?;
        let stdout = self.running.last_mut().and_then(|running| running.child.stdout.as_mut());
        let Some(stdout) = stdout else { return Err(ended(name, None)) };
        let mut line = String::new();
        match timeout(READY, BufReader::new(stdout.take(SMALL)).read_line(&mut line)).await {
            Ok(Ok(1..)) => Ok(line),
            Ok(_) => Err(ended(name, None)),
            Err(_) => Err(late(name)),
        }
    }

    /// Waits until `find` finds what the newest process promised, for example in a file.
    pub(super) async fn ready<T>(&mut self, find: impl Fn() -> Option<T>) -> Outcome<T> {
        let Some(Running { name, child, .. }) = self.running.last_mut() else { return Err(ended("nothing", None)) };
        let waiting = async {
            loop {
                if let Some(found) = find() {
                    return Ok(found);
                }
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(ended(name, Some(status)));
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(READY, waiting).await.unwrap_or_else(|_| Err(late(name)))
    }

    /// Runs a command to its end, with `input` on its stdin, and returns what it printed.
    pub(super) async fn finish(&self, name: &str, mut command: Command, input: &str) -> Outcome<String> {
        let (_, file) = self.log(name)?;
        isolate(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| not_started(name, &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its stdin has ended, and its status says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = match timeout(COMMAND, child.wait_with_output()).await {
            Ok(output) => output.map_err(|error| not_started(name, &error))?,
            Err(_) => return Err(late(name)),
        };
        if !output.status.success() {
            return Err(ended(name, Some(output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until one of the processes ends; says which and how.
    pub(super) async fn next_end(&mut self) -> (String, CliError) {
        loop {
            let mut states = self.running.iter_mut().map(|running| running.child.try_wait());
            let over = states.position(|state| matches!(state, Ok(Some(_))));
            if let Some(at) = over {
                let Running { name, mut child } = self.running.remove(at);
                let status = child.try_wait().ok().flatten();
                let error = ended(&name, status);
                return (name, error);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// The end of every log.
    pub(super) fn last_words(&self) -> String {
        let logs = fs::read_dir(&self.logs).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let mut logs: Vec<_> = logs.collect();
        logs.sort();
        logs.iter().map(|log| tail(&log.file_stem().unwrap_or_default().to_string_lossy(), log)).collect()
    }

    /// Stops all processes, the last one first. Whoever does not listen is killed.
    pub(super) async fn stop(mut self) {
        while let Some(Running { mut child, .. }) = self.running.pop() {
            let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
            if !asked || timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }

    fn spawn(&mut self, name: &str, command: &mut Command) -> Outcome {
        isolate(command);
        // A group of its own: Ctrl-C comes to this process alone, which then stops the others in order.
        let child = command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).spawn();
        let child = child.map_err(|error| not_started(name, &error))?;
        self.running.push(Running { name: name.to_owned(), child });
        Ok(())
    }

    fn log(&self, name: &str) -> Outcome<(PathBuf, File)> {
        let path = self.logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&path);
        file.map(|file| (path.clone(), file)).map_err(|error| unwritable(&path, error))
    }
}

/// Takes the settings of the person's own controller and agent out of the environment.
fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WHERRY_")) {
        command.env_remove(name);
    }
}

/// Reads a small file of JSON, if it is there and whole.
pub(super) fn small_json(path: &Path) -> Option<serde_json::Value> {
    let mut text = String::new();
    File::open(path).ok()?.take(SMALL).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Reads a small file of text.
pub(super) fn small_text(path: &Path) -> Outcome<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SMALL).read_to_string(&mut text));
    read.map(|_| text.trim().to_owned()).map_err(|error| unreadable(path, error))
}

fn tail(name: &str, log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if read.is_err() || lines.is_empty() {
        return String::new();
    }
    let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
    let last: String = last.map(|line| format!("  {}\n", plain(line))).collect();
    format!("{name}: the end of {}\n{last}", log.display())
}

fn ended(name: &str, status: Option<ExitStatus>) -> CliError {
    let how = status.map_or_else(|| "without a word".to_owned(), |status| format!("with {status}"));
    CliError::new(Exit::Failed, codes::DEMO_PROCESS_ENDED, format!("{name} ended {how}"))
}

fn late(name: &str) -> CliError {
    CliError::new(Exit::TimedOut, codes::DEMO_TIMED_OUT, format!("{name} was not ready in time"))
}

fn not_started(name: &str, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Failed, codes::DEMO_PROCESS_ENDED, format!("{name} cannot be started: {error}"))
}
