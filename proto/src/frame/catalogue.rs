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
