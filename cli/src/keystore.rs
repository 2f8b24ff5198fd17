//! What this tool keeps beside the sign-in: the operator's own key, and how far it has read each group's roster.
//!
//! `operator.key` is the private key that invites agents and signs secrets. `rosters/<controller>/<group>.json` holds
//! the founding and the head of a roster, so that a controller that shows another one later is found out;
//! `locks/<controller>/<environment>.json` and `publishers/<controller>.json` the last documents of their kind that were
//! signed here, for the same reason.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use wherry_domain::digest::Digest;
use wherry_domain::lock::Lock;
use wherry_domain::name::Name;
use wherry_trust::chain::PublishersList;
use wherry_trust::keys::SigningKey;
use wherry_trust::sealing::roster::Head;

use crate::error::{Outcome, unreadable, unwritable};
use crate::keys;
use crate::settings;

/// A pin has about 200 bytes.
const LIMIT: u64 = 4 * 1024;
/// What was signed is no larger than what agents read of it: a lock 160 KiB, a publishers list 96 KiB.
const SIGNED_LIMIT: u64 = 160 << 10;

/// The folder with the keys.
#[derive(Debug, Clone)]
pub(crate) struct Keystore {
    folder: PathBuf,
}

/// How far a roster was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    /// The fingerprint of the group.
    pub(crate) founding: Digest,
    pub(crate) head: Head,
}

impl Keystore {
    /// The one of this person.
    pub(crate) fn own() -> Outcome<Self> {
        Ok(Self::at(settings::folder()?))
    }

    /// One in another folder.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the operator's key is.
    pub(crate) fn operator_file(&self) -> PathBuf {
        self.folder.join("operator.key")
    }

    /// The operator's key, made at first need; the second says whether it was made now.
    pub(crate) fn operator(&self) -> Outcome<(SigningKey, bool)> {
        let file = self.operator_file();
        if file.exists() {
            return keys::read(&file).map(|key| (key, false));
        }
        fs::create_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, error))?;
        keys::create(&file).map(|key| (key, true))
    }

    pub(crate) fn pin(&self, controller: &Url, group: &Name) -> Outcome<Option<Pin>> {
        read(&self.pin_file(controller, group), LIMIT)
    }

    pub(crate) fn set_pin(&self, controller: &Url, group: &Name, pin: &Pin) -> Outcome {
        write(&self.pin_file(controller, group), pin)
    }

    /// The last lock of an environment that was signed here.
    pub(crate) fn signed_lock(&self, controller: &Url, environment: &Name) -> Outcome<Option<Lock>> {
        read(&self.lock_file(controller, environment), SIGNED_LIMIT)
    }

    pub(crate) fn set_signed_lock(&self, controller: &Url, lock: &Lock) -> Outcome {
        write(&self.lock_file(controller, &lock.environment), lock)
    }

    /// The last publishers list that was signed here.
    pub(crate) fn signed_publishers(&self, controller: &Url) -> Outcome<Option<PublishersList>> {
        read(&self.publishers_file(controller), SIGNED_LIMIT)
    }

    pub(crate) fn set_signed_publishers(&self, controller: &Url, list: &PublishersList) -> Outcome {
        write(&self.publishers_file(controller), list)
    }

    /// Forgets what was seen of a group. `false` if that was nothing.
    pub(crate) fn unpin(&self, controller: &Url, group: &Name) -> Outcome<bool> {
        let file = self.pin_file(controller, group);
        match fs::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unwritable(&file, error)),
        }
    }

    fn pin_file(&self, controller: &Url, group: &Name) -> PathBuf {
        self.folder.join("rosters").join(place(controller)).join(Path::new(&format!("{group}.json")))
    }

    /// Where the last lock of an environment that was signed here lies.
    pub(crate) fn lock_file(&self, controller: &Url, environment: &Name) -> PathBuf {
        self.folder.join("locks").join(place(controller)).join(format!("{environment}.json"))
    }

    fn publishers_file(&self, controller: &Url) -> PathBuf {
        self.folder.join("publishers").join(format!("{}.json", place(controller)))
    }
}

/// A controller as the name of a file.
fn place(controller: &Url) -> String {
    let host: String = controller.host_str().unwrap_or_default().chars().map(file_character).collect();
    format!("{host}-{}", controller.port_or_known_default().unwrap_or_default())
}

fn read<T: DeserializeOwned>(file: &Path, limit: u64) -> Outcome<Option<T>> {
    let bytes = match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file, error)),
        Ok(metadata) if metadata.len() > limit => return Err(unreadable(file, "it is too large")),
        Ok(_) => fs::read(file).map_err(|error| unreadable(file, error))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| unreadable(file, "it is not what this tool writes"))
}

fn write(file: &Path, value: &impl Serialize) -> Outcome {
    let bytes = serde_json::to_vec(value).map_err(|error| unwritable(file, error))?;
    settings::write_private(file, &bytes)
}

/// Addresses in brackets and anything else that a file name should not hold become hyphens.
fn file_character(character: char) -> char {
    if character.is_ascii_alphanumeric() || character == '.' { character } else { '-' }
}
