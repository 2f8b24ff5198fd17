//! The write side: apply to sled, flush, sync with our own hands, note how far we came.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{StoreError, filesystem, mark::Mark, tree::Tree};
use crate::store::{
    batch::Operation,
    committer::{self, Room},
};

/// The last part of the reserve is for sled itself, which needs room to open again.
const FLOOR_SHARE: u64 = 4;
const FLOOR_MAX: u64 = 24 * 1024 * 1024;

/// The one writer.
pub(super) struct Engine {
    tree: Arc<Tree>,
    /// Our own handle: `flush` of sled 0.34.7 is only `sync_file_range`, which survives no power
    /// loss, and errors of its background sync are only logged.
    data: File,
    mark: Mark,
    dir: PathBuf,
    reserve: u64,
}

impl Engine {
    pub(super) fn new(tree: Arc<Tree>, dir: &Path, reserve: u64) -> Result<Self, StoreError> {
        let path = dir.join("db");
        let data = File::options().read(true).write(true).open(&path).map_err(StoreError::io("open", &path))?;
        let mark = Mark::open(dir)?;
        mark.write(tree.watch().tally.sequence).map_err(StoreError::io("write the mark in", dir))?;
        Ok(Self { tree, data, mark, dir: dir.to_owned(), reserve })
    }

    fn full(&self, free: u64) -> StoreError {
        StoreError::Full { path: self.dir.clone(), free, reserve: self.reserve }
    }
}

impl committer::Engine for Engine {
    fn apply(&mut self, operations: Vec<Operation>) -> Result<(), String> {
        self.tree.apply(operations).map_err(|error| format!("applying a batch: {error}"))
    }

    fn sync(&mut self) -> Result<(), String> {
        self.tree.flush().map_err(|error| format!("flushing the log: {error}"))?;
        self.data.sync_data().map_err(|error| format!("syncing the log: {error}"))?;
        let sequence = self.tree.watch().tally.sequence;
        self.mark.write(sequence).map_err(|error| format!("writing the mark: {error}"))
    }

    fn room(&mut self) -> Room {
        let free = match filesystem::free_bytes(&self.dir) {
            Ok(free) => free,
            Err(error) => return Room::None(error),
        };
        if free >= self.reserve {
            Room::Free
        } else if free >= FLOOR_MAX.min(self.reserve / FLOOR_SHARE) {
            Room::Reserve(self.full(free))
        } else {
            Room::None(self.full(free))
        }
    }
}
