//! Connectors over locks that a test moves: what is taken, and what is swept.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{runtime::Handle, sync::watch};
use wherry_daemon::{
    clock::{Clock, Hand},
    shutdown::Shutdown,
    tasks::Tasks,
};
use wherry_domain::{
    digest::Digest,
    failure::{Code, Failure},
    lock::{Lock, Locked},
    name::Name,
    time::Timestamp,
};
use wherry_host::{Descriptor, HostSettings};
use wherry_trust::{release::VerifiedRelease, seal_local::LocalKey};
use wherry_worker::{Apart, Pool, PoolSettings};

use super::{
    before::tests::{lock, locked},
    sweep::Grace,
    *,
};

/// Longer than anything unneeded stays.
const LONG: Duration = Duration::from_secs(601);

/// Locks that a test moves by hand, of whose connectors none may run.
struct ByHand {
    locks: Mutex<Vec<Arc<Lock>>>,
    changes: watch::Sender<u64>,
    /// The versions that were asked for.
    asked: Mutex<Vec<u64>>,
    /// Takes the place of the lock when the next connector is asked for.
    next: Mutex<Option<Lock>>,
}

impl ByHand {
    fn put(&self, lock: Lock) {
        *self.locks.lock().unwrap() = vec![Arc::new(lock)];
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Locks for ByHand {
    fn all(&self) -> Vec<Arc<Lock>> {
        self.locks.lock().unwrap().clone()
    }

    fn lock(&self, environment: &Name) -> Option<Arc<Lock>> {
        self.all().into_iter().find(|lock| lock.environment == *environment)
    }

    fn must_be_locked(&self) -> bool {
        true
    }

    fn admit(&self, name: &Name, locked: &Locked) -> Result<VerifiedRelease, Failure> {
        self.asked.lock().unwrap().push(locked.version.major);
        if let Some(next) = self.next.lock().unwrap().take() {
            self.put(next);
        }
        Err(Failure::permanent(Code::new("release.missing"), format!("{name} {} is not known", locked.version)))
    }

    fn judge(&self, name: &Name, locked: &Locked, _: &[u8]) -> Result<VerifiedRelease, Failure> {
        self.admit(name, locked)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn refusal(&self) -> Option<(Code, String)> {
        None
    }
}

struct Set {
    connectors: Connectors,
    locks: Arc<ByHand>,
    hand: Hand,
    folder: tempfile::TempDir,
}

impl Set {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1));
        let folder = tempfile::tempdir().unwrap();
        let locks = Arc::new(ByHand {
            locks: Mutex::default(),
            changes: watch::Sender::new(0),
            asked: Mutex::default(),
            next: Mutex::default(),
        });
        let rules = WorkerRules { mode: WorkerMode::Off, own: vec![], idle: LONG, kept: 1 };
        let walls = Walls::new(rules, HostSettings::default(), folder.path(), &Handle::current()).unwrap();
        let policy = Policy::default();
        let connectors = Connectors::open(ConnectorSettings {
            slots: Slots::new(1, policy.clone(), clock.clone()),
            policy,
            data: DataDir::new(folder.path()),
            key: LocalKey::generate().unwrap(),
            walls,
            compiler: folder.path().to_owned(),
            only: vec![],
            controller: Controller::default(),
            tasks: Tasks::new(Shutdown::new(LONG)),
            clock,
            locks: Arc::<ByHand>::clone(&locks),
        });
        Self { connectors: connectors.unwrap(), locks, hand, folder }
    }

    /// A component on disk, and a lock that names it.
    fn component(&self) -> (Digest, Lock) {
        let digest = self.connectors.0.files.put(b"a component").unwrap();
        let mut naming = lock(2, &[], &[]);
        naming.connectors.insert(http(), Locked { wasm: digest, ..locked(1) });
        (digest, naming)
    }

