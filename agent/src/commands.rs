//! What `wherry-agent` can be told to do; one module per command.

mod compile;
mod connector;
mod enrol;
mod harness;
mod run;
mod secret;
mod status;
mod worker;

use std::{io::Read, path::Path, process::ExitCode};

use serde::Serialize;
use wherry_daemon::exit::{Exit, report};
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

pub use self::{
    compile::compile,
    connector::{ConnectorCommand, connector},
    enrol::{EnrolArgs, enrol},
    harness::{HarnessCommand, harness},
    run::{RunArgs, run},
    secret::{SecretCommand, secret},
    status::{StatusArgs, status},
    worker::worker,
};
use crate::{config::Config, paths::DataDir, private_file};

/// Largest text read from a file or standard input.
const MAX_INPUT: u64 = 128 << 10;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SettingArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Data folder; wins over the configuration.
    #[arg(long, value_name = "DIR")]
    pub data: Option<std::path::PathBuf>,
    /// One setting, such as --set slots=4; wins over file and environment.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl SettingArgs {
    /// Loads the configuration, or prints every fault in it.
    fn load(&self) -> Result<Config, ExitCode> {
        let data = self.data.iter().map(|data| ("data_dir".to_owned(), data.display().to_string()));
        let overrides: Vec<_> = self.set.iter().cloned().chain(data).collect();
        Config::load(self.config.as_deref(), &overrides).map_err(|faults| report(&faults, faults.code(), Exit::Config))
    }

    fn data(&self) -> Result<DataDir, ExitCode> {
        self.load().map(|config| config.data)
    }
}

/// Prints an error with its code and gives the exit code.
fn failed(error: &(dyn std::error::Error + 'static), code: &Code, exit: Exit) -> ExitCode {
    report(error, code.as_str(), exit)
}

/// Reads a file, or standard input for `-`.
fn read_input(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    if path != Path::new("-") {
        return private_file::read(path, MAX_INPUT).map_err(std::io::Error::other);
    }
    // Reserved at once: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_INPUT).unwrap_or(0) + 1));
    std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut content)?;
    Ok(content)
}

fn print_json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => {
            println!("{text}");
            Exit::Success.into()
        }
        Err(_) => Exit::Software.into(),
    }
}
