//! The store on disk: sled 0.34.7 behind the rules that make it safe.
//!
//! Measured reasons for every rule stand beside it. Layout of the folder: `lock`, `mark`,
//! `engine/` (sled's own files) and `quarantine/` (what would not open; never deleted by us).

mod engine;
mod envelope;
pub(super) mod filesystem;
mod lock;
mod mark;
mod open;
mod quarantine;
mod reader;
mod restore;

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use self::{engine::Engine, lock::FolderLock, reader::Reader};
pub use self::{quarantine::Quarantined, restore::restore};
use super::{
    Batch, Commit, Direction, Entry, SnapshotSummary, Space, Store, StoreError, StoreStats, committer::Committer, keys,
    snapshot, stats::Counters,
};

/// Most entries that a snapshot reads at a time, so that commits are held up only briefly.
const SNAPSHOT_PAGE: usize = 256;

/// Where and how to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The store's own folder; created with mode 0700 if missing.
    pub dir: PathBuf,
    /// Bytes of page cache.
    pub cache_bytes: u64,
    /// Bytes of free disk space below which only essential batches are accepted.
    pub reserve_bytes: u64,
}

impl StoreOptions {
    /// The defaults: a cache of 4 MiB and a reserve of 64 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), cache_bytes: 4 * 1024 * 1024, reserve_bytes: 64 * 1024 * 1024 }
    }
}

/// What happened while opening. Anything but the default deserves a line in the log; `emptied` or
/// `lost_changes` means that acknowledged data is missing and the caller decides how to go on
/// (resync, restore, or stop).
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// Half-written engine files removed; harmless.
    pub guard_hits: u64,
    /// What was moved aside, in order.
    pub quarantined: Vec<Quarantined>,
    /// Nothing could be read: the store was moved aside whole and an empty one opened.
    pub emptied: bool,
    /// How many acknowledged changes the recovered data is short of, as far as known.
    pub lost_changes: u64,
    /// Things an operator should know, such as a container's overlay filesystem.
    pub warnings: Vec<String>,
    /// How long opening took.
    pub took: Duration,
}

/// The store on disk.
pub struct SledStore {
    // Dropped in this order: drain the queue, close the engine, release the folder.
    committer: Committer,
    reader: Arc<Reader>,
    counters: Arc<Counters>,
    snapshotting: Mutex<()>,
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
        let open::Opened { db, report, engine_dir, sequence, lock } = open::open(&options)?;
        let counters = Arc::new(Counters::default());
        let reader = Arc::new(Reader::new(db, engine_dir.clone(), Arc::clone(&counters)));
        let engine = Engine::new(Arc::clone(&reader), &engine_dir, sequence, options.reserve_bytes)?;
        let committer = Committer::start(engine, Arc::clone(&counters), options.dir.clone())
            .map_err(StoreError::io("start the commit thread of", &options.dir))?;
        let opened = StoreStats {
            guard_hits: report.guard_hits,
            quarantined: report.quarantined.len() as u64,
            ..StoreStats::default()
        };
        let StoreOptions { dir, reserve_bytes, .. } = options;
        let snapshotting = Mutex::default();
        let store = Self { committer, reader, counters, snapshotting, opened, dir, reserve_bytes, _lock: lock };
        Ok((store, report))
    }
}

impl Store for SledStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.get(&keys::full(space, key))
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
        let mut entries = self.reader.scan(range, direction, limit)?;
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

    /// Pages through the tree while commits go on, then adds what changed meanwhile, in rounds
    /// that get shorter, the last one with commits held up.
    fn snapshot(&self, out: &mut dyn Write) -> Result<SnapshotSummary, StoreError> {
        let _one_at_a_time = self.snapshotting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = self.committer.failure() {
            return Err(failure);
        }
        let mut writer = snapshot::Writer::start(out)?;
        let changes = self.reader.watch_changes();
        let mut after = None;
        while let Some(last) = self.reader.copy_page(after.as_deref(), SNAPSHOT_PAGE, &mut writer)? {
            after = Some(last);
        }
        changes.copy_all(&mut writer)?;
        writer.finish()
    }

    fn has_room(&self) -> bool {
        filesystem::free_bytes(&self.dir).is_ok_and(|free| free >= self.reserve_bytes)
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            guard_hits: self.opened.guard_hits,
            quarantined: self.opened.quarantined,
            disk_bytes: self.reader.disk_bytes(),
            ..self.counters.read()
        }
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("commits", &self.counters.commits.load(Relaxed)).finish_non_exhaustive()
    }
}
