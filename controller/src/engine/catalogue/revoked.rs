//! Releases that are revoked with the key that signed them: shown as such, and offered to nobody.

use std::collections::BTreeSet;

use wherry_domain::name::Name;
use wherry_trust::{
    chain::Wanted,
    dsse::{Envelope, Limits},
    keys::PublicKey,
    release::{PAYLOAD_TYPE, Publisher as Trusted},
};

use crate::{
    engine::{Refusal, Turn},
    model::Connector,
};

/// The keys under which releases were judged last.
#[derive(PartialEq, Eq)]
pub(super) struct Judged {
    revoked: BTreeSet<PublicKey>,
    trusted: BTreeSet<PublicKey>,
}

impl Turn<'_> {
    /// Every publishers' key that was revoked, those included that no list could be signed with yet.
    pub(in crate::engine) fn revoked_keys(&self) -> BTreeSet<PublicKey> {
        let catalogue = &self.state.catalogue;
        let listed = catalogue.believed.publishers().map(|held| held.document.revoked_keys.clone());
        let mut keys = listed.unwrap_or_default();
        keys.extend(&catalogue.revoking);
        keys
    }

    /// Publishers whose releases are taken.
    pub(in crate::engine) fn sound_publishers(&self) -> Vec<Trusted> {
        let revoked = self.revoked_keys();
        let all = self.state.publishers.values().map(|publisher| &publisher.trusted);
        all.filter(|trusted| !revoked.contains(&trusted.key)).cloned().collect()
    }

    /// Marks the releases that a revoked key signed and no trusted one. A list of operators may take a revocation of a
    /// controller's key back, so marks go as they come.
    pub(super) fn mark_revoked(&mut self) {
        let revoked = self.revoked_keys();
        let trusted: BTreeSet<_> = self.sound_publishers().into_iter().map(|publisher| publisher.key).collect();
        let judged = Judged { revoked, trusted };
        if self.state.catalogue.judged.as_ref() == Some(&judged) {
            return;
        }
        let (revoked, trusted) = (Vec::from_iter(judged.revoked.clone()), Vec::from_iter(judged.trusted.clone()));
        let mut changed = Vec::new();
        for (name, versions) in &mut self.state.connectors {
            for (version, connector) in versions {
                let spoilt = signed_by(connector, &revoked) && !signed_by(connector, &trusted);
                if mark(connector, spoilt, self.wall_ms) {
                    changed.push((format!("{name}/{version}"), connector.clone()));
                }
            }
        }
        for (key, connector) in &changed {
            self.define("connector", key, connector);
        }
        self.state.catalogue.stale.index |= !changed.is_empty();
        self.state.catalogue.judged = Some(judged);
    }

    /// Environments whose locks name a release that is revoked with its key.
    pub(super) fn environments_stopped(&self) -> BTreeSet<Name> {
        let spoilt = self.state.connectors.values().flat_map(|all| all.values()).filter(|one| one.key_revoked);
        spoilt.flat_map(|one| self.environments_with(&one.name, &one.version)).collect()
    }

    /// A release that is not believed because its key is revoked has a code of its own.
    pub(super) fn explained(&self, wanted: &Wanted, refusal: Refusal) -> Refusal {
        let Wanted { name, locked } = wanted;
        let connector = self.state.connectors.get(name).and_then(|versions| versions.get(&locked.version));
        match connector.filter(|connector| connector.key_revoked) {
            Some(connector) => connector_revoked(connector),
            None => refusal,
        }
    }
}

/// Why a release that was revoked runs nowhere.
pub(super) fn connector_revoked(Connector { name, version, publisher, key_revoked, .. }: &Connector) -> Refusal {
    if *key_revoked {
        let message = format!(
            "the key of publisher {publisher}, which signed connector {name} {version}, is revoked: choose a version \
             that another key signed"
        );
        return Refusal::conflict("publisher.key_revoked", message);
    }
    Refusal::conflict("release.revoked", format!("connector {name} {version} is revoked: choose another version"))
}

/// Whether one of the keys signed an envelope.
pub(in crate::engine) fn is_signed_by(envelope: &Envelope, keys: &[PublicKey]) -> bool {
    envelope.verify(PAYLOAD_TYPE, keys, &Limits::default()).is_ok()
}

/// Whether one of the keys signed a release.
pub(super) fn signed_by(connector: &Connector, keys: &[PublicKey]) -> bool {
    let envelope = || Envelope::from_json(connector.envelope.as_bytes(), &Limits::default()).ok();
    !keys.is_empty() && envelope().is_some_and(|envelope| is_signed_by(&envelope, keys))
}

/// Whether anything changed. What is revoked by itself stays so.
fn mark(connector: &mut Connector, spoilt: bool, wall_ms: u64) -> bool {
    match (connector.revoked_ms.is_some(), connector.key_revoked, spoilt) {
        (false, _, true) => (connector.revoked_ms, connector.key_revoked) = (Some(wall_ms), true),
        (_, true, false) => (connector.revoked_ms, connector.key_revoked) = (None, false),
        (true, _, true) | (_, false, false) => return false,
    }
    true
}
