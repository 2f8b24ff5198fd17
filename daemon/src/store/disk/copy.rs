//! Copying the tree into a snapshot while commits go on: page by page, then what changed meanwhile,
//! in rounds that get shorter, the last one with commits held up.

use std::{collections::BTreeSet, ops::Bound};

use super::{StoreError, TALLY_KEY, snapshot::Writer, tree::Tree};
use crate::store::Direction;

/// Entries copied while commits are held up.
const PAGE: usize = 256;
/// Changed keys after which the chase ends.
const FEW_CHANGES: usize = 512;
/// Most rounds of chasing, so that a snapshot ends under any load.
const MAX_ROUNDS: usize = 16;

/// Writes the state of the moment at which this returns. One at a time.
pub(super) fn copy(tree: &Tree, writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let changes = Changes::watch(tree);
    let mut after = TALLY_KEY.to_vec();
    loop {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let page = tree.scan(range, Direction::Ascending, PAGE)?;
        for (key, value) in &page {
            writer.put(key, value)?;
        }
        let Some((last, _)) = page.into_iter().next_back() else { break };
        after = last;
    }
    changes.copy_all(writer)
}

/// The keys changed since a snapshot began; noting ends when this is dropped.
struct Changes<'a> {
    tree: &'a Tree,
}

impl<'a> Changes<'a> {
    fn watch(tree: &'a Tree) -> Self {
        tree.watch().changed = Some(BTreeSet::new());
        Self { tree }
    }

    /// Appends the present state of every changed key, until none is left.
    fn copy_all(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        for _ in 0..MAX_ROUNDS {
            // Between batches: the keys of one are noted before they are changed.
            let still = self.tree.hold_still();
            let keys = self.take();
            if keys.len() <= FEW_CHANGES {
                return self.copy(&keys, writer);
            }
            drop(still);
            self.copy(&keys, writer)?;
        }
        let _still = self.tree.hold_still();
        self.copy(&self.take(), writer)
    }

    fn take(&self) -> BTreeSet<Vec<u8>> {
        self.tree.watch().changed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn copy(&self, keys: &BTreeSet<Vec<u8>>, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        for key in keys {
            match self.tree.get(key)? {
                Some(value) => writer.put(key, &value)?,
                None => writer.delete(key)?,
            }
        }
        Ok(())
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        self.tree.watch().changed = None;
    }
}
