//! A policy that was read and checked, and its answers.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Component, Path, PathBuf},
};

use wherry_domain::name::Name;
use wherry_trust::keys::PublicKey;

use super::{
    hours::Hours,
    network::{NetworkRules, Reach},
    raw::RawPolicy,
    refusal::Refusal,
};

/// What the owner allows. The default restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) connectors: Option<BTreeSet<Name>>,
    pub(super) publishers: Option<Vec<PublicKey>>,
    pub(super) network: NetworkRules,
    pub(super) roots: Option<Vec<PathBuf>>,
    pub(super) slots: Option<u32>,
    pub(super) hours: Option<Hours>,
    pub(super) deployments: DeploymentRules,
    /// As written, for people and for what needs no reading.
    pub(super) raw: RawPolicy,
}

/// Which deployments may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentRules {
    pub(super) require_signed: bool,
    pub(super) operators: Vec<PublicKey>,
}

impl DeploymentRules {
    /// Whether only deployments run that one of the operators signed.
    pub const fn require_signed(&self) -> bool {
        self.require_signed
    }

    /// Whose signature counts.
    pub fn operators(&self) -> &[PublicKey] {
        &self.operators
    }
}

impl Rules {
    /// As written.
    pub const fn raw(&self) -> &RawPolicy {
        &self.raw
    }

    /// Which deployments may run.
    pub const fn deployments(&self) -> &DeploymentRules {
        &self.deployments
    }

    /// Whether a connector of that name may run.
    ///
    /// # Errors
    /// If it may not.
    pub fn connector(&self, name: &Name) -> Result<(), Refusal> {
        match &self.connectors {
            Some(allowed) if !allowed.contains(name) => Err(Refusal::Connector(name.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether connectors may run that this key signed, which the organisation knows by `name`.
    ///
    /// # Errors
    /// If they may not.
    pub fn publisher(&self, key: &PublicKey, name: &str) -> Result<(), Refusal> {
        match &self.publishers {
            Some(allowed) if !allowed.contains(key) => Err(Refusal::Publisher(name.to_owned())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a destination may be reached, as far as its name says so: `false` if its addresses have to allow it.
    ///
    /// # Errors
    /// If it may not, wherever its name leads.
    pub fn host(&self, host: &str, port: u16) -> Result<bool, Refusal> {
        match self.network.reach(host, port) {
            Reach::Named => Ok(true),
            Reach::ByAddress => Ok(false),
            Reach::Refused => Err(Refusal::Host { host: host.to_owned(), port }),
        }
    }

    /// Whether all of the addresses behind a host may be reached.
    ///
    /// # Errors
    /// With the first that may not.
    pub fn addresses(&self, host: &str, port: u16, addresses: impl Iterator<Item = IpAddr>) -> Result<(), Refusal> {
        match self.network.refused_address(host, port, addresses) {
            None => Ok(()),
            Some(address) => Err(Refusal::Address { host: host.to_owned(), port, address: address.to_string() }),
        }
    }

    /// Whether a project may name a file or folder. `real` is where it is once links are followed; none if it is nowhere.
    ///
    /// # Errors
    /// If it may not. Whether there is anything in places outside of what is allowed cannot be told from the answer.
    pub fn file(&self, path: &Path, real: Option<&Path>) -> Result<(), Refusal> {
        let Some(roots) = &self.roots else { return Ok(()) };
        let inside = roots.iter().any(|root| {
            let below = |real: &Path| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
            real.map_or_else(|| plain(path) && path.starts_with(root), below)
        });
        if inside { Ok(()) } else { Err(Refusal::File(path.display().to_string())) }
    }

    /// Most runs at once.
    pub const fn slots(&self) -> Option<u32> {
        self.slots
    }

    /// Whether work may begin at that time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If it may not, with when to try again.
    pub fn work(&self, wall_ms: u64) -> Result<(), Refusal> {
        match &self.hours {
            Some(hours) if !hours.are_open(wall_ms) => Err(Refusal::Hours { wait: hours.wait(wall_ms) }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether answers to `wherry connection describe` may leave.
    ///
    /// # Errors
    /// If they may not.
    pub fn describe(&self) -> Result<(), Refusal> {
        let refused = || Refusal::Answers("what connectors write about their systems");
        if self.raw.answers.describe == Some(false) { Err(refused()) } else { Ok(()) }
    }

    /// Whether answers of actions may leave.
    ///
    /// # Errors
    /// If they may not.
    pub fn actions(&self) -> Result<(), Refusal> {
        let refused = || Refusal::Answers("what actions answer");
        if self.raw.answers.actions == Some(false) { Err(refused()) } else { Ok(()) }
    }

    /// Whether the words of connectors' errors and logs may leave.
    pub fn connector_text(&self) -> bool {
        self.raw.answers.connector_text != Some(false)
    }
}

/// Whether a path is absolute and never climbs.
fn plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}
