//! Actions: one activity of a connection, called by an application that waits for the answer.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use wherry_domain::name::Name;

/// What to do instead of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Connection of the offer's deployment.
    pub connection: Name,
    /// One of its activities.
    pub activity: String,
    /// Its parameters, a JSON object.
    pub with: Vec<u8>,
    /// Records for a target, one JSON value per line. With the parameters at most [`crate::MAX_ACTION`] bytes.
    pub records: Vec<u8>,
    /// Within this time it ends; at most [`crate::MAX_ASK`].
    pub time: Duration,
    /// Whether the organisation lets the answer out.
    pub answer: bool,
}
