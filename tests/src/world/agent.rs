//! An agent as a process that can be killed, frozen, copied and started again on the same data.

mod disk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

pub(super) use self::disk::copy_folder;
use super::{
    process::{self, Process},
    wait::{self, PATIENCE},
};

/// An agent with its data folder.
#[derive(Debug)]
pub struct Agent {
    /// What it calls itself.
    pub name: String,
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// The network namespace it lives in, if it is not that of the test.
    namespace: Option<PathBuf>,
    environment: Vec<(String, String)>,
    /// The world's folder, which must not go before its agents.
    home: Arc<TempDir>,
}

/// What `ready.json` says.
#[derive(Clone, Debug, Deserialize)]
struct Ready {
    pid: u32,
    connected: bool,
}

/// How an agent is set up.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) log: PathBuf,
    pub(super) slots: u32,
}

impl Agent {
    /// An agent with an empty data folder and a configuration.
    pub(super) fn new(program: PathBuf, setup: &Setup, home: Arc<TempDir>) -> Result<Self> {
        let agent = Self {
            name: setup.name.clone(),
            program,
            data: setup.folder.join("data"),
            log: setup.log.clone(),
            process: None,
            namespace: None,
            environment: Vec::new(),
            home,
        };
        fs::create_dir_all(&agent.data)?;
        agent.configure(&format!("slots = {}\n", setup.slots))?;
        Ok(agent)
    }

    /// From now on its processes live in that network namespace.
    pub fn live_in(&mut self, namespace: &Path) {
        self.namespace = Some(namespace.to_owned());
    }

    /// From now on its processes have that variable in their environment.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Trades a token for an identity; gives the exit code.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub async fn enrol(&self, url: &str, token: &str) -> Result<Option<i32>> {
        let file = self.data.with_file_name("token");
        fs::write(&file, token)?;
        let mut command = self.command("enrol");
        command.args(["--url", url, "--name", &self.name, "--token-file"]).arg(&file);
        command.arg("--data").arg(&self.data).arg("--config").arg(self.config());
        let (code, _) = process::run(command, &self.log).await?;
        Ok(code)
    }

    /// Puts a secret into its store.
    ///
    /// # Errors
    /// If the agent refuses it.
    pub async fn learn(&self, environment: &str, name: &str, value: &str) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command("secret");
        command.args(["set", name, "--environment", environment, "--data"]).arg(&self.data);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().context("the agent takes no input")?;
        input.write_all(value.as_bytes()).await?;
        drop(input);
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("the agent does not end")??;
        ensure!(status.success(), "{} did not take the secret {name}:\n{}", self.name, process::tail(&self.log, 5));
        Ok(())
    }

    /// Carries out `wherry-agent secret`; gives the exit code and what it prints.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub async fn secret(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = self.command("secret");
        command.args(arguments).arg("--data").arg(&self.data).stdin(Stdio::null());
        process::run(command, &self.log).await
    }

    /// Carries out a command with its configuration; gives the exit code and what it prints.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub async fn ask(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let (subcommand, rest) = arguments.split_first().context("no command")?;
        let mut command = self.command(subcommand);
        command.args(rest).arg("--config").arg(self.config()).stdin(Stdio::null());
        process::run(command, &self.log).await
    }

    /// Starts it and waits until the controller has welcomed it.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.connected().await
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command("run");
        command.arg("--config").arg(self.config()).stdout(log);
        self.process = Some(Process::start(&self.name, command, &self.log)?);
        Ok(())
    }

    /// Waits until the controller has welcomed it.
    ///
    /// # Errors
    /// If it ends or takes too long.
    pub async fn connected(&mut self) -> Result<()> {
        self.is(true).await
    }

    /// Waits until it has noticed that there is no controller.
    ///
    /// # Errors
    /// If it ends or takes too long.
    pub async fn disconnected(&mut self) -> Result<()> {
        self.is(false).await
    }

    async fn is(&mut self, connected: bool) -> Result<()> {
        let path = self.data.join("ready.json");
        let what = format!("{} is {}connected", self.name, if connected { "" } else { "dis" });
        let process = self.process.as_mut().ok_or_else(|| anyhow!("the agent was not started"))?;
        wait::until(&what, async || {
            process.still_runs()?;
            let ready = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Ready>(&text).ok());
            // The file of one that was killed stays behind.
            Ok(ready.filter(|ready| ready.pid == process.pid() && ready.connected == connected).map(drop))
        })
        .await
    }

    /// Waits until its log holds `text` so often.
    ///
    /// # Errors
    /// If that does not happen.
    pub async fn has_logged(&self, text: &str, times: usize) -> Result<()> {
        wait::until(&format!("{} logs {text:?}", self.name), async || {
            let log = fs::read_to_string(&self.log)?;
            Ok((log.matches(text).count() >= times).then_some(()))
        })
        .await
    }

    /// Kills it, with no time for last words.
    ///
    /// # Errors
    /// If it does not go.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Asks it to end, which it does once it has finished what it runs.
    ///
    /// # Errors
    /// If it does not run.
    pub fn ask_to_stop(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let status = self.process.as_mut().ok_or_else(|| anyhow!("the agent does not run"))?.wait().await?;
        self.process = None;
        Ok(status)
    }

    /// Stops its process where it is.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match &self.process {
            Some(process) => process.signal(signal),
            None => bail!("{} does not run", self.name),
        }
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = match &self.namespace {
            None => Command::new(&self.program),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", namespace.display())).arg(&self.program);
                command
            }
        };
        command.arg(subcommand).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
