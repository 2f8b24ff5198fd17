//! What people see and change of publishers, releases and locks.

use std::collections::BTreeSet;

use wherry_domain::name::Name;
use wherry_trust::{chain::Level, keys::PublicKey};

use super::revoked::signed_by;
use crate::{
    engine::{Ledger, Refusal, Turn},
    model::Connector,
};

/// Most releases that may be revoked: what an index can name.
const MAX_REVOKED: usize = wherry_trust::chain::MAX_REVOKED;

/// The publishers list in force.
#[derive(Clone, Debug)]
pub struct PublishersView {
    /// Who signed it.
    pub level: Level,
    /// As it was signed.
    pub envelope: Vec<u8>,
    /// The key that a list has to name for this controller.
    pub catalogue_key: PublicKey,
    /// Environments whose locks name a release that is revoked with its key.
    pub environments: BTreeSet<Name>,
}

/// A key that was revoked.
#[derive(Clone, Debug)]
pub struct RevokedPublisher {
    /// The key.
    pub key: PublicKey,
    /// The names under which it was trusted.
    pub names: BTreeSet<String>,
    /// Environments whose locks name a release that it signed, and no trusted key did.
    pub environments: BTreeSet<Name>,
}

impl Ledger {
    /// The publishers list in force, as it was signed.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn publishers_list(&self) -> Result<PublishersView, Refusal> {
        self.act(|turn| {
            turn.refresh_catalogue();
            let missing =
                || Refusal::not_found("catalogue.malformed", "there is no publishers list yet: look into the log");
            let held = turn.state.catalogue.believed.publishers().ok_or_else(missing)?;
            let catalogue_key = turn.state.catalogue.key.public();
            let environments = turn.environments_stopped();
            Ok(PublishersView { level: held.level, envelope: held.json(), catalogue_key, environments })
        })
        .await
    }

    /// Takes over a publishers list that an operator signed.
    ///
    /// # Errors
    /// Whatever an agent would refuse it for.
    pub async fn replace_publishers(&self, who: String, envelope: Vec<u8>) -> Result<(), Refusal> {
        self.begin(move |turn| turn.accept_publishers(&who, &envelope)).await
    }

    /// Revokes a publisher: nothing that its key signed runs any more, and no list can name the key again.
    ///
    /// # Errors
    /// If there is none of that name, or operators sign the list; or if the list cannot be signed, so that agents do
    /// not know yet.
    pub async fn revoke_publisher(&self, who: String, name: String) -> Result<RevokedPublisher, Refusal> {
        self.act(move |turn| turn.revoke_publisher(&who, &name)).await
    }

    /// Revokes a release: agents stop running it. Answers with the environments whose locks still name it.
    ///
    /// # Errors
    /// If there is no such version; or if the index cannot be signed, so that agents do not know yet.
    pub async fn revoke_release(
        &self,
        who: String,
        name: Name,
        version: semver::Version,
    ) -> Result<(Connector, BTreeSet<Name>), Refusal> {
        self.act(move |turn| turn.revoke_release(&who, &name, &version)).await
    }
}

impl Turn<'_> {
    fn revoke_publisher(&mut self, who: &str, name: &str) -> Result<RevokedPublisher, Refusal> {
        self.publishers_are_ours()?;
        let missing = || Refusal::not_found("publisher.not_found", "there is no publisher of that name");
        let key = self.state.publishers.get(name).map(|publisher| publisher.trusted.key).ok_or_else(missing)?;
        // A key that was trusted under two names once is trusted under none.
        let named = self.state.publishers.iter().filter(|(_, publisher)| publisher.trusted.key == key);
        let names: BTreeSet<String> = named.map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.state.publishers.remove(name);
            self.audit(who, "publisher.revoke", name, &key.to_string());
            self.undefine("publisher", name);
        }
        self.revoke_key(key);
        self.desire();
        self.tell_revoked()?;
        let revoked = |one: &&Connector| one.key_revoked && signed_by(one, &[key]);
        let releases = self.state.connectors.values().flat_map(|all| all.values()).filter(revoked);
        let environments = releases.flat_map(|one| self.environments_with(&one.name, &one.version)).collect();
        Ok(RevokedPublisher { key, names, environments })
    }

    /// Signs what was revoked just now.
    fn tell_revoked(&mut self) -> Result<(), Refusal> {
        self.sign_now().map_err(|refusal| {
            let message = format!(
                "it is revoked here, but agents cannot be told yet, which is tried again each minute: {}",
                refusal.message
            );
            Refusal { message, ..refusal }
        })
    }

    fn revoke_release(
        &mut self,
        who: &str,
        name: &Name,
        version: &semver::Version,
    ) -> Result<(Connector, BTreeSet<Name>), Refusal> {
        let by_itself = |one: &&Connector| one.revoked_ms.is_some() && !one.key_revoked;
        let revoked = self.state.connectors.values().flat_map(|all| all.values()).filter(by_itself);
        let full = revoked.count() >= MAX_REVOKED;
        let wall_ms = self.wall_ms;
        let missing = || {
            let message = format!("there is no connector {name} {version}: see wherry connector versions {name}");
            Refusal::not_found("connector.not_found", message)
        };
        let versions = self.state.connectors.get_mut(name).ok_or_else(missing)?;
        let connector = versions.get_mut(version).ok_or_else(missing)?;
        if connector.revoked_ms.is_none() || connector.key_revoked {
            if full {
                let message = format!("at most {MAX_REVOKED} releases can be revoked: revoke the publisher instead");
                return Err(Refusal::conflict("release.too_many_revoked", message));
            }
            connector.revoked_ms.get_or_insert(wall_ms);
            connector.key_revoked = false;
            let connector = connector.clone();
            let key = format!("{name}/{version}");
            self.audit(who, "connector.revoke", &key, &connector.digest.to_string());
            self.define("connector", &key, &connector);
            self.state.catalogue.stale.index = true;
        }
        self.tell_revoked()?;
        let connector =
            self.state.connectors.get(name).and_then(|all| all.get(version)).cloned().ok_or_else(missing)?;
        Ok((connector, self.environments_with(name, version)))
    }
}
