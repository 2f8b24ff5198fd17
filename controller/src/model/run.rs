//! Runs.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wherry_domain::{
    digest::Digest,
    effects::SideEffects,
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
    /// The connections of the operation, each with its connector: whose memory the run reads and changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<(Name, Name)>,
    /// Why not every agent may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tied: Option<Tied>,
    /// The activities of the operation, each with its connector. Empty in what was stored before they were kept: then
    /// the deployment's class counts, and what agents say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activities: Vec<(Name, String)>,
    /// The secrets that its connections name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Name>,
    /// What it does instead of an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Called>,
}

impl RunSpec {
    /// The activities that it calls, each with its connector.
    pub fn calls(&self) -> impl Iterator<Item = (&Name, &str)> {
        let connector = self.connections.first().map(|(_, connector)| connector);
        let of_action = connector.zip(self.action.as_ref()).map(|(name, called)| (name, called.activity.as_str()));
        let activities = self.activities.iter().map(|(name, activity)| (name, activity.as_str()));
        activities.chain(of_action)
    }
}

/// What an action calls; what it is called with is stored nowhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Called {
    /// As the caller named it: an alias, or a connection.
    pub name: Name,
    /// The connection.
    pub connection: Name,
    /// The activity.
    pub activity: String,
    /// The activity's class.
    pub class: SideEffects,
    /// Whether its answer may leave the network.
    pub answer: bool,
}

/// Why not every agent may do a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tied {
    /// It uses a connection that one agent uses at a time.
    Seat,
    /// It uses a connection whose tokens one agent may have for itself.
    Owner(Name),
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
    /// What the attempts before it did, as far as it went on behind them.
    #[serde(default)]
    pub earlier: Counts,
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
    /// Lines in them.
    #[serde(default)]
    pub log_lines: u32,
    /// Results that came too late.
    #[serde(default)]
    pub late_results: u32,
    /// What happened, oldest first; at most fifty, the middle left out.
    #[serde(default)]
    pub history: Vec<Happened>,
}

/// Most entries of a run's history; beyond it the middle is left out.
const MAX_HISTORY: usize = 50;
/// Variables and cursor together, in bytes, so that the record is never larger than the store takes.
const MAX_PAYLOAD: usize = 44 << 10;

impl RunRecord {
    /// What may be done again without asking, as far as it is known.
    pub fn side_effects(&self) -> SideEffects {
        let class = self.spec.terms.side_effects;
        self.stored.raised.map_or(class, |raised| raised.max(class))
    }

    /// Adds to the history.
    pub(crate) fn happened(&mut self, happened: Happened) {
        if self.history.len() >= MAX_HISTORY {
            self.history.remove(MAX_HISTORY / 2);
        }
        self.history.push(happened);
    }

    /// When an attempt was given to its agent, Unix milliseconds; none if that is not remembered.
    pub(crate) fn dispatched_ms(&self, attempt: u32) -> Option<u64> {
        let given = |one: &&Happened| one.what == "dispatched" && one.attempt == attempt;
        self.history.iter().rev().find(given).map(|happened| happened.at_ms)
    }

    /// Keeps where the source goes on; `false` if it is too large beside the variables. The cursor
    /// before it stands then, from which a repetition does more than needed and nothing less.
    pub(crate) fn remember(&mut self, cursor: String) -> bool {
        let fits = self.variables() + quoted(&cursor) <= MAX_PAYLOAD;
        if fits {
            self.cursor = Some(cursor);
        }
        fits
    }

    /// Bytes of variables, names of secrets and cursor as stored.
    pub(crate) fn payload(&self) -> usize {
        let secrets: usize = self.spec.secrets.iter().map(|name| name.as_str().len() + 3).sum();
        self.variables() + secrets + self.cursor.as_deref().map_or(0, quoted)
    }

    fn variables(&self) -> usize {
        self.spec.variables.as_ref().map_or(0, |raw| raw.get().len())
    }
}

/// Length of a text in JSON, without its quotation marks.
fn quoted(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// Something that happened to a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// `dispatched`, `requeued`, `held`, `cancel_asked`, `late_result`, `recalled`.
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
