//! The policy as written. No key has a default that restricts: what is absent is bounded by the configuration alone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wherry_domain::name::Name;

/// The policy file of an agent's owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawPolicy {
    /// Which connectors may run.
    pub connectors: RawConnectors,
    /// Where requests may go.
    pub network: RawNetwork,
    /// What connectors write that may leave the agent.
    pub answers: RawAnswers,
    /// Which files projects may name.
    pub files: RawFiles,
    /// Where connectors may listen.
    pub listeners: RawListeners,
    /// How much work, and when.
    pub work: RawWork,
    /// Which deployments may run.
    pub deployments: RawDeployments,
}

/// Which connectors may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConnectors {
    /// Their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Name>>,
    /// Public keys (`ed25519:...`) of those who may have signed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishers: Option<Vec<String>>,
}

/// Where requests may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawNetwork {
    /// Hosts, suffixes, addresses and networks, each perhaps with a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
    /// The same; wins over `allowed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
}

/// What connectors write that may leave the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawAnswers {
    /// Answers to `wherry connection describe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub describe: Option<bool>,
    /// Answers of actions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<bool>,
    /// The words of errors and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_text: Option<bool>,
}

/// Which files projects may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawFiles {
    /// Those below these folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<PathBuf>>,
}

/// Where connectors may listen. No contract lets one, so the owner can say so and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawListeners {
    /// Addresses and ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
}

/// How much work, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawWork {
    /// Runs at once, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// When work may begin; absent for always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Vec<RawHours>>,
    /// The zone of these hours, such as `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// A part of a day, on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHours {
    /// On which days it begins; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<RawDay>>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`, up to `24:00`; before `from` for the next day.
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawDay {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Which deployments may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDeployments {
    /// Only those that one of the operators signed.
    pub require_signed_deployments: bool,
    /// Public keys (`ed25519:...`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
}
