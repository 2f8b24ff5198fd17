//! Stores to test, and values that can be told apart.

use std::{path::Path, sync::Arc, time::Duration};

use wherry_daemon::store::{Batch, MemoryStore, OpenReport, SledStore, Space, Store, StoreOptions};

/// Runs a test on every implementation of the store.
pub(crate) fn on_each_store(test: impl AsyncFn(Arc<dyn Store>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(Arc::new(MemoryStore::new())));
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(test(Arc::new(open(dir.path()).0)));
}

/// Opens a store on disk that uses whatever space there is.
pub(crate) fn open(dir: &Path) -> (SledStore, OpenReport) {
    SledStore::open(StoreOptions { reserve_bytes: 0, ..StoreOptions::new(dir) }).unwrap()
}

/// A batch of one change.
pub(crate) fn put(space: Space, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    batch
}

/// `length` bytes that no other `seed` yields.
pub(crate) fn value(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = seed.to_be_bytes().to_vec();
    while bytes.len() < length.max(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length.max(8));
    bytes
}

/// A small generator, so that a failing trial can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Lets a victim run until the random moment at which it is killed.
#[expect(clippy::disallowed_methods, reason = "the moment of a kill is a time, not an event")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A number from the environment, such as the length of a suite.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
