//! Actions: an application calls an activity and gets the answer in the same request.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{
    duration,
    effects::SideEffects,
    failure::Failure,
    name::Name,
    run::{AGENT_LOST, Outcome, State as RunState},
};
use wherry_proto::{
    MAX_ASK,
    frame::{Counts, Question},
};

use super::{
    Web,
    auth::Application,
    body::{Body, Named, Query},
    problem::Problem,
    runs::idempotency,
};
use crate::{
    engine::{Call, Calling, Inquiry, Passed},
    model::{Called, RunRecord},
};

/// How long a caller waits who does not say.
const USUAL: Duration = Duration::from_secs(30);
/// How much longer than the agent the caller waits.
const SLACK: Duration = Duration::from_secs(3);
/// How long an agent may take to look for an answer it gave.
const RECALL: Duration = Duration::from_secs(10);

/// What to call it with.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The activity's parameters. They are taken as they are, without variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    with: Map<String, Value>,
    /// Records for an activity that takes some; at most 1,000.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
}

/// How to call.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// The project, if the name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// Within this time the answer is wanted, such as `10s`; at most `60s`, and `30s` if absent.
    timeout: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// Its run.
    run: String,
    project: String,
    connection: String,
    activity: String,
    /// Records the activity yielded or was given.
    read: u64,
    /// Records the system took.
    written: u64,
    /// The same call came before with this idempotency key; nothing was done again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    /// `records` and what the connector says of its work; absent where answers may not leave the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    answer: Option<Box<RawValue>>,
    /// Why there is no answer: `action.answers_not_allowed` or `action.answer_gone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Calls an activity of an alias or a connection and waits for its answer.
#[utoipa::path(post, path = "/v1/environments/{environment}/actions/{name}/{activity}",
    params(("environment" = String, Path), ("name" = String, Path, description = "an alias or a connection"),
        ("activity" = String, Path), How,
        ("Idempotency-Key" = Option<String>, Header, description = "the same key and body are done once within 24 hours")),
    request_body = Input, responses((status = 200, body = Done), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 502, body = Problem),
        (status = 504, body = Problem)))]
pub(super) async fn call(
    State(web): State<Web>,
    Application(caller): Application,
    Named((environment, name, activity)): Named<(Name, Name, String)>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Body(input): Body<Input>,
) -> Result<Json<Done>, Problem> {
    let time = time(how.timeout.as_deref())?;
    let place = format!("action {environment}/{name}/{activity}/{:?}", how.project);
    let call = Call {
        idempotency: idempotency(&headers, &caller.name, &place, &input)?,
        environment: environment.clone(),
        project: how.project,
        name,
        activity,
        with: input.with,
        records: input.records,
        who: caller.name,
        time,
    };
    let Calling { record, over, repeated, answers } = web.ledger.call(call).await?;
    let run = record.spec.id;
    let passed = match tokio::time::timeout(time + SLACK, over).await {
        Ok(Ok(passed)) => passed,
        Ok(Err(_)) => {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "controller.stopping",
                "the controller is stopping: ask for the run later",
            )
            .of_run(run));
        }
        Err(_) => Passed { record: Arc::new(web.ledger.run(run).await?), answer: None },
    };
    let Some(called) = passed.record.spec.action.clone() else {
        let message = "this idempotency key came with another request before: use a new key";
        return Err(Problem::new(StatusCode::CONFLICT, "request.idempotency_mismatch", message));
    };
    let called = Called { answer: called.answer && answers, ..called };
    let counts = ended(&passed.record)?;
    let answer = match passed.answer.filter(|_| called.answer) {
        Some(answer) => Some(answer),
        None if called.answer && repeated => recalled(&web, environment, &passed.record, &called).await,
        None => None,
    };
    done(&passed.record, called, counts, answer, repeated).map(Json)
}

fn time(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(USUAL) };
    let time = duration::parse(text).ok().filter(|time| !time.is_zero() && *time <= MAX_ASK);
    let message = "timeout is a duration of at most 60s, such as 10s";
    time.ok_or_else(|| Problem::invalid("request.query_invalid", message))
}

