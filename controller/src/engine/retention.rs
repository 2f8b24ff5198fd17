//! Forgetting what is old: finished runs with their logs and late results, and idempotency keys.

use std::time::Duration;

use wherry_daemon::store::{Direction, record};
use wherry_domain::id::RunId;

use super::Turn;
use crate::model::{HISTORY, KEYS, LATE, LOGS, RunRecord, SCHEMA};

/// Time between sweeps when there is nothing left to do.
const PAUSE: Duration = Duration::from_secs(600);
/// Time between sweeps while there is.
const BUSY: Duration = Duration::from_millis(200);
/// Runs forgotten in one sweep: the writer has other work.
const PORTION: usize = 200;
/// How long an idempotency key is kept.
const KEEP_KEYS_MS: u64 = 24 * 3_600 * 1_000;

impl Turn<'_> {
    /// Forgets the oldest runs that are past their time.
    pub(super) fn sweep(&mut self) {
        let swept = self.sweep_runs() + self.sweep_keys();
        self.state.next_sweep = self.now.plus(if swept >= PORTION { BUSY } else { PAUSE });
    }

    fn sweep_runs(&mut self) -> usize {
        let keep = u64::try_from(self.state.settings.keep_runs.as_millis()).unwrap_or(u64::MAX);
        let horizon = self.wall_ms.saturating_sub(keep);
        let Ok(page) = self.store.scan(HISTORY, &[], None, Direction::Ascending, PORTION) else { return 0 };
        let old = page.iter().filter_map(|(_, bytes)| record::decode::<RunRecord>(SCHEMA, bytes).ok());
        let old: Vec<RunRecord> = old.take_while(|run| run.finished_ms.is_some_and(|at| at < horizon)).collect();
        for run in &old {
            self.forget(run.spec.id);
        }
        old.len()
    }

    fn forget(&mut self, run: RunId) {
        self.batch.delete(HISTORY, run.to_bytes());
        for space in [LOGS, LATE] {
            let keys = self.store.scan(space, &run.to_bytes(), None, Direction::Ascending, 1_000);
            for (key, _) in keys.into_iter().flatten() {
                self.batch.delete(space, key);
            }
        }
    }

    /// Keys name runs by id, which begins with the time of submission.
    fn sweep_keys(&mut self) -> usize {
        let horizon = self.wall_ms.saturating_sub(KEEP_KEYS_MS);
        let Ok(page) = self.store.scan(KEYS, &[], None, Direction::Ascending, PORTION * 10) else { return 0 };
        let mut swept = 0;
        for (key, bytes) in page {
            let submitted = super::submit::key_submitted_ms(&bytes);
            if submitted.is_some_and(|at| at < horizon) && swept < PORTION {
                self.batch.delete(KEYS, key);
                swept += 1;
            }
        }
        swept
    }
}
