//! A set of changes that become durable together, and the limits it must keep.

use super::{Space, StoreError};

/// Longest key, without its space. Longer keys would bloat every index page of the tree.
pub const MAX_KEY_BYTES: usize = 256;
/// Largest value. Above it sled moves pages into files that it never syncs; larger payloads belong
/// into [`super::files::FileStore`].
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Most bytes of keys and values in one batch: half a log segment, so a batch never has to wait
/// for the segment it fills itself.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most changes in one batch: bounds how long readers wait while it is applied.
pub const MAX_BATCH_OPERATIONS: usize = 16 * 1024;

/// Changes to apply together. A later change of the same key wins.
#[derive(Default, Clone, Debug)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
    essential: bool,
}

/// One change; the key carries its space as first byte.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) key: Vec<u8>,
    /// `None` deletes.
    pub(super) value: Option<Vec<u8>>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets this batch use the free-space reserve: for results of work already done, which must
    /// not be lost because the disk filled up meanwhile. Never for new work.
    #[must_use]
    pub fn essential(mut self) -> Self {
        self.essential = true;
        self
    }

    /// Sets `key` to `value`. Limits are checked when the batch is committed.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.push(space, key.into(), Some(value.into()));
    }

    /// Removes `key`; removing what is not there is no error.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.push(space, key.into(), None);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Adds the changes of `other` after those of `self`; essential if either is.
    pub fn append(&mut self, mut other: Self) {
        self.operations.append(&mut other.operations);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.essential |= other.essential;
    }

    fn push(&mut self, space: Space, mut key: Vec<u8>, value: Option<Vec<u8>>) {
        key.insert(0, space.0);
        self.push_full(Operation { key, value });
    }

    /// Adds a change whose key already has its space.
    pub(super) fn push_full(&mut self, operation: Operation) {
        let bytes = operation.key.len() + operation.value.as_ref().map_or(0, Vec::len);
        self.bytes = self.bytes.saturating_add(bytes);
        self.operations.push(operation);
    }

    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the batch may use the free-space reserve. Pure removal may, as the way out of a
    /// full disk.
    pub(super) fn may_use_reserve(&self) -> bool {
        self.essential || self.operations.iter().all(|operation| operation.value.is_none())
    }

    /// Replaces every value by what `change` makes of it, given its full key.
    pub(super) fn map_values(mut self, change: impl Fn(&[u8], Vec<u8>) -> Vec<u8>) -> Self {
        for operation in &mut self.operations {
            operation.value = operation.value.take().map(|value| change(&operation.key, value));
        }
        self
    }

    pub(super) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Refuses what breaks a limit, before anything is queued.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.bytes > MAX_BATCH_BYTES || self.operations.len() > MAX_BATCH_OPERATIONS {
            return Err(StoreError::BatchTooLarge { bytes: self.bytes, operations: self.operations.len() });
        }
        for Operation { key, value } in &self.operations {
            if key.len() > MAX_KEY_BYTES + 1 {
                return Err(StoreError::KeyTooLong { length: key.len() - 1 });
            }
            if let Some(length) = value.as_ref().map(Vec::len).filter(|length| *length > MAX_VALUE_BYTES) {
                return Err(StoreError::ValueTooLarge { length });
            }
        }
        Ok(())
    }
}
