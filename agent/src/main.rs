//! `wherry-agent`: the process a customer runs inside their own network.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use wherry_agent::commands::{
    self, ConnectorCommand, EnrolArgs, HarnessCommand, Output, RunArgs, SecretCommand, StatusArgs,
};
use wherry_daemon::exit::Exit;

/// Private agent of Wherry: runs a project's operations inside your own network.
#[derive(Parser)]
#[command(name = "wherry-agent", version)]
struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trade a one-time token for an identity.
    Enrol(EnrolArgs),
    /// Run until asked to stop.
    Run(RunArgs),
    /// Show whether the agent is enrolled, runs and is connected.
    Status(StatusArgs),
    /// Set, list and remove secrets.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// See which connectors failed too often here, and run them again.
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Try things out; started by `wherry`.
    #[command(hide = true, subcommand)]
    Harness(HarnessCommand),
    /// Run the code of connectors; started by the agent itself.
    #[command(hide = true)]
    Worker,
    /// Compile one component; started by the agent itself.
    #[command(hide = true)]
    Compile {
        /// The component.
        input: PathBuf,
        /// Where the code goes.
        output_file: PathBuf,
    },
}

fn main() -> ExitCode {
    let Cli { output, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match command {
        Command::Enrol(args) => commands::enrol(args, output),
        Command::Run(args) => commands::run(&args),
        Command::Status(args) => commands::status(&args, output),
        Command::Secret(command) => commands::secret(command, output),
        Command::Connector(command) => commands::connector(command, output),
        Command::Harness(command) => commands::harness(command),
        Command::Worker => commands::worker(),
        Command::Compile { input, output_file } => commands::compile(&input, &output_file),
    }
}

/// Help and version are answers, everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to do if the terminal is gone.
    drop(error.print());
    let answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if answer { Exit::Success.into() } else { Exit::Usage.into() }
}
