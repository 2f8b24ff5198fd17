//! What goes into a transformation and what comes out of it: plain data that can cross a process boundary.

use serde::{Deserialize, Serialize};

use crate::message::Batch;

/// One run's programs, complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformation {
    /// Records for which it gives nothing, `false` or `null` are left out.
    pub condition: Option<String>,
    /// Each record is replaced by its results. Without one, records go on as they came, byte for byte.
    pub transformation: Option<String>,
    /// A JSON object with the values of `$vars`, `$run` and `$agent` under these names without `$`.
    pub variables: String,
}

/// What comes out, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transformed {
    /// Results, at most 1,000 and at most 1 MiB.
    Batch(Batch),
    /// All results of the oldest batch that was not yet named so have come out.
    Used {
        /// How many records that batch had.
        records: u32,
    },
}
