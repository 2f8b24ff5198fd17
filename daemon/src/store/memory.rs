//! A store in memory with faults on demand, for tests and simulations.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Batch, Commit, Direction, Entry, SnapshotSummary, Space, Store, StoreError, StoreStats, batch::Operation, keys,
    snapshot, stats::Counters,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory. Clones share their content, so a test can keep one to injure while the code
/// under test holds the other.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Inner {
    /// What reads see.
    visible: Map,
    /// What a crash leaves.
    durable: Map,
    /// Applied and not durable yet.
    held: VecDeque<Held>,
    holding: bool,
    failing: usize,
    full: bool,
    delay: Duration,
    failed: Option<StoreError>,
}

struct Held {
    operations: Vec<Operation>,
    bytes: usize,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `commits` batches are refused with [`StoreError::Busy`]; nothing of them is applied.
    pub fn refuse_next(&self, commits: usize) {
        self.lock().failing = commits;
    }

    /// From now on the disk is (not) full: only essential batches are accepted.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Breaks the store as a failed sync does: nothing is acknowledged any more, held batches
    /// included. [`Self::crash`] stands for the restart that heals it.
    pub fn break_down(&self) {
        let failure = StoreError::Fatal { path: PathBuf::from("memory"), reason: "broken by a test".into() };
        let mut inner = self.lock();
        inner.failed = Some(failure.clone());
        let held = std::mem::take(&mut inner.held);
        drop(inner);
        for held in held {
            drop(held.done.send(Err(failure.clone())));
        }
    }

    /// Every commit from now on takes `delay` of tokio time before it resolves.
    pub fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// From now on batches are visible but not durable, and wait for [`Self::release`].
    pub fn hold(&self) {
        self.lock().holding = true;
    }

    /// Makes every held batch durable and answers it; later ones are no longer held.
    pub fn release(&self) {
        let mut inner = self.lock();
        inner.holding = false;
        while let Some(held) = inner.held.pop_front() {
            self.settle(&mut inner, held);
        }
    }

    /// The number of batches held.
    pub fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Loses everything that is not durable, as a power cut does, and clears every fault. Held
    /// commits resolve to [`StoreError::Closed`].
    pub fn crash(&self) {
        let mut inner = self.lock();
        *inner =
            Inner { visible: inner.durable.clone(), durable: std::mem::take(&mut inner.durable), ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, inner: &mut Inner, held: Held) {
        let records = held.operations.len() as u64;
        apply(&mut inner.durable, held.operations);
        self.counters.synced(1, records, held.bytes as u64, 0);
        drop(held.done.send(Ok(())));
    }

    fn admit(&self, inner: &mut Inner, batch: &Batch) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering::Relaxed;
        batch.check()?;
        if let Some(failure) = &inner.failed {
            return Err(failure.clone());
        }
        if inner.failing > 0 {
            inner.failing -= 1;
            self.counters.refused_busy.fetch_add(1, Relaxed);
            return Err(StoreError::Busy { waiting: inner.held.len() });
        }
        if inner.full && !batch.may_use_reserve() {
            self.counters.refused_full.fetch_add(1, Relaxed);
            return Err(StoreError::Full { path: PathBuf::from("memory"), free: 0, reserve: 1 });
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().visible.get(&keys::full(space, key)).cloned())
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
        let inner = self.lock();
        let found = inner.visible.range(range);
        let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.iter().skip(1).copied().collect(), value.clone());
        Ok(match direction {
            Direction::Ascending => found.take(limit).map(entry).collect(),
            Direction::Descending => found.rev().take(limit).map(entry).collect(),
        })
    }

    fn commit(&self, batch: Batch) -> Commit {
        let mut inner = self.lock();
        if let Err(refusal) = self.admit(&mut inner, &batch) {
            return Box::pin(std::future::ready(Err(refusal)));
        }
        let (done, answer) = oneshot::channel();
        let bytes = batch.bytes();
        let operations = batch.into_operations();
        apply(&mut inner.visible, operations.clone());
        let held = Held { operations, bytes, done };
        if inner.holding {
            inner.held.push_back(held);
        } else {
            self.settle(&mut inner, held);
        }
        let delay = inner.delay;
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            answer.await.unwrap_or(Err(StoreError::Closed))
        })
    }

    fn snapshot(&self, out: &mut dyn Write) -> Result<SnapshotSummary, StoreError> {
        let state = self.lock().visible.clone();
        let mut writer = snapshot::Writer::start(out)?;
        for (key, value) in &state {
            writer.put(key, value)?;
        }
        writer.finish()
    }

    fn has_room(&self) -> bool {
        !self.lock().full
    }

    fn stats(&self) -> StoreStats {
        self.counters.read()
    }
}

fn apply(map: &mut Map, operations: Vec<Operation>) {
    for Operation { key, value } in operations {
        match value {
            Some(value) => drop(map.insert(key, value)),
            None => drop(map.remove(&key)),
        }
    }
}
