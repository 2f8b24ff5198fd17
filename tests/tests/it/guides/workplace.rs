//! The machine of somebody who has just begun: an empty folder outside the repository, a home of its own, the programs on
//! the PATH, and nothing of what `cargo` and the test runner tell their children.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::Command;
use wherry_tests::world::{Programs, World};

use super::page::{Page, Step, is_as_shown};

/// The first one builds everything that connectors are made of.
const LIMIT: Duration = Duration::from_secs(540);
/// More than any guide has.
const MOST_BLOCKS: usize = 100;
/// What `cargo` builds for a connector is kept here, as if nobody had deleted the folder since the last time.
pub(crate) const CACHE: &str =
    r#"trap 'if [ -f Cargo.toml ] && [ ! -e target ]; then ln -s "$GUIDE_CACHE" target; fi' DEBUG"#;

/// A folder to work in; gone when it is dropped.
pub(crate) struct Workplace {
    home: TempDir,
    environment: Vec<(String, OsString)>,
}

impl Workplace {
    /// An empty one. What is built in it is kept in the target folder.
    pub(crate) fn new(programs: &Programs) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("wherry-newcomer-").tempdir()?;
        for folder in ["work", "seen", "home"] {
            fs::create_dir(home.path().join(folder))?;
        }
        let wherry = programs.program("wherry")?;
        let binaries = wherry.parent().context("a program in no folder")?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([binaries.to_owned()].into_iter().chain(env::split_paths(&path)))?;
        let cache = binaries.join("wherry-tests").join("guides");
        fs::create_dir_all(&cache)?;
        let own = PathBuf::from(env::var_os("HOME").unwrap_or_default());
        let kept = |name: &str, folder: &str| env::var_os(name).unwrap_or_else(|| own.join(folder).into());
        let at = |name: &str| home.path().join(name).into_os_string();
        let mut environment = vec![
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), at("home")),
            ("WHERRY_CONFIG".to_owned(), at("sign-in.toml")),
            ("GUIDE_SEEN".to_owned(), at("seen")),
            ("GUIDE_CACHE".to_owned(), cache.into()),
            ("CARGO_HOME".to_owned(), kept("CARGO_HOME", ".cargo")),
            ("RUSTUP_HOME".to_owned(), kept("RUSTUP_HOME", ".rustup")),
            // Everything that a connector needs was fetched for the connectors of this repository.
            ("CARGO_NET_OFFLINE".to_owned(), "true".into()),
            ("CARGO_INCREMENTAL".to_owned(), "0".into()),
        ];
        environment.extend(env::var_os("TMPDIR").map(|folder| ("TMPDIR".to_owned(), folder)));
        Ok(Self { home, environment })
    }

    /// The folder that a reader begins in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// From now on the shell has that variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Signs in to a world, as the tour does before a guide begins.
    pub(crate) async fn sign_in(&self, world: &World) -> Result<()> {
        let mut login = self.command("wherry");
        login.args(["login", &world.api.address(""), "--token-file"]).arg(world.controller.data().join("admin-token"));
        let said = login.output().await?;
        ensure!(said.status.success(), "no sign-in: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }

    /// A program as the shell here would start it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Carries out a guide in one shell, block by block, and compares what it shows.
    pub(crate) async fn follow(&self, page: &Page) -> Result<()> {
        self.shell(&script(page)).await?;
        for (number, step) in page.steps.iter().enumerate() {
            let Step::Run { commands, shown: Some(shown), .. } = step else { continue };
            let said = fs::read_to_string(self.seen(number))?;
            if let Err(line) = is_as_shown(shown, &said) {
                bail!(
                    "the guide shows\n{shown}\nand this is not there: {line}\nof\n{said}\nwhich is what this prints:\n{commands}"
                );
            }
        }
        Ok(())
    }

    /// Runs a script to its end.
    async fn shell(&self, script: &str) -> Result<()> {
        let file = self.home.path().join("guide.sh");
        fs::write(&file, script)?;
        let mut bash = self.command("bash");
        bash.arg(&file).process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = bash.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        if ended.is_err() {
            // Whatever it started, too.
            group.map(|group| kill_process_group(group, Signal::KILL)).transpose()?;
        }
        let output = ended.with_context(|| format!("it takes too long: {}", self.last_words()))??;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "it cannot be followed: {words}\n{}", self.last_words());
        Ok(())
    }

    fn seen(&self, number: usize) -> PathBuf {
        self.home.path().join("seen").join(number.to_string())
    }

    /// What the last block printed.
    fn last_words(&self) -> String {
        let last = (0..MOST_BLOCKS).rev().find(|number| self.seen(*number).is_file());
        let Some(last) = last else { return "it did not begin".to_owned() };
        format!("block {last}:\n{}", fs::read_to_string(self.seen(last)).unwrap_or_default())
    }
}

/// The guide as a script for one shell: folders and variables last from block to block.
fn script(page: &Page) -> String {
    let mut script = format!("set -eu -o pipefail\n{CACHE}\n");
    for (number, step) in page.steps.iter().enumerate() {
        script += &match step {
            Step::File { path, text } => {
                format!("mkdir -p \"$(dirname '{path}')\"\ncat > '{path}' <<'END OF FILE'\n{text}END OF FILE\n")
            }
            Step::Run { commands, exit, .. } => {
                let begin = format!("exec >\"$GUIDE_SEEN/{number}\" 2>&1\n");
                let run = match exit {
                    0 => commands.clone(),
                    // Its last command should fail, and in this way only.
                    code => format!(
                        "set +e\n{commands}ended=$?\nset -e\n\
                         [ $ended -eq {code} ] || {{ echo \"it ended with $ended, not {code}\"; exit 1; }}\n"
                    ),
                };
                begin + &run
            }
        };
    }
    script
}

/// A guide of this repository, with systems that do not exist replaced by some that do.
pub(crate) fn guide(name: &str, instead: &[(&str, &str)]) -> Result<Page> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides");
    let text = fs::read_to_string(folder.join(name))?;
    Page::read(&instead.iter().fold(text, |text, (old, new)| text.replace(old, new)))
}
