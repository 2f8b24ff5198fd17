//! `wherry-controller`: the process a platform operator runs.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use wherry_controller::{app, backup, config::Config};
use wherry_daemon::{
    clock::Clock, exit, exit::Exit, limits, redaction::Redactor, shutdown::Shutdown, store::StoreError, telemetry,
};

/// Controller of Wherry: environments, agents, connectors, projects and runs.
#[derive(Parser)]
#[command(name = "wherry-controller", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until asked to stop.
    Run {
        #[command(flatten)]
        settings: SettingArgs,
        /// Check the configuration, print it, and do nothing else.
        #[arg(long)]
        check: bool,
    },
    /// Put a backup into an empty data folder.
    Restore {
        #[command(flatten)]
        settings: SettingArgs,
        /// The backup.
        file: PathBuf,
    },
    /// Print the OpenAPI document of the REST API.
    Openapi,
}

#[derive(Args)]
struct SettingArgs {
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, such as --set web.listen=127.0.0.1:9443; wins over file and environment.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not faults. A closed output has nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Run { settings, check } => {
            with_config(&settings, |config| if check { show(&config) } else { run(config) })
        }
        Command::Restore { settings, file } => with_config(&settings, |config| restore(&config, &file)),
        Command::Openapi => openapi(),
    }
}

fn with_config(settings: &SettingArgs, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::load(settings.config.as_deref(), &settings.set) {
        Ok(config) => then(config),
        Err(faults) => exit::report(&faults, faults.code(), Exit::Config),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn show(config: &Config) -> ExitCode {
    match serde_json::to_string_pretty(config) {
        Ok(text) => println!("{text}"),
        Err(error) => return exit::report(&error, "config.invalid", Exit::Config),
    }
    ExitCode::SUCCESS
}

fn run(config: Config) -> ExitCode {
    if let Err(error) = telemetry::init(&config.log, &Redactor::default()) {
        return exit::report(&error, "config.invalid", Exit::Config);
    }
    limits::raise_open_files();
    limits::no_core_dumps();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&error, "controller.failed", Exit::Unavailable),
    };
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::on_signals(app::GRACE)?;
        app::App::open(config, Clock::system())?.run(shutdown).await
    });
    match ended {
        Ok(code) => code.into(),
        Err(error) => failed(&error),
    }
}

/// One core is left to the threads of the store. With a worker for each core, every task that one of them begins wakes
/// another, which finds nothing left to do: on two cores that took longer than the work.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread().worker_threads(cores.saturating_sub(1).max(1)).enable_all().build()
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if error.is::<app::LostData>() {
        return exit::report(error.as_ref(), "store.damaged", Exit::Store);
    }
    match error.downcast_ref::<StoreError>() {
        Some(store) => exit::report(error.as_ref(), store.code(), Exit::Store),
        None => exit::report(error.as_ref(), "controller.failed", Exit::Unavailable),
    }
}

fn restore(config: &Config, file: &std::path::Path) -> ExitCode {
    let restored = std::fs::File::open(file)
        .map_err(backup::RestoreError::from)
        .and_then(|mut input| backup::restore(&config.data_dir, &mut std::io::BufReader::new(&mut input)));
    match restored {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, "backup.unusable", Exit::Data),
    }
}

#[expect(clippy::print_stdout, reason = "the answer of the command")]
fn openapi() -> ExitCode {
    match wherry_controller::web::document().to_pretty_json() {
        Ok(text) => println!("{text}"),
        Err(error) => return exit::report(&error, "controller.failed", Exit::Software),
    }
    ExitCode::SUCCESS
}
