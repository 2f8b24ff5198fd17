//! A ledger with its writer, on either store, under a clock that is turned by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use wherry_controller::{
    ca::CatalogueKey,
    engine::{Engine, Ledger, Refusal, Settings, Submission, Submitted},
    model::RunRecord,
};
use wherry_daemon::{
    clock::{Clock, Hand},
    store::{MemoryStore, SharedStore, SledStore, StoreError, StoreOptions, files::FileStore},
};
use wherry_domain::{id::RunId, lease::LeaseTerms, time::Timestamp};

use super::{desk, name, package, publisher_key};

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a ledger keeps what it remembers; outlives the process that has it open.
pub(crate) struct Disk {
    folder: TempDir,
    memory: Option<MemoryStore>,
    full: bool,
}

impl Disk {
    pub(crate) fn memory() -> Self {
        Self { memory: Some(MemoryStore::new()), ..Self::sled() }
    }

    pub(crate) fn sled() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), memory: None, full: false }
    }

    fn store(&self) -> SharedStore {
        match &self.memory {
            Some(memory) => {
                memory.set_full(self.full);
                Arc::new(memory.clone())
            }
            None => {
                let reserve_bytes = if self.full { u64::MAX } else { 0 };
                let options = StoreOptions { reserve_bytes, ..StoreOptions::new(self.folder.path().join("store")) };
                Arc::new(SledStore::open(options).unwrap().0)
            }
        }
    }

    fn files(&self) -> Arc<FileStore> {
        Arc::new(FileStore::open(self.folder.path().join("files")).unwrap())
    }
}

/// One life of a controller's ledger.
pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    pub(crate) hand: Hand,
    disk: Disk,
    settings: Settings,
    writer: JoinSet<Result<(), StoreError>>,
}

impl Bench {
    /// An empty ledger.
    pub(crate) fn open(disk: Disk) -> Self {
        Self::with(disk, settings())
    }

    pub(crate) fn with(disk: Disk, settings: Settings) -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        hand.set_wall_unix_millis(Clock::system().wall_unix_millis());
        Self::start(disk, settings, clock, hand)
    }

    /// A ledger with the environment `prod` of group `berlin` and the project `desk` in it.
    pub(crate) async fn ready(disk: Disk) -> Self {
        Self::ready_with(disk, settings()).await
    }

    pub(crate) async fn ready_with(disk: Disk, settings: Settings) -> Self {
        let bench = Self::with(disk, settings);
        let key = publisher_key();
        let trusted = wherry_trust::release::Publisher {
            name: "acme".to_owned(),
            key: key.public(),
            prefix: wherry_trust::release::Prefix::all(),
        };
        bench.ledger.trust_publisher("test".to_owned(), trusted).await.unwrap();
        let (envelope, wasm) = package("http", "1.0.0", &key);
        bench.ledger.publish("test".to_owned(), envelope, wasm).await.unwrap();
        bench.ledger.create_environment("test".to_owned(), name("prod"), name("berlin")).await.unwrap();
        bench.ledger.deploy("test".to_owned(), name("prod"), desk(), false).await.unwrap();
        bench
    }

    fn start(disk: Disk, settings: Settings, clock: Clock, hand: Hand) -> Self {
        let opened = Ledger::open(disk.store(), disk.files(), clock.clone(), settings.clone());
        let (ledger, engine) = opened.unwrap();
        let mut writer = JoinSet::new();
        writer.spawn(engine.run());
        Self { ledger, clock, hand, disk, settings, writer }
    }

    /// Another ledger under the same clock.
    pub(crate) fn beside(&self, (ledger, engine): (Ledger, Engine)) -> Self {
        let (clock, hand) = (self.clock.clone(), self.hand.clone());
        let mut writer = JoinSet::new();
        writer.spawn(engine.run());
        Self { ledger, clock, hand, disk: Disk::memory(), settings: self.settings.clone(), writer }
    }

    /// Ends this life and begins the next on the same disk.
    pub(crate) async fn restart(self) -> Self {
        let settings = self.settings.clone();
        self.restart_with(settings).await
    }

    /// As [`Bench::restart`], with other settings.
    pub(crate) async fn restart_with(self, settings: Settings) -> Self {
        let Self { ledger, clock, hand, disk, mut writer, .. } = self;
        drop(ledger);
        let ended = soon(writer.join_next()).await.unwrap();
        // A writer whose store broke says so; the next life begins with what was durable.
        drop(ended.unwrap());
        Self::start(disk, settings, clock, hand)
    }

    /// From the next life on the disk is (not) full.
    pub(crate) fn fill(&mut self, full: bool) {
        self.disk.full = full;
    }

    /// The store in memory, to injure it.
    pub(crate) fn memory(&self) -> &MemoryStore {
        self.disk.memory.as_ref().unwrap()
    }

    /// A commit is under way, and is held.
    pub(crate) async fn held(&self) {
        soon(async {
            while self.memory().held() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Time passes, and the writer notices.
    pub(crate) async fn pass(&self, duration: Duration) {
        self.hand.advance(duration);
        self.settle().await;
    }

    /// Everything said before has been decided about, stored and answered.
    pub(crate) async fn settle(&self) {
        // Frames are taken in the turn that a question shares or follows; what is due is done in it too.
        for _ in 0..3 {
            soon(self.ledger.agents()).await.unwrap();
        }
    }

    /// Whether anything on the disk holds the text.
    pub(crate) async fn holds(&self, text: &str) -> bool {
        self.settle().await;
        let mut folders = vec![self.disk.folder.path().to_owned()];
        let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false if holds(&std::fs::read(&path).unwrap()) => return true,
                    false => {}
                }
            }
        }
        false
    }

    pub(crate) async fn submit(&self, operation: &str) -> RunId {
        self.try_submit(submission(operation)).await.unwrap().record.spec.id
    }

    pub(crate) async fn try_submit(&self, submission: Submission) -> Result<Submitted, Refusal> {
        soon(self.ledger.submit(submission)).await
    }

    pub(crate) async fn run(&self, run: RunId) -> RunRecord {
        soon(self.ledger.run(run)).await.unwrap()
    }

    /// The word for where a run is.
    pub(crate) async fn state(&self, run: RunId) -> &'static str {
        wherry_controller::engine::state_word(&self.run(run).await.stored.state)
    }
}

/// Ordinary terms and little room.
pub(crate) fn settings() -> Settings {
    Settings {
        lease: LeaseTerms::default(),
        heartbeat: Duration::from_secs(10),
        keep_runs: Duration::from_secs(30 * 86_400),
        max_active: 1_000,
        catalogue: catalogue_key(),
    }
}

/// One for all controllers of a test: a restart has to find it again.
pub(crate) fn catalogue_key() -> CatalogueKey {
    static KEY: std::sync::OnceLock<CatalogueKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| CatalogueKey::generate().unwrap()).clone()
}

/// A request to run an operation of `desk` in `prod`.
pub(crate) fn submission(operation: &str) -> Submission {
    Submission {
        environment: name("prod"),
        project: None,
        operation: name(operation),
        variables: BTreeMap::<_, Value>::new(),
        idempotency: None,
        who: "test".to_owned(),
        wait: false,
    }
}

/// What a test waits for comes, or the test fails.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}
