//! Runs.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wherry_domain::{
    digest::Digest,
    id::{AgentId, DeploymentId, EnvironmentId, GroupId, RunId},
    name::Name,
    run::{Reason, Stored, Terms},
};
use wherry_proto::frame::Counts;

/// What a run is about; never changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSpec {
    /// Its id.
    pub id: RunId,
    /// Where.
    pub environment: EnvironmentId,
    /// Who may run it.
    pub group: GroupId,
    /// Of what.
    pub project: Name,
    /// What.
    pub operation: Name,
    /// In which deployment.
    pub deployment: DeploymentId,
    /// Its number.
    pub number: u64,
    /// Its snapshot.
    pub snapshot: Digest,
    /// Variable overrides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Box<RawValue>>,
    /// Class, retries, lease.
    pub terms: Terms,
    /// Unix milliseconds.
    pub submitted_ms: u64,
    /// Name of the token, or the operation that caused it.
    pub by: String,
    /// The run whose end caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<RunId>,
    /// How many runs led to this one.
    #[serde(default)]
    pub depth: u32,
    /// Whether a caller waits for the answer.
    #[serde(default)]
    pub synchronous: bool,
}

/// A run with everything that happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// What it is about.
    pub spec: RunSpec,
    /// Where it is.
    pub stored: Stored,
    /// The agent of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Counts of the last attempt.
    #[serde(default)]
    pub counts: Counts,
    /// Where the source goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Unix milliseconds of the first dispatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// Chunks of log so far.
    #[serde(default)]
    pub log_chunks: u32,
    /// Results that came too late.
    #[serde(default)]
    pub late_results: u32,
    /// What happened, oldest first; at most fifty, the middle left out.
    #[serde(default)]
    pub history: Vec<Happened>,
}

/// Something that happened to a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// `dispatched`, `requeued`, `held`, `cancel_asked`, `late_result`.
    pub what: String,
    /// Which attempt.
    pub attempt: u32,
    /// Which agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// A line of a run's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// Unix milliseconds by the agent's clock.
    pub at_ms: u64,
    /// Level.
    pub level: String,
    /// The line.
    pub text: String,
    /// Which attempt wrote it.
    pub attempt: u32,
}
