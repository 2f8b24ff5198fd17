//! What failed too often on this agent: components that broke their box three times in ten minutes.
//!
//! Each has a file of its own, so that it stays quarantined over a restart, and a person ends it by removing the file.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    time::Duration,
};

use semver::Version;
use serde::{Deserialize, Serialize};
use wherry_domain::{digest::Digest, failure::Code, lock::Lock, name::Name, time::Timestamp};
use wherry_host::{ConnectorFault, Limit, WorkerFault};

use crate::private_file::{self, FileError};

/// Failures that are one too many.
const STRIKES: usize = 3;
/// Within how long.
const WINDOW: Duration = Duration::from_secs(600);
/// Components that are watched at a time: more than one agent ever runs.
const MOST: usize = 512;
/// Largest file: names, a version and a sentence.
const MAX_FILE: u64 = 64 << 10;
/// Ends the names of the files.
const SUFFIX: &str = ".json";

/// Whether a fault is the component's own and of a kind that no project or system outside can be blamed for.
pub(crate) fn is_strike(fault: &ConnectorFault) -> bool {
    match fault {
        // A slow system runs a connector into its time limit just as well, and what the host saw fail on the way out is
        // not the connector's doing.
        ConnectorFault::Reported(_)
        | ConnectorFault::Cancelled
        | ConnectorFault::Limit(Limit::Time { .. })
        | ConnectorFault::Trap { cause: Some(_), .. }
        | ConnectorFault::Worker(WorkerFault::Start { .. }) => false,
        ConnectorFault::Trap { cause: None, .. }
        | ConnectorFault::Limit(
            Limit::Cpu { .. }
            | Limit::Memory { .. }
            | Limit::Table { .. }
            | Limit::Instances(_)
            | Limit::Stack
            | Limit::HostCall { .. }
            | Limit::Handles { .. }
            | Limit::Output { .. },
        )
        | ConnectorFault::Worker(WorkerFault::Died { .. } | WorkerFault::Violation | WorkerFault::Protocol { .. }) => {
            true
        }
        // No question that may be asked of every connector is a fault of one that answers none.
        ConnectorFault::Host(error) => error.code().as_str() != "connector.no_discovery",
    }
}

/// Counts failures; knows nothing but digests and times.
#[derive(Debug, Default)]
pub(super) struct Strikes(BTreeMap<Digest, VecDeque<Timestamp>>);

impl Strikes {
    /// One more; whether it is one too many. The count then begins anew.
    pub(super) fn note(&mut self, digest: Digest, now: Timestamp) -> bool {
        self.0.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < WINDOW));
        if self.0.len() >= MOST && !self.0.contains_key(&digest) {
            return false;
        }
        let times = self.0.entry(digest).or_default();
        times.retain(|time| now.since(*time) < WINDOW);
        times.push_back(now);
        let out = times.len() >= STRIKES;
        if out {
            self.0.remove(&digest);
        }
        out
    }
}

/// A component in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The connector.
    pub(crate) name: Name,
    /// Its version.
    pub(crate) version: Version,
    /// Its component.
    pub(crate) digest: Digest,
    /// Of the last failure.
    pub(crate) code: Code,
    /// Since when, by this machine's clock.
    pub(crate) since_ms: u64,
    /// The locks that named it then: a newer one ends the quarantine.
    pub(crate) locks: BTreeMap<Name, u64>,
}

/// The locks that name a component, with their versions.
pub(super) fn naming<'a>(locks: impl Iterator<Item = &'a Lock>, digest: Digest) -> BTreeMap<Name, u64> {
    let named = locks.filter(|lock| lock.connectors.values().chain(lock.trials.values()).any(|one| one.wasm == digest));
    named.map(|lock| (lock.environment.clone(), lock.version)).collect()
}

impl Held {
    /// In words that may leave the agent.
    pub(crate) fn words(&self) -> String {
        format!(
            "{} {} failed {STRIKES} times within {} minutes on this agent ({}) and is not run here any more; end it with `wherry-agent connector unquarantine {}` or a new lock",
            self.name,
            self.version,
            WINDOW.as_secs() / 60,
            self.code,
            self.name
        )
    }

    /// Whether one of the locks that named it has moved since.
    pub(super) fn outlived(&self, lock: &Lock) -> bool {
        self.locks.get(&lock.environment).is_some_and(|version| lock.version > *version)
    }
}

