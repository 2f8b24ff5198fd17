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
    /// A digest of everything that the caller sent for the issue.
    pub content: String,
}

impl Entry {
    /// What tells the record from others: the caller's name for it, or, where there is none, its content.
    fn record(&self) -> String {
        self.external_id.clone().unwrap_or_else(|| format!("content {}", self.content))
    }
}

/// A digest of a record that was sent; the same for the same record in every process.
pub(crate) fn digest(content: impl std::hash::Hash) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", std::hash::Hasher::finish(&hasher))
}

/// The whole ledger, with the figures that fault tests ask for.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Issues created.
    pub created: usize,
    /// Repetitions recognised.
    pub replayed: usize,
    /// Records that became more than one issue, with how many: empty if nothing was recorded twice. Records that carry
    /// no name of their own are known by their content, so that two that are meant to be the same need one.
    pub duplicates: BTreeMap<String, usize>,
    /// Every entry, oldest first.
    pub entries: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        let mut issues = BTreeMap::<String, usize>::new();
        let created = entries.iter().filter(|entry| entry.outcome == Outcome::Created);
        for entry in created.clone() {
            *issues.entry(entry.record()).or_default() += 1;
        }
        let duplicates = issues.into_iter().filter(|(_, count)| *count > 1).collect();
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
