//! How a world ends: well, with a last look at everything, or with its logs on the screen.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};

use super::{Canary, World, audit, process};

/// Lines of each log that a failed test shows.
const SHOWN: usize = 60;
/// Set by `cargo xtask test --canaries`: programs log everything they can, and no secret may be in it.
const CANARIES: &str = "WHERRY_CANARIES";

impl World {
    /// Ends the world of a test that found everything as it should be, after a last look: no program ended by itself,
    /// none complained of a defect, and the audit is whole.
    ///
    /// # Errors
    /// If that is not so.
    pub async fn close(mut self) -> Result<()> {
        self.controller.still_runs()?;
        self.sandbox.still_runs()?;
        audit::is_whole(&self.api).await?;
        if std::env::var_os(CANARIES).is_some() {
            self.holds_no_canary()?;
        } else {
            // With all logs on, what a connector says at its end is there too.
            self.nothing_panicked()?;
        }
        self.keep_compiled()?;
        self.closed = true;
        Ok(())
    }

    fn nothing_panicked(&self) -> Result<()> {
        for log in self.logs() {
            let text = fs::read_to_string(&log)?;
            // Within a line it is what an agent logs of a connector.
            let panicked = text.lines().any(|line| line.starts_with("thread '") && line.contains("panicked at"));
            ensure!(!panicked, "a program panicked, see {}", log.display());
        }
        Ok(())
    }

    /// The passwords of the simulated systems are in no log and no file of controller and agents.
    fn holds_no_canary(&self) -> Result<()> {
        let secrets = &self.sandbox.credentials;
        let accounts = &self.sandbox.jsm;
        let values = [&secrets.desk.password, &secrets.tracker.token, &accounts.token, &accounts.customer.token];
        let sandbox = self.log("sandbox");
        for value in values {
            let canary = Canary::of(value)?;
            let mut found = canary.below(self.controller.data())?;
            let agents = self.dir.path().join("agents");
            if agents.is_dir() {
                found.extend(canary.below(&agents)?);
            }
            for log in self.logs().into_iter().filter(|log| *log != sandbox) {
                let how = canary.in_bytes(&fs::read(&log)?);
                found.extend(how.map(|how| format!("{} ({how})", log.display())));
            }
            ensure!(found.is_empty(), "a secret of the simulated systems lies in {found:?}");
        }
        Ok(())
    }

    /// Saves the next test the time to compile.
    fn keep_compiled(&self) -> Result<()> {
        let Ok(agents) = fs::read_dir(self.dir.path().join("agents")) else { return Ok(()) };
        for agent in agents {
            self.warm.take(&agent?.path().join("data"))?;
        }
        Ok(())
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("logs")).into_iter().flatten();
        let mut logs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        logs.sort();
        logs
    }
}

impl Drop for World {
    #[allow(clippy::print_stderr, reason = "the test failed and this is what its reader needs")]
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        for log in self.logs() {
            eprintln!("---- {}\n{}", log.display(), process::tail(&log, SHOWN));
        }
    }
}
