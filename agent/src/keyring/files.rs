//! `keyring/` in the data folder: private keys sealed under the local key, and the roster byte for byte.
//!
//! Everything is durable before it counts. A line of the roster that a crash cut short was never acknowledged to
//! anyone, and is taken away at the next start.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wherry_trust::{
    seal_local::LocalKey,
    sealing::{
        invite::{Invite, Join},
        key::SealingKey,
        roster::{MAX_ENTRIES, MAX_ENTRY},
    },
};

use super::KeyringError;
use crate::private_file;

/// A sealed key with room to spare.
const MAX_KEY: u64 = 256;
/// Invitation, join, and notes.
const MAX_NOTE: u64 = 16 << 10;
/// The longest roster there can be.
const MAX_ROSTER: u64 = MAX_ENTRIES * (MAX_ENTRY as u64 + 1);
const ROSTER: &str = "roster.log";
const EPOCH_SUFFIX: &str = ".key";

/// What an agent needs until it belongs to its group: nothing of it is secret.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) invite: Invite,
    pub(super) join: Join,
}

/// How far the agent is with the group's secrets.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Progress {
    revision: u64,
}

/// The folder.
pub(super) struct Files {
    dir: PathBuf,
    key: LocalKey,
}

impl Files {
    /// The folder at `dir`, made if it is not there.
    pub(super) fn open(dir: PathBuf, key: LocalKey) -> Result<Self, KeyringError> {
        private_file::create_folder(&dir.join("epochs"))?;
        Ok(Self { dir, key })
    }

    /// The agent's own sealing key, made at first use.
    pub(super) fn sealing_key(&self) -> Result<SealingKey, KeyringError> {
        let path = self.dir.join("sealing.key");
        if let Some(key) = self.read_key(&path, "sealing")? {
            return Ok(key);
        }
        let key = SealingKey::generate()?;
        let sealed = self.key.seal(&associated("sealing"), key.reveal())?;
        if private_file::create_new(&path, &sealed)? {
            return Ok(key);
        }
        // Another process was faster; then its key is the one.
        self.read_key(&path, "sealing")?.ok_or(KeyringError::Damaged("sealing.key"))
    }

    /// What the agent waits to be admitted with.
    pub(super) fn joining(&self) -> Result<Option<Joining>, KeyringError> {
        read_json(&self.dir.join("joining.json"), MAX_NOTE, KeyringError::Damaged("joining.json"))
    }

    pub(super) fn keep_joining(&self, joining: &Joining) -> Result<(), KeyringError> {
        write_json(&self.dir.join("joining.json"), joining)
    }

    pub(super) fn forget_joining(&self) -> Result<(), KeyringError> {
        Ok(private_file::remove(&self.dir.join("joining.json")).map(drop)?)
    }

    /// All entries of the roster, in order, not yet verified.
    pub(super) fn roster(&self) -> Result<Vec<Vec<u8>>, KeyringError> {
        let path = self.dir.join(ROSTER);
        let (entries, whole) = read_roster(&path)?;
        if !whole {
            let mut text = entries.join(&b'\n');
            text.push(b'\n');
            private_file::write(&path, if entries.is_empty() { &[] } else { &text })?;
        }
        Ok(entries)
    }

    /// Adds entries to the roster.
    pub(super) fn append(&self, entries: &[Vec<u8>]) -> Result<(), KeyringError> {
        let path = self.dir.join(ROSTER);
        if !path.exists() {
            private_file::write(&path, &[])?;
        }
        let mut text = Vec::new();
        for entry in entries {
            text.extend_from_slice(entry);
            text.push(b'\n');
        }
        private_file::append(&path, &text)?;
        Ok(())
    }

    /// The private keys of epochs that the agent holds.
    pub(super) fn epochs(&self) -> Result<BTreeMap<u32, SealingKey>, KeyringError> {
        let mut epochs = BTreeMap::new();
        for name in private_file::names(&self.dir.join("epochs")) {
            let Some(epoch) = name.strip_suffix(EPOCH_SUFFIX).and_then(|text| text.parse().ok()) else { continue };
            if let Some(key) = self.read_key(&self.epoch_path(epoch), &format!("epoch/{epoch}"))? {
                epochs.insert(epoch, key);
            }
        }
        Ok(epochs)
    }

    pub(super) fn keep_epoch(&self, epoch: u32, key: &SealingKey) -> Result<(), KeyringError> {
        let sealed = self.key.seal(&associated(&format!("epoch/{epoch}")), key.reveal())?;
        Ok(private_file::write(&self.epoch_path(epoch), &sealed)?)
    }

    pub(super) fn forget_epoch(&self, epoch: u32) -> Result<(), KeyringError> {
        Ok(private_file::remove(&self.epoch_path(epoch)).map(drop)?)
    }

