//! `cargo xtask ci`: everything a change must pass, each step with its time, tests last.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::command::Run;
use crate::layout::Layout;
use crate::{install, test, tidy};

type Check = (&'static str, fn(&Layout) -> Result<bool>);

/// From quick to slow, so that the first answer comes soon.
const CHECKS: [Check; 5] = [("fmt", fmt), ("tidy", tidy::passes), ("clippy", clippy), ("doc", doc), ("deny", deny)];

/// Runs all checks, stops there if one failed, and otherwise runs the tests.
pub(crate) fn run(layout: &Layout) -> Result<ExitCode> {
    let mut failed = Vec::new();
    let mut times = Vec::new();
    for (name, check) in CHECKS {
        eprintln!("== {name}");
        let (passed, time) = timed(|| check(layout));
        let passed = passed.unwrap_or_else(|error| {
            eprintln!("{name}: {error:#}");
            false
        });
        let verdict = if passed { "ok" } else { "FAILED" };
        eprintln!("== {name}: {verdict} ({:.1} s)", time.as_secs_f64());
        times.push(format!("{name} {:.1} s", time.as_secs_f64()));
        if !passed {
            failed.push(name);
        }
    }
    eprintln!("== checks: {}", times.join(", "));
    if !failed.is_empty() {
        eprintln!("== failed: {} (tests were not run)", failed.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("== test");
    Ok(if test::everything(layout)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fmt(_: &Layout) -> Result<bool> {
    succeeded(Run::cargo(["fmt", "--all", "--check"]))
}

fn clippy(_: &Layout) -> Result<bool> {
    succeeded(Run::cargo(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn doc(_: &Layout) -> Result<bool> {
    succeeded(Run::cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

fn deny(layout: &Layout) -> Result<bool> {
    install::deny(layout)?;
    // Duplicate versions are for a quiet hour, not for every log: `cargo deny check bans` shows them.
    let deny = Run::cargo(["deny", "--workspace", "--log-level", "error", "check", "--hide-inclusion-graph"]);
    succeeded(deny.arguments(["bans", "licenses", "sources"]))
}

fn succeeded(run: Run) -> Result<bool> {
    Ok(run.quiet_stdout().status()?.success())
}

#[allow(clippy::disallowed_methods, reason = "a build tool measures real time; nothing here is simulated")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}
