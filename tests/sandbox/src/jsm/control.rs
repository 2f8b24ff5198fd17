//! The handle for tests, outside the interfaces: `/_sandbox/ledger`, `/_sandbox/settings`. Faults are set with
//! `/_sandbox/faults`, as for the other systems.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::input::Parameters;
use super::memory::Ledger;
use crate::Sandbox;

/// How the site behaves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// How long a new issue stays out of searches, in milliseconds; keys find it at once, and so does
    /// `reconcileIssues`.
    index_lag_ms: u64,
}

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/_sandbox/ledger", get(ledger)).route("/_sandbox/settings", get(settings).put(change_settings))
}

async fn ledger(State(sandbox): State<Arc<Sandbox>>, query: Parameters) -> Json<Ledger> {
    Json(sandbox.jsm.read().ledger(query.flag("summary") != Some(true)))
}

async fn settings(State(sandbox): State<Arc<Sandbox>>) -> Json<Settings> {
    Json(Settings { index_lag_ms: sandbox.jsm.lag.load(Ordering::Relaxed) })
}

async fn change_settings(State(sandbox): State<Arc<Sandbox>>, Json(wanted): Json<Settings>) -> StatusCode {
    sandbox.jsm.lag.store(wanted.index_lag_ms, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}
