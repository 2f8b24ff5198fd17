//! Making a store from a snapshot.

use std::{fs, io::Read, path::Path};

use super::{ENGINE_FOLDER, SledStore, StoreOptions, filesystem, lock::FolderLock};
use crate::store::{
    Batch, MAX_BATCH_BYTES, SnapshotSummary, Store, StoreError,
    batch::Operation,
    snapshot::{self, Record},
};

/// Changes per commit while restoring.
const CHUNK: usize = 1_000;

/// Builds the store in `dir` from a snapshot. Blocking.
///
/// The store appears at once and only when the whole snapshot proved good; a folder that already
/// holds one is refused. Move the old store away first: nothing is overwritten.
pub fn restore(dir: &Path, input: &mut dyn Read) -> Result<SnapshotSummary, StoreError> {
    filesystem::create_private(dir)?;
    let _lock = FolderLock::take(dir)?;
    let target = dir.join(ENGINE_FOLDER);
    if target.join("db").exists() {
        let reason = format!("{} already holds a store, move it away first", dir.display());
        return Err(StoreError::Snapshot { reason: reason.into() });
    }
    let staging = dir.join("restoring");
    remove(&staging)?;
    let summary = fill(&staging, input).inspect_err(|_| drop(remove(&staging)))?;
    remove(&target)?;
    let built = staging.join(ENGINE_FOLDER);
    fs::rename(&built, &target).map_err(StoreError::io("rename", built))?;
    filesystem::sync_folder(dir)?;
    remove(&staging)?;
    Ok(summary)
}

fn fill(staging: &Path, input: &mut dyn Read) -> Result<SnapshotSummary, StoreError> {
    let (store, _) = SledStore::open(StoreOptions { reserve_bytes: 0, ..StoreOptions::new(staging) })?;
    let mut batch = Batch::new();
    let summary = snapshot::read(input, |record| {
        let (key, value) = match record {
            Record::Put(key, value) => (key, Some(value)),
            Record::Delete(key) => (key, None),
        };
        batch.push_full(Operation { key, value });
        if batch.len() >= CHUNK || batch.bytes() > MAX_BATCH_BYTES / 2 {
            wait(&store, std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    wait(&store, batch)?;
    Ok(summary)
}

/// The committer is a thread of its own, so its answer can be waited for without a runtime.
fn wait(store: &SledStore, batch: Batch) -> Result<(), StoreError> {
    let mut commit = store.commit(batch);
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    loop {
        match commit.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => return outcome,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", folder)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
