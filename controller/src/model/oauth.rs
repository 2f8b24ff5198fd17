//! What is kept of the tokens of a connection: numbers, sealed bytes, and whose account it is.

use serde::{Deserialize, Serialize};
use wherry_domain::{failure::Failure, id::EnvironmentId, name::Name, owner::Stored};
use wherry_proto::frame::Wrapped;

/// Which agent refreshes the tokens of a connection, and what people see of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Where.
    pub environment: EnvironmentId,
    /// Of which project.
    pub project: Name,
    /// Which.
    pub connection: Name,
    /// Owner, fence, number of the newest tokens.
    pub owner: Stored,
    /// Whose account it is, as the person confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// What its owner says is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Failure>,
}

/// An account that a person connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// In the provider's words.
    pub label: String,
    /// Unix milliseconds.
    pub connected_ms: u64,
    /// Name of the token that confirmed it.
    pub connected_by: String,
}

/// The newest tokens, sealed to the group. A record of its own, so that a claim does not write it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredCopy {
    /// Where.
    pub environment: EnvironmentId,
    /// Of which project.
    pub project: Name,
    /// Of which connection.
    pub connection: Name,
    /// Number of the tokens.
    pub generation: u64,
    /// As the agent sealed them.
    pub sealed: Wrapped,
}
