//! What is written about an attempt.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wherry_domain::{fence::Fence, id::RunId, name::Name};
use wherry_proto::frame::{Attempt, Ran, Report};

/// Most bytes of the log in a record. Log, cursor and failure together must fit into one value of the store.
const MAX_LOG: usize = 16 << 10;
/// Largest cursor in a record: one of [`wherry_proto::MAX_POSITION`] that is all quotation marks;
/// a sealed one is shorter.
const MAX_CURSOR: usize = 2 * wherry_proto::MAX_POSITION;
/// What JSON adds to a line of the log.
const LINE: usize = 64;

/// One attempt.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// It began; whether it did anything is not known.
    Started,
    /// The same of an attempt that tries new versions of connectors.
    Began {
        /// Which.
        trial: Vec<Name>,
        /// On which versions it runs; none if an agent wrote it that did not say.
        #[serde(default)]
        ran: Option<Vec<Ran>>,
    },
    /// It is over.
    Finished(#[serde(with = "shared")] Arc<Finished>),
}

/// The result of an attempt, as it is kept until the controller has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// What the controller gets.
    pub report: Report,
    /// A checkpoint to send before the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Finished {
    /// Drops the oldest lines of the log, and a cursor out of all proportion, until the record fits.
    pub(super) fn within_limits(mut self) -> Self {
        let mut bytes = 0;
        let keep = self.report.log.iter().rev().take_while(|line| {
            bytes += LINE + escaped(&line.text);
            bytes <= MAX_LOG
        });
        let surplus = self.report.log.len() - keep.count();
        self.report.log.drain(..surplus);
        self.cursor = self.cursor.filter(|cursor| escaped(cursor) <= MAX_CURSOR);
        self
    }
}

/// Bytes of a text inside JSON.
fn escaped(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    bytes.sum()
}

/// Run and fence, so that the attempts of a run stand together in order.
pub(super) fn key(attempt: Attempt) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(&attempt.run.to_bytes());
    key.extend_from_slice(&attempt.fence.bits().to_be_bytes());
    key
}

/// The same and a number, for what is kept beside a result.
pub(super) fn state_key(attempt: Attempt, number: u8) -> Vec<u8> {
    let mut key = key(attempt);
    key.push(number);
    key
}

/// The attempt behind a key.
pub(super) fn attempt(key: &[u8]) -> Option<Attempt> {
    let (run, fence) = key.split_first_chunk::<16>()?;
    let fence = u64::from_be_bytes(fence.try_into().ok()?);
    Some(Attempt { run: RunId::from_bytes(*run), fence: Fence::from_bits(fence) })
}

/// serde's own support for `Arc` would need a feature that the rest of the workspace has no use for.
mod shared {
    use super::{Arc, Deserialize, Finished, Serialize};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Arc<Finished>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Finished>, D::Error> {
        Finished::deserialize(deserializer).map(Arc::new)
    }
}
