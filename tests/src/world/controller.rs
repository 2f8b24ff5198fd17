//! The controller as a process that can be killed and started again on the same ports and data.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tokio::process::Command;

use super::{
    api::Api,
    process::{self, Process},
    programs::Programs,
    wait,
};

/// Below the ports that the system hands out, so that no outgoing connection takes a port while its owner is dead.
const PORTS: std::ops::Range<u16> = 10_240..32_000;

/// A controller with its data folder.
#[derive(Debug)]
pub struct Controller {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    settings: Vec<String>,
    web: u16,
    agents: u16,
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Ready {
    pid: u32,
}

impl Controller {
    /// A controller with `settings` such as `lease.term=6s`; not started yet.
    pub(super) fn new(programs: &Programs, data: PathBuf, log: PathBuf, settings: Vec<String>) -> Result<Self> {
        let program = programs.program("wherry-controller")?;
        let (web, agents) = (free_port()?, free_port()?);
        Ok(Self { program, data, log, settings, web, agents, process: None })
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Lets it live in another data folder from its next start on.
    pub fn move_to(&mut self, data: PathBuf) {
        self.data = data;
    }

    /// One of the same kind that was never started, with another data folder.
    #[must_use]
    pub fn in_folder(&self, data: PathBuf) -> Self {
        let Self { program, log, settings, web, agents, .. } = self;
        let (program, log, settings) = (program.clone(), log.clone(), settings.clone());
        Self { program, data, log, settings, web: *web, agents: *agents, process: None }
    }

    /// Where it listens for agents.
    pub fn agents_at(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.agents))
    }

    /// A caller of its interface with the administrator's token.
    ///
    /// # Errors
    /// If it was never started.
    pub fn api(&self) -> Result<Api> {
        let token = fs::read_to_string(self.data.join("admin-token")).context("there is no administrator's token")?;
        Api::new(&format!("http://127.0.0.1:{}", self.web), token.trim())
    }

    /// Starts it and waits until both of its ports answer.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command("run");
        command.stdout(log);
        self.process = Some(Process::start("the controller", command, &self.log)?);
        Ok(())
    }

    /// Waits until both of its ports answer.
    ///
    /// # Errors
    /// If it ends or takes too long.
    pub async fn ready(&mut self) -> Result<()> {
        let path = self.data.join("ready.json");
        let process = self.process.as_mut().ok_or_else(|| anyhow!("the controller was not started"))?;
        wait::until("the controller is ready", async || {
            process.still_runs()?;
            // The file of one that was killed stays behind.
            let ready = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Ready>(&text).ok());
            Ok(ready.filter(|ready| ready.pid == process.pid()).map(drop))
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

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.process.take().ok_or_else(|| anyhow!("the controller does not run"))?.stop().await
    }

    /// Puts a backup into its data folder.
    ///
    /// # Errors
    /// If the controller refuses it.
    pub async fn restore(&self, backup: &Path) -> Result<()> {
        let mut command = self.command("restore");
        command.arg(backup);
        match process::run(command, &self.log).await? {
            (Some(0), _) => Ok(()),
            (code, _) => Err(anyhow!("restoring ended with {code:?}:\n{}", process::tail(&self.log, 5))),
        }
    }

    /// Fails if it has ended by itself.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::still_runs)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        let own = [
            format!("data_dir={}", self.data.display()),
            format!("web.listen=127.0.0.1:{}", self.web),
            format!("agents.listen=127.0.0.1:{}", self.agents),
            format!("agents.public_url=https://localhost:{}", self.agents),
        ];
        command.arg(subcommand);
        for setting in own.iter().chain(&self.settings) {
            command.args(["--set", setting]);
        }
        command
    }
}

/// A port that nobody listens on now.
///
/// # Errors
/// If every port is taken.
#[allow(clippy::disallowed_methods, reason = "chance, not time: tests that start together must not want the same port")]
pub fn free_port() -> Result<u16> {
    let chance = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos() ^ std::process::id().rotate_left(12);
    let width = u32::from(PORTS.end - PORTS.start);
    let candidates = (0..width).map(|step| (chance.wrapping_add(step * 7)) % width);
    let port = candidates.filter_map(|offset| u16::try_from(offset).ok()).map(|offset| PORTS.start + offset);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    port.into_iter().find(free).context("every port is taken")
}
