//! What the controller keeps of groups' keys and secrets: bytes that it cannot open.

use serde::{Deserialize, Serialize};
use wherry_domain::{digest::Digest, id::GroupId, name::Name};
use wherry_trust::sealing::secret::Kind;

/// An entry of a group's roster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The group.
    pub group: GroupId,
    /// Its bytes, exactly as they were signed.
    pub entry: String,
}

/// Rosters of a group that were reset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgottenRosters {
    /// The group.
    pub group: GroupId,
    /// Hashes of their first entries, the oldest first.
    pub foundings: Vec<Digest>,
}

/// An epoch's private key, wrapped to one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredWrap {
    /// The group.
    pub group: GroupId,
    /// As it was wrapped.
    pub wrap: String,
}

/// What is known of a sealed secret without opening it. The sealed bytes lie beside it in parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The group it is sealed to.
    pub group: GroupId,
    /// Where.
    pub environment: Name,
    /// A secret, or the tokens of a connection.
    pub kind: Kind,
    /// The name, or the connection's id.
    pub name: String,
    /// Only grows, also over a removal.
    pub version: u64,
    /// The epoch it is sealed to.
    pub epoch: u32,
    /// Who signed it, as text.
    pub signer: String,
    /// Unix milliseconds when its value was set; sealing anew does not change it.
    pub set_ms: u64,
    /// Who set the value.
    pub set_by: String,
    /// How long the roster was then: whoever was removed since could read the value.
    pub set_at_n: u64,
    /// Number of the last change among all of the group.
    pub revision: u64,
    /// Parts of the sealed bytes; none of a removed one.
    pub parts: u8,
    /// Whether it was removed. Its version stays, so that no older one comes back.
    #[serde(default)]
    pub removed: bool,
}
