//! Wire to domain, checked; domain to wire, total.

use core::time::Duration;

use wherry_domain::{
    failure::{Code, Failure, FailureClass},
    fence::Fence,
    id::InvalidId,
    name::Name,
    run::Outcome,
};

use crate::{
    MAX_IN_FLIGHT, MAX_LOG_LINES, MAX_LOG_TEXT,
    frame::{Attempt, Counts, Ending, InFlight, LogLine, Publisher, Stage},
    wire,
};

mod action;
mod agent;
mod ask;
mod catalogue;
mod class;
mod controller;
mod keyring;
mod oauth;
mod path;
mod policy;
mod ran;
mod state;

/// Most connectors of an operation: one for each step, and room for what comes.
const MAX_NAMES: usize = 16;

/// A frame that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer sent an invalid {field}: {reason}")]
pub struct Invalid {
    /// Name of the field, as in the .proto file.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Invalid {
    fn new(field: &'static str, reason: impl ToString) -> Self {
        Self { field, reason: reason.to_string() }
    }

    fn missing(field: &'static str) -> Self {
        Self::new(field, "it is missing")
    }
}

fn bounded(field: &'static str, length: usize, most: usize) -> Result<(), Invalid> {
    if length <= most {
        return Ok(());
    }
    Err(Invalid::new(field, format!("it has {length} bytes, more than {most}")))
}

/// Reads one value of a frame.
fn parse<T: core::str::FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|error: T::Err| Invalid::new(field, error))
}

/// Reads a short list of names.
fn names(field: &'static str, list: &[String]) -> Result<Vec<Name>, Invalid> {
    if list.len() > MAX_NAMES {
        return Err(Invalid::new(field, format!("it names {}, more than {MAX_NAMES}", list.len())));
    }
    list.iter().map(|name| parse(field, name)).collect()
}

fn attempt(run: &str, fence: u64) -> Result<Attempt, Invalid> {
    let run = run.parse().map_err(|error: InvalidId| Invalid::new("run_id", error))?;
    Ok(Attempt { run, fence: Fence::from_bits(fence) })
}

fn in_flight(list: Vec<wire::InFlight>) -> Result<Vec<InFlight>, Invalid> {
    if list.len() > MAX_IN_FLIGHT {
        return Err(Invalid::new("in_flight", format!("it names {} runs, more than {MAX_IN_FLIGHT}", list.len())));
    }
    list.into_iter()
        .map(|item| {
            let stage = match item.stage() {
                wire::in_flight::Stage::Unspecified => return Err(Invalid::missing("stage")),
                wire::in_flight::Stage::Accepted => Stage::Accepted,
                wire::in_flight::Stage::Started => Stage::Started,
                wire::in_flight::Stage::Interrupted => Stage::Interrupted,
                wire::in_flight::Stage::Finished => Stage::Finished,
            };
            Ok(InFlight { attempt: attempt(&item.run_id, item.fence)?, stage })
        })
        .collect()
}

fn wire_in_flight(list: Vec<InFlight>) -> Vec<wire::InFlight> {
    list.into_iter()
        .map(|item| {
            let stage = match item.stage {
                Stage::Accepted => wire::in_flight::Stage::Accepted,
                Stage::Started => wire::in_flight::Stage::Started,
                Stage::Interrupted => wire::in_flight::Stage::Interrupted,
                Stage::Finished => wire::in_flight::Stage::Finished,
            };
            wire::InFlight {
                run_id: item.attempt.run.to_string(),
                fence: item.attempt.fence.bits(),
                stage: stage.into(),
            }
        })
        .collect()
}

fn failure(wire: wire::Failure) -> Failure {
    let code = Code::received(&wire.code);
    let made = if wire.retry { Failure::retry(code, wire.message) } else { Failure::permanent(code, wire.message) };
    made.after_effects(wire.effects_begun).asked_to_wait(wire.retry_after_ms.map(Duration::from_millis))
}

fn wire_failure(failure: Failure) -> wire::Failure {
    wire::Failure {
        retry: failure.class == FailureClass::Retry,
        code: failure.code.as_str().to_owned(),
        message: failure.message,
        effects_begun: failure.effects_begun,
        retry_after_ms: failure.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn ending(wire: wire::Outcome) -> Result<Ending, Invalid> {
    Ok(match wire.kind() {
        wire::outcome::Kind::Unspecified => return Err(Invalid::missing("outcome.kind")),
        wire::outcome::Kind::Succeeded => Ending::Ended(Outcome::Succeeded),
        wire::outcome::Kind::Cancelled => Ending::Ended(Outcome::Cancelled),
        wire::outcome::Kind::Interrupted => Ending::Interrupted,
        wire::outcome::Kind::Failed => {
            Ending::Ended(Outcome::Failed(failure(wire.failure.ok_or(Invalid::missing("outcome.failure"))?)))
        }
    })
}

fn wire_ending(ending: Ending) -> wire::Outcome {
    let (kind, failure) = match ending {
        Ending::Interrupted => (wire::outcome::Kind::Interrupted, None),
        Ending::Ended(Outcome::Succeeded) => (wire::outcome::Kind::Succeeded, None),
        Ending::Ended(Outcome::Cancelled) => (wire::outcome::Kind::Cancelled, None),
        Ending::Ended(Outcome::Failed(failure)) => (wire::outcome::Kind::Failed, Some(wire_failure(failure))),
    };
    wire::Outcome { kind: kind.into(), failure }
}

fn counts(wire: Option<wire::Counts>) -> Counts {
    let wire::Counts { read, written, rejected, batches } = wire.unwrap_or_default();
    Counts { read, written, rejected, batches }
}

const fn wire_counts(counts: Counts) -> wire::Counts {
    let Counts { read, written, rejected, batches } = counts;
    wire::Counts { read, written, rejected, batches }
}

fn log_lines(lines: Vec<wire::LogLine>) -> Result<Vec<LogLine>, Invalid> {
    if lines.len() > MAX_LOG_LINES {
        return Err(Invalid::new("log", format!("it has {} lines, more than {MAX_LOG_LINES}", lines.len())));
    }
    lines
        .into_iter()
        .map(|line| {
            if line.text.len() > MAX_LOG_TEXT || line.level.len() > 5 {
                return Err(Invalid::new(
                    "log",
                    format!("a line has {} bytes, more than {MAX_LOG_TEXT}", line.text.len()),
                ));
            }
            Ok(LogLine { at_ms: line.at_ms, level: line.level, text: line.text })
        })
        .collect()
}

fn wire_log(lines: Vec<LogLine>) -> Vec<wire::LogLine> {
    lines.into_iter().map(|line| wire::LogLine { at_ms: line.at_ms, level: line.level, text: line.text }).collect()
}

/// Publishers for the wire.
pub fn wire_publishers(list: Vec<Publisher>) -> Vec<wire::Publisher> {
    list.into_iter().map(|one| wire::Publisher { name: one.name, key: one.key, prefix: one.prefix }).collect()
}

/// Publishers from the wire; their keys are read where they are used.
pub fn publishers(list: Vec<wire::Publisher>) -> Vec<Publisher> {
    list.into_iter().map(|one| Publisher { name: one.name, key: one.key, prefix: one.prefix }).collect()
}
