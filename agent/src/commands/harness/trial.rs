//! What `wherry connector test` wants to have run, and what is told of it: plain documents of JSON.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wherry_host::{Call, Level};

/// Invocations of one component, in order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) component: PathBuf,
    pub(super) runs: Vec<Run>,
}

/// One invocation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub(super) call: Call,
    #[serde(default)]
    pub(super) activity: String,
    /// The connection's URL.
    pub(super) url: String,
    #[serde(default)]
    pub(super) options: Map<String, Value>,
    #[serde(default)]
    pub(super) params: Value,
    /// Records for a target.
    pub(super) input: Option<Vec<Value>>,
    /// Whether records are taken from it.
    #[serde(default)]
    pub(super) output: bool,
    #[serde(default)]
    pub(super) cursor: Option<Value>,
    pub(super) script: Script,
    /// It is asked to stop when it made this many requests.
    #[serde(default)]
    pub(super) cancel_after: Option<usize>,
    /// Every request beyond fails.
    pub(super) most_requests: usize,
    pub(super) time_limit_ms: u64,
}

/// How its requests are answered.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Script {
    /// From a recording, each answer once.
    Replay(Vec<Line>),
    /// Always in the same way. What stands for `vary` in the answer is another text each time.
    Always {
        /// The answer; its method and path mean nothing.
        answer: Line,
        /// Such as the token of the next page.
        #[serde(default)]
        vary: Option<String>,
    },
    /// By the system itself, and what it says is told. The connection's URL is its own.
    Record {
        /// The header of the credential.
        #[serde(default)]
        credential: Option<(String, String)>,
        /// Texts that stand in no recording.
        #[serde(default)]
        secrets: Vec<String>,
        /// What stands for each of them instead.
        instead: String,
        /// What stands for the connection's URL instead.
        url: String,
    },
}

/// One exchange. The kit's bench reads the same form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) method: String,
    /// Path and query below the connection's URL.
    pub(super) path: String,
    /// The body of the request: JSON, or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Value>,
    pub(super) status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    /// JSON, or text.
    #[serde(default)]
    pub(super) body: Value,
}

/// What an invocation did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// `complete`, `reported` (an error of its own), `cancelled`, or `broken` (by a wall of the box).
    pub(super) ended: &'static str,
    pub(super) error: Option<Told>,
    pub(super) records: Vec<Value>,
    /// Whether there were more than are told.
    pub(super) cut: bool,
    pub(super) cursors: u64,
    pub(super) cursor: Option<String>,
    pub(super) acked: u64,
    pub(super) rejected: Vec<Rejected>,
    pub(super) logs: Vec<Log>,
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) output: Option<Value>,
    pub(super) state: Vec<(String, String)>,
    pub(super) requests: usize,
    /// Requests that the recording does not know, or knows otherwise.
    pub(super) unexpected: Vec<String>,
    /// Answers of the recording that nobody asked for.
    pub(super) unused: Vec<String>,
    /// The exchanges of a recording.
    pub(super) recorded: Vec<Line>,
}

/// Why it ended without success.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    /// The kind of an error of its own; empty if a wall of the box ended it.
    pub(super) kind: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) details: Option<String>,
    /// Whether the code would stay on the agent, because the connector does not declare it.
    pub(super) undeclared: bool,
    /// The host saw what failed, and its code is told instead.
    #[serde(skip)]
    pub(super) was_seen: bool,
}

/// A record that the system refused.
#[derive(Debug, Serialize)]
pub(super) struct Rejected {
    pub(super) row: u64,
    #[serde(flatten)]
    pub(super) told: Told,
}

/// A line of its log.
#[derive(Debug, Serialize)]
pub(super) struct Log {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) fields: Option<String>,
}
