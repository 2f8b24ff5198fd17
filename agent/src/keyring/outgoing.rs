//! Secrets that the agent's owner hands to the whole group: sealed by another process, sent by the agent that runs.
//!
//! A file lies in `outgoing/` until the secret, or a newer version of it, has come back from the controller.

use std::path::{Path, PathBuf};

use wherry_domain::name::Name;
use wherry_proto::{
    MAX_KEYRING_FRAME,
    frame::{KeyringReport, KeyringState},
};
use wherry_trust::{
    keys::SigningKey,
    names::AgentIdentity,
    sealing::{
        roster::Roster,
        secret::{MAX_JSON, Place, SealedSecret},
    },
};

use super::{
    KeyringError, files,
    ring::Ring,
    secrets::item,
    vault::{Id, Vault},
};
use crate::{paths::DataDir, private_file};

const FOLDER: &str = "outgoing";
const EXTENSION: &str = ".json";
/// Most that wait at a time; more are sent when these have come back.
const MAX_WAITING: usize = 1_000;

/// Seals a value to the group, signed by this agent; the running agent sends it.
///
/// # Errors
/// If this agent does not belong to the group's roster, or the value is empty or too large.
pub fn seal_to_group(
    data: &DataDir,
    (identity, key): (&AgentIdentity, &SigningKey),
    (environment, name): (&Name, &Name),
    value: &[u8],
) -> Result<u64, KeyringError> {
    seal_in(&data.keyring(), (identity, key), (environment, name), value)
}

pub(super) fn seal_in(
    dir: &Path,
    (identity, key): (&AgentIdentity, &SigningKey),
    (environment, name): (&Name, &Name),
    value: &[u8],
) -> Result<u64, KeyringError> {
    let (entries, _) = files::read_roster(&files::roster_path(dir))?;
    if entries.is_empty() {
        return Err(KeyringError::NotMember);
    }
    let roster = Roster::fold(&entries)?;
    roster.member(identity.agent()).ok_or(KeyringError::NotMember)?;
    let id = (environment.clone(), name.clone());
    let version = Vault::open(dir)?.floor(&id);
    let (epoch, epoch_key) = roster.epoch();
    let place = Place::secret(identity.organisation(), identity.group(), environment, name);
    let sealed = SealedSecret::seal(&place, version, epoch, &epoch_key, value, key)?;
    private_file::create_folder(&dir.join(FOLDER))?;
    private_file::write(&path(dir, &id), &sealed.to_json())?;
    Ok(version)
}

/// Whether something waits to be sent.
pub(super) fn is_waiting(keyring: &Path) -> bool {
    !waiting(keyring).is_empty()
}

impl Ring {
    /// Says what the agent's owner hands to the group, if there is anything that was not said in this session.
    pub(super) fn outgoing(&mut self, keyring: &Path) -> Option<KeyringReport> {
        if self.state() != KeyringState::Member {
            return None;
        }
        let mut report = self.report();
        let mut room = MAX_KEYRING_FRAME;
        for id in waiting(keyring) {
            let Some(sealed) = self.still_due(keyring, &id) else { continue };
            let new = item(&id, &sealed);
            room = room.saturating_sub(new.envelope.len() + 256);
            if room == 0 && !report.resealed.is_empty() {
                break;
            }
            self.sent.resealed.insert(id, new.version);
            report.resealed.push(new);
        }
        (!report.resealed.is_empty()).then_some(report)
    }

    /// The sealed secret, unless it was said already. What has come back, or was overtaken, is forgotten.
    fn still_due(&self, keyring: &Path, id: &Id) -> Option<SealedSecret> {
        let path = path(keyring, id);
        let json = private_file::read(&path, MAX_JSON as u64).ok()?;
        let sealed = SealedSecret::from_json(&json).ok();
        let due = sealed.filter(|sealed| sealed.version() >= self.vault.floor(id));
        if due.is_none() {
            // Should it stay, it is looked at again.
            drop(private_file::remove(&path));
        }
        let due = due.filter(|sealed| self.sent.resealed.get(id) != Some(&sealed.version()))?;
        self.under_current_epoch(id, due)
    }

    /// The group's key may have been replaced since the value was sealed; nobody takes it under an old one.
    fn under_current_epoch(&self, id: &Id, sealed: SealedSecret) -> Option<SealedSecret> {
        let (current, epoch_key) = self.roster.as_ref()?.epoch();
        if sealed.epoch() == current {
            return Some(sealed);
        }
        let content = sealed.open(self.epochs.get(&sealed.epoch())?).ok()?;
        let place = Place::secret(self.who.organisation, self.who.group, &id.0, &id.1);
        SealedSecret::seal(&place, sealed.version(), current, &epoch_key, &content, &self.identity).ok()
    }
}

fn path(keyring: &Path, (environment, name): &Id) -> PathBuf {
    keyring.join(FOLDER).join(format!("{environment}.{name}{EXTENSION}"))
}

fn waiting(keyring: &Path) -> Vec<Id> {
    let files = private_file::names(&keyring.join(FOLDER));
    let ids = files.iter().filter_map(|file| {
        // Names have no dots.
        let (environment, name) = file.strip_suffix(EXTENSION)?.split_once('.')?;
        Some((environment.parse().ok()?, name.parse().ok()?))
    });
    let mut ids: Vec<Id> = ids.take(MAX_WAITING).collect();
    ids.sort_unstable();
    ids
}
