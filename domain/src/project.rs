//! Projects: what an integration developer writes, as data.
//!
//! The command-line tool reads these types from YAML, the API from JSON; a deployment is a project
//! frozen with the exact connectors it runs on. [`check`](check::check) holds every rule that goes
//! beyond the shape, so that laptop, controller and tests agree.

use alloc::{collections::BTreeMap, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{digest::Digest, duration, effects::SideEffects, name::Name, retry::RetryRule, throttle::Limits};

pub mod alias;
pub mod application;
pub mod auth;
pub mod check;
pub mod template;
pub mod tls;
mod way;

pub use self::way::ProxyChoice;

pub use self::{
    alias::{Alias, Mapping},
    auth::Auth,
    tls::Tls,
};

/// Longest time that an operation may ask for.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);
/// Largest deployment document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// Most connections, operations or variables of one project.
pub const MAX_ENTRIES: usize = 1_000;

/// A project: connections, operations and variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Unique within the organisation.
    pub name: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Variables and their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<Name, Value>,
    /// Names that operations use instead of connections; each environment says what they stand for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<Name, Alias>,
    /// Configured connectors.
    #[serde(default)]
    pub connections: BTreeMap<Name, Connection>,
    /// What can be run.
    #[serde(default)]
    pub operations: BTreeMap<Name, Operation>,
}

/// A configured connector; with its activities it is an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The connector's name, for example `http`.
    pub connector: Name,
    /// Base URL of the system. Egress is limited to its host and port.
    pub url: String,
    /// How the agent authenticates; secrets by reference only.
    #[serde(default)]
    pub auth: Auth,
    /// Whether the agent's default proxy applies to this endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_proxy: Option<bool>,
    /// A named proxy of the agent that applies to this endpoint instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Name>,
    /// Whether its work goes to one agent at a time: for systems that let a user in from one address only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub single_agent: bool,
    /// TLS beyond what the agent does anyway.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    pub tls: Tls,
    /// How often applications may call its actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Limits>,
    /// What the connector itself defines.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

impl Connection {
    /// Whether requests go to a proxy first, so that even those to `localhost` cross a network.
    pub fn through_proxy(&self) -> bool {
        self.proxy_choice() != ProxyChoice::Direct
    }
}

/// A secret by name: `{ secret: helix-password }`. Its value is known to the agents alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The secret's name.
    pub secret: Name,
}

/// source -> target, with everything that governs its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Yields the records.
    pub source: Step,
    /// A program in jq: records for which it gives nothing, `false` or `null` go no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A program in jq: each record is replaced by its results, of which there may be none or several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// Takes the records; without one they are only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Step>,
    /// How often a failed attempt is repeated.
    #[serde(default)]
    pub retry: RetryRule,
    /// Longest time of one attempt, at most [`MAX_TIMEOUT`].
    #[serde(default = "default_timeout", with = "duration::text")]
    pub timeout: Duration,
    /// May tighten what the activities declare, never widen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_effects: Option<SideEffects>,
    /// For how long the agent may go on without the controller.
    #[serde(default, with = "duration::text")]
    pub offline_term: Duration,
    /// Operation to run after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Name>,
    /// Operation to run after failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Name>,
}

impl Operation {
    /// Its steps, the source first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        core::iter::once(&self.source).chain(&self.target)
    }

    /// Its programs, each with its key.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let programs = [("when", &self.when), ("transform", &self.transform)];
        programs.into_iter().filter_map(|(key, program)| program.as_deref().map(|program| (key, program)))
    }
}

/// One activity of a connection with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A connection of the project, or an alias.
    pub connection: Name,
    /// An activity type of its connector.
    pub activity: String,
    /// The activity's parameters; texts take variables.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
}

/// A connector at one exact version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorPin {
    /// Its version.
    pub version: semver::Version,
    /// Digest of the component.
    pub digest: Digest,
    /// Length of the component in bytes.
    pub length: u64,
}

/// What an agent runs from: an immutable snapshot of a project in an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Name of the environment.
    pub environment: Name,
    /// Counts up from 1 for a project in an environment.
    pub number: u64,
    /// The project as deployed; see [`Snapshot::bound`].
    pub project: Project,
    /// What the environment says of it.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub mapping: Mapping,
    /// Each connector that it uses.
    pub connectors: BTreeMap<Name, ConnectorPin>,
    /// Side-effect class of each operation, after tightening.
    pub side_effects: BTreeMap<Name, SideEffects>,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(300)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
