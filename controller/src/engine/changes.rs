//! What a turn changes on disk, cut into commits that the store takes.
//!
//! Everything between two seams is durable together or not at all: a run with the operation that
//! follows from it, an act with its entry in the audit. At a seam a commit may be closed, so that
//! no burst of work outgrows it. Nothing of a turn is seen outside before the last of its commits,
//! so its first ones alone are as if the rest had not been asked yet.

use serde::Serialize;
use wherry_daemon::store::{Batch, MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, Space, record};
use wherry_domain::{effects::SideEffects, id::RunId, run::State as RunState};

use super::{Turn, state::ActiveRun};
use crate::model::{ACTIVE, DEFINITIONS, HISTORY, SCHEMA};

/// A commit of this many bytes is closed at the next seam; the largest single decision, a result
/// with all the log a frame can carry, fits beside it.
const COMMIT_BYTES: usize = MAX_BATCH_BYTES / 4;
/// As [`COMMIT_BYTES`]; the largest single decision forgets a run with all its log.
const COMMIT_CHANGES: usize = MAX_BATCH_OPERATIONS / 4;
/// Commits after which a turn leaves what can wait to the next one.
const LONG: usize = 8;
/// Key and envelope of a record, roughly, in bytes.
const WRAPPING: usize = 64;

/// The commits of a turn.
#[derive(Default)]
pub(super) struct Changes {
    closed: Vec<Batch>,
    open: Batch,
    bytes: usize,
    /// Something changed that may not be seen outside before it is durable.
    waits: bool,
    /// Changed runs, encoded when the commit is closed, with what that will take.
    runs: std::collections::BTreeMap<RunId, usize>,
}

impl Changes {
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }
}

impl Turn<'_> {
    /// Stores a definition under `kind/key`.
    pub(super) fn define<T: Serialize>(&mut self, kind: &str, key: &str, value: &T) {
        self.put(DEFINITIONS, format!("{kind}/{key}"), value);
    }

    /// Removes a definition.
    pub(super) fn undefine(&mut self, kind: &str, key: &str) {
        self.delete(DEFINITIONS, format!("{kind}/{key}"));
    }

    /// Stores a record. One that cannot be encoded is a defect that would lose data, so it fails
    /// the whole turn.
    pub(super) fn put<T: Serialize>(&mut self, space: Space, key: impl Into<Vec<u8>>, value: &T) {
        self.changes.waits = true;
        self.keep(space, key, value);
    }

    /// As [`Turn::put`], of something that belongs to a run.
    pub(super) fn put_of<T: Serialize>(&mut self, run: RunId, space: Space, key: impl Into<Vec<u8>>, value: &T) {
        self.changes.waits |= self.run_waits(run);
        self.keep(space, key, value);
    }

    /// Whether what becomes of the run may only be seen once it is durable.
    fn run_waits(&self, run: RunId) -> bool {
        let reads = |active: &ActiveRun| active.machine.side_effects() == SideEffects::Read;
        !self.state.runs.get(&run).is_some_and(|active| active.record.spec.action.is_some() && reads(active))
    }

    fn keep<T: Serialize>(&mut self, space: Space, key: impl Into<Vec<u8>>, value: &T) {
        match record::encode(SCHEMA, value) {
            Ok(bytes) => {
                self.changes.bytes += bytes.len() + WRAPPING;
                self.changes.open.put(space, key, bytes);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// Removes a record.
    pub(super) fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.changes.waits = true;
        self.changes.bytes += WRAPPING;
        self.changes.open.delete(space, key);
    }

    /// The run is not what is stored of it.
    pub(super) fn changed(&mut self, run: RunId) {
        let Some(active) = self.state.runs.get(&run) else { return };
        let weight = active.weight();
        let before = self.changes.runs.insert(run, weight).unwrap_or_default();
        self.changes.bytes = self.changes.bytes.saturating_add(weight).saturating_sub(before);
    }

    pub(super) fn is_changed(&self, run: RunId) -> bool {
        self.changes.runs.contains_key(&run) || self.over.contains(&run)
    }

    /// One decision ends here and the next one does not depend on it.
    pub(super) fn seam(&mut self) {
        let changes = &self.changes;
        if changes.bytes >= COMMIT_BYTES || changes.open.len() + 2 * changes.runs.len() >= COMMIT_CHANGES {
            self.close_commit();
        }
    }

    /// Whether the rest, if it can wait, had better wait for the next turn.
    pub(super) const fn is_long(&self) -> bool {
        self.changes.closed.len() >= LONG
    }

    /// Every commit, in order.
    pub(super) fn commits(&mut self) -> Vec<Batch> {
        self.close_commit();
        std::mem::take(&mut self.changes.closed)
    }

    fn close_commit(&mut self) {
        for (run, _) in std::mem::take(&mut self.changes.runs) {
            self.store_run(run);
        }
        let batch = std::mem::take(&mut self.changes.open);
        self.changes.bytes = 0;
        if !batch.is_empty() {
            self.changes.closed.push(batch);
        }
    }

    fn store_run(&mut self, run: RunId) {
        self.changes.waits |= self.run_waits(run);
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        active.record.stored = active.machine.stored();
        let over = matches!(active.machine.state(), RunState::Finished { .. });
        let space = if over { HISTORY } else { ACTIVE };
        match record::encode(SCHEMA, &active.record) {
            Ok(bytes) => self.changes.open.put(space, run.to_bytes(), bytes),
            Err(error) => self.error = Some(error),
        }
        if over {
            self.changes.open.delete(ACTIVE, run.to_bytes());
            self.over.insert(run);
        } else {
            self.show(run);
        }
    }
}
