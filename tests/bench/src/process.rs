//! A child process, what it costs, and that it ends with us.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a process to get ready or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program of ours that runs until this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// The program `name`, beside this one or in `WHERRY_BIN_DIR`.
///
/// # Errors
/// If it is in neither place.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let dir = match std::env::var_os("WHERRY_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let path = dir.join(name);
    ensure!(path.exists(), "there is no {}: start the benchmark with cargo xtask bench", path.display());
    Ok(path)
}

impl Process {
    /// Starts it; what it logs goes into a file.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(name: &str, arguments: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let output = File::create(&log)?;
        let child = Command::new(program(name)?)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, log })
    }

    /// Waits for the file that says the process is ready; gives its content and how long it took.
    ///
    /// # Errors
    /// If the process ends before, or takes too long.
    pub(crate) async fn ready(&mut self, file: &Path) -> anyhow::Result<(serde_json::Value, Duration)> {
        let begin = Instant::now();
        loop {
            if let Ok(text) = fs::read(file)
                && let Ok(ready) = serde_json::from_slice(&text)
            {
                return Ok((ready, begin.elapsed()));
            }
            let ended = self.child.try_wait()?.is_some();
            if ended || begin.elapsed() > PATIENCE {
                anyhow::bail!("not ready: {}", fs::read_to_string(&self.log).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Processor time it has used.
    ///
    /// # Errors
    /// If it is gone.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        // Fields 14 and 15 of proc(5), counted from the one after the name; ticks are 10 ms on Linux.
        let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Its proportional set size in KiB.
    ///
    /// # Errors
    /// If it is gone.
    pub(crate) fn pss_kib(&self) -> anyhow::Result<u64> {
        pss_kib_of(&self.child.id().to_string())
    }

    /// Asks it to stop, waits for that, and gives its log.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub(crate) fn stop(mut self) -> anyhow::Result<String> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begin.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(fs::read_to_string(&self.log)?)
    }
}

/// The proportional set size of this process in KiB.
///
/// # Errors
/// If the system does not tell.
pub(crate) fn own_pss_kib() -> anyhow::Result<u64> {
    pss_kib_of("self")
}

/// Memory of another process that this one may look into, in KiB.
///
/// # Errors
/// If the system does not tell.
pub(crate) fn pss_kib(process: u32) -> anyhow::Result<u64> {
    pss_kib_of(&process.to_string())
}

fn pss_kib_of(process: &str) -> anyhow::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    line.split_whitespace().next().context("no number in Pss")?.parse().context("Pss is not a number")
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
