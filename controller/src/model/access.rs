//! Who may do what, and who did what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wherry_domain::digest::Digest;

/// What a token may do; each includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Call actions, and nothing else.
    Call,
    /// Look; no calls of actions.
    Read,
    /// Start, cancel and repeat runs, and call actions.
    Run,
    /// Deploy projects, publish connectors.
    Deploy,
    /// Everything.
    Admin,
}

/// An access token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessToken {
    /// The part of the token that names it.
    pub id: String,
    /// For people.
    pub name: String,
    /// SHA-256 of the whole token.
    pub hash: Digest,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds; never, if absent.
    #[serde(default)]
    pub expires_ms: Option<u64>,
}

impl AccessToken {
    /// Whether it may do everything now.
    pub fn administers(&self, wall_ms: u64) -> bool {
        self.scopes.contains(&Scope::Admin) && self.expires_ms.is_none_or(|at| at > wall_ms)
    }
}

/// One link of the audit chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts up from 1.
    pub n: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Name of the token, or the agent.
    pub who: String,
    /// What was done, such as `environment.create`.
    pub what: String,
    /// To what.
    pub target: String,
    /// More, for people.
    #[serde(default)]
    pub detail: String,
    /// Hash of the link before; zeros for the first.
    pub prev: Digest,
    /// SHA-256 over number, time, who, what, target, detail and `prev`.
    pub hash: Digest,
}
