//! The durable key-value store both processes stand on.
//!
//! The seam is deliberately narrow (`get`, `scan`, `commit`, `snapshot`), so that another engine
//! can take sled's place. [`SledStore`] is the one on disk, [`MemoryStore`] the one for tests with
//! faults on demand; one conformance suite describes both.
//!
//! What every implementation promises:
//! - a batch is applied whole or not at all, and is durable when [`Store::commit`] resolves;
//! - batches are applied in the order of the calls to `commit`, whether or not the returned future
//!   is awaited or dropped;
//! - a read never returns a value other than the one that was put under that very key: damage is
//!   an error, not data;
//! - a read may see a batch a moment before it is durable. Whoever must not act earlier awaits the
//!   commit.

mod batch;
mod committer;
mod disk;
mod error;
pub mod files;
mod keys;
mod memory;
mod pace;
pub mod record;
mod snapshot;
mod stats;

use std::{future::Future, io::Write, pin::Pin, sync::Arc};

pub use self::{
    batch::{Batch, MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, MAX_KEY_BYTES, MAX_VALUE_BYTES},
    disk::{Integrity, OpenReport, Quarantined, SledStore, StoreOptions, restore},
    error::{Place, StoreError},
    memory::MemoryStore,
    snapshot::{SnapshotSummary, snapshot_to_file},
    stats::StoreStats,
};

/// One key space: the first byte of every key inside the one tree, so that one batch is atomic
/// over all spaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Space(pub u8);

/// A key (without its space) and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// The order in which [`Store::scan`] walks the keys, which compare as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the lowest key upwards.
    Ascending,
    /// From the highest key downwards.
    Descending,
}

/// What [`Store::commit`] returns: resolves once the batch is durable or refused.
pub type Commit = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>>;

/// A durable, ordered key-value store; see the module for what every implementation promises.
///
/// Reads block for as long as a disk read takes; they are short, but not free.
pub trait Store: Send + Sync + 'static {
    /// The value under `key`, if any.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` entries whose key starts with `prefix`, strictly after `after` in the order
    /// of `direction` (`None`: from the start). Sees every batch whole or not at all.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Queues `batch` at once and resolves when it is durable. All or nothing.
    ///
    /// Dropping the future does not take the batch back. A refusal before anything was applied is
    /// [`StoreError::Full`], [`StoreError::Busy`] or a broken limit; after [`StoreError::Fatal`]
    /// nothing is ever acknowledged again and the process should exit with code 74.
    fn commit(&self, batch: Batch) -> Commit;

    /// Writes the state of one moment to `out` in a format of its own: header, records each with a
    /// CRC, trailer with count and SHA-256. Commits go on meanwhile. Blocking.
    fn snapshot(&self, out: &mut dyn Write) -> Result<SnapshotSummary, StoreError>;

    /// Whether new work would be accepted now: the free-space reserve is not breached. A writer whose
    /// state would run ahead of a refused batch asks before it decides.
    fn has_room(&self) -> bool;

    /// Counters since the store was opened.
    fn stats(&self) -> StoreStats;
}

/// A store handle to pass around.
pub type SharedStore = Arc<dyn Store>;
