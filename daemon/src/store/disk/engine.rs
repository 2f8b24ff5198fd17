//! The write side: apply to sled, flush, sync with our own hands, note how far we came.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{StoreError, envelope, filesystem, mark::Mark, reader::Reader};
use crate::store::{
    batch::Operation,
    committer::{self, Room},
};

/// The folder of sled's own files inside the store's folder.
pub(super) const FOLDER: &str = "engine";
/// Where the number of changes so far is kept; no caller's key is empty, because each begins with
/// its space.
pub(super) const SEQUENCE_KEY: &[u8] = &[];
/// The last part of the reserve is for sled itself, which needs room to open again.
const FLOOR_SHARE: u64 = 4;
const FLOOR_MAX: u64 = 24 * 1024 * 1024;

/// The one writer.
pub(super) struct Engine {
    reader: Arc<Reader>,
    /// Our own handle: `flush` of sled 0.34.7 is only `sync_file_range`, which survives no power
    /// loss, and errors of its background sync are only logged.
    data: File,
    mark: Mark,
    sequence: u64,
    dir: PathBuf,
    reserve: u64,
}

impl Engine {
    pub(super) fn new(reader: Arc<Reader>, dir: &Path, sequence: u64, reserve: u64) -> Result<Self, StoreError> {
        let path = dir.join("db");
        let data = File::options().read(true).write(true).open(&path).map_err(StoreError::io("open", &path))?;
        let mark = Mark::open(dir)?;
        mark.write(sequence).map_err(StoreError::io("write the mark in", dir))?;
        Ok(Self { reader, data, mark, sequence, dir: dir.to_owned(), reserve })
    }

    fn full(&self, free: u64) -> StoreError {
        StoreError::Full { path: self.dir.clone(), free, reserve: self.reserve }
    }
}

impl committer::Engine for Engine {
    fn apply(&mut self, operations: Vec<Operation>) -> Result<(), String> {
        self.sequence = self.sequence.saturating_add(operations.len() as u64);
        let sequence = envelope::seal(SEQUENCE_KEY, self.sequence.to_le_bytes().to_vec());
        self.reader.apply(operations, (SEQUENCE_KEY, sequence)).map_err(|error| format!("applying a batch: {error}"))
    }

    fn sync(&mut self) -> Result<(), String> {
        self.reader.flush().map_err(|error| format!("flushing the log: {error}"))?;
        self.data.sync_data().map_err(|error| format!("syncing the log: {error}"))?;
        self.mark.write(self.sequence).map_err(|error| format!("writing the mark: {error}"))
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
