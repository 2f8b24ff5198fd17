//! What each connector was before its lock moved it: kept at hand, so that a way back needs no download.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use wherry_domain::{
    digest::Digest,
    lock::{Lock, Locked, MAX_CONNECTORS},
    name::Name,
};

use crate::private_file;

/// Largest file: as many environments as a group serves, each with two entries for every connector.
const MAX_FILE: u64 = 32 << 20;
/// Environments remembered.
const MAX_ENVIRONMENTS: usize = 256;

/// The sets before those in force.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    #[serde(default)]
    environments: BTreeMap<Name, Kept>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    now: BTreeMap<Name, Locked>,
    before: BTreeMap<Name, Locked>,
}

impl Before {
    /// Reads it back; what cannot be read is forgotten, and a way back then needs a download.
    pub(super) fn read(path: &Path) -> Self {
        let content = private_file::read(path, MAX_FILE).ok();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), private_file::FileError> {
        private_file::write(path, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Follows a lock; whether anything changed. What it names no more is kept as well.
    pub(super) fn follow(&mut self, lock: &Lock) -> bool {
        if self.environments.len() >= MAX_ENVIRONMENTS && !self.environments.contains_key(&lock.environment) {
            return false;
        }
        let kept = self.environments.entry(lock.environment.clone()).or_default();
        if kept.now == lock.connectors {
            return false;
        }
        for (name, was) in std::mem::take(&mut kept.now) {
            if lock.connectors.get(&name).is_none_or(|now| now.wasm != was.wasm) {
                kept.before.insert(name, was);
            }
        }
        while kept.before.len() > MAX_CONNECTORS {
            kept.before.pop_first();
        }
        kept.now = lock.connectors.clone();
        true
    }

    /// What the connector was, unless it is that again.
    pub(super) fn of(&self, environment: &Name, name: &Name) -> Option<&Locked> {
        let kept = self.environments.get(environment)?;
        let was = kept.before.get(name)?;
        kept.now.get(name).is_none_or(|now| now.wasm != was.wasm).then_some(was)
    }

    /// The components of all those sets.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.environments.values().flat_map(|kept| kept.before.values().map(|locked| locked.wasm))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use semver::Version;
    use wherry_domain::lock::Mode;

    pub(in crate::connectors) fn locked(major: u8) -> Locked {
        Locked {
            version: Version::new(u64::from(major), 0, 0),
            release: Digest::from_bytes([major + 100; 32]),
            wasm: Digest::from_bytes([major; 32]),
            length: 1,
            pinned: false,
            approved: [].into(),
        }
    }

    pub(in crate::connectors) fn lock(version: u64, connectors: &[(&str, u8)], trials: &[(&str, u8)]) -> Lock {
        let entries = |all: &[(&str, u8)]| all.iter().map(|(name, v)| (name.parse().unwrap(), locked(*v))).collect();
        let (connectors, trials) = (entries(connectors), entries(trials));
        Lock { version, connectors, trials, ..Lock::empty("prod".parse().unwrap(), Mode::Automatic) }
    }

    fn versions(before: &Before, name: &str) -> Option<u64> {
        before.of(&"prod".parse().unwrap(), &name.parse().unwrap()).map(|locked| locked.version.major)
    }

    #[test]
    fn each_connector_has_its_own_version_before_whatever_else_a_lock_moves() {
        let mut before = Before::default();
        assert!(before.follow(&lock(1, &[("http", 1), ("crm", 5)], &[])));
        assert_eq!(versions(&before, "http"), None);
        assert!(before.follow(&lock(2, &[("http", 2), ("crm", 5)], &[])));
        assert!(!before.follow(&lock(3, &[("http", 2), ("crm", 5)], &[("http", 3)])), "a trial moves nothing yet");
        assert!(before.follow(&lock(4, &[("http", 2), ("crm", 6)], &[])));
        assert_eq!((versions(&before, "http"), versions(&before, "crm")), (Some(1), Some(5)));
        before.follow(&lock(5, &[("http", 1), ("crm", 6)], &[]));
        assert_eq!(versions(&before, "http"), Some(2), "after a rollback: the newer one, which is not run");
        before.follow(&lock(6, &[("crm", 6)], &[]));
        assert_eq!(versions(&before, "http"), Some(1), "what was dropped is kept as well");
    }

    #[test]
    fn it_is_read_back_and_a_damaged_file_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("before.json");
        assert_eq!(Before::read(&path), Before::default());
        let mut before = Before::default();
        before.follow(&lock(1, &[("http", 1)], &[]));
        before.follow(&lock(2, &[("http", 2)], &[]));
        before.write(&path).unwrap();
        assert_eq!(Before::read(&path), before);
        assert_eq!(before.digests().collect::<Vec<_>>(), [locked(1).wasm]);
        std::fs::write(&path, "{\"environments\":").unwrap();
        assert_eq!(Before::read(&path), Before::default());
    }
}
