//! `wherry demo`: a controller, two agents and simulated systems as real processes on this machine, and one operation
//! run through them, from keys and certificates to records.

mod children;
mod folder;
mod programs;
mod stage;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Stopwatch;
use crate::commands::Context;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::screen::Screen;
use crate::text::{grouped, span};
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
    let watch = Stopwatch::start();
    let screen = context.screen;
    let programs = Programs::find()?;
    let folder = Folder::prepare(arguments.dir.clone(), arguments.keep)?;
    let mut children = Children::new(folder.logs()?);
    let shown = tokio::select! {
        biased;
        () = asked_to_stop() => Err(interrupted()),
        shown = Stage::new(&programs, &folder, &mut children, screen, arguments.requests).perform() => shown,
    };
    let seconds = watch.elapsed().as_secs_f64();
    report(&shown, seconds, &arguments, screen);
    let outcome = match shown {
        Ok(performance) if !arguments.once => stay(&performance, &mut children, screen).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| with_logs(error, &children, &folder));
    children.stop().await;
    folder.clear(matches!(&outcome, Err(error) if error.exit != Exit::Interrupted));
    outcome
}

/// Stays until the person has seen enough, or until a process ends that should not.
async fn stay(performance: &Performance, children: &mut Children, screen: Screen) -> Outcome {
    screen.note(&performance.next_steps());
    screen.note("Ctrl-C stops everything.");
    tokio::select! {
        () = asked_to_stop() => Ok(()),
        error = children.first_end() => Err(error),
    }
}

fn report(shown: &Outcome<Performance>, seconds: f64, arguments: &Arguments, screen: Screen) {
    match shown {
        Ok(performance) => {
            let millis = performance.run.get("duration_ms").and_then(Value::as_u64).unwrap_or_default();
            screen.note(&format!(
                "\n{} read, {} written in {}; the tracker holds {} issues, none twice.",
                grouped(performance.read),
                grouped(performance.written),
                span(millis),
                grouped(performance.created)
            ));
        }
        Err(_) if !arguments.json => {}
        Err(_) => screen.note(""),
    }
    if arguments.json {
        screen.raw(&format!("{}\n", result(shown, seconds)));
    }
}

fn result(shown: &Outcome<Performance>, seconds: f64) -> Value {
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
        error.details = children.last_words();
        error.place = error.place.or_else(|| Some(folder.path().display().to_string()));
    }
    error
}

fn interrupted() -> CliError {
    CliError::new(Exit::Interrupted, "client.interrupted", "the demo was stopped before it was through")
}

/// Ctrl-C, or the polite ways in which systems and terminals end a process.
async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
