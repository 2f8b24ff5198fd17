//! Sealed secrets of the group, kept as they came: `secrets/<environment>/<name>.json` in the keyring folder.
//!
//! Only what was verified is put here. Of a removed secret the last version is remembered, so that an older one cannot
//! come back.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use wherry_domain::name::Name;
use wherry_trust::{
    keys::PublicKey,
    sealing::secret::{MAX_JSON, MAX_SECRETS, SealedSecret},
};

use super::{
    KeyringError,
    files::{read_json, write_json},
};
use crate::private_file;

/// Most environments with secrets.
const MAX_ENVIRONMENTS: usize = 1_000;
/// Most removed secrets that are remembered; of more, the first by name are forgotten.
const MAX_REMOVED: usize = 4_000;
/// Two names of 63 letters and a number for each of them.
const MAX_REMOVED_FILE: u64 = MAX_REMOVED as u64 * 160;
const EXTENSION: &str = ".json";

/// Environment and name.
pub(super) type Id = (Name, Name);

/// What is known of a secret without opening it.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) version: u64,
    pub(super) epoch: u32,
    pub(super) signer: PublicKey,
}

/// All of them.
pub(super) struct Vault {
    dir: PathBuf,
    held: BTreeMap<Id, Held>,
    removed: BTreeMap<String, u64>,
    /// Whether a file could not be read.
    damaged: bool,
}

impl Vault {
    /// What lies in a keyring folder. A file that cannot be read any more is not held, and comes again.
    pub(super) fn open(keyring: &Path) -> Result<Self, KeyringError> {
        let damaged = KeyringError::Damaged("removed.json");
        let removed = read_json(&keyring.join("removed.json"), MAX_REMOVED_FILE, damaged)?;
        let mut vault = Self {
            dir: keyring.to_owned(),
            held: BTreeMap::new(),
            removed: removed.unwrap_or_default(),
            damaged: false,
        };
        for id in listed(keyring) {
            match vault.read(&id) {
                Ok(secret) => drop(vault.held.insert(id, Held::of(&secret))),
                Err(error) => {
                    vault.damaged = true;
                    tracing::warn!(
                        environment = %id.0, secret = %id.1, code = %error.code(), %error,
                        "a sealed secret cannot be read, the controller is asked for it again"
                    );
                }
            }
        }
        Ok(vault)
    }

    /// Whether a file could not be read when the vault was opened.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub(super) fn held(&self, id: &Id) -> Option<&Held> {
        self.held.get(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Id, &Held)> {
        self.held.iter()
    }

    /// The lowest version that is accepted.
    pub(super) fn floor(&self, id: &Id) -> u64 {
        let held = self.held.get(id).map_or(0, |held| held.version);
        let removed = self.removed.get(&tombstone(id)).copied().unwrap_or(0);
        held.max(removed).saturating_add(1)
    }

    /// A secret as it came.
    pub(super) fn read(&self, id: &Id) -> Result<SealedSecret, KeyringError> {
        let json = private_file::read(&path(&self.dir, &id.0, &id.1), MAX_JSON as u64)?;
        Ok(SealedSecret::from_json(&json)?)
    }

    /// Keeps a verified secret.
    pub(super) fn keep(&mut self, id: &Id, secret: &SealedSecret) -> Result<(), KeyringError> {
        let of_environment = self.held.keys().filter(|(environment, _)| *environment == id.0).count();
        if !self.held.contains_key(id) && of_environment >= MAX_SECRETS {
            return Err(KeyringError::TooMany(id.0.clone()));
        }
        let path = path(&self.dir, &id.0, &id.1);
        if let Some(folder) = path.parent() {
            private_file::create_folder(folder)?;
        }
        private_file::write(&path, &secret.to_json())?;
        self.held.insert(id.clone(), Held::of(secret));
        Ok(())
    }

    /// Forgets a secret up to `version`.
    pub(super) fn remove(&mut self, id: &Id, version: u64) -> Result<(), KeyringError> {
        if version < self.floor(id).saturating_sub(1) {
            return Ok(());
        }
        while self.removed.len() >= MAX_REMOVED {
            self.removed.pop_first();
        }
        self.removed.insert(tombstone(id), version);
        write_json(&self.dir.join("removed.json"), &self.removed)?;
        private_file::remove(&path(&self.dir, &id.0, &id.1))?;
        self.held.remove(id);
        Ok(())
    }
}

impl Held {
    fn of(secret: &SealedSecret) -> Self {
        Self { version: secret.version(), epoch: secret.epoch(), signer: *secret.signer() }
    }
}

fn tombstone((environment, name): &Id) -> String {
    format!("{environment}/{name}")
}

/// Where a secret lies in a keyring folder.
pub(super) fn path(keyring: &Path, environment: &Name, name: &Name) -> PathBuf {
    keyring.join("secrets").join(environment.as_str()).join(format!("{name}{EXTENSION}"))
}

/// What lies in a keyring folder, sorted.
pub(super) fn listed(keyring: &Path) -> Vec<Id> {
    let secrets = keyring.join("secrets");
    let mut ids = Vec::new();
    for environment in private_file::names(&secrets).into_iter().take(MAX_ENVIRONMENTS) {
        let Ok(environment) = environment.parse::<Name>() else { continue };
        let files = private_file::names(&secrets.join(environment.as_str()));
        let names = files.iter().filter_map(|file| file.strip_suffix(EXTENSION)?.parse::<Name>().ok());
        ids.extend(names.take(MAX_SECRETS).map(|name| (environment.clone(), name)));
    }
    ids.sort_unstable();
    ids
}
