//! Policies as somebody set them.

use serde::{Deserialize, Serialize};
use wherry_domain::{name::Name, policy::Policy};

/// One policy at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Which.
    pub policy: Policy,
    /// The environment that is stricter than its organisation; none for the organisation itself.
    #[serde(default)]
    pub environment: Option<Name>,
    /// As people write it.
    pub value: String,
    /// Name of the token that set it.
    pub set_by: String,
    /// Unix milliseconds.
    pub set_ms: u64,
}
