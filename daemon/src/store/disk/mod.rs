//! The store on disk: sled 0.34.7 behind the rules that make it safe.
//!
//! Measured reasons for every rule stand beside it. Layout of the folder: `lock`, `mark`,
//! `engine/` (sled's own files) and `quarantine/` (what would not open; never deleted by us).

mod audit;
mod copy;
mod engine;
mod envelope;
pub(super) mod filesystem;
mod lock;
mod mark;
mod open;
mod quarantine;
mod restore;
mod tally;
mod tree;

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

pub use self::{audit::Integrity, quarantine::Quarantined, restore::restore};
use self::{engine::Engine, lock::FolderLock, tree::Tree};
use super::{
    Batch, Commit, Direction, Entry, SnapshotSummary, Space, Store, StoreError, StoreStats, committer::Committer, keys,
    snapshot, stats::Counters,
};
use crate::clock;

/// The folder of sled's own files inside the store's folder.
const ENGINE_FOLDER: &str = "engine";
/// Where the tally is kept; no caller's key is empty, because each begins with its space.
const TALLY_KEY: &[u8] = &[];

/// Where and how to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The store's own folder; created with mode 0700 if missing.
    pub dir: PathBuf,
    /// Bytes of page cache.
    pub cache_bytes: u64,
    /// Bytes of free disk space below which only essential batches are accepted.
    pub reserve_bytes: u64,
    /// Up to this size the whole content is checked when opening (about 100 MB/s); above it, call
    /// [`SledStore::verify`] when there is time.
    pub audit_bytes: u64,
}

impl StoreOptions {
    /// The defaults: a cache of 4 MiB, a reserve of 64 MiB, checked when opening up to 128 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { dir: dir.into(), cache_bytes: 4 * MIB, reserve_bytes: 64 * MIB, audit_bytes: 128 * MIB }
    }
}

/// What happened while opening.
///
/// If [`Self::lost_something`], acknowledged data is missing, stale or back; the caller decides how
/// to go on (resync, restore, or stop). That is told at each opening until somebody commits.
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// Half-written engine files removed; harmless.
    pub guard_hits: u64,
    /// What was moved aside, in order.
    pub quarantined: Vec<Quarantined>,
    /// There should be data and there is none.
    pub emptied: bool,
    /// How many acknowledged changes are missing, as far as known: the latest ones, or at least one
    /// if the content differs from what it should be.
    pub lost_changes: u64,
    /// Whether the content is what was last committed to what was recovered.
    pub integrity: Integrity,
    /// Things an operator should know, such as a container's overlay filesystem.
    pub warnings: Vec<String>,
    /// How long opening took.
    pub took: Duration,
}

impl OpenReport {
    /// Whether anything acknowledged is known to be gone or altered.
    pub fn lost_something(&self) -> bool {
        self.emptied || self.lost_changes > 0 || matches!(self.integrity, Integrity::Differs(_))
    }
}

/// The store on disk.
pub struct SledStore {
    // Dropped in this order: drain the queue, close the engine, release the folder.
    committer: Committer,
    tree: Arc<Tree>,
    counters: Arc<Counters>,
    walking: Mutex<()>,
    opened: StoreStats,
    dir: PathBuf,
    reserve_bytes: u64,
    _lock: FolderLock,
}

impl SledStore {
    /// Opens or creates the store. Blocking, usually below a second.
    ///
    /// Refuses a folder in use, a network or user-space filesystem, and a disk that fails; damage
    /// is repaired or moved to quarantine and told in the report.
    pub fn open(options: StoreOptions) -> Result<(Self, OpenReport), StoreError> {
        let started = clock::monotonic_micros();
        let open::Opened { db, mut report, engine_dir, tally, lock } = open::open(&options)?;
        let counters = Arc::new(Counters::default());
        let tree = Arc::new(Tree::new(db, engine_dir.clone(), tally, Arc::clone(&counters)));
        if tree.disk_bytes() <= options.audit_bytes {
            report.integrity = look_closely(&tree, &mut report);
        }
        let engine = Engine::new(Arc::clone(&tree), &engine_dir, options.reserve_bytes)?;
        let committer = Committer::start(engine, Arc::clone(&counters), options.dir.clone())
            .map_err(StoreError::io("start the commit thread of", &options.dir))?;
        let opened = StoreStats {
            guard_hits: report.guard_hits,
            quarantined: report.quarantined.len() as u64,
            ..StoreStats::default()
        };
        report.took = Duration::from_micros(clock::monotonic_micros().saturating_sub(started));
        let StoreOptions { dir, reserve_bytes, .. } = options;
        let walking = Mutex::default();
        let store = Self { committer, tree, counters, walking, opened, dir, reserve_bytes, _lock: lock };
        Ok((store, report))
    }

    /// Reads the whole store and checks that it is what was committed. Blocking; commits go on
    /// meanwhile. For a nightly check, and after opening a store too large to be checked then.
    pub fn verify(&self) -> Integrity {
        let _one_at_a_time = self.walking.lock().unwrap_or_else(PoisonError::into_inner);
        audit::audit(&self.tree).0
    }
}

/// Audits a store that nobody writes to yet. From here on its content counts as it is, so that the
/// next commit ends the alarm.
fn look_closely(tree: &Tree, report: &mut OpenReport) -> Integrity {
    let (integrity, counted) = audit::audit(tree);
    if let Integrity::Differs(_) = integrity {
        report.lost_changes = report.lost_changes.max(1);
    }
    if let Some(counted) = counted {
        report.emptied |= report.lost_changes > 0 && counted.records == 0;
        let mut watch = tree.watch();
        watch.tally = watch.tally.with_content_of(counted);
    }
    integrity
}

impl Store for SledStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tree.get(&keys::full(space, key))
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let Some(range) = keys::range(space, prefix, after, direction) else { return Ok(Vec::new()) };
        let mut entries = self.tree.scan(range, direction, limit)?;
        for (key, _) in &mut entries {
            key.remove(0);
        }
        Ok(entries)
    }

    fn commit(&self, batch: Batch) -> Commit {
        if let Err(refusal) = batch.check() {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        self.committer.submit(batch.map_values(envelope::seal))
    }

    fn snapshot(&self, out: &mut dyn Write) -> Result<SnapshotSummary, StoreError> {
        let _one_at_a_time = self.walking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = self.committer.failure() {
            return Err(failure);
        }
        let mut writer = snapshot::Writer::start(out)?;
        copy::copy(&self.tree, &mut writer)?;
        writer.finish()
    }

    fn has_room(&self) -> bool {
        filesystem::free_bytes(&self.dir).is_ok_and(|free| free >= self.reserve_bytes)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            guard_hits: self.opened.guard_hits,
            quarantined: self.opened.quarantined,
            disk_bytes: self.tree.disk_bytes(),
            ..self.counters.read()
        }
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("commits", &self.counters.commits.load(Relaxed)).finish_non_exhaustive()
    }
}
