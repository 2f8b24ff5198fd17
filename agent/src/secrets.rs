//! Secrets by environment and name: sealed on disk under the local key, opened only where a credential is made.
//!
//! Another process (`wherry-agent secret set`) may change them at any time; a changed file is noticed at its next use.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::SecretString;
use wherry_daemon::redaction::{Redactor, Watch};
use wherry_domain::{
    failure::{Code, Failure},
    name::Name,
};
use wherry_proto::frame::KeyringState;
use wherry_trust::{
    seal_local::{LocalKey, SealError},
    sealing::{SealingError, secret::MAX_JSON},
};
use zeroize::Zeroizing;

use crate::{
    keyring::Keys,
    private_file::{self, FileError},
};

/// Largest secret, in bytes.
pub const MAX_SECRET: usize = 64 << 10;
/// Most secrets of one environment.
pub const MAX_SECRETS: usize = 1_000;
/// Most environments that are listed.
const MAX_ENVIRONMENTS: usize = 1_000;
const EXTENSION: &str = "sealed";

/// Why a secret cannot be used, kept or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is not there.
    #[error(
        "the secret {environment}/{name} is not set, run `wherry secret set {name} --environment {environment}` for \
         the whole group, or `wherry-agent secret set {name} --environment {environment}` on this agent"
    )]
    Missing {
        /// Environment.
        environment: Name,
        /// Name.
        name: Name,
    },
    /// It was set for the whole group, and this agent does not have the group's key yet.
    #[error(
        "the secret {environment}/{name} cannot be opened, this agent waits for its group's keys: start another agent \
         of the group, or enrol this one again if `wherry-agent status` says so"
    )]
    PendingKeys {
        /// Environment.
        environment: Name,
        /// Name.
        name: Name,
    },
    /// It was sealed by an operator and does not hold.
    #[error(transparent)]
    Sealed(#[from] SealingError),
    /// It is too large, empty or not text.
    #[error("the secret cannot be kept: {0}")]
    Unacceptable(String),
    /// The environment is full.
    #[error("environment {0} has {MAX_SECRETS} secrets already, remove some first")]
    TooMany(Name),
    /// It cannot be opened or sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Its file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SecretError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::new("secret.missing"),
            Self::PendingKeys { .. } => Code::new("secret.pending_keys"),
            Self::Sealed(error) => error.code(),
            Self::Unacceptable(_) => Code::new("secret.unacceptable"),
            Self::TooMany(_) => Code::new("secret.too_many"),
            Self::Seal(error) => error.code(),
            Self::File(_) => Code::new("secret.file"),
        }
    }

    /// The failure of a run that needed the secret. Another agent of the group may have it.
    pub fn failure(&self) -> Failure {
        match self {
            // Another agent may have the keys, and this one gets them as soon as one of its group is there.
            Self::PendingKeys { .. } => Failure::retry(self.code(), self.to_string()),
            Self::Missing { .. }
            | Self::Sealed(_)
            | Self::Unacceptable(_)
            | Self::TooMany(_)
            | Self::Seal(_)
            | Self::File(_) => Failure::permanent(self.code(), self.to_string()),
        }
    }
}

/// The agent's secrets.
pub struct Secrets {
    dir: PathBuf,
    key: LocalKey,
    keys: Option<Keys>,
    redactor: Redactor,
    open: Mutex<HashMap<(Name, Name), Open>>,
}

/// A secret as it was when its file was last read.
struct Open {
    stamp: Stamp,
    value: Arc<SecretString>,
    _unlogged: Watch,
}

/// Tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    seconds: i64,
    nanos: i64,
}

impl Secrets {
    /// The secrets below `dir`, sealed under `key`.
    pub fn new(dir: PathBuf, key: LocalKey) -> Self {
        Self { dir, key, keys: None, redactor: Redactor::default(), open: Mutex::default() }
    }

