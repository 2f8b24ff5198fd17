//! `cargo xtask test`: builds what whole-system tests start, then runs every test.

use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::command::Run;
use crate::layout::{Layout, Profile};
use crate::third_party::{EXCEPT_THIRD_PARTY, ThirdParty};
use crate::{build, install, wasm};

/// Selects the suite that kills programs at random moments.
const KILL_SUITE: &str = "test(/(^|::)kills::/)";

/// Which tests to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Also kill agent and controller this many times under load, and count what was lost.
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// Only the tests against mock servers, clients and API descriptions that others wrote.
    #[arg(long)]
    third_party: bool,
    /// Only the tests of the whole system, once: every program logs all it can, and each test ends with a look for the
    /// secrets it used, in every log and file.
    #[arg(long)]
    canaries: bool,
    /// Print one JSON object as the last line: the report of the kill suite, or whether the tests passed.
    #[arg(long)]
    json: bool,
}

/// Builds, tests, and tells by the exit code.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<ExitCode> {
    prepare(layout)?;
    let passed = if options.third_party {
        third_party(layout)?
    } else if options.canaries {
        canaries(layout)?
    } else {
        workspace(layout)?
    };
    let report = options.kills.map(|kills| kill_suite(layout, kills)).transpose()?;
    if options.json {
        println!("{}", report.unwrap_or_else(|| serde_json::json!({ "passed": passed }).to_string()));
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything, third-party tests included where they can run. The last lines are the runner's summary.
pub(crate) fn everything(layout: &Layout) -> Result<bool> {
    prepare(layout)?;
    let third_party = ThirdParty::prepare(layout)?;
    let filter = third_party.filter();
    let filter = filter.iter().flat_map(|filter| ["--filterset", filter]);
    let run = nextest(layout).arguments(["--workspace", "--no-fail-fast"]).arguments(filter);
    Ok(third_party.describe(run).status()?.success())
}

fn prepare(layout: &Layout) -> Result<()> {
    install::nextest(layout)?;
    wasm::build(layout)?;
    build::programs()
}

fn workspace(layout: &Layout) -> Result<bool> {
    let run = nextest(layout).arguments(["--workspace", "--no-fail-fast", "--filterset", EXCEPT_THIRD_PARTY]);
    Ok(run.status()?.success())
}

fn canaries(layout: &Layout) -> Result<bool> {
    let run = nextest(layout).env("WHERRY_CANARIES", "1");
    let run = run.env("WHERRY_AGENT__LOG__FILTER", "trace").env("WHERRY_CONTROLLER__LOG__FILTER", "trace");
    let run = run.arguments(["--package", "wherry-tests", "--no-fail-fast", "--filterset", EXCEPT_THIRD_PARTY]);
    Ok(run.status()?.success())
}

fn third_party(layout: &Layout) -> Result<bool> {
    let third_party = ThirdParty::prepare(layout)?;
    let run = third_party.describe(nextest(layout));
    if !third_party.has_any() {
        return Ok(true);
    }
    let selection = third_party.selection();
    let run = run.arguments(["--package", "wherry-tests", "--no-fail-fast", "--filterset", &selection]);
    Ok(run.status()?.success())
}

/// Runs the kill suite and gives its report, one line of JSON.
fn kill_suite(layout: &Layout, kills: u32) -> Result<String> {
    let path = layout.target().join("kills.json");
    // A report of an earlier run must not pass for this one's.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Err(_) | Ok(()) => {}
    }
    let run = nextest(layout).arguments(["--package", "wherry-tests", "--no-capture", "--filterset", KILL_SUITE]);
    let run = run.env("WHERRY_KILLS", kills.to_string()).env("WHERRY_KILLS_REPORT", &path);
    let status = run.status()?;
    let report = std::fs::read_to_string(&path).context("the kill suite left no report")?;
    let report = one_line(&report)?;
    if !status.success() {
        bail!("the kill suite failed: {report}");
    }
    eprintln!("kill suite: {report}");
    Ok(report)
}

/// The four counts of a report, in their order; a report that lacks one is not a report.
fn one_line(report: &str) -> Result<String> {
    let report: serde_json::Value = serde_json::from_str(report).context("the kill suite's report is not JSON")?;
    let mut counts = Vec::new();
    for name in ["kills", "acknowledged", "lost", "recorded_twice"] {
        let count = report.get(name).and_then(serde_json::Value::as_u64);
        let count = count.ok_or_else(|| anyhow!("the kill suite's report has no count named {name}"))?;
        counts.push(format!("\"{name}\":{count}"));
    }
    Ok(format!("{{{}}}", counts.join(",")))
}

fn nextest(layout: &Layout) -> Run {
    layout.describe(Run::cargo(["nextest", "run"]).quiet_stdout(), Profile::Dev)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_one_line_with_its_four_counts_in_order() {
        let report = "{\n \"lost\": 0, \"recorded_twice\": 0,\n \"kills\": 20, \"acknowledged\": 812, \"more\": 1 }";
        let line = r#"{"kills":20,"acknowledged":812,"lost":0,"recorded_twice":0}"#;
        assert_eq!(one_line(report).unwrap(), line);
    }

    #[test]
    fn a_report_without_a_count_is_refused() {
        for bad in ["", "[]", r#"{"kills":1,"acknowledged":1,"lost":0}"#, r#"{"kills":"1"}"#] {
            assert!(one_line(bad).is_err(), "{bad}");
        }
    }
}
