//! What the harness is to run, and what it tells: `agent/src/commands/harness/trial.rs` is the other side.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::case::Case;
use super::{CANARY, RECORDED};

/// Requests beyond the recording before a run is ended.
const MARGIN: usize = 20;
/// Longest recorded run.
const RECORDING_REQUESTS: usize = 1_000;
/// A replay waits for nothing.
const REPLAY_MS: u64 = 30_000;
/// A recording waits for a system.
const RECORD_MS: u64 = 300_000;

/// One invocation.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) call: &'static str,
    pub(super) activity: String,
    pub(super) url: String,
    pub(super) options: Map<String, Value>,
    pub(super) params: Value,
    pub(super) input: Option<Vec<Value>>,
    pub(super) output: bool,
    pub(super) cursor: Option<Value>,
    pub(super) script: Value,
    pub(super) cancel_after: Option<usize>,
    pub(super) most_requests: usize,
    pub(super) time_limit_ms: u64,
}

/// One exchange of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Value>,
    #[serde(default = "fine")]
    pub(crate) status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Value,
}

const fn fine() -> u16 {
    200
}

impl Line {
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The system that is recorded, and how to get in. Not to be printed.
pub(crate) struct System {
    pub(crate) url: String,
    pub(crate) credential: Option<(String, String)>,
    pub(crate) secrets: Vec<String>,
}

/// What an invocation did.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) ended: String,
    pub(super) error: Option<Told>,
    pub(super) records: Vec<Value>,
    pub(super) cursor: Option<String>,
    pub(super) acked: u64,
    pub(super) rejected: Vec<Rejected>,
    pub(super) logs: Vec<Value>,
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) output: Option<Value>,
    pub(super) state: Vec<(String, String)>,
    pub(super) requests: usize,
    pub(super) unexpected: Vec<String>,
    pub(super) unused: Vec<String>,
    pub(super) recorded: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) kind: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) details: Option<String>,
    /// Whether an agent would keep the code to itself.
    #[serde(default)]
    pub(super) undeclared: bool,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, if self.kind.is_empty() { "the box" } else { &self.kind }, self.message)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rejected {
    pub(super) row: u64,
    #[serde(flatten)]
    pub(super) told: Told,
}

/// The case against its recording.
pub(super) fn replay(case: &Case) -> Run {
    let lines: &[Line] = case.lines.as_deref().unwrap_or_default();
    let script = json!({ "replay": lines.iter().map(Line::to_json).collect::<Vec<_>>() });
    Run { most_requests: lines.len() + MARGIN, ..run(case, script) }
}

/// The case against the system itself.
pub(super) fn record(case: &Case, system: &System) -> Run {
    let script = json!({ "record": {
        "credential": system.credential,
        "secrets": system.secrets,
        "instead": CANARY,
        "url": RECORDED,
    } });
    let url = system.url.clone();
    Run { url, most_requests: RECORDING_REQUESTS, time_limit_ms: RECORD_MS, ..run(case, script) }
}

/// The case with another script.
pub(super) fn run(case: &Case, script: Value) -> Run {
    let content = &case.content;
    let test = case.is_test();
    Run {
        call: if test { "test" } else { "invoke" },
        activity: if test { String::new() } else { content.activity.clone() },
        url: content.connection.url.clone(),
        options: content.connection.options.clone(),
        params: Value::Object(content.with.clone()),
        input: content.input.clone(),
        output: !test && content.input.is_none(),
        cursor: content.cursor.clone(),
        script,
        cancel_after: None,
        most_requests: MARGIN,
        time_limit_ms: REPLAY_MS,
    }
}