fn done(
    record: &RunRecord,
    called: Called,
    counts: Counts,
    answer: Option<Arc<Vec<u8>>>,
    repeated: bool,
) -> Result<Done, Problem> {
    let run = record.spec.id;
    let kept_back = answer.as_ref().is_some_and(|bytes| bytes.is_empty());
    let answer = answer.and_then(|bytes| serde_json::from_slice::<Box<RawValue>>(&bytes).ok());
    let code = match (&answer, called.answer) {
        (Some(_), _) => None,
        (None, false) => Some("action.answers_not_allowed"),
        (None, true) if kept_back => Some("action.answers_not_allowed"),
        (None, true) if record.side_effects() == SideEffects::Read => {
            let message = "the answer was read and is not kept any more: call again with a new idempotency key";
            return Err(Problem::new(StatusCode::GONE, "action.answer_gone", message).of_run(run));
        }
        (None, true) => Some("action.answer_gone"),
    };
    Ok(Done {
        run: run.to_string(),
        project: record.spec.project.to_string(),
        connection: called.connection.to_string(),
        activity: called.activity,
        read: counts.read,
        written: counts.written,
        repeated,
        answer,
        code,
    })
}

/// The counts of a run that went well.
fn ended(record: &RunRecord) -> Result<Counts, Problem> {
    let (code, status, message): (&str, StatusCode, String) = match &record.stored.state {
        RunState::Finished { outcome: Outcome::Succeeded } => return Ok(record.counts),
        RunState::Finished { outcome: Outcome::Failed(failure) }
            if may_have_been_done(record, failure.code == AGENT_LOST) =>
        {
            unknown()
        }
        RunState::Finished { outcome: Outcome::Failed(failure) } => return Err(failed(record, failure)),
        // Cancelled while an agent had it that was lost.
        RunState::Finished { outcome: Outcome::Cancelled } if may_have_been_done(record, record.stored.losses > 0) => {
            unknown()
        }
        RunState::Finished { outcome: Outcome::Cancelled } => (
            "action.timed_out",
            StatusCode::GATEWAY_TIMEOUT,
            "the action was stopped, or no agent took it in time".into(),
        ),
        RunState::Unknown { .. } => unknown(),
        RunState::Queued { .. } | RunState::Leased { .. } => (
            "action.timed_out",
            StatusCode::GATEWAY_TIMEOUT,
            "the time is over and the action is not: look at its run before you call again".into(),
        ),
    };
    Err(Problem::new(status, code, message).of_run(record.spec.id))
}

/// Whether an agent that was lost may have done something outside.
fn may_have_been_done(record: &RunRecord, lost: bool) -> bool {
    lost && record.spec.action.is_some() && record.side_effects() != SideEffects::Read
}

fn unknown() -> (&'static str, StatusCode, String) {
    let message = "the agent, or the process of its connector, was lost in the middle of the action: it may or may not have been done, and it is not done again by itself";
    ("action.unknown", StatusCode::GATEWAY_TIMEOUT, message.to_owned())
}

fn failed(record: &RunRecord, failure: &Failure) -> Problem {
    let status = match failure.code.as_str() {
        "action.timed_out" | "run.lease_ended" => StatusCode::GATEWAY_TIMEOUT,
        "action.answers_not_allowed" => StatusCode::FORBIDDEN,
        code if code.starts_with("agent_policy.") => StatusCode::FORBIDDEN,
        "record.rejected" => StatusCode::UNPROCESSABLE_ENTITY,
        // The connector's own look at what the caller sent, where no schema said enough.
        code if code.ends_with(".params_invalid") => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_GATEWAY,
    };
    let more = if failure.effects_begun { "; something may have been done already" } else { "" };
    Problem::new(status, failure.code.as_str(), format!("{}{more}", failure.message)).of_run(record.spec.id)
}

/// The answer once more, from the agent that gave it.
async fn recalled(web: &Web, environment: Name, record: &RunRecord, called: &Called) -> Option<Arc<Vec<u8>>> {
    let inquiry = Inquiry {
        environment,
        project: Some(record.spec.project.clone()),
        connection: called.connection.clone(),
        agent: Some(record.agent?.to_string()),
        question: Question::Recall { run: record.spec.id },
        limit: RECALL,
    };
    match web.ledger.ask(inquiry).await {
        Ok(answered) => answered.answer.result.ok().map(Arc::new),
        Err(refusal) => {
            tracing::info!(run = %record.spec.id, %refusal, "an answer could not be fetched again");
            None
        }
    }
}
