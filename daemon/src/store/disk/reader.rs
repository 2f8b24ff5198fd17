//! The read side: every value checked, every panic of the engine turned into an error.

use std::{
    collections::BTreeSet,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::Ordering::Relaxed},
};

use super::{StoreError, engine, envelope, snapshot::Writer};
use crate::store::{Direction, Entry, Place, Space, batch::Operation, keys::Range, stats::Counters};

/// Changed keys after which a snapshot stops chasing them without holding commits up.
const FEW_CHANGES: usize = 512;
/// Most rounds of chasing, so that a snapshot ends under any load.
const MAX_ROUNDS: usize = 16;

/// sled's tree and what guards reading it.
pub(super) struct Reader {
    db: ::sled::Db,
    dir: PathBuf,
    /// Written while a batch is applied, so that a scan sees it whole or not at all.
    gate: RwLock<()>,
    /// Keys changed since a running snapshot began.
    changed: Mutex<Option<BTreeSet<Vec<u8>>>>,
    counters: Arc<Counters>,
}

impl Reader {
    pub(super) fn new(db: ::sled::Db, dir: PathBuf, counters: Arc<Counters>) -> Self {
        Self { db, dir, gate: RwLock::new(()), changed: Mutex::new(None), counters }
    }

    /// The value under a full key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.guarded(|| self.db.get(key))? {
            Some(stored) => self.verified(key, &stored).map(Some),
            None => Ok(None),
        }
    }

    /// Up to `limit` entries with full keys.
    pub(super) fn scan(&self, range: Range, direction: Direction, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let _whole_batches = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = self.db.range(range);
        let mut entries = Vec::with_capacity(limit.min(64));
        while entries.len() < limit {
            let next = self.guarded(|| {
                match direction {
                    Direction::Ascending => found.next(),
                    Direction::Descending => found.next_back(),
                }
                .transpose()
            })?;
            let Some((key, stored)) = next else { break };
            let value = self.verified(&key, &stored)?;
            entries.push((key.to_vec(), value));
        }
        Ok(entries)
    }

    /// Applies a batch and one more record, atomically.
    pub(super) fn apply(&self, operations: Vec<Operation>, last: (&[u8], Vec<u8>)) -> Result<(), ::sled::Error> {
        let mut batch = ::sled::Batch::default();
        let _whole_batches = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.lock_changed();
        for Operation { key, value } in operations {
            if let Some(changed) = changed.as_mut() {
                changed.insert(key.clone());
            }
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        drop(changed);
        batch.insert(last.0, last.1);
        self.db.apply_batch(batch)
    }

    /// Hands everything applied so far to the kernel.
    pub(super) fn flush(&self) -> Result<(), ::sled::Error> {
        self.db.flush().map(drop)
    }

    /// Bytes of the engine's files; zero if they cannot be told.
    pub(super) fn disk_bytes(&self) -> u64 {
        catch_unwind(AssertUnwindSafe(|| self.db.size_on_disk())).map_or(0, |size| size.unwrap_or(0))
    }

    /// Begins to note changed keys, until the returned guard is dropped.
    pub(super) fn watch_changes(&self) -> Changes<'_> {
        *self.lock_changed() = Some(BTreeSet::new());
        Changes { reader: self }
    }

    /// Copies one page after `after` into the snapshot; returns its last key, `None` at the end.
    pub(super) fn copy_page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        writer: &mut Writer<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let from = Bound::Excluded(after.unwrap_or(engine::SEQUENCE_KEY).to_vec());
        let page = self.scan((from, Bound::Unbounded), Direction::Ascending, limit)?;
        for (key, value) in &page {
            writer.put(key, value)?;
        }
        Ok(page.into_iter().next_back().map(|(key, _)| key))
    }

    fn lock_changed(&self) -> MutexGuard<'_, Option<BTreeSet<Vec<u8>>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verified(&self, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        envelope::open(key, stored).map(<[u8]>::to_vec).map_err(|reason| {
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

/// The keys changed since a snapshot began; noting ends when this is dropped.
pub(super) struct Changes<'a> {
    reader: &'a Reader,
}

impl Changes<'_> {
    /// Appends the present state of every changed key, until none is left.
    pub(super) fn copy_all(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        for _ in 0..MAX_ROUNDS {
            let keys = self.take_between_batches();
            if keys.len() < FEW_CHANGES {
                self.copy(&keys, writer)?;
                break;
            }
            self.copy(&keys, writer)?;
        }
        // Readers of the gate hold up the committer: from here on nothing changes any more.
        let _still = self.reader.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.copy(&self.take(), writer)
    }

    /// Not in the middle of one: its keys are noted before they are changed.
    fn take_between_batches(&self) -> BTreeSet<Vec<u8>> {
        let _whole_batches = self.reader.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.take()
    }

    fn take(&self) -> BTreeSet<Vec<u8>> {
        self.reader.lock_changed().as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn copy(&self, keys: &BTreeSet<Vec<u8>>, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        for key in keys {
            match self.reader.get(key)? {
                Some(value) => writer.put(key, &value)?,
                None => writer.delete(key)?,
            }
        }
        Ok(())
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        *self.reader.lock_changed() = None;
    }
}