    /// The same, and those that operators sealed to the group, which come first.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The same, with every value that was used kept out of the logs.
    #[must_use]
    pub fn redacted_by(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// The secret's value. The same `Arc` as last time means the same value.
    ///
    /// # Errors
    /// If it is not set, its file was altered, or the keys are not here yet.
    pub fn get(&self, environment: &Name, name: &Name) -> Result<Arc<SecretString>, SecretError> {
        if let Some(keys) = &self.keys {
            let path = keys.path(environment, name);
            if let Some(stamp) = stamp(&path) {
                return self.opened((environment, name), stamp, || open_sealed(keys, &path, environment, name));
            }
        }
        let path = self.path(environment, name);
        let Some(stamp) = stamp(&path) else { return Err(self.missing(environment, name)) };
        self.opened((environment, name), stamp, || {
            let sealed = private_file::read(&path, (MAX_SECRET + 1_024) as u64)?;
            Ok(self.key.open(&associated(environment, name), &sealed)?)
        })
    }

    fn opened(
        &self,
        (environment, name): (&Name, &Name),
        stamp: Stamp,
        read: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, SecretError>,
    ) -> Result<Arc<SecretString>, SecretError> {
        let id = (environment.clone(), name.clone());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(&id)
            && known.stamp == stamp
        {
            return Ok(Arc::clone(&known.value));
        }
        let content = read()?;
        let text = std::str::from_utf8(&content).map_err(|_| SealError::Unreadable)?;
        let value = Arc::new(SecretString::from(text));
        if open.len() >= MAX_SECRETS {
            open.clear();
        }
        open.insert(id, Open { stamp, value: Arc::clone(&value), _unlogged: self.redactor.watch(text) });
        Ok(value)
    }

    fn missing(&self, environment: &Name, name: &Name) -> SecretError {
        let (environment, name) = (environment.clone(), name.clone());
        let waits = self.keys.as_ref().is_some_and(|keys| keys.state() == KeyringState::PendingKeys);
        if waits { SecretError::PendingKeys { environment, name } } else { SecretError::Missing { environment, name } }
    }

    /// Keeps a secret, sealed and durable.
    ///
    /// # Errors
    /// If it is empty, too large or not text, or there are too many.
    pub fn set(&self, environment: &Name, name: &Name, value: &[u8]) -> Result<(), SecretError> {
        let unacceptable = |reason: &str| Err(SecretError::Unacceptable(reason.to_owned()));
        if value.is_empty() {
            return unacceptable("it is empty");
        }
        if value.len() > MAX_SECRET {
            return unacceptable(&format!("it has {} bytes, at most {MAX_SECRET} are accepted", value.len()));
        }
        if std::str::from_utf8(value).is_err() {
            return unacceptable("it is not text");
        }
        let path = self.path(environment, name);
        if !path.exists() && self.of(environment).len() >= MAX_SECRETS {
            return Err(SecretError::TooMany(environment.clone()));
        }
        let sealed = self.key.seal(&associated(environment, name), value)?;
        private_file::create_folder(&self.dir.join(environment.as_str()))?;
        Ok(private_file::write(&path, &sealed)?)
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// If there is none.
    pub fn remove(&self, environment: &Name, name: &Name) -> Result<(), SecretError> {
        if private_file::remove(&self.path(environment, name))? {
            Ok(())
        } else {
            Err(SecretError::Missing { environment: environment.clone(), name: name.clone() })
        }
    }

    /// All names as `environment/name`, sorted: what can be used on this agent.
    pub fn names(&self) -> Vec<String> {
        let sealed = self.keys.iter().flat_map(Keys::names);
        let mut names: Vec<String> = sealed.map(|(environment, name)| format!("{environment}/{name}")).collect();
        for environment in private_file::names(&self.dir).into_iter().take(MAX_ENVIRONMENTS) {
            if let Ok(environment) = environment.parse::<Name>() {
                names.extend(self.of(&environment).into_iter().map(|name| format!("{environment}/{name}")));
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn of(&self, environment: &Name) -> Vec<Name> {
        let files = private_file::names(&self.dir.join(environment.as_str()));
        files
            .iter()
            .filter_map(|file| file.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok())
            .take(MAX_SECRETS)
            .collect()
    }

    fn path(&self, environment: &Name, name: &Name) -> PathBuf {
        self.dir.join(environment.as_str()).join(format!("{name}.{EXTENSION}"))
    }
}

fn open_sealed(keys: &Keys, path: &Path, environment: &Name, name: &Name) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let json = private_file::read(path, MAX_JSON as u64)?;
    keys.open(environment, name, &json).map_err(|error| {
        if matches!(error, SealingError::EpochUnknown { .. }) {
            SecretError::PendingKeys { environment: environment.clone(), name: name.clone() }
        } else {
            error.into()
        }
    })
}

/// The machine's own key, made at first use.
///
/// # Errors
/// If its file cannot be read or written.
pub fn local_key(path: &Path) -> Result<LocalKey, SecretError> {
    match read_key(path) {
        Err(SecretError::File(error)) if error.is_missing() => {
            let key = LocalKey::generate().map_err(SealError::from)?;
            if let Some(folder) = path.parent() {
                private_file::create_folder(folder)?;
            }
            // Another process may have been faster; then its key is the one.
            if private_file::create_new(path, key.reveal())? { Ok(key) } else { read_key(path) }
        }
        read => read,
    }
}

fn read_key(path: &Path) -> Result<LocalKey, SecretError> {
    let bytes = private_file::read(path, 64)?;
    let bytes = bytes.first_chunk::<32>().filter(|_| bytes.len() == 32).ok_or(SealError::Unreadable)?;
    Ok(LocalKey::from_bytes(bytes).map_err(SealError::from)?)
}

/// Binds a sealed file to its place: moved under another name it does not open.
fn associated(environment: &Name, name: &Name) -> Vec<u8> {
    format!("wherry/secret/v1/{environment}/{name}").into_bytes()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { inode: found.ino(), length: found.len(), seconds: found.mtime(), nanos: found.mtime_nsec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_is_kept_sealed_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().join("secrets"), LocalKey::generate().unwrap());
        let (prod, password) = (name("prod"), name("helix-password"));
        assert_eq!(secrets.get(&prod, &password).err().unwrap().code().as_str(), "secret.missing");
        secrets.set(&prod, &password, b"hunter2-hunter2").unwrap();
        let first = secrets.get(&prod, &password).unwrap();
        assert_eq!(first.expose_secret(), "hunter2-hunter2");
        assert!(Arc::ptr_eq(&first, &secrets.get(&prod, &password).unwrap()));
        secrets.set(&prod, &password, b"other").unwrap();
        assert_eq!(secrets.get(&prod, &password).unwrap().expose_secret(), "other");
        assert_eq!(secrets.names(), ["prod/helix-password"]);
        secrets.remove(&prod, &password).unwrap();
        assert!(secrets.remove(&prod, &password).is_err() && secrets.names().is_empty());
    }

    #[test]
    fn no_file_holds_the_plain_text_and_a_moved_file_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().to_owned(), local_key(&folder.path().join("key")).unwrap());
        secrets.set(&name("prod"), &name("a"), b"hunter2-hunter2").unwrap();
        let sealed = fs::read(folder.path().join("prod/a.sealed")).unwrap();
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
        fs::rename(folder.path().join("prod/a.sealed"), folder.path().join("prod/b.sealed")).unwrap();
        assert_eq!(secrets.get(&name("prod"), &name("b")).err().unwrap().code().as_str(), "sealed.unreadable");
    }

    #[test]
    fn nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().to_owned(), LocalKey::generate().unwrap());
        for bad in [&b""[..], &[0xff, 0xfe], &vec![b'x'; MAX_SECRET + 1]] {
            assert!(secrets.set(&name("prod"), &name("a"), bad).is_err());
        }
    }
}
