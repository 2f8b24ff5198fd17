//! The index: what locks name, and the newest versions of each connector.

use std::collections::BTreeMap;

use wherry_domain::{lock::Locked, name::Name};
use wherry_trust::chain::{FORMAT, INDEX_LIFE_MS, Index, Listed, entry, reread};

use super::{refused, revoked::connector_revoked};
use crate::{
    engine::{Refusal, Turn},
    model::Connector,
};

impl Turn<'_> {
    /// The index that has to follow the one in force, with so many versions of each connector beside what locks name.
    pub(super) fn next_index(&self, newest: usize) -> Index {
        Index {
            v: FORMAT,
            version: self.next_index_version(),
            issued_ms: self.wall_ms,
            expires_ms: self.wall_ms.saturating_add(INDEX_LIFE_MS),
            releases: self.listed(newest),
            revoked: self.state.connectors.values().flat_map(BTreeMap::values).filter_map(revoked).collect(),
        }
    }

    pub(super) fn next_index_version(&self) -> u64 {
        self.state.catalogue.versions.index.max(self.version_floor()).saturating_add(1)
    }

    fn listed(&self, newest: usize) -> Vec<Listed> {
        let catalogue = &self.state.catalogue;
        let mut wanted: BTreeMap<(Name, semver::Version), &Connector> = BTreeMap::new();
        let mut want = |name: &Name, version: &semver::Version| {
            let found = self.state.connectors.get(name).and_then(|versions| versions.get(version));
            if let Some(connector) = found {
                wanted.insert((name.clone(), version.clone()), connector);
            }
        };
        for (name, versions) in &self.state.connectors {
            let sound = versions.values().rev().filter(|connector| connector.revoked_ms.is_none());
            sound.take(newest).for_each(|connector| want(name, &connector.version));
        }
        let in_force = catalogue.believed.locks().map(|held| held.document.as_ref());
        for lock in in_force.chain(catalogue.before.values().map(AsRef::as_ref)) {
            for (name, locked) in lock.connectors.iter().chain(&lock.trials) {
                want(name, &locked.version);
            }
        }
        catalogue.drafted.iter().for_each(|(name, version)| want(name, version));
        let listed = wanted.into_iter().filter_map(|((name, version), connector)| {
            let (release, _) = reread(connector.envelope.as_bytes()).ok()?;
            Some(Listed { name, version, release, wasm: connector.digest })
        });
        listed.collect()
    }

    /// What a lock says of a published release; `approved` as given, or everything that it asks for.
    ///
    /// # Errors
    /// If there is no such version, or it is revoked.
    pub(in crate::engine) fn locked_entry(
        &self,
        name: &Name,
        version: &semver::Version,
        agreed: Option<std::collections::BTreeSet<String>>,
    ) -> Result<Locked, Refusal> {
        let missing = || {
            let message = format!("there is no connector {name} {version}: see wherry connector versions {name}");
            Refusal::not_found("connector.not_found", message)
        };
        let versions = self.state.connectors.get(name).ok_or_else(missing)?;
        let connector = versions.get(version).ok_or_else(missing)?;
        if connector.revoked_ms.is_some() {
            return Err(connector_revoked(connector));
        }
        let (digest, release) = reread(connector.envelope.as_bytes()).map_err(|error| refused(&error))?;
        let agreed = agreed.unwrap_or_else(|| release.asks());
        Ok(entry(digest, &release, agreed))
    }
}

fn revoked(connector: &Connector) -> Option<wherry_domain::digest::Digest> {
    // The publishers list says the other ones.
    connector.revoked_ms.filter(|_| !connector.key_revoked)?;
    reread(connector.envelope.as_bytes()).ok().map(|(digest, _)| digest)
}
