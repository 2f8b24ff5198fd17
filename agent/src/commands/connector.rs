//! `wherry-agent connector`: what this agent holds back, and the owner's word on it.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use wherry_daemon::exit::Exit;
use wherry_domain::{failure::Code, name::Name};

use super::{Output, SettingArgs, failed, print_json};
use crate::{
    connectors::quarantine::{Folder, Held},
    private_file::FileError,
};

/// Looks at what this agent does not run, and changes its mind.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConnectorCommand {
    /// Show the versions that failed too often on this agent and are not run any more.
    Quarantined {
        /// Where the agent's data is.
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// Run a quarantined connector again. A running agent notices within seconds.
    Unquarantine {
        /// The connector.
        name: Name,
        /// Where the agent's data is.
        #[command(flatten)]
        settings: SettingArgs,
    },
}

/// A version in quarantine as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    connector: &'a Name,
    version: String,
    digest: String,
    code: &'a Code,
    since_ms: u64,
}

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("no version of {0} is quarantined on this agent; `wherry-agent connector quarantined` lists what is")]
    NotQuarantined(Name),
    #[error(transparent)]
    File(#[from] FileError),
}

impl Kept {
    fn code(&self) -> Code {
        match self {
            Self::NotQuarantined(_) => Code::new("connector.not_quarantined"),
            Self::File(_) => Code::new("store.io"),
        }
    }

    const fn exit(&self) -> Exit {
        match self {
            Self::NotQuarantined(_) => Exit::Usage,
            Self::File(_) => Exit::Store,
        }
    }
}

/// Carries out one of them.
pub fn connector(command: ConnectorCommand, output: Output) -> ExitCode {
    let (ConnectorCommand::Quarantined { settings } | ConnectorCommand::Unquarantine { settings, .. }) = &command;
    let folder = match settings.data() {
        Ok(data) => Folder::new(data.quarantine()),
        Err(exit) => return exit,
    };
    match command {
        ConnectorCommand::Quarantined { .. } => list(&folder, output),
        ConnectorCommand::Unquarantine { name, .. } => match release(&folder, &name) {
            Ok(versions) if output == Output::Json => print_json(&json!({ "connector": name, "versions": versions })),
            Ok(versions) => {
                println!("{name} {} runs again on this agent", versions.join(", "));
                Exit::Success.into()
            }
            Err(error) => failed(&error, &error.code(), error.exit()),
        },
    }
}

fn list(folder: &Folder, output: Output) -> ExitCode {
    let held = folder.read();
    if output == Output::Json {
        let listed = held.values().map(|held| Listed {
            connector: &held.name,
            version: held.version.to_string(),
            digest: held.digest.to_string(),
            code: &held.code,
            since_ms: held.since_ms,
        });
        return print_json(&listed.collect::<Vec<_>>());
    }
    for Held { name, version, code, .. } in held.values() {
        println!("{:<40} {code}", format!("{name} {version}"));
    }
    Exit::Success.into()
}

/// Every version of the connector.
fn release(folder: &Folder, name: &Name) -> Result<Vec<String>, Kept> {
    let held: Vec<Held> = folder.read().into_values().filter(|held| held.name == *name).collect();
    if held.is_empty() {
        return Err(Kept::NotQuarantined(name.clone()));
    }
    for held in &held {
        folder.remove(held.digest)?;
    }
    Ok(held.into_iter().map(|held| held.version.to_string()).collect())
}
