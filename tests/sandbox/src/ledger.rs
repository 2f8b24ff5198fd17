//! The ledger of effects: every create that the tracker accepted, and every repetition it recognised.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::Sandbox;

/// What the tracker did with a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A new issue: an effect.
    Created,
    /// Recognised by its idempotency key: no effect.
    Replayed,
}

/// One accepted create.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Counted from 1.
    pub n: usize,
    /// When, in RFC 3339 and UTC.
    pub at: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The issue.
    pub issue: String,
    /// The caller's idempotency key.
    pub idempotency_key: Option<String>,
    /// The caller's own name for the record.
    pub external_id: Option<String>,
}

/// The whole ledger, with the figures that fault tests ask for.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Issues created.
    pub created: usize,
    /// Repetitions recognised.
    pub replayed: usize,
    /// Records that became more than one issue, with how many: empty if nothing was recorded twice.
    pub duplicates: BTreeMap<String, usize>,
    /// Every entry, oldest first.
    pub entries: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        let mut issues = BTreeMap::<&str, usize>::new();
        let created = entries.iter().filter(|entry| entry.outcome == Outcome::Created);
        for id in created.clone().filter_map(|entry| entry.external_id.as_deref()) {
            *issues.entry(id).or_default() += 1;
        }
        let duplicates = issues.iter().filter(|(_, count)| **count > 1).map(|(id, count)| ((*id).to_owned(), *count));
        let duplicates = duplicates.collect();
        let created = created.count();
        Self { created, replayed: entries.len() - created, duplicates, entries }
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    summary: bool,
}

pub(crate) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/_ledger", get(show))
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Query(wanted): Query<Wanted>) -> Json<Ledger> {
    let mut ledger = sandbox.ledger();
    if wanted.summary {
        ledger.entries.clear();
    }
    Json(ledger)
}
