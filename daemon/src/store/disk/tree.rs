//! sled's one tree, guarded: every value checked, every panic of the engine turned into an error,
//! every batch seen whole or not at all, and every change told to whoever watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, atomic::Ordering::Relaxed},
};

use super::{StoreError, TALLY_KEY, envelope, tally::Tally};
use crate::store::{Direction, Entry, Place, Space, batch::Operation, keys::Range, stats::Counters};

/// The tree and what guards it.
pub(super) struct Tree {
    db: ::sled::Db,
    dir: PathBuf,
    /// Written while a batch is applied.
    gate: RwLock<()>,
    watch: Mutex<Watch>,
    counters: Arc<Counters>,
}

/// What follows the changes. Changed only while the gate is held for writing, or by those who hold
/// it for reading and are the only ones of their kind.
pub(super) struct Watch {
    pub(super) tally: Tally,
    /// Keys changed since a running snapshot began.
    pub(super) changed: Option<BTreeSet<Vec<u8>>>,
    /// How far a running audit has come, and what it counted up to there.
    pub(super) audit: Option<(Vec<u8>, Tally)>,
}

impl Watch {
    fn note(&mut self, key: &[u8], old: Option<u32>, new: Option<u32>) {
        self.tally.replace(old, new);
        if let Some(changed) = &mut self.changed {
            changed.insert(key.to_vec());
        }
        if let Some((_, counted)) = self.audit.as_mut().filter(|(upto, _)| key <= upto.as_slice()) {
            counted.replace(old, new);
        }
    }
}

impl Tree {
    pub(super) fn new(db: ::sled::Db, dir: PathBuf, tally: Tally, counters: Arc<Counters>) -> Self {
        let watch = Mutex::new(Watch { tally, changed: None, audit: None });
        Self { db, dir, gate: RwLock::new(()), watch, counters }
    }

    /// The value under a full key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.guarded(|| self.db.get(key))? {
            Some(stored) => self.body(key, &stored).map(|body| Some(body.to_vec())),
            None => Ok(None),
        }
    }

    /// Up to `limit` entries with full keys.
    pub(super) fn scan(&self, range: Range, direction: Direction, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let still = self.hold_still();
        let mut entries = Vec::with_capacity(limit.min(64));
        self.walk(&still, range, direction, limit, |key, stored| {
            entries.push((key.to_vec(), self.body(key, stored)?.to_vec()));
            Ok(())
        })?;
        Ok(entries)
    }

    /// While this is held, no batch is applied.
    pub(super) fn hold_still(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands up to `limit` entries, as stored, to `each`.
    pub(super) fn walk(
        &self,
        _still: &RwLockReadGuard<'_, ()>,
        range: Range,
        direction: Direction,
        limit: usize,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut found = self.db.range(range);
        for _ in 0..limit {
            let next = self.guarded(|| {
                match direction {
                    Direction::Ascending => found.next(),
                    Direction::Descending => found.next_back(),
                }
                .transpose()
            })?;
            let Some((key, stored)) = next else { break };
            each(&key, &stored)?;
        }
        Ok(())
    }

    /// Applies the operations, whose values are sealed, together with the new tally.
    pub(super) fn apply(&self, operations: Vec<Operation>) -> Result<(), ::sled::Error> {
        let mut batch = ::sled::Batch::default();
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut watch = self.watch();
        watch.tally.sequence = watch.tally.sequence.saturating_add(operations.len() as u64);
        // The last change of a key counts.
        let last: BTreeMap<_, _> = operations.into_iter().map(|Operation { key, value }| (key, value)).collect();
        for (key, value) in last {
            let old = self.db.get(&key)?.as_deref().and_then(envelope::checksum_in);
            watch.note(&key, old, value.as_deref().and_then(envelope::checksum_in));
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(TALLY_KEY, envelope::seal(TALLY_KEY, watch.tally.to_bytes()));
        drop(watch);
        self.db.apply_batch(batch)
    }

    /// Hands everything applied so far to the kernel.
    pub(super) fn flush(&self) -> Result<(), ::sled::Error> {
        self.db.flush().map(drop)
    }

    /// What follows the changes.
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the engine's files; zero if they cannot be told.
    pub(super) fn disk_bytes(&self) -> u64 {
        catch_unwind(AssertUnwindSafe(|| self.db.size_on_disk())).map_or(0, |size| size.unwrap_or(0))
    }

    /// The value inside what is stored under a full key.
    pub(super) fn body<'a>(&self, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], StoreError> {
        envelope::open(key, stored).map_err(|reason| {
            self.counters.damaged_reads.fetch_add(1, Relaxed);
            let place = key.split_first().map_or(Place::Pages, |(space, key)| Place::Key(Space(*space), key.to_vec()));
            StoreError::Damaged { place, reason: reason.into() }
        })
    }

    /// Runs a read of sled's, which answers some kinds of damage by panicking.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, StoreError> {
        let reason = match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(::sled::Error::Io(error))) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                return Err(StoreError::io("read", &self.dir)(error));
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => crate::tasks::panic_text(panic.as_ref()),
        };
        self.counters.damaged_reads.fetch_add(1, Relaxed);
        Err(StoreError::Damaged { place: Place::Pages, reason: reason.into() })
    }
}
