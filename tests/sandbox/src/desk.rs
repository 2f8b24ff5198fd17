//! System A, a service desk to read from: `GET /rest/requests`, `GET /rest/requests/{id}`, HTTP Basic.
//!
//! Its requests are computed from their number, so that a million of them cost no memory and every start tells the
//! same story.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Sandbox;
use crate::answer::Refusal;
use crate::paging::Window;

const SUBJECTS: [&str; 8] = [
    "Laptop does not start",
    "VPN drops every hour",
    "New colleague needs accounts",
    "Printer on floor 3 is out of toner",
    "Shared mailbox is full",
    "Badge does not open the lab",
    "Licence for the drawing tool",
    "Slow network in meeting room 2",
];
const REQUESTERS: [&str; 5] = ["amina", "björn", "chiara", "dmitri", "eszter"];
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];
const STATES: [&str; 3] = ["new", "assigned", "waiting"];

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/rest/requests", get(list)).route("/rest/requests/{id}", get(one))
}

async fn list(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    Query(window): Query<Window>,
) -> Result<Response, Refusal> {
    check(&sandbox, &headers)?;
    let part = window.part(sandbox.requests)?;
    Ok(part.answer("/rest/requests", (part.start..part.end).map(request).collect()))
}

async fn one(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    check(&sandbox, &headers)?;
    let number = id.strip_prefix("REQ-").and_then(|digits| digits.parse::<usize>().ok());
    match number.filter(|number| (1..=sandbox.requests).contains(number)) {
        Some(number) => Ok(Json(request(number - 1)).into_response()),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, "unknown", format!("there is no request {id}"))),
    }
}

fn check(sandbox: &Sandbox, headers: &HeaderMap) -> Result<(), Refusal> {
    if sandbox.sessions.admit(headers) { Ok(()) } else { sandbox.credentials.desk.check(headers) }
}

/// The request at `index`, counted from 0.
fn request(index: usize) -> Value {
    let pick = |from: &[&'static str], step: usize| from.iter().cycle().nth(index / step % from.len()).copied();
    json!({
        "id": format!("REQ-{:06}", index + 1),
        "summary": pick(&SUBJECTS, 1),
        "description": format!("Reported at the front desk, case {}.", index + 1),
        "requester": pick(&REQUESTERS, 3),
        "priority": pick(&PRIORITIES, 2),
        "status": pick(&STATES, 5),
        "created_at": format!("2026-{:02}-{:02}T{:02}:{:02}:00Z", index / 672 % 12 + 1, index / 24 % 28 + 1, index % 24, index % 60),
    })
}
