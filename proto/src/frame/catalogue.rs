//! Which connectors an agent may run, and which it has.

use semver::Version;
use wherry_domain::{digest::Digest, failure::Code, name::Name};

/// Signed documents, DSSE envelopes in JSON: which connectors an agent may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The organisation's publishers.
    pub publishers: Vec<u8>,
    /// The releases that exist, and those that are revoked.
    pub index: Vec<u8>,
    /// The lock of each environment that the group serves.
    pub locks: Vec<Vec<u8>>,
}

/// What an agent has of what it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Each environment that the agent knows a lock of.
    pub environments: Vec<Stock>,
    /// Why the newest catalogue was not taken over: a code, and the agent's words.
    pub refusal: Option<(Code, String)>,
    /// That the agent's owner has a policy of his own.
    pub policy: Option<OwnerPolicy>,
    /// Walls around the code of connectors that the agent's system does not give, in its words.
    pub walls: Vec<String>,
}

/// That an agent's owner has a policy of his own. What it says stays with the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerPolicy {
    /// When it was read, in milliseconds since the Unix epoch by the agent's clock; 0 if none is in force.
    pub loaded_ms: u64,
    /// Why the file as it is now is not in force, in the agent's words.
    pub fault: Option<String>,
    /// Runs at once, as things stand now.
    pub slots: u32,
}

/// The connectors of one environment on one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// The environment.
    pub environment: Name,
    /// The version of the lock in force.
    pub lock_version: u64,
    /// Each connector of the lock, and what is quarantined beside it.
    pub holdings: Vec<Holding>,
}

/// One connector on one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub connector: Name,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// How far it is.
    pub state: HoldingState,
    /// The version that runs in its place, if it is quarantined and another one does.
    pub instead: Option<Version>,
}

/// How far a connector is on an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldingState {
    /// On its way or being compiled.
    Preparing,
    /// It can run.
    Ready,
    /// It cannot be had or is not believed.
    Refused {
        /// Stable.
        code: Code,
        /// The agent's words.
        message: String,
    },
    /// It failed too often on this agent and is not run any more.
    Quarantined {
        /// Of the last failure.
        code: Code,
        /// The agent's words.
        message: String,
    },
}
