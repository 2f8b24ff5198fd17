//! Counters of a store, for `/metrics` and benchmarks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Batches acknowledged as durable.
    pub commits: u64,
    /// Changes inside those batches.
    pub records: u64,
    /// Bytes of keys and values inside those batches.
    pub bytes: u64,
    /// Times the disk was asked to make data durable.
    pub syncs: u64,
    /// Microseconds spent applying and syncing, over all syncs.
    pub sync_micros: u64,
    /// The longest single apply and sync, in microseconds.
    pub sync_micros_max: u64,
    /// Batches refused because the free-space reserve was breached.
    pub refused_full: u64,
    /// Batches refused because the queue was full.
    pub refused_busy: u64,
    /// Reads that found damage.
    pub damaged_reads: u64,
    /// Half-written engine files removed before opening.
    pub guard_hits: u64,
    /// Things moved to the quarantine folder when opening.
    pub quarantined: u64,
    /// Bytes of the engine's files.
    pub disk_bytes: u64,
}

/// The live counters behind [`StoreStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_micros: AtomicU64,
    pub(super) sync_micros_max: AtomicU64,
    pub(super) refused_full: AtomicU64,
    pub(super) refused_busy: AtomicU64,
    pub(super) damaged_reads: AtomicU64,
}

impl Counters {
    /// Records one sync that made `commits` batches durable.
    pub(super) fn synced(&self, commits: u64, records: u64, bytes: u64, micros: u64) {
        self.commits.fetch_add(commits, Relaxed);
        self.records.fetch_add(records, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.syncs.fetch_add(1, Relaxed);
        self.sync_micros.fetch_add(micros, Relaxed);
        self.sync_micros_max.fetch_max(micros, Relaxed);
    }

    pub(super) fn read(&self) -> StoreStats {
        StoreStats {
            commits: self.commits.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_micros: self.sync_micros.load(Relaxed),
            sync_micros_max: self.sync_micros_max.load(Relaxed),
            refused_full: self.refused_full.load(Relaxed),
            refused_busy: self.refused_busy.load(Relaxed),
            damaged_reads: self.damaged_reads.load(Relaxed),
            ..StoreStats::default()
        }
    }
}
