//! `wherry connector test`: a component in the real host against recorded answers, and the promises of the contract
//! checked beside.
//!
//! | module | what it is for |
//! |---|---|
//! | `case` | test cases as files |
//! | `build` | from a folder to a component |
//! | `plan` | what the harness is to run |
//! | `probe` | runs against answers that no case asks for: repeated pages, refusals, a cancellation |
//! | `judge` | what of a report is a fault |
//! | `schema` | the schemas of a descriptor |

pub(crate) mod build;
pub(crate) mod case;
mod judge;
mod plan;
mod probe;
mod schema;

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use wherry_domain::effects::SideEffects;
use wherry_trust::release::Described;

use crate::codes;
use crate::error::{CliError, Outcome};
use crate::exit::Exit;
use crate::harness;
use case::Case;
pub(crate) use plan::System;
use plan::{Line, Report, Run};

/// What stands in a recording where a secret stood. A connector that hands it on would have handed on the secret.
pub(crate) const CANARY: &str = "wherry-canary-4711";
/// What stands in a recording for the system's own address.
pub(crate) const RECORDED: &str = "https://recorded.example";

/// One check and what it found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// The test case, or the connector itself.
    pub(crate) case: String,
    pub(crate) check: &'static str,
    pub(crate) passed: bool,
    pub(crate) faults: Vec<String>,
}

impl Finding {
    fn new(case: &str, check: &'static str, faults: Vec<String>) -> Self {
        Self { case: case.to_owned(), check, passed: faults.is_empty(), faults }
    }
}

/// Runs all cases and probes, and gives what was found.
pub(crate) async fn carry_out(component: &Path, cases: &[Case]) -> Outcome<Vec<Finding>> {
    let probes = probe::of(cases);
    let runs: Vec<Run> = cases.iter().map(plan::replay).chain(probes.iter().map(|probe| probe.run.clone())).collect();
    let (descriptor, reports) = ask(component, &runs).await?;
    let (replayed, probed) = reports.split_at_checked(cases.len()).unwrap_or_default();
    let mut findings = vec![schema::of(&descriptor)];
    for (case, report) in cases.iter().zip(replayed) {
        findings.extend(judge::replayed(case, &descriptor, report));
    }
    findings.extend(probe::judged(&probes, probed));
    Ok(findings)
}

/// The cases that may change something in the system that they are recorded from, each with what it calls.
pub(crate) async fn changing<'a>(component: &Path, cases: &[&'a Case]) -> Outcome<Vec<&'a Case>> {
    let (descriptor, _) = ask(component, &[]).await?;
    let reads = |case: &Case| {
        let activity = descriptor.activity(&case.content.activity);
        case.is_test() || activity.is_some_and(|activity| activity.side_effects == SideEffects::Read)
    };
    Ok(cases.iter().copied().filter(|case| !reads(case)).collect())
}

/// Runs a case against the system itself and gives the exchanges, without credential and secrets.
pub(crate) async fn record(component: &Path, case: &Case, system: &plan::System) -> Outcome<Vec<Value>> {
    let (_, reports) = ask(component, &[plan::record(case, system)]).await?;
    let report = reports.into_iter().next().ok_or_else(|| unreadable("it says nothing"))?;
    if report.recorded.is_empty() {
        let why = report.error.map_or_else(|| "it made no request".to_owned(), |told| told.to_string());
        return Err(CliError::new(Exit::Failed, codes::CONNECTOR_TEST_RECORDING, why)
            .at(case.file.display().to_string())
            .fix("look at the address, the credential and the parameters of the case"));
    }
    if let Some(fault) = judge::ending(case, &report) {
        let message = format!("nothing is recorded of {}: {fault}", case.name);
        return Err(CliError::new(Exit::Failed, codes::CONNECTOR_TEST_RECORDED_FAILURE, message)
            .at(case.file.display().to_string())
            .fix("try again; or name the failure, if the case is about it: expect: { error: { code: ... } }"));
    }
    Ok(report.recorded.iter().map(Line::to_json).collect())
}

async fn ask(component: &Path, runs: &[Run]) -> Outcome<(Described, Vec<Report>)> {
    let plan = serde_json::json!({ "component": component, "runs": runs }).to_string();
    let said = harness::ask([OsStr::new("connector")], plan.as_bytes()).await;
    let said = said.map_err(|error| match error.place {
        Some(_) => error,
        None => error.at(component.display().to_string()),
    })?;
    let mut lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let first: Value = serde_json::from_slice(lines.next().unwrap_or_default()).map_err(unreadable)?;
    let descriptor = first.get("descriptor").and_then(Value::as_str).unwrap_or_default();
    let descriptor = Described::parse(descriptor.as_bytes())
        .map_err(|error| CliError::new(Exit::Invalid, codes::PACKAGE_DESCRIPTOR_INVALID, error.to_string()))?;
    let reports = lines.map(serde_json::from_slice).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if reports.len() != runs.len() {
        return Err(unreadable("reports are missing"));
    }
    Ok((descriptor, reports))
}

fn unreadable(why: impl std::fmt::Display) -> CliError {
    CliError::new(Exit::Failed, codes::PROGRAM_ENDED, format!("the harness cannot be understood: {why}"))
}