    /// When the key of an epoch was kept, Unix milliseconds; 0 if the system does not say.
    pub(super) fn epoch_kept_ms(&self, epoch: u32) -> u64 {
        let modified = fs::metadata(self.epoch_path(epoch)).and_then(|found| found.modified()).ok();
        let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
    }

    /// The key that this agent proposed for the next epoch, and for which one.
    pub(super) fn proposed(&self) -> Result<Option<(u32, SealingKey)>, KeyringError> {
        let proposed = private_file::names(&self.dir);
        let epochs = proposed.iter().filter_map(|name| name.strip_prefix("proposed-")?.parse().ok());
        let Some(epoch) = epochs.max() else { return Ok(None) };
        let key = self.read_key(&self.proposed_path(epoch), &format!("proposed/{epoch}"))?;
        Ok(key.map(|key| (epoch, key)))
    }

    pub(super) fn propose(&self, epoch: u32, key: &SealingKey) -> Result<(), KeyringError> {
        let sealed = self.key.seal(&associated(&format!("proposed/{epoch}")), key.reveal())?;
        Ok(private_file::write(&self.proposed_path(epoch), &sealed)?)
    }

    pub(super) fn forget_proposed(&self, epoch: u32) -> Result<(), KeyringError> {
        Ok(private_file::remove(&self.proposed_path(epoch)).map(drop)?)
    }

    /// Up to which revision the group's secrets are here.
    pub(super) fn revision(&self) -> Result<u64, KeyringError> {
        let damaged = KeyringError::Damaged("progress.json");
        let progress: Option<Progress> = read_json(&self.progress_path(), MAX_NOTE, damaged)?;
        Ok(progress.unwrap_or_default().revision)
    }

    pub(super) fn keep_revision(&self, revision: u64) -> Result<(), KeyringError> {
        write_json(&self.progress_path(), &Progress { revision })
    }

    fn progress_path(&self) -> PathBuf {
        self.dir.join("progress.json")
    }

    fn epoch_path(&self, epoch: u32) -> PathBuf {
        self.dir.join("epochs").join(format!("{epoch}{EPOCH_SUFFIX}"))
    }

    fn proposed_path(&self, epoch: u32) -> PathBuf {
        self.dir.join(format!("proposed-{epoch}"))
    }

    fn read_key(&self, path: &Path, what: &str) -> Result<Option<SealingKey>, KeyringError> {
        let sealed = match private_file::read(path, MAX_KEY) {
            Ok(sealed) => sealed,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let opened = self.key.open(&associated(what), &sealed)?;
        let bytes = opened.first_chunk::<32>().filter(|_| opened.len() == 32);
        let bytes = bytes.ok_or(KeyringError::Damaged("sealing.key or epochs"))?;
        Ok(Some(SealingKey::from_bytes(bytes)?))
    }
}

/// Puts aside what an earlier identity of this machine left in its keyring folder: its keys may be the last copy.
pub(super) fn put_aside(dir: &Path) -> Result<(), KeyringError> {
    let used = roster_path(dir).exists() || !private_file::names(&dir.join("epochs")).is_empty();
    if !used {
        return Ok(());
    }
    let aside = (1..1_000).map(|n| dir.with_file_name(format!("keyring-old-{n}"))).find(|path| !path.exists());
    Ok(private_file::rename(dir, &aside.ok_or(KeyringError::Damaged("keyring-old-*"))?)?)
}

/// The entries of the roster in a keyring folder, for whoever only looks.
pub(super) fn read_roster(path: &Path) -> Result<(Vec<Vec<u8>>, bool), KeyringError> {
    let text = match private_file::read(path, MAX_ROSTER) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Ok((Vec::new(), true)),
        Err(error) => return Err(error.into()),
    };
    let whole = text.is_empty() || text.ends_with(b"\n");
    let mut entries: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    // After the last line end is nothing, or what a crash left.
    entries.pop();
    Ok((entries, whole))
}

/// Where the roster lies in a keyring folder.
pub(super) fn roster_path(dir: &Path) -> PathBuf {
    dir.join(ROSTER)
}

fn associated(what: &str) -> Vec<u8> {
    format!("wherry/keyring/v1/{what}").into_bytes()
}

pub(super) fn read_json<T: DeserializeOwned>(
    path: &Path,
    limit: u64,
    damaged: KeyringError,
) -> Result<Option<T>, KeyringError> {
    match private_file::read(path, limit) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| damaged),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), KeyringError> {
    // Texts and numbers: serialising into memory cannot fail.
    Ok(private_file::write(path, &serde_json::to_vec(value).unwrap_or_default())?)
}