/// The files.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Everything that is quarantined. A file that cannot be read quarantines nothing.
    pub(crate) fn read(&self) -> BTreeMap<Digest, Held> {
        let files = private_file::names(&self.0).into_iter().filter(|name| name.ends_with(SUFFIX));
        let held = files.take(MOST).filter_map(|name| {
            let content = private_file::read(&self.0.join(name), MAX_FILE).ok()?;
            serde_json::from_slice::<Held>(&content).ok()
        });
        held.map(|held| (held.digest, held)).collect()
    }

    /// Whether its file is still there.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    pub(super) fn put(&self, held: &Held) -> Result<(), FileError> {
        private_file::create_folder(&self.0)?;
        private_file::write(&self.path(held.digest), &serde_json::to_vec(held).unwrap_or_default())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn remove(&self, digest: Digest) -> Result<(), FileError> {
        private_file::remove(&self.path(digest)).map(drop)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let text = digest.to_string().replace(':', "-");
        Path::new(&self.0).join(format!("{text}{SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use wherry_domain::lock::{Locked, Mode};
    use wherry_host::{ConnectorError, ErrorKind};

    use super::*;

    const A: Digest = Digest::from_bytes([1; 32]);
    const B: Digest = Digest::from_bytes([2; 32]);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_third_failure_within_ten_minutes_is_one_too_many_and_counts_anew_after_that() {
        let mut strikes = Strikes::default();
        assert!(!strikes.note(A, at(0)));
        assert!(!strikes.note(A, at(300)));
        assert!(!strikes.note(B, at(301)), "another component is counted apart");
        assert!(strikes.note(A, at(599)));
        assert!(!strikes.note(A, at(600)), "it was released and has failed once since");
    }

    #[test]
    fn failures_further_apart_are_forgiven() {
        let mut strikes = Strikes::default();
        for minute in (0..100).map(|n| n * 6) {
            assert!(!strikes.note(A, at(minute * 60)), "minute {minute}");
        }
        assert!(strikes.0.len() <= 1);
    }

    #[test]
    fn however_many_components_fail_the_count_is_bounded() {
        let mut strikes = Strikes::default();
        for n in 0..2_000_u16 {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            strikes.note(Digest::from_bytes(bytes), at(1));
        }
        assert_eq!(strikes.0.len(), MOST);
    }

    #[test]
    fn only_what_the_component_did_to_its_box_counts() {
        let trap = |cause| ConnectorFault::Trap { reason: "unreachable".into(), output: String::new(), cause };
        let refused = wherry_host::EgressError::ConnectRefused { host: "db.example".into(), port: 443 };
        let reported = ConnectorError {
            kind: ErrorKind::Internal,
            code: "mine.broken".into(),
            message: String::new(),
            retry_after_ms: None,
            details: None,
            cause: None,
        };
        assert!(is_strike(&trap(None)));
        assert!(is_strike(&ConnectorFault::Limit(Limit::Memory { limit_bytes: 1 })));
        assert!(is_strike(&ConnectorFault::Worker(WorkerFault::Died { how: "signal 9".into() })));
        assert!(!is_strike(&trap(Some(Box::new(refused)))));
        assert!(!is_strike(&ConnectorFault::Limit(Limit::Time { limit_ms: 1 })));
        assert!(!is_strike(&ConnectorFault::Reported(Box::new(reported))));
        assert!(!is_strike(&ConnectorFault::Cancelled));
        assert!(!is_strike(&ConnectorFault::Worker(WorkerFault::Start { reason: "no memory".into() })));
    }

    #[test]
    fn a_quarantine_outlives_the_process_and_ends_with_its_file_or_a_newer_lock() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("quarantine"));
        let mut lock = Lock::empty("prod".parse().unwrap(), Mode::Automatic);
        lock.version = 7;
        let locked = Locked {
            version: Version::new(2, 0, 0),
            release: B,
            wasm: A,
            length: 1,
            pinned: false,
            approved: [].into(),
        };
        lock.trials.insert("http".parse().unwrap(), locked);
        let held = Held {
            name: "http".parse().unwrap(),
            version: Version::new(2, 0, 0),
            digest: A,
            code: Code::new("sandbox.trap"),
            since_ms: 1,
            locks: naming([&lock].into_iter(), A),
        };
        folder.put(&held).unwrap();
        std::fs::write(dir.path().join("quarantine/odd.json"), "{").unwrap();
        assert_eq!(folder.read(), BTreeMap::from([(A, held.clone())]));
        assert!(!held.outlived(&lock));
        lock.version = 8;
        assert!(held.outlived(&lock));
        folder.remove(A).unwrap();
        folder.remove(A).unwrap();
        assert!(!folder.has(A) && folder.read().is_empty());
        assert!(naming([&lock].into_iter(), B).is_empty());
    }
}
