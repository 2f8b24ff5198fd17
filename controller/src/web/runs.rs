//! Runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use wherry_domain::{id::RunId, name::Name, project::check::nearest};
use wherry_trust::keys::sha256;

use super::{
    Web,
    auth::{Reader, Runner},
    body::{Body, Named, Query},
    pages::{self, List, rfc3339},
    problem::Problem,
    run_view::Run,
};
use crate::{
    engine::{Idempotency, Page, RunFilter, STATES, Submission, Submitted},
    model::{LogEntry, RunRecord},
};

/// Longest wait for the end of a run.
const MAX_WAIT_MS: u64 = 60_000;
/// Lines of a log in one part.
const MAX_LINES: usize = 200;

/// What to run it with.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRun {
    /// Variable overrides.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: BTreeMap<Name, Value>,
}

/// How to submit.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// The project, if the operation's name alone does not tell.
    #[param(value_type = Option<String>)]
    project: Option<Name>,
    /// Wait this long for the end, at most 60,000 ms.
    wait_ms: Option<u64>,
}

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Wait this long for the end, at most 60,000 ms.
    wait_ms: Option<u64>,
}

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[param(value_type = Option<String>)]
    environment: Option<Name>,
    #[param(value_type = Option<String>)]
    operation: Option<Name>,
    /// `queued`, `leased`, `unknown`, `succeeded`, `failed` or `cancelled`.
    state: Option<String>,
    /// Items in a part, 1 to 200.
    limit: Option<usize>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
}

/// Which log lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    /// Only those after this number.
    #[serde(default)]
    after: usize,
    /// Lines in a part, 1 to 200; 200, if absent.
    limit: Option<usize>,
    /// `next_cursor` of the part before; counts instead of `after`.
    cursor: Option<String>,
}

/// A line of a run's log.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    n: usize,
    at: String,
    level: String,
    text: String,
    attempt: u32,
}

impl From<(usize, LogEntry)> for Line {
    fn from((n, entry): (usize, LogEntry)) -> Self {
        Self { n, at: rfc3339(entry.at_ms), level: entry.level, text: entry.text, attempt: entry.attempt }
    }
}

