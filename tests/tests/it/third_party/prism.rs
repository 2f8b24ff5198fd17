//! Prism, a server that others wrote: it reads a vendor's description of an interface and plays the server, or stands
//! before one and checks what goes in and out.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::process::Command;
use wherry_tests::world::{Process, free_port, wait};

/// It reads a large description at its start.
const START: Duration = Duration::from_secs(120);

/// Where the program and the descriptions are.
pub(super) struct Prism {
    program: PathBuf,
    specs: PathBuf,
}

/// A running server; it ends when it is dropped.
pub(super) struct Running {
    pub(super) url: String,
    log: PathBuf,
    _process: Process,
}

impl Prism {
    /// None where these tests are not wanted.
    pub(super) fn wanted() -> Option<Self> {
        if env::var_os("WHERRY_THIRD_PARTY").is_none_or(|wanted| wanted != "1") {
            eprintln!("skipped: tests against software of others, run them with cargo xtask test --third-party");
            return None;
        }
        Some(Self { program: env::var_os("WHERRY_PRISM")?.into(), specs: env::var_os("WHERRY_SPECS")?.into() })
    }

    /// A file among the descriptions and recorded answers.
    pub(super) fn spec(&self, name: &str) -> PathBuf {
        self.specs.join(name)
    }

    /// Plays the server that a description describes.
    pub(super) async fn mock(&self, description: &str, log: &Path) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command.arg("mock").arg(self.spec(description));
        self.start(command, log).await
    }

    /// Stands before a server and refuses what its description does not allow, in either direction.
    pub(super) async fn proxy(&self, description: &Path, upstream: &str, log: &Path) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command.arg("proxy").arg(description).arg(upstream);
        self.start(command, log).await
    }

    async fn start(&self, mut command: Command, log: &Path) -> Result<Running> {
        let port = free_port()?;
        command.args(["--errors", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.stdout(fs::OpenOptions::new().create(true).append(true).open(log)?);
        let mut process = Process::start("prism", command, log)?;
        wait::within(START, "Prism listens", async || {
            process.still_runs()?;
            Ok(fs::read_to_string(log)?.contains("is listening on").then_some(()))
        })
        .await?;
        Ok(Running { url: format!("http://127.0.0.1:{port}"), log: log.to_owned(), _process: process })
    }
}

impl Running {
    /// Prism answers some of what it does not like all the same; its log tells.
    pub(super) fn has_nothing_to_complain_about(&self) -> Result<()> {
        let log = fs::read_to_string(&self.log)?;
        ensure!(!log.contains("Violation"), "{log}");
        Ok(())
    }
}