    /// Loads it as an attempt does.
    fn loaded(&self, digest: Digest, release: Digest) -> Loaded {
        let settings = PoolSettings {
            program: self.folder.path().to_owned(),
            arguments: vec![],
            host: HostSettings::default(),
            idle: LONG,
            kept: 1,
        };
        let pool = Pool::new(settings, Handle::current()).unwrap();
        let code = Apart::open(&pool, &self.connectors.0.files.path(&digest)).unwrap();
        let activity = json!({ "name": "query", "kind": "source", "sideEffects": "read", "configSchema": {} });
        let document = json!({
            "schemaVersion": 1, "name": "http", "version": "1.0.0", "connection": { "configSchema": {} },
            "activities": [activity],
        });
        let loaded = Loaded {
            connector: Program::Apart(code),
            activities: [].into(),
            descriptor: Arc::new(Descriptor::parse(&document.to_string()).unwrap()),
            publisher: "us".into(),
            using: Arc::default(),
        };
        self.connectors.0.stock.uses(digest, &loaded.using);
        self.connectors.0.loaded.lock().unwrap().insert(Key { wasm: digest, release }, (http(), loaded.clone()));
        loaded
    }

    async fn fails(&self) -> String {
        let (environment, name) = ("prod".parse().unwrap(), http());
        let asked = Asked { environment: &environment, name: &name, deployed: None, on_trial: false, at_once: true };
        self.connectors.take(asked).await.err().unwrap().message
    }

    fn asked(&self) -> Vec<u64> {
        std::mem::take(&mut self.locks.asked.lock().unwrap())
    }
}

fn http() -> Name {
    "http".parse().unwrap()
}

#[tokio::test]
async fn what_fails_is_tried_again_only_if_the_lock_names_something_else_now() {
    let set = Set::new();
    set.locks.put(lock(1, &[("http", 1)], &[]));
    set.connectors.stand();
    set.asked();
    assert_eq!(set.fails().await, "http 1.0.0 is not known");
    assert_eq!(set.asked(), [1], "the lock stayed as it was");
    *set.locks.next.lock().unwrap() = Some(lock(2, &[("http", 2)], &[]));
    assert_eq!(set.fails().await, "http 2.0.0 is not known", "what the lock had moved on to");
    assert_eq!(set.asked().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn what_becomes_needed_while_the_sweep_waits_for_its_turn_stays() {
    let set = Set::new();
    let inner = &set.connectors.0;
    let (digest, naming) = set.component();
    set.locks.put(lock(1, &[], &[]));
    let mut grace = Grace::default();
    inner.sweep(&mut grace).await;
    set.hand.advance(LONG);
    let turn = inner.one_at_a_time.lock().await;
    let mut sweep = pin!(inner.sweep(&mut grace));
    tokio::select! {
        biased;
        () = &mut sweep => panic!("it did not wait for its turn"),
        () = std::future::ready(()) => {}
    }
    // A rollback, say: the component is named again.
    set.locks.put(naming);
    drop(turn);
    sweep.await;
    assert!(inner.files.contains(&digest));
}

#[tokio::test]
async fn what_was_loaded_goes_once_nobody_uses_it_and_not_before() {
    let set = Set::new();
    let inner = &set.connectors.0;
    let (digest, _) = set.component();
    set.locks.put(lock(1, &[], &[]));
    let used = set.loaded(digest, locked(1).release);
    let mut grace = Grace::default();
    for _ in 0..3 {
        inner.sweep(&mut grace).await;
        set.hand.advance(LONG);
    }
    assert!(inner.files.contains(&digest), "an attempt runs on it");
    drop(used);
    inner.sweep(&mut grace).await;
    assert!(inner.files.contains(&digest), "its grace begins now");
    set.hand.advance(LONG);
    inner.sweep(&mut grace).await;
    assert!(!inner.files.contains(&digest));
}

#[tokio::test]
async fn two_releases_over_the_same_bytes_stay_loaded_beside_each_other() {
    let set = Set::new();
    let (digest, _) = set.component();
    let loaded = [1, 2].map(|n| set.loaded(digest, locked(n).release));
    for (n, loaded) in [1, 2].into_iter().zip(&loaded) {
        let known =
            set.connectors.0.remembered(&http(), Key { wasm: digest, release: locked(n).release }).unwrap().unwrap();
        assert!(Arc::ptr_eq(&known.using, &loaded.using));
    }
    assert!(set.connectors.0.remembered(&http(), Key { wasm: digest, release: locked(3).release }).unwrap().is_none());
}
