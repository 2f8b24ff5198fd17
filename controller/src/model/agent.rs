//! Environments, groups and agents.

use serde::{Deserialize, Serialize};
use wherry_domain::{
    digest::Digest,
    epoch::Epoch,
    id::{AgentId, EnvironmentId, GroupId},
    name::Name,
};

/// An environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    pub name: Name,
    /// The group that serves it.
    pub group: GroupId,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// An agent group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: Name,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// An agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// What it calls itself; unique within the organisation.
    pub name: Name,
    /// Its group.
    pub group: GroupId,
    /// Ed25519 identity key.
    pub identity_key: [u8; 32],
    /// Version it last reported.
    #[serde(default)]
    pub version: String,
    /// Unix milliseconds.
    pub enrolled_ms: u64,
    /// Unix milliseconds of its last hello or goodbye.
    #[serde(default)]
    pub seen_ms: u64,
    /// Generation of its newest certificate.
    pub generation: u64,
    /// Unix milliseconds; when that certificate ends.
    pub certificate_ends_ms: u64,
    /// Epoch of its newest session.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// Why it is locked, if it is.
    #[serde(default)]
    pub locked: Option<String>,
    /// Whether it takes no new work.
    #[serde(default)]
    pub draining: bool,
    /// Names of the secrets it holds.
    #[serde(default)]
    pub secret_names: Vec<String>,
    /// Connectors it has ready.
    #[serde(default)]
    pub connectors: Vec<Digest>,
    /// The operator's invitation to its group's keys, if its token came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// A one-time enrolment token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// The part of the token that names it.
    pub id: String,
    /// SHA-256 of the half that the agent shows.
    pub auth_hash: Digest,
    /// The group it admits to.
    pub group: GroupId,
    /// Unix milliseconds.
    pub expires_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// Who used it.
    #[serde(default)]
    pub redeemed: Option<Redeemed>,
    /// Wrong secrets shown with this id; at twenty the token is burned.
    #[serde(default)]
    pub failures: u32,
    /// The operator's invitation to the group's keys, as it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// The use of an enrolment token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// SHA-256 of the certificate key: the same key may ask again when the answer was lost.
    pub key: Digest,
    /// The agent it became.
    pub agent: AgentId,
}
