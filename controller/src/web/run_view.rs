//! Runs as people and programs see them.

use serde::Serialize;
use utoipa::ToSchema;
use wherry_domain::{
    failure::{Failure, FailureClass},
    run::{Outcome, State},
};

use super::pages::rfc3339;
use crate::{
    engine::{Directory, state_word},
    model::{Happened, RunRecord},
};

/// A run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Run {
    pub(super) id: String,
    environment: String,
    project: String,
    /// `operation` or `action`.
    kind: &'static str,
    /// The operation, or the alias or connection that an action called.
    operation: String,
    /// The activity that an action called.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<String>,
    deployment_number: u64,
    /// `read`, `idempotent`, `keyed` or `unsafe`: what repeating it may do.
    side_effects: &'static str,
    /// `queued`, `leased`, `unknown`, `succeeded`, `failed` or `cancelled`.
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "is_false")]
    cancelling: bool,
    /// Dispatches so far.
    attempt: u32,
    /// The agent of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// Over all attempts, as far as each went on behind the one before.
    counts: Counts,
    /// Of the last attempt alone.
    last_attempt: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// Why a queued run is not with an agent, where that is known; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    submitted_at: String,
    submitted_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caused_by: Option<String>,
    late_results: u32,
    history: Vec<Event>,
}

/// Records that went where.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Counts {
    read: u64,
    written: u64,
    rejected: u64,
    batches: u64,
}

/// Why a run failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FailureView {
    /// `retry` or `permanent`.
    class: &'static str,
    code: String,
    message: String,
    /// Whether something outside may have changed.
    effects_begun: bool,
}

/// Why a run waits.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Waiting {
    code: String,
    message: String,
}

/// Something that happened to a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Event {
    at: String,
    what: String,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<wherry_domain::run::Reason>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Run {
    /// The view of a run; `names` knows those of its environment and agents.
    pub(super) fn new(record: &RunRecord, names: &Directory) -> Self {
        let RunRecord { spec, stored, counts, earlier, .. } = record;
        Self {
            id: spec.id.to_string(),
            environment: names.environment(spec.environment),
            project: spec.project.to_string(),
            kind: if spec.action.is_some() { "action" } else { "operation" },
            operation: spec.operation.to_string(),
            activity: spec.action.as_ref().map(|called| called.activity.clone()),
            deployment_number: spec.number,
            side_effects: record.side_effects().as_str(),
            state: state_word(&stored.state),
            cancelling: matches!(stored.state, State::Leased { cancelling: true, .. }),
            attempt: stored.fence.attempt(),
            agent: record.agent.map(|agent| names.agent(agent)),
            counts: counts.and(*earlier).into(),
            last_attempt: (*counts).into(),
            failure: failure(&stored.state),
            waiting: None,
            submitted_at: rfc3339(spec.submitted_ms),
            submitted_by: spec.by.clone(),
            started_at: record.started_ms.map(rfc3339),
            finished_at: record.finished_ms.map(rfc3339),
            duration_ms: record.finished_ms.map(|end| end.saturating_sub(record.started_ms.unwrap_or(end))),
            caused_by: spec.caused_by.map(|run| run.to_string()),
            late_results: record.late_results,
            history: record.history.iter().map(|happened| event(happened, names)).collect(),
        }
    }

    /// The same, with why it waits.
    pub(super) fn waiting_for(self, why: Option<Failure>) -> Self {
        let waiting = why.map(|Failure { code, message, .. }| Waiting { code: code.to_string(), message });
        Self { waiting, ..self }
    }
}

impl From<wherry_proto::frame::Counts> for Counts {
    fn from(counts: wherry_proto::frame::Counts) -> Self {
        let wherry_proto::frame::Counts { read, written, rejected, batches } = counts;
        Self { read, written, rejected, batches }
    }
}

fn failure(state: &State) -> Option<FailureView> {
    let State::Finished { outcome: Outcome::Failed(Failure { class, code, message, effects_begun, .. }) } = state
    else {
        return None;
    };
    let class = match class {
        FailureClass::Retry => "retry",
        FailureClass::Permanent => "permanent",
    };
    Some(FailureView { class, code: code.to_string(), message: message.clone(), effects_begun: *effects_begun })
}

fn event(happened: &Happened, names: &Directory) -> Event {
    Event {
        at: rfc3339(happened.at_ms),
        what: happened.what.clone(),
        attempt: happened.attempt,
        agent: happened.agent.map(|agent| names.agent(agent)),
        reason: happened.reason,
    }
}