/// Submits a run; it is durable when this answers.
#[utoipa::path(post, path = "/v1/environments/{environment}/operations/{operation}/runs",
    params(("environment" = String, Path), ("operation" = String, Path), How,
        ("Idempotency-Key" = Option<String>, Header, description = "the same key and body give the same run for 24 hours")),
    request_body = NewRun, responses((status = 202, body = Run), (status = 200, description = "it is over", body = Run),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn submit(
    State(web): State<Web>,
    Runner(caller): Runner,
    Named((environment, operation)): Named<(Name, Name)>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Body(new): Body<NewRun>,
) -> Result<(StatusCode, Json<Run>), Problem> {
    let place = format!("{environment}/{operation}/{:?}", how.project);
    let submission = Submission {
        idempotency: idempotency(&headers, &caller.name, &place, &new)?,
        environment,
        project: how.project,
        operation,
        variables: new.variables,
        who: caller.name,
        wait: how.wait_ms.is_some(),
    };
    let Submitted { record, over } = web.ledger.submit(submission).await?;
    let ended = match (over, how.wait_ms) {
        (Some(over), Some(wait_ms)) => ended_within(over, wait_ms).await,
        (_, _) => None,
    };
    Ok(match ended {
        Some(record) => (StatusCode::OK, Json(Run::new(&record, &web.ledger.directory))),
        // It may have come far while we waited.
        None if how.wait_ms.is_some() => (StatusCode::ACCEPTED, view(&web, record.spec.id).await?),
        None => (StatusCode::ACCEPTED, Json(Run::new(&record, &web.ledger.directory))),
    })
}

async fn ended_within(over: oneshot::Receiver<Arc<RunRecord>>, wait_ms: u64) -> Option<Arc<RunRecord>> {
    let wait = Duration::from_millis(wait_ms.min(MAX_WAIT_MS));
    tokio::time::timeout(wait, over).await.ok().and_then(Result::ok)
}

pub(super) fn idempotency(
    headers: &HeaderMap,
    caller: &str,
    place: &str,
    new: &impl Serialize,
) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let visible = |key: &&str| (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(visible);
    let message = "an idempotency key has 1 to 128 visible characters";
    let key = key.ok_or_else(|| Problem::invalid("request.idempotency_invalid", message))?;
    let body =
        serde_json::to_vec(&(place, new)).map_err(|error| Problem::invalid("request.invalid", error.to_string()))?;
    let key = sha256(format!("{}:{caller}{key}", caller.len()).as_bytes());
    Ok(Some(Idempotency { key, body: sha256(&body) }))
}

/// Runs, newest first.
#[utoipa::path(get, path = "/v1/runs", params(Which), responses((status = 200, body = List<Run>)))]
pub(super) async fn list(
    State(web): State<Web>,
    _caller: Reader,
    Query(which): Query<Which>,
) -> Result<Json<List<Run>>, Problem> {
    let (limit, before) = pages::read(which.limit, which.cursor.as_deref())?;
    if let Some(unknown) = which.state.as_deref().filter(|word| !STATES.contains(word)) {
        let near = nearest(unknown, STATES.into_iter()).map(|near| format!(": did you mean {near}?"));
        let message = format!("state is one of {}{}", STATES.join(", "), near.unwrap_or_default());
        return Err(Problem::invalid("request.query_invalid", message));
    }
    let filter = RunFilter { environment: which.environment, operation: which.operation, state: which.state };
    let Page { items, next } = web.ledger.runs(filter, before, limit).await?;
    let items = items.iter().map(|record| Run::new(record, &web.ledger.directory)).collect();
    Ok(Json(List { items, next_cursor: next.map(|run: RunId| run.to_string()) }))
}

/// A run.
#[utoipa::path(get, path = "/v1/runs/{run}", params(("run" = String, Path), Wait),
    responses((status = 200, body = Run), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(web): State<Web>,
    _caller: Reader,
    Named(run): Named<RunId>,
    Query(wait): Query<Wait>,
) -> Result<Json<Run>, Problem> {
    if let Some(wait_ms) = wait.wait_ms {
        let over = web.ledger.finished(run).await?;
        ended_within(over, wait_ms).await;
    }
    view(&web, run).await
}

/// Lines of a run's log.
#[utoipa::path(get, path = "/v1/runs/{run}/logs", params(("run" = String, Path), Lines),
    responses((status = 200, body = List<Line>)))]
pub(super) async fn logs(
    State(web): State<Web>,
    _caller: Reader,
    Named(run): Named<RunId>,
    Query(lines): Query<Lines>,
) -> Result<Json<List<Line>>, Problem> {
    let (limit, after) = pages::read(Some(lines.limit.unwrap_or(MAX_LINES)), lines.cursor.as_deref())?;
    let Page { items, next } = web.ledger.logs(run, after.unwrap_or(lines.after), limit).await?;
    let items = items.into_iter().map(Line::from).collect();
    Ok(Json(List { items, next_cursor: next.map(|n| n.to_string()) }))
}

/// Cancels a run.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", params(("run" = String, Path)), responses((status = 202, body = Run)))]
pub(super) async fn cancel(
    State(web): State<Web>,
    Runner(caller): Runner,
    Named(run): Named<RunId>,
) -> Result<(StatusCode, Json<Run>), Problem> {
    web.ledger.cancel(run, caller.name).await?;
    Ok((StatusCode::ACCEPTED, view(&web, run).await?))
}

/// Runs an unknown run again, or submits a finished one anew.
#[utoipa::path(post, path = "/v1/runs/{run}/retry", params(("run" = String, Path)), responses((status = 202, body = Run)))]
pub(super) async fn retry(
    State(web): State<Web>,
    Runner(caller): Runner,
    Named(run): Named<RunId>,
) -> Result<(StatusCode, Json<Run>), Problem> {
    let record = web.ledger.retry(run, caller.name).await?;
    Ok((StatusCode::ACCEPTED, view(&web, record.spec.id).await?))
}

async fn view(web: &Web, run: RunId) -> Result<Json<Run>, Problem> {
    let record = web.ledger.run(run).await?;
    let seen = Run::new(&record, &web.ledger.directory);
    if seen.state != "queued" {
        return Ok(Json(seen));
    }
    Ok(Json(seen.waiting_for(web.ledger.why_waiting(run).await?)))
}

impl Line {
    /// Its number as the id of an event.
    pub(super) fn number(&self) -> String {
        self.n.to_string()
    }
}
