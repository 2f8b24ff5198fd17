//! Lists of runs, their logs, and the audit.

use std::collections::BTreeMap;

use wherry_daemon::store::{Direction, Space, StoreError, record};
use wherry_domain::{
    id::{EnvironmentId, RunId},
    name::Name,
    run::{Outcome, State as RunState},
};

use super::{Ledger, Refusal, Turn};
use crate::model::{AUDIT, AuditEntry, HISTORY, LOGS, LogEntry, RunRecord, SCHEMA};

/// Runs looked at for one page: a filter that matches little gives a short page and a cursor.
const SCANNED: usize = 5_000;

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this environment.
    pub environment: Option<Name>,
    /// Of this operation.
    pub operation: Option<Name>,
    /// In this state, a word of [`state_word`].
    pub state: Option<String>,
}

/// Part of a list, with where the next part begins.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The items.
    pub items: Vec<T>,
    /// Give this to get the next part; there is none if absent.
    pub next: Option<C>,
}

/// Counts by word.
pub type Totals = BTreeMap<&'static str, usize>;

/// The word for where a run is.
pub const fn state_word(state: &RunState) -> &'static str {
    match state {
        RunState::Queued { .. } => "queued",
        RunState::Leased { .. } => "leased",
        RunState::Unknown { .. } => "unknown",
        RunState::Finished { outcome: Outcome::Succeeded } => "succeeded",
        RunState::Finished { outcome: Outcome::Failed(_) } => "failed",
        RunState::Finished { outcome: Outcome::Cancelled } => "cancelled",
    }
}

impl Ledger {
    /// A run.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn run(&self, run: RunId) -> Result<RunRecord, Refusal> {
        self.act(move |turn| turn.run(run)).await
    }

    /// Agents by state, and runs that are not over by state.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn totals(&self) -> Result<(Totals, Totals), Refusal> {
        let mut agents = Totals::new();
        for view in self.agents().await? {
            *agents.entry(view.state).or_default() += 1;
        }
        let runs = self.act(|turn| {
            let mut runs = Totals::new();
            for active in turn.state.runs.values() {
                *runs.entry(state_word(active.machine.state())).or_default() += 1;
            }
            Ok(runs)
        });
        Ok((agents, runs.await?))
    }

    /// Runs, newest first, older than `before`.
    ///
    /// # Errors
    /// If the environment is not known or the store cannot be read.
    pub async fn runs(
        &self,
        filter: RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Page<RunRecord, RunId>, Refusal> {
        self.act(move |turn| turn.list_runs(&filter, before, limit)).await
    }

    /// Log lines of a run after the first `after`, with the number of each.
    ///
    /// # Errors
    /// If there is no such run or the store cannot be read.
    pub async fn logs(
        &self,
        run: RunId,
        after: usize,
        limit: usize,
    ) -> Result<Page<(usize, LogEntry), usize>, Refusal> {
        self.act(move |turn| {
            turn.run(run)?;
            let lines = turn.log_lines(run).map_err(|error| Refusal::read(&error))?;
            let all = lines.len();
            let items: Vec<_> =
                lines.into_iter().enumerate().map(|(n, line)| (n + 1, line)).skip(after).take(limit).collect();
            let next = items.last().map(|(n, _)| *n).filter(|n| *n < all);
            Ok(Page { items, next })
        })
        .await
    }

    /// The audit, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn audit(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry, u64>, Refusal> {
        self.act(move |turn| {
            let after = before.map(u64::to_be_bytes);
            let found = turn.page(AUDIT, after.as_ref().map(<[u8; 8]>::as_slice), limit)?;
            let items: Vec<AuditEntry> = found;
            let next = (items.len() == limit).then(|| items.last().map(|entry| entry.n)).flatten().filter(|n| *n > 1);
            Ok(Page { items, next })
        })
        .await
    }
}

impl Turn<'_> {
    fn list_runs(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Page<RunRecord, RunId>, Refusal> {
        let environment =
            filter.environment.as_ref().map(|name| self.environment(name).map(|found| found.id)).transpose()?;
        let wanted = |record: &RunRecord| matches(filter, environment, record);
        let active = self.state.runs.iter().rev().filter(|(id, _)| before.is_none_or(|before| **id < before));
        let mut found: Vec<RunRecord> = Vec::new();
        for (id, _) in active.take(SCANNED) {
            found.push(self.run(*id)?);
        }
        let mut after = before.map(RunId::to_bytes);
        let mut scanned = 0;
        let mut oldest = None;
        while scanned < SCANNED && found.iter().filter(|record| wanted(record)).count() <= limit {
            let page: Vec<RunRecord> = self.page(HISTORY, after.as_ref().map(<[u8; 16]>::as_slice), 200)?;
            let Some(last) = page.last() else {
                oldest = None;
                break;
            };
            scanned += page.len();
            oldest = Some(last.spec.id);
            after = Some(last.spec.id.to_bytes());
            found.extend(page);
        }
        // Active and finished runs interleave by id; below the oldest finished one seen, active
        // ones belong to the next page.
        found.retain(|record| wanted(record) && oldest.is_none_or(|oldest| record.spec.id >= oldest));
        found.sort_by_key(|record| std::cmp::Reverse(record.spec.id));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = if more { found.last().map(|record| record.spec.id) } else { oldest };
        Ok(Page { items: found, next })
    }

    fn log_lines(&self, run: RunId) -> Result<Vec<LogEntry>, StoreError> {
        let chunks = self.store.scan(LOGS, &run.to_bytes(), None, Direction::Ascending, 1_000)?;
        let mut lines = Vec::new();
        for (_, bytes) in chunks {
            lines.extend(record::decode::<Vec<LogEntry>>(SCHEMA, &bytes)?);
        }
        Ok(lines)
    }

    /// Records of a space, newest first.
    fn page<T: serde::de::DeserializeOwned>(
        &self,
        space: Space,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<T>, Refusal> {
        let page = self.store.scan(space, &[], after, Direction::Descending, limit);
        let page = page.map_err(|error| Refusal::read(&error))?;
        let decoded = page.iter().map(|(_, bytes)| record::decode(SCHEMA, bytes)).collect::<Result<_, _>>();
        decoded.map_err(|error| Refusal::read(&error))
    }
}

fn matches(filter: &RunFilter, environment: Option<EnvironmentId>, record: &RunRecord) -> bool {
    environment.is_none_or(|id| id == record.spec.environment)
        && filter.operation.as_ref().is_none_or(|name| *name == record.spec.operation)
        && filter.state.as_ref().is_none_or(|word| word == state_word(&record.stored.state))
}
