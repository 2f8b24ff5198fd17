//! `wherry-agent secret`: the agent owner's own secrets, on the agent's own machine.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use wherry_daemon::exit::Exit;
use wherry_domain::name::Name;

use super::{Output, SettingArgs, failed, print_json, read_input};
use crate::{
    identity::{Identity, IdentityError},
    keyring,
    secrets::{SecretError, Secrets, local_key},
};

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
    /// Hand a secret of this agent to all agents of its group.
    Seal {
        /// Its name.
        name: Name,
        /// Its environment.
        #[arg(long)]
        environment: Name,
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
        SecretCommand::Seal { name, environment, settings } => seal(&environment, &name, &settings, output),
        SecretCommand::List { settings } => list(&settings, output),
        SecretCommand::Remove { name, environment, settings } => with_secrets(&settings, |secrets| {
            secrets.remove(&environment, &name)?;
            Ok(Exit::Success.into())
        }),
    }
}

/// A secret as it is listed.
#[derive(Serialize)]
struct Listed {
    environment: String,
    name: String,
    /// `group` or `local`.
    kept: &'static str,
    /// A value of the same name was set for the whole group, which comes first.
    hidden: bool,
}

fn list(settings: &SettingArgs, output: Output) -> ExitCode {
    let data = match settings.data() {
        Ok(data) => data,
        Err(exit) => return exit,
    };
    with_secrets(settings, |secrets| {
        let sealed: Vec<String> =
            keyring::sealed_names(&data).iter().map(|(environment, name)| format!("{environment}/{name}")).collect();
        let local = secrets.names();
        let entry = |name: &String, kept, hidden| {
            let (environment, name) = name.split_once('/').unwrap_or_default();
            Listed { environment: environment.to_owned(), name: name.to_owned(), kept, hidden }
        };
        let listed = sealed.iter().map(|name| entry(name, "group", false));
        let listed: Vec<Listed> =
            listed.chain(local.iter().map(|name| entry(name, "local", sealed.contains(name)))).collect();
        if output == Output::Json {
            return Ok(print_json(&listed));
        }
        for Listed { environment, name, kept, hidden } in &listed {
            let hidden = if *hidden { "  (not used: it is set for the group)" } else { "" };
            println!("{:<40} {kept}{hidden}", format!("{environment}/{name}"));
        }
        Ok(Exit::Success.into())
    })
}

/// Seals a value that was set on this agent to its whole group.
fn seal(environment: &Name, name: &Name, settings: &SettingArgs, output: Output) -> ExitCode {
    let data = match settings.data() {
        Ok(data) => data,
        Err(exit) => return exit,
    };
    let refused = |error: &IdentityError| failed(error, &error.code(), error.exit());
    let identity = match Identity::load(&data) {
        Ok(identity) => identity,
        Err(error) => return refused(&error),
    };
    let (who, key) = match identity.name().and_then(|who| Ok((who, identity.identity_key()?))) {
        Ok(found) => found,
        Err(error) => return refused(&error),
    };
    with_secrets(settings, |secrets| {
        let value = secrets.get(environment, name)?;
        let content = value.expose_secret().as_bytes();
        match keyring::seal_to_group(&data, (&who, &key), (environment, name), content) {
            Ok(version) if output == Output::Json => Ok(print_json(&json!({ "version": version }))),
            Ok(version) => {
                println!("sealed as version {version}; the running agent sends it within seconds");
                println!(
                    "the local value is not used any more: wherry-agent secret remove {name} --environment {environment}"
                );
                Ok(Exit::Success.into())
            }
            Err(error) => Ok(failed(&error, &error.code(), Exit::Store)),
        }
    })
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
            SecretError::PendingKeys { .. } | SecretError::Sealed(_) | SecretError::Seal(_) | SecretError::File(_) => {
                Exit::Store
            }
        };
        failed(&error, &error.code(), exit)
    })
}

/// The line end that editors and `echo` add is not part of a secret.
fn strip_line_end(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}
