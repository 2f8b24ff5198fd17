//! The keys of an agent group and the secrets sealed to them. What is in the bytes, `wherry_trust::sealing` knows.

use wherry_domain::{failure::Code, id::AgentId, name::Name};

/// What an agent knows of its group's keys, and what it adds. Everything in it may be repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyringReport {
    /// Entries of the roster that the agent has verified and kept.
    pub roster_n: u64,
    /// SHA-256 of the last one; empty for none.
    pub roster_head: Vec<u8>,
    /// The agent holds the group's sealed secrets up to this revision.
    pub secrets_revision: u64,
    /// Whether it has the keys.
    pub state: KeyringState,
    /// Entries that follow `roster_n`; to be taken only if the roster ends there.
    pub append: Vec<Vec<u8>>,
    /// Keys wrapped to others.
    pub wraps: Vec<WrappedKey>,
    /// Secrets sealed anew; each to be taken only over the version before.
    pub resealed: Vec<SealedItem>,
    /// Asks to be added to the roster; empty for not.
    pub join: Vec<u8>,
    /// Why the agent does not follow the controller's roster.
    pub trouble: Option<KeyringTrouble>,
}

/// Whether an agent has its group's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyringState {
    /// There is no roster that it could know, and it was not invited to found one.
    #[default]
    None,
    /// It waits for a member of the roster.
    PendingKeys,
    /// It has them.
    Member,
    /// The roster says that it was removed.
    Removed,
}

/// Why an agent does not follow a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringTrouble {
    /// Stable code.
    pub code: Code,
    /// One sentence, at most [`crate::MAX_KEYRING_TEXT`] bytes.
    pub message: String,
}

/// What the controller has for an agent; sent as an answer to its report and on every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    /// How many entries precede the first one of `entries`.
    pub roster_first: u64,
    /// Entries of the roster, as they were signed.
    pub entries: Vec<Vec<u8>>,
    /// How many entries the controller has.
    pub roster_n: u64,
    /// Keys wrapped to this agent.
    pub wraps: Vec<WrappedKey>,
    /// Who waits to be added; only to the agent that tends.
    pub joins: Vec<PendingJoin>,
    /// Who is to be removed; only to the agent that tends.
    pub departed: Vec<Departed>,
    /// Which wrapped keys nobody has sent yet; only to the agent that tends.
    pub missing: Vec<MissingWrap>,
    /// Secrets that changed since the agent's revision.
    pub secrets: Vec<SealedItem>,
    /// Secrets that were removed since.
    pub removed: Vec<RemovedItem>,
    /// The agent's revision after them.
    pub revision: u64,
    /// More of it follows at once.
    pub more: bool,
    /// The agent adds who joins, removes who departed, wraps what is missing and seals anew what is old.
    pub tends: bool,
    /// `secrets` and `removed` are what changed after this revision; an agent that has not reached it missed something.
    pub since: u64,
    /// Epochs whose keys are needed for what the controller keeps beside the secrets; only to the agent that tends.
    pub epochs_in_use: Vec<u32>,
}

/// An epoch's private key, sealed to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The epoch.
    pub epoch: u32,
    /// Public key of the recipient, as text.
    pub recipient: String,
    /// At most [`crate::MAX_WRAP`] bytes.
    pub wrapped: Vec<u8>,
}

/// A wrapped key that nobody has sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingWrap {
    /// The epoch.
    pub epoch: u32,
    /// Public key of the recipient, as text.
    pub recipient: String,
}

/// An agent that waits to be added to the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingJoin {
    /// What it asks, at most [`crate::MAX_ENTRY`] bytes.
    pub join: Vec<u8>,
    /// What the operator left for it, at most [`crate::MAX_ENTRY`] bytes.
    pub invite: Vec<u8>,
}

/// A member of the roster that the organisation removed or locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Who.
    pub agent: AgentId,
    /// Why, for people; at most [`crate::MAX_KEYRING_TEXT`] bytes.
    pub reason: String,
}

/// A sealed secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedItem {
    /// Its environment.
    pub environment: Name,
    /// Its name.
    pub name: Name,
    /// Its version; only grows.
    pub version: u64,
    /// At most [`crate::MAX_SEALED`] bytes.
    pub envelope: Vec<u8>,
}

/// A secret that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedItem {
    /// Its environment.
    pub environment: Name,
    /// Its name.
    pub name: Name,
    /// The last version it had.
    pub version: u64,
}
