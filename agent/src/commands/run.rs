//! `wherry-agent run`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde::Serialize;
use wherry_daemon::{clock::Clock, exit::Exit, limits, redaction::Redactor, shutdown::Shutdown, telemetry, tls};
use wherry_domain::failure::Code;

use super::{SettingArgs, failed, print_json};
use crate::{
    app::{App, AppError, Surroundings},
    config::{Config, Raw},
    policy::{Policy, RawPolicy},
};

/// How long threads of runs may take to end.
const THREADS: Duration = Duration::from_secs(2);

/// Runs the agent until it is asked to stop.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Check the configuration, print it, and do nothing else.
    #[arg(long)]
    check: bool,
}

/// Runs the agent.
pub fn run(args: &RunArgs) -> ExitCode {
    let config = match args.settings.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if args.check {
        return check(&config);
    }
    let redactor = Redactor::default();
    if let Err(error) = telemetry::init(&config.log, &redactor) {
        return failed(&error, &Code::new("config.invalid"), Exit::Config);
    }
    limits::raise_open_files();
    limits::no_core_dumps();
    match start(&config, redactor) {
        Ok(exit) => exit.into(),
        Err(error) => failed(&error, &error.code(), error.exit()),
    }
}

/// What holds, without secrets: the configuration, and the owner's policy if there is one.
#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    configuration: &'a Raw,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a RawPolicy>,
}

fn check(config: &Config) -> ExitCode {
    match Policy::open(config.policy.clone(), Clock::system().wall_unix_millis()) {
        Ok(policy) => {
            let rules = policy.rules();
            let policy = policy.standing().map(|_| rules.raw());
            print_json(&Checked { configuration: &config.raw, policy })
        }
        Err(error) => failed(&error, &error.code(), Exit::Config),
    }
}

/// This very program, also after an upgrade has put another one in its place.
fn own_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// Everything but runs happens on this one thread: there is little of it, and it never waits for a run.
fn start(config: &Config, redactor: Redactor) -> Result<Exit, AppError> {
    tls::provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (exit, guests) = runtime.block_on(async {
        let shutdown = Shutdown::on_signals(config.grace)?;
        let compiler = own_program()?;
        let surroundings = Surroundings { clock: Clock::system(), shutdown: shutdown.clone(), compiler, redactor };
        let app = App::build(config, surroundings).await?;
        let ended = app.run().await;
        if let Some(cause) = shutdown.cause().filter(|cause| cause.exit != Exit::Success) {
            eprintln!("error: {}", cause.reason);
        }
        Ok::<_, AppError>(ended)
    })?;
    guests.shutdown_timeout(THREADS);
    Ok(exit)
}
