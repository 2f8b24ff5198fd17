//! What connections remember between runs.

use serde::{Deserialize, Serialize};
use wherry_domain::name::Name;
use wherry_proto::frame::{Attempt, Wrapped};

/// What a connection of a project in an environment remembers. Its content is the agents' business.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Whose state it is: another connector cannot read it.
    pub connector: Name,
    /// As the agent wrapped it.
    pub state: Wrapped,
    /// The attempt that changed it last.
    pub by: Attempt,
    /// Unix milliseconds of that.
    pub changed_ms: u64,
}
