//! Forgetting what is old: finished runs with their logs and late results, and idempotency keys.

use std::time::Duration;

use wherry_daemon::store::{Direction, record};
use wherry_domain::id::RunId;

use super::{Turn, submit::StoredKey};
use crate::model::{HISTORY, KEYS, LATE, LOGS, RunRecord, SCHEMA};

/// Time between sweeps when there is nothing left to do.
const PAUSE: Duration = Duration::from_secs(600);
/// Time between sweeps while there is.
const BUSY: Duration = Duration::from_millis(200);
/// Runs forgotten in one sweep: the writer has other work.
const PORTION: usize = 200;
/// Keys looked at in one sweep.
const KEYS_AT_ONCE: usize = 2_000;
/// How long an idempotency key is kept.
const KEEP_KEYS_MS: u64 = 24 * 3_600 * 1_000;

impl Turn<'_> {
    /// Forgets the oldest runs that are past their time, and looks at some of the keys.
    pub(super) fn sweep(&mut self) {
        self.sweep_throttles();
        let more = self.sweep_runs() | self.sweep_keys();
        self.state.next_sweep = self.now.plus(if more { BUSY } else { PAUSE });
    }

    /// Tells whether there may be more.
    fn sweep_runs(&mut self) -> bool {
        let keep = u64::try_from(self.state.settings.keep_runs.as_millis()).unwrap_or(u64::MAX);
        let horizon = self.wall_ms.saturating_sub(keep);
        let Ok(page) = self.store.scan(HISTORY, &[], None, Direction::Ascending, PORTION) else { return false };
        let old = page.iter().filter_map(|(_, bytes)| record::decode::<RunRecord>(SCHEMA, bytes).ok());
        let old: Vec<RunRecord> = old.take_while(|run| run.finished_ms.is_some_and(|at| at < horizon)).collect();
        for run in &old {
            if self.is_long() {
                return true;
            }
            self.forget(run.spec.id);
            self.seam();
        }
        old.len() == PORTION
    }

    fn forget(&mut self, run: RunId) {
        self.delete(HISTORY, run.to_bytes());
        for space in [LOGS, LATE] {
            let keys = self.store.scan(space, &run.to_bytes(), None, Direction::Ascending, 1_000);
            for (key, _) in keys.into_iter().flatten() {
                self.delete(space, key);
            }
        }
    }

    /// Keys are in no order of time, so all of them are looked at, some in each sweep. Tells whether
    /// this round is not over.
    fn sweep_keys(&mut self) -> bool {
        let horizon = self.wall_ms.saturating_sub(KEEP_KEYS_MS);
        let after = self.state.swept_to.take();
        let page = self.store.scan(KEYS, &[], after.as_deref(), Direction::Ascending, KEYS_AT_ONCE);
        let Ok(page) = page else { return false };
        if page.len() == KEYS_AT_ONCE {
            self.state.swept_to = page.last().map(|(key, _)| key.clone());
        }
        for (key, bytes) in page {
            if record::decode::<StoredKey>(SCHEMA, &bytes).is_ok_and(|stored| stored.at_ms < horizon) {
                self.delete(KEYS, key);
            }
        }
        self.seam();
        self.state.swept_to.is_some()
    }
}
