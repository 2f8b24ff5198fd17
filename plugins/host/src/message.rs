//! What goes into one invocation and what comes out of it: plain data that can cross a process boundary.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::fault::ConnectorError;
use crate::few::Few;
use crate::settings::contract::STATE_BYTES;

/// What is asked of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Try the connection.
    Test,
    /// Run an activity.
    #[default]
    Invoke,
    /// Answer a question about what only the system knows; [`Task::params`] is the question.
    Discover,
}

/// One invocation, complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What is asked.
    pub call: Call,
    /// The run this belongs to.
    pub run: String,
    /// Which attempt of the run, counted from 1.
    pub attempt: u32,
    /// Idempotency key: the same for all attempts of a run.
    pub key: String,
    /// The activity's name; empty for [`Call::Test`], and for questions that are about none.
    pub activity: String,
    /// The connection as JSON, without credentials: `{"url": ..., "options": {...}}`.
    pub connection: String,
    /// The activity's parameters, or the question, as JSON.
    pub params: String,
    /// The cursor stored last for this run.
    pub cursor: Option<String>,
    /// The connection's state, at most 16 KiB together.
    pub state: Vec<(String, Vec<u8>)>,
    /// Wall-clock time for the invocation, in milliseconds.
    pub time_limit_ms: u64,
    /// Check everything, change nothing outside.
    pub dry_run: bool,
    /// Whether the caller sends records ([`ToConnector::Batch`]).
    pub has_input: bool,
    /// Whether the caller takes records ([`FromConnector::Batch`]).
    pub has_output: bool,
    /// How many records of the run earlier attempts applied before the first record of this input. Keys made from
    /// row numbers would otherwise repeat for different records after a retry.
    #[serde(default)]
    pub first_row: u64,
}

/// Records that travel together, at most 1,000 and at most 1 MiB when a connector writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of records.
    pub count: u32,
    /// One JSON value per line, each line ended by a line feed.
    pub data: Bytes,
}

/// What the caller sends while a connector runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToConnector {
    /// Records for a target.
    Batch(Batch),
    /// There are no more records.
    End,
    /// Stop soon. It is seen at once unless two batches are still waiting to be read; a caller that cannot wait drops
    /// the future of the invocation. Closing the channel before [`ToConnector::End`] means the same.
    Cancel,
}

/// What a connector sends while it runs, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromConnector {
    /// Records of a source.
    Batch {
        /// The records.
        batch: Batch,
        /// After these records, continue here.
        cursor: Option<String>,
    },
    /// Continue here, without records.
    Checkpoint {
        /// Where.
        cursor: String,
    },
    /// The target holds the records 0 to `up_to - 1` of its input durably, or rejected them.
    Acked {
        /// One more than the number of the last such record.
        up_to: u64,
    },
    /// The system refused one record.
    Rejected {
        /// The record's number in the input, counted from 0.
        row: u64,
        /// Why.
        error: ConnectorError,
    },
    /// A message for the agent's log, cut to 8 KiB and free of control characters.
    Log {
        /// How important.
        level: Level,
        /// The connector's words.
        message: String,
        /// A JSON object with more.
        fields: Option<String>,
    },
    /// The sum of one counter, sent when the invocation ends.
    Counter {
        /// Its name, at most 64 of `[a-z0-9_.-]`.
        name: String,
        /// The sum.
        delta: u64,
    },
}

/// How important a log message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// For a connector's developer.
    Debug,
    /// For the agent owner.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// How a successful invocation ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// There is more: call again with the cursor stored last.
    pub more: bool,
    /// A small JSON document for people and later operations.
    pub output: Option<String>,
    /// A target ended without having heard that there are no more records: it has not seen all of them.
    #[serde(default)]
    pub input_left: bool,
    /// The connection's whole new state, if the connector changed it.
    #[serde(deserialize_with = "state")]
    pub state: Option<Vec<(String, Vec<u8>)>>,
}

/// Every key but one has at least a byte, so that no state has more keys than it may have bytes and one more.
fn state<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Vec<T>>, D::Error> {
    let state = Option::<Few<T, { STATE_BYTES + 1 }>>::deserialize(from)?;
    Ok(state.map(|Few(entries)| entries))
}
