//! `wherry demo`: a controller, two agents and simulated systems as real processes on this machine, and one operation
//! run through them, from keys and certificates to records.

mod children;
mod folder;
mod programs;
mod stage;
mod upgrade;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Stopwatch;
use crate::codes;
use crate::commands::Context;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::screen::Screen;
use children::Children;
use folder::Folder;
use programs::Programs;
use stage::{Performance, Stage};

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Ends after the run instead of staying until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Writes the result as one line of JSON, the last on stdout.
    #[arg(long)]
    json: bool,
    /// Folder to work in, new or empty; it is kept.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Keeps the temporary folder.
    #[arg(long)]
    keep: bool,
    /// How many requests the simulated desk has.
    #[arg(long, default_value_t = 250)]
    requests: u32,
}

/// Shows the demo. Whatever happens, no process is left behind.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Outcome {
    let (watch, screen) = (Stopwatch::start(), context.screen);
    let result = |shown: Result<&Performance, &CliError>| {
        if arguments.json {
            screen.raw(&format!("{}\n", result(shown, watch.elapsed().as_secs_f64())));
        }
    };
    let (programs, folder) = prepare(&arguments).inspect_err(|error| result(Err(error)))?;
    let mut children = Children::new(folder.logs()?);
    let stage = Stage::new(&programs, &folder, &mut children, screen, arguments.requests);
    let shown = tokio::select! {
        biased;
        () = asked_to_stop() => Err(interrupted()),
        shown = stage.perform() => shown,
    };
    result(shown.as_ref());
    let outcome = match shown {
        Ok(performance) => {
            screen.note(&performance.summary());
            if arguments.once { Ok(()) } else { stay(&performance, &mut children, screen).await }
        }
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| with_logs(error, &children, &folder));
    children.stop().await;
    folder.clear(matches!(&outcome, Err(error) if error.exit != Exit::Interrupted));
    outcome
}

fn prepare(arguments: &Arguments) -> Outcome<(Programs, Folder)> {
    Ok((Programs::find()?, Folder::prepare(arguments.dir.clone(), arguments.keep)?))
}

/// Stays until the person has seen enough. Agents may come to an end, by the person's own hand perhaps, to see what
/// happens to their runs; without its controller there is no demo.
async fn stay(performance: &Performance, children: &mut Children, screen: Screen) -> Outcome {
    screen.note(&performance.next_steps());
    screen.note("Ctrl-C stops everything.");
    let watching = async {
        loop {
            let (name, error) = children.next_end().await;
            if name == stage::CONTROLLER {
                return error;
            }
            screen.note(&format!("{}; the rest goes on", error.message));
        }
    };
    tokio::select! {
        () = asked_to_stop() => Ok(()),
        error = watching => Err(error),
    }
}

/// The line for programs.
fn result(shown: Result<&Performance, &CliError>, seconds: f64) -> Value {
    let seconds = (seconds * 1_000.0).round() / 1_000.0;
    match shown {
        Ok(Performance { run, read, written, .. }) => {
            json!({"status": "succeeded", "run": run.get("id"), "read": read, "written": written, "seconds": seconds})
        }
        Err(error) => {
            let run = error.problem.as_ref().and_then(|problem| problem.get("run")?.get("id"));
            json!({"status": "failed", "run": run, "code": error.code, "message": error.message, "seconds": seconds})
        }
    }
}

fn with_logs(mut error: CliError, children: &Children, folder: &Folder) -> CliError {
    if error.exit != Exit::Interrupted {
        error.details = children.last_words().into();
        error.place = error.place.or_else(|| Some(folder.path().display().to_string().into()));
    }
    error
}

fn interrupted() -> CliError {
    CliError::new(Exit::Interrupted, codes::INTERRUPTED, "the demo was stopped before it was through")
}

/// Ctrl-C, or the polite ways in which systems and terminals end a process.
pub(crate) async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
