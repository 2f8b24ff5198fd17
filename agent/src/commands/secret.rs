//! `wherry-agent secret`: the agent owner's own secrets, on the agent's own machine.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use wherry_daemon::exit::Exit;
use wherry_domain::name::Name;

use super::{Output, SettingArgs, failed, print_json, read_input};
use crate::secrets::{SecretError, Secrets, local_key};

/// Sets, lists and removes secrets.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SecretCommand {
    /// Keep a secret, read from standard input.
    Set {
        /// Its name, as connections refer to it.
        name: Name,
        /// The environment whose runs may use it.
        #[arg(long)]
        environment: Name,
        /// Read the value from this file instead.
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        /// Where the agent's data is.
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Show the names of all secrets.
    List {
        /// Where the agent's data is.
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Forget a secret.
    Remove {
        /// Its name.
        name: Name,
        /// Its environment.
        #[arg(long)]
        environment: Name,
        /// Where the agent's data is.
        #[command(flatten)]
        settings: SettingArgs,
    },
}

/// Carries out one of them.
pub fn secret(command: SecretCommand, output: Output) -> ExitCode {
    match command {
        SecretCommand::Set { name, environment, from_file, settings } => with_secrets(&settings, |secrets| {
            let path = from_file.as_deref().unwrap_or(Path::new("-"));
            let value = read_input(path).map_err(|error| SecretError::Unacceptable(error.to_string()))?;
            secrets.set(&environment, &name, strip_line_end(&value))?;
            Ok(Exit::Success.into())
        }),
        SecretCommand::List { settings } => with_secrets(&settings, |secrets| {
            let names = secrets.names();
            if output == Output::Json {
                return Ok(print_json(&names));
            }
            names.iter().for_each(|name| println!("{name}"));
            Ok(Exit::Success.into())
        }),
        SecretCommand::Remove { name, environment, settings } => with_secrets(&settings, |secrets| {
            secrets.remove(&environment, &name)?;
            Ok(Exit::Success.into())
        }),
    }
}

fn with_secrets(settings: &SettingArgs, work: impl FnOnce(&Secrets) -> Result<ExitCode, SecretError>) -> ExitCode {
    let data = match settings.data() {
        Ok(data) => data,
        Err(exit) => return exit,
    };
    let worked = local_key(&data.local_key()).and_then(|key| work(&Secrets::new(data.secrets(), key)));
    worked.unwrap_or_else(|error| {
        let exit = match &error {
            SecretError::Missing { .. } | SecretError::Unacceptable(_) | SecretError::TooMany(_) => Exit::Usage,
            SecretError::Seal(_) | SecretError::File(_) => Exit::Store,
        };
        failed(&error, &error.code(), exit)
    })
}

/// The line end that editors and `echo` add is not part of a secret.
fn strip_line_end(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}
