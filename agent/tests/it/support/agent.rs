//! The agent as a process that can be killed.

use std::{path::PathBuf, process::Stdio};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use super::{controller::Controller, soon, warm};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wherry-agent");

pub(crate) struct Agent {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Agent {
    /// A data folder and nothing else.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("agent.toml"), "").unwrap();
        Self { folder, process: None }
    }

    /// An agent that the controller knows, running and connected.
    pub(crate) async fn connected(controller: &mut Controller) -> Self {
        let mut agent = Self::enrolled(controller).await;
        agent.start();
        controller.hello().await;
        agent
    }

    pub(crate) async fn enrolled(controller: &Controller) -> Self {
        let agent = Self::cold(controller).await;
        warm::give(PROGRAM, &agent.data());
        agent
    }

    /// One that has to compile everything itself.
    pub(crate) async fn cold(controller: &Controller) -> Self {
        let agent = Self::new();
        let enrolled = agent.enrol(&controller.url(), &controller.token()).await;
        assert_eq!(enrolled.code, Some(0), "{}", enrolled.stderr);
        agent
    }

    pub(crate) async fn enrol(&self, url: &str, token: &str) -> Ended {
        self.command(&["enrol", "--url", url, "--name", "eu-1", "--token-file", "-"], token).await
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.folder.path().join("agent.toml"), text).unwrap();
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a command to its end.
    pub(crate) async fn command(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .arg("--config")
            .arg(self.folder.path().join("agent.toml"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // A command that wants no input may be gone already.
        let _gone = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = soon("the end of a command", child.wait_with_output()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--set", "log.filter=info,wherry_agent=debug", "--data"]).arg(self.data());
        command.arg("--config").arg(self.folder.path().join("agent.toml"));
        self.process = Some(command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap());
    }

    /// Ends the process with no time for last words.
    pub(crate) async fn kill(&mut self) {
        soon("the end of the agent", self.process.take().unwrap().kill()).await.unwrap();
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.process.as_ref().and_then(Child::id).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the process ends by itself; gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        soon("the end of the agent", self.process.take().unwrap().wait()).await.unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.process.is_some() && !std::thread::panicking() {
            warm::take(PROGRAM, &self.data());
        }
    }
}
