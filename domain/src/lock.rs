//! Locks: which version of each connector an environment runs, by digest.
//!
//! A lock is a signed document with a version that only grows. The controller signs it while connectors follow their
//! publishers by themselves, an operator's key while they are held.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, name::Name, project::ConnectorPin};

/// The version of the document itself.
pub const FORMAT: u32 = 1;
/// Most connectors of one lock: more than an environment of 500 projects has been seen to use.
pub const MAX_CONNECTORS: usize = 256;

/// The connectors of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of this document's form, [`FORMAT`].
    pub v: u32,
    /// The environment.
    pub environment: Name,
    /// Counts up from 1 with each change.
    pub version: u64,
    /// Who moves it.
    pub mode: Mode,
    /// The least version of the index that names every release in it.
    pub index: u64,
    /// What attempts run on.
    pub connectors: BTreeMap<Name, Locked>,
    /// What a share of the attempts tries instead, until the trial is settled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trials: BTreeMap<Name, Locked>,
}

/// Who moves a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The controller, within the bounds that agents check.
    Automatic,
    /// An operator with a key.
    Held,
}

/// One connector at one exact version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its version.
    pub version: semver::Version,
    /// SHA-256 of the signed release.
    pub release: Digest,
    /// SHA-256 of the component.
    pub wasm: Digest,
    /// Length of the component in bytes.
    pub length: u64,
    /// Whether updates leave it alone.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub pinned: bool,
    /// The capabilities that were approved for it, one readable entry each, such as `egress login.example`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub approved: BTreeSet<String>,
}

impl Locked {
    /// What a run needs to fetch it.
    pub fn pin(&self) -> ConnectorPin {
        ConnectorPin { version: self.version.clone(), digest: self.wasm, length: self.length }
    }
}

impl Lock {
    /// A lock that names nothing yet.
    pub const fn empty(environment: Name, mode: Mode) -> Self {
        Self {
            v: FORMAT,
            environment,
            version: 0,
            mode,
            index: 0,
            connectors: BTreeMap::new(),
            trials: BTreeMap::new(),
        }
    }

    /// The connector for an attempt. One that takes part in a trial that is settled meanwhile runs on what became of it.
    pub fn connector(&self, name: &Name, on_trial: bool) -> Option<&Locked> {
        let trial = self.trials.get(name).filter(|_| on_trial);
        trial.or_else(|| self.connectors.get(name))
    }
}
