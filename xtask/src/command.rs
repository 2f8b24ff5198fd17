//! Running other programs: echoed, in the checkout, and never silently failing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// A program to be run, with standard input closed.
pub(crate) struct Run {
    command: Command,
    shown: String,
}

impl Run {
    /// Any program.
    pub(crate) fn program(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null());
        let shown = program.as_ref().to_string_lossy().into_owned();
        Self { command, shown }.arguments(arguments)
    }

    /// The cargo that started us.
    pub(crate) fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut run = Self::program(cargo, arguments);
        // The path of the toolchain says nothing; the word can be pasted into a terminal.
        run.shown = run.shown.split_once(' ').map_or("cargo".to_owned(), |(_, rest)| format!("cargo {rest}"));
        run
    }

    /// Adds arguments.
    pub(crate) fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    /// Sets one environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sends the child's standard output to standard error, so that ours stays for the answer.
    pub(crate) fn quiet_stdout(mut self) -> Self {
        self.command.stdout(io::stderr());
        self
    }

    /// Runs, and fails unless the program succeeds.
    pub(crate) fn check(self) -> Result<()> {
        let shown = self.shown.clone();
        let status = self.status()?;
        if !status.success() {
            bail!("`{shown}` ended with {status}");
        }
        Ok(())
    }

    /// Runs and tells how it ended.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        eprintln!("+ {}", self.shown);
        self.command.status().with_context(|| format!("could not start `{}`", self.shown))
    }

    /// Runs without an echo and gives standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("could not start `{}`", self.shown))?;
        if !output.status.success() {
            bail!("`{}` ended with {}", self.shown, output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print text", self.shown))
    }

    /// Whether the program is there and succeeds; prints nothing.
    pub(crate) fn succeeds(mut self) -> bool {
        let silent = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        silent.is_ok_and(|status| status.success())
    }

    /// Becomes the program, so that signals and the exit code pass through; comes back only with an error.
    #[cfg(unix)]
    pub(crate) fn replace(mut self) -> Result<std::process::ExitCode> {
        use std::os::unix::process::CommandExt;
        self.command.stdin(Stdio::inherit());
        Err(self.command.exec()).with_context(|| format!("could not start `{}`", self.shown))
    }

    /// Runs the program and passes its exit code on.
    #[cfg(not(unix))]
    pub(crate) fn replace(mut self) -> Result<std::process::ExitCode> {
        self.command.stdin(Stdio::inherit());
        let status = self.status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(std::process::ExitCode::from(code.unwrap_or(1)))
    }
}
