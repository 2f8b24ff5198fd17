//! The publishers list: signed by the controller until an operator signs one, and by operators from then on.

use std::collections::BTreeSet;

use wherry_trust::{
    chain::{ChainError, Document, FORMAT, INDEX_LIFE_MS, Level, PublishersList},
    keys::PublicKey,
    release::Publisher as Trusted,
};

use super::{ONLY, PUBLISHERS, REVOKING, refused};
use crate::{
    engine::{Refusal, Turn},
    model::{Publisher, RevokedKeys},
};

/// A key is trusted under another name.
pub(in crate::engine) fn named_already(name: &str) -> Refusal {
    let message = format!("this key is trusted as {name}: a key has one name, so remove that one first");
    Refusal::conflict("publisher.key_named", message)
}

impl Turn<'_> {
    /// Who signs the publishers list.
    pub(in crate::engine) fn publishers_level(&self) -> Level {
        self.state.catalogue.believed.publishers().map_or(Level::Controller, |held| held.level)
    }

    /// Refuses to change publishers without an operator's signature once operators sign their list.
    pub(in crate::engine) fn publishers_are_ours(&self) -> Result<(), Refusal> {
        match self.publishers_level() {
            Level::Controller => Ok(()),
            Level::Operator => {
                let message =
                    "operators sign this organisation's publishers list: use `wherry publisher` with their key";
                Err(Refusal::conflict("publisher.operator_required", message))
            }
        }
    }

    /// Publishers changed: their list has to be signed anew.
    pub(in crate::engine) fn publishers_changed(&mut self) {
        self.state.catalogue.stale.publishers = true;
        self.state.catalogue.documents_failed.try_at_once();
    }

    /// A release came: the index lists it.
    pub(in crate::engine) fn index_changed(&mut self) {
        self.state.catalogue.stale.index = true;
        self.state.catalogue.documents_failed.try_at_once();
    }

    /// A publisher's key is good for nothing from now on, whoever names it again.
    pub(in crate::engine) fn revoke_key(&mut self, key: PublicKey) {
        if self.state.catalogue.revoking.insert(key) {
            self.keep_revoking();
        }
        self.state.catalogue.stale.publishers = true;
        self.mark_revoked();
    }

    /// What the list in force revokes needs not be remembered beside it any more.
    pub(super) fn revoked_in_list(&mut self) {
        self.forget_revoking();
        self.mark_revoked();
    }

    fn forget_revoking(&mut self) {
        let catalogue = &mut self.state.catalogue;
        let Some(held) = catalogue.believed.publishers() else { return };
        let waiting = catalogue.revoking.len();
        catalogue.revoking.retain(|key| !held.document.revoked_keys.contains(key));
        if catalogue.revoking.len() < waiting {
            self.keep_revoking();
        }
    }

    fn keep_revoking(&mut self) {
        let keys = self.state.catalogue.revoking.clone();
        if keys.is_empty() {
            self.undefine(REVOKING, ONLY);
        } else {
            self.define(REVOKING, ONLY, &RevokedKeys { keys });
        }
    }

    /// Whether a key was revoked.
    pub(in crate::engine) fn is_revoked(&self, key: &PublicKey) -> bool {
        let listed = self.state.catalogue.believed.publishers();
        self.state.catalogue.revoking.contains(key)
            || listed.is_some_and(|held| held.document.revoked_keys.contains(key))
    }

    /// The list that has to follow the one in force, if one has to: operators sign their own.
    pub(super) fn next_publishers(&self) -> Option<PublishersList> {
        let catalogue = &self.state.catalogue;
        let known = catalogue.believed.publishers();
        if known.is_some_and(|held| held.level == Level::Operator) {
            return None;
        }
        let known = known.map(|held| held.document.as_ref());
        let publishers: Vec<Trusted> =
            self.state.publishers.values().map(|publisher| publisher.trusted.clone()).collect();
        let ours = catalogue.key.public();
        let mut revoked_keys = known.map(|list| list.revoked_keys.clone()).unwrap_or_default();
        revoked_keys.extend(&catalogue.revoking);
        let same = known.is_some_and(|list| {
            list.publishers == publishers
                && list.revoked_keys == revoked_keys
                && list.version > self.version_floor()
                && !self.is_aged(list.issued_ms)
        });
        if same {
            return None;
        }
        Some(PublishersList {
            v: FORMAT,
            organisation: self.state.organisation,
            version: known.map_or(0, |list| list.version).max(self.version_floor()).saturating_add(1),
            issued_ms: self.wall_ms,
            expires_ms: self.wall_ms.saturating_add(INDEX_LIFE_MS),
            publishers,
            catalogue_keys: vec![ours],
            operators: Vec::new(),
            revoked_keys,
        })
    }

    /// Takes over a publishers list that an operator signed. What it says of publishers holds for this controller too.
    ///
    /// # Errors
    /// Whatever an agent of any group would refuse it for, with the agent's code.
    pub(in crate::engine) fn accept_publishers(&mut self, who: &str, json: &[u8]) -> Result<(), Refusal> {
        self.refresh_catalogue();
        let (list, _) = PublishersList::read(json).map_err(|error| refused(&error))?;
        if !list.catalogue_keys.contains(&self.state.catalogue.key.public()) {
            let message = "the list lacks this controller's catalogue key: download it again and sign that";
            return Err(Refusal::conflict("catalogue.signer_unknown", message));
        }
        let known = self.state.catalogue.believed.publishers().map(|held| &held.document.revoked_keys);
        if known.is_some_and(|known| !known.is_subset(&list.revoked_keys)) {
            // Receivers keep what they know; who signs is told, so that those who come later know it, too.
            return Err(refused(&ChainError::RevocationWithdrawn(Document::Publishers)));
        }
        self.keys_have_one_name(&list)?;
        let (version, index) = self.index_under(json)?.unzip();
        let index = index.as_deref();
        // A roster's operators count alone in their group, so each group has to know somebody who signed.
        let with_roster = self.state.groups.keys().filter(|group| self.state.operators_of(**group).is_some());
        for group in with_roster.copied().collect::<Vec<_>>() {
            self.believable(Some(json), index, (&[], Some(group)))?;
        }
        let believed = self.believable(Some(json), index, (&[], None)).or_else(|refusal| {
            // Groups without a roster know no operator yet if the list before named none; one group with a roster
            // vouches for the signer then.
            let any = self.state.groups.keys().find(|group| self.state.operators_of(**group).is_some());
            any.map_or(Err(refusal), |group| self.believable(Some(json), index, (&[], Some(*group))))
        })?;
        let level = believed.publishers().map_or(Level::Controller, |held| held.level);
        if level != Level::Operator {
            let message =
                "the list is not signed by an operator: sign it with a key of a group's roster, or one it names";
            return Err(Refusal::conflict("catalogue.signer_unknown", message));
        }
        self.keep_signed((PUBLISHERS, ONLY), level, json)?;
        self.state.catalogue.believed = believed;
        if let Some(version) = version {
            self.index_is(version);
        }
        self.revoked_in_list();
        self.state.catalogue.untold = true;
        self.audit(who, "publisher.list", "publishers", &format!("version {}", list.version));
        self.follow_list(&list);
        self.environments_changed();
        // A new key of this controller counts from here on: what an old one signed is signed anew before agents are told.
        self.refresh_catalogue();
        Ok(())
    }

    /// An index for a list that somebody else signed, if there is none: after a change of the catalogue key agents believe
    /// none that this controller signs, until they believe the list that names the key. Both come to them at once.
    fn index_under(&mut self, list: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Refusal> {
        if self.state.catalogue.believed.index().is_some() {
            return Ok(None);
        }
        self.signed_index(Some(list), false).map(Some)
    }

    /// Refuses a list that trusts a key under two names, if the one in force does not do so already.
    fn keys_have_one_name(&self, list: &PublishersList) -> Result<(), Refusal> {
        let twice = |list: &PublishersList| {
            let all = list.trusted().into_iter().map(|one| one.key);
            let mut seen = BTreeSet::new();
            all.filter(|key| !seen.insert(*key)).collect::<BTreeSet<_>>()
        };
        let known = self.state.catalogue.believed.publishers().map(|held| twice(&held.document)).unwrap_or_default();
        let Some(key) = twice(list).difference(&known).next().copied() else { return Ok(()) };
        let names = list.publishers.iter().filter(|one| one.key == key).map(|one| one.name.as_str());
        Err(named_already(&names.collect::<Vec<_>>().join(" and ")))
    }

    /// Publishing is judged by the publishers of the list.
    fn follow_list(&mut self, list: &PublishersList) {
        let known: Vec<String> = self.state.publishers.keys().cloned().collect();
        let listed = list.trusted();
        for name in known.into_iter().filter(|name| listed.iter().all(|one| one.name != *name)) {
            self.state.publishers.remove(&name);
            self.undefine("publisher", &name);
        }
        for trusted in listed {
            let name = trusted.name.clone();
            if self.state.publishers.get(&name).is_some_and(|known| known.trusted == trusted) {
                continue;
            }
            let publisher = Publisher { trusted, created_ms: self.wall_ms };
            self.define("publisher", &name, &publisher);
            self.state.publishers.insert(name, publisher);
        }
        self.mark_revoked();
        self.desire();
    }
}
