//! Taking, replacing and removing sealed secrets.

use wherry_domain::{id::GroupId, name::Name};
use wherry_trust::sealing::secret::{Kind, MAX_SECRETS, SealedSecret};

use super::{SecretKey, stored};
use crate::{
    engine::{Refusal, Turn},
    model::SecretRecord,
};

/// Most names of secrets that a group has or had: a removed one stays on record, so that no agent brings it back.
const MAX_NAMES: usize = 10_000;
/// No version comes near it, so that there is always a higher one; the command line has the same limit.
const HIGHEST_VERSION: u64 = 1 << 62;

/// Who sets a secret, and which version is to be replaced.
pub(super) struct Setting<'a> {
    /// Name of the token or the agent.
    pub(super) who: &'a str,
    /// The version that must be there, 0 for none; any older one, if absent.
    pub(super) replaces: Option<u64>,
    /// Whether only the seal is new and the value the same.
    pub(super) resealed: bool,
}

impl Turn<'_> {
    /// Takes a sealed secret, if every agent of the group will.
    pub(super) fn set_sealed(
        &mut self,
        group: GroupId,
        sealed: &SealedSecret,
        setting: &Setting<'_>,
    ) -> Result<SecretRecord, Refusal> {
        let place = sealed.place();
        let key: SecretKey = (place.environment().clone(), place.kind(), place.name().to_owned());
        self.acceptable(group, &key, sealed, setting)?;
        let revision = self.next_revision(group);
        let wall_ms = self.wall_ms;
        let text = String::from_utf8(sealed.to_json()).map_err(|_| malformed())?;
        let Some(keyring) = self.state.keyrings.get_mut(&group) else { return Err(no_keyring()) };
        let before = keyring.secrets.get(&key).cloned();
        let same_value = before.as_ref().filter(|before| setting.resealed && !before.removed);
        let record = SecretRecord {
            group,
            environment: key.0.clone(),
            kind: key.1,
            name: key.2.clone(),
            version: sealed.version(),
            epoch: sealed.epoch(),
            signer: sealed.signer().to_string(),
            set_ms: same_value.map_or(wall_ms, |before| before.set_ms),
            set_by: same_value.map_or_else(|| setting.who.to_owned(), |before| before.set_by.clone()),
            set_at_n: same_value.map_or(keyring.entries.len() as u64, |before| before.set_at_n),
            revision,
            parts: stored::parts(text.len()),
            removed: false,
        };
        if let Some(before) = &before {
            keyring.by_revision.remove(&before.revision);
        }
        keyring.by_revision.insert(revision, key.clone());
        keyring.secrets.insert(key.clone(), record.clone());
        let is_new = before.as_ref().is_none_or(|before| before.removed);
        self.drop_parts(group, &key, record.parts, before.map_or(0, |before| before.parts));
        self.keep_secret(&record, &text);
        if is_new {
            self.relane(group);
        }
        self.touch_keyring(group);
        Ok(record)
    }

    /// Removes a secret. Its version rises, so that nothing older and nothing sealed anew meanwhile comes back.
    pub(super) fn remove_sealed(&mut self, group: GroupId, key: &SecretKey) -> Result<SecretRecord, Refusal> {
        let revision = self.next_revision(group);
        let known = self.state.keyrings.get(&group).and_then(|keyring| keyring.secrets.get(key));
        let version = self.next_version(known);
        let found = self.state.keyrings.get_mut(&group);
        let found = found.and_then(|keyring| Some((keyring.secrets.get_mut(key)?, &mut keyring.by_revision)));
        let Some((record, by_revision)) = found.filter(|(record, _)| !record.removed) else {
            let message = format!("there is no secret {} in {}: see wherry secret list", key.2, key.0);
            return Err(Refusal::not_found("secret.not_found", message));
        };
        by_revision.remove(&record.revision);
        by_revision.insert(revision, key.clone());
        let parts = std::mem::take(&mut record.parts);
        record.removed = true;
        record.version = version;
        record.revision = revision;
        let record = record.clone();
        self.drop_parts(group, key, 0, parts);
        self.keep_secret(&record, "");
        self.relane(group);
        self.touch_keyring(group);
        Ok(record)
    }

    /// The environment is gone, and its secrets with it.
    pub(in crate::engine) fn remove_secrets_of(&mut self, group: GroupId, environment: &Name) {
        let keys = self.state.keyrings.get(&group).map(|keyring| {
            let of = keyring.secrets.iter().filter(|(key, record)| key.0 == *environment && !record.removed);
            of.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        });
        for key in keys.unwrap_or_default() {
            // It was there a moment ago.
            let _ = self.remove_sealed(group, &key);
        }
    }

    fn acceptable(
        &self,
        group: GroupId,
        key: &SecretKey,
        sealed: &SealedSecret,
        setting: &Setting<'_>,
    ) -> Result<(), Refusal> {
        let environment = self.environment(&key.0)?;
        let place = self.place_of(group, key).ok_or_else(malformed)?;
        let keyring = self.state.keyrings.get(&group).ok_or_else(no_keyring)?;
        let roster = keyring.roster.as_ref().ok_or_else(no_keyring)?;
        if environment.group != group {
            return Err(Refusal::invalid("seal.misplaced", format!("{} is not served by this group", key.0)));
        }
        let stored = keyring.secrets.get(key).map_or(0, |record| record.version);
        if setting.replaces.is_some_and(|replaces| replaces != stored) {
            let message = format!("{} has changed meanwhile: look at it and set it again", key.2);
            return Err(Refusal::conflict("secret.changed", message));
        }
        if sealed.version() >= HIGHEST_VERSION {
            return Err(Refusal::invalid("seal.malformed", "its version is too high: seal it with wherry secret set"));
        }
        let floor = stored.saturating_add(1);
        sealed
            .check(&place, roster, floor)
            .map_err(|error| Refusal { code: error.code(), ..Refusal::invalid("seal.malformed", error.to_string()) })?;
        if sealed.epoch() != roster.epoch().0 {
            let message = format!("the group's key changed to epoch {} meanwhile: try again", roster.epoch().0);
            return Err(Refusal::conflict("secret.epoch_stale", message));
        }
        if keyring.secrets.len() >= MAX_NAMES && !keyring.secrets.contains_key(key) {
            let message =
                format!("the group has had {MAX_NAMES} secrets, which removed ones count among: reuse a name");
            return Err(Refusal::conflict("secret.too_many", message));
        }
        let is_new = keyring.secrets.get(key).is_none_or(|record| record.removed);
        if is_new && key.1 == Kind::Secret && keyring.count(&key.0) >= MAX_SECRETS {
            let message = format!("{} has {MAX_SECRETS} secrets already: remove some first", key.0);
            return Err(Refusal::conflict("secret.too_many", message));
        }
        Ok(())
    }

    /// A number above every earlier one of the group, also after a restore from a copy.
    fn next_revision(&self, group: GroupId) -> u64 {
        let last = self.state.keyrings.get(&group).map_or(0, super::Keyring::revision);
        last.saturating_add(1).max(u64::from(self.state.generation) << 32)
    }

    /// The version that the next value of a secret needs.
    pub(super) fn next_version(&self, record: Option<&SecretRecord>) -> u64 {
        let next = record.map_or(0, |record| record.version).saturating_add(1);
        // What was set after the copy was taken is not known here, but agents remember its version.
        next.max((u64::from(self.state.generation) << 32) + 1)
    }
}

fn malformed() -> Refusal {
    Refusal::invalid("seal.malformed", "this is not a sealed secret: seal it with wherry secret set")
}

pub(super) fn no_keyring() -> Refusal {
    let message = "no agent of this group has made its key yet: enrol one with a token of wherry agent token";
    Refusal::conflict("secret.no_keyring", message)
}
