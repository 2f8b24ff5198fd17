//! System B, an issue tracker to write to: `POST /api/issues`, `GET /api/issues[/{id}]`, bearer token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Sandbox;
use crate::answer::Refusal;
use crate::ledger::{self, Entry, Ledger, Outcome};
use crate::paging::Window;

/// Most issues, and most entries of the ledger: a gigabyte at the very worst.
const CAPACITY: usize = 1_000_000;
const TITLE_LIMIT: usize = 200;
const KEY_LIMIT: usize = 128;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replay");

/// What a caller sends. Unknown fields are refused, as the strictest real systems do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIssue {
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

#[derive(Debug, Clone, Serialize)]
struct Issue {
    id: String,
    created_at: String,
    #[serde(flatten)]
    content: NewIssue,
}

#[derive(Debug, Default)]
struct Stored {
    issues: Vec<Issue>,
    by_key: BTreeMap<String, usize>,
    entries: Vec<Entry>,
}

/// The tracker's memory.
#[derive(Debug, Default)]
pub(crate) struct Tracker(Mutex<Stored>);

impl Tracker {
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(self.stored().entries.clone())
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, content: NewIssue, key: Option<String>) -> Result<(Issue, Outcome), Refusal> {
        let mut stored = self.stored();
        let known = key.as_ref().and_then(|key| stored.by_key.get(key)).and_then(|at| stored.issues.get(*at)).cloned();
        if known.as_ref().is_some_and(|issue| issue.content != content) {
            let message = "this idempotency key was used for another issue";
            return Err(Refusal::new(StatusCode::CONFLICT, "key_reused", message));
        }
        if stored.entries.len() >= CAPACITY {
            let message = format!("the tracker holds {CAPACITY} entries and takes no more");
            return Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "full", message));
        }
        let outcome = if known.is_some() { Outcome::Replayed } else { Outcome::Created };
        let issue = known.unwrap_or_else(|| stored.insert(content, key.clone()));
        let entry = Entry {
            n: stored.entries.len() + 1,
            at: jiff::Timestamp::now().to_string(),
            outcome,
            issue: issue.id.clone(),
            idempotency_key: key,
            external_id: issue.content.external_id.clone(),
            content: ledger::digest(serde_json::to_string(&issue.content).unwrap_or_default()),
        };
        stored.entries.push(entry);
        Ok((issue, outcome))
    }
}

impl Stored {
    fn insert(&mut self, content: NewIssue, key: Option<String>) -> Issue {
        let at = self.issues.len();
        let issue = Issue { id: format!("ISS-{}", at + 1), created_at: jiff::Timestamp::now().to_string(), content };
        self.issues.push(issue.clone());
        if let Some(key) = key {
            self.by_key.insert(key, at);
        }
        issue
    }
}

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/api/issues", get(list).post(create)).route("/api/issues/{id}", get(one))
}

async fn create(State(sandbox): State<Arc<Sandbox>>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    sandbox.credentials.tracker.check(&headers)?;
    let key = idempotency_key(&headers)?;
    let content: NewIssue = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", error.to_string()))?;
    check(&content)?;
    let (issue, outcome) = sandbox.tracker.create(content, key)?;
    let location = [(LOCATION, format!("/api/issues/{}", issue.id))];
    Ok(match outcome {
        Outcome::Created => (StatusCode::CREATED, location, Json(issue)).into_response(),
        Outcome::Replayed => (StatusCode::OK, location, [(REPLAYED, "true")], Json(issue)).into_response(),
    })
}

async fn list(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    Query(window): Query<Window>,
) -> Result<Response, Refusal> {
    sandbox.credentials.tracker.check(&headers)?;
    let stored = sandbox.tracker.stored();
    let part = window.part(stored.issues.len())?;
    let page = stored.issues.get(part.start..part.end).unwrap_or_default();
    let items = page.iter().map(|issue| serde_json::to_value(issue).unwrap_or(Value::Null)).collect();
    Ok(part.answer("/api/issues", items))
}

async fn one(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Issue>, Refusal> {
    sandbox.credentials.tracker.check(&headers)?;
    let stored = sandbox.tracker.stored();
    let number = id.strip_prefix("ISS-").and_then(|digits| digits.parse::<usize>().ok());
    let issue = number.and_then(|number| stored.issues.get(number.checked_sub(1)?)).cloned();
    issue.map(Json).ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "unknown", format!("there is no issue {id}")))
}

fn check(content: &NewIssue) -> Result<(), Refusal> {
    if content.title.trim().is_empty() {
        return Err(Refusal::field("title", "an issue needs a title"));
    }
    if content.title.chars().count() > TITLE_LIMIT {
        return Err(Refusal::field("title", format!("a title has at most {TITLE_LIMIT} characters")));
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let fits = |key: &&str| (1..=KEY_LIMIT).contains(&key.len());
    match value.to_str().ok().filter(fits) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            let message = format!("an idempotency key has 1 to {KEY_LIMIT} visible ASCII characters");
            Err(Refusal::new(StatusCode::BAD_REQUEST, "key_invalid", message))
        }
    }
}
