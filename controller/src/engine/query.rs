//! Lists of runs, their logs, and the audit.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use wherry_daemon::store::{Direction, Space, record};
use wherry_domain::{
    id::{EnvironmentId, RunId},
    name::Name,
    run::{Outcome, State as RunState},
};

use super::{Ledger, Refusal, Turn};
use crate::model::{AUDIT, AuditEntry, HISTORY, RunRecord, SCHEMA};

/// Runs looked at for one page: a filter that matches little gives a short page and a cursor.
const SCANNED: usize = 5_000;
/// Finished runs read at once.
const READ: usize = 200;

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

/// Every word of [`state_word`].
pub const STATES: [&str; 6] = ["queued", "leased", "unknown", "succeeded", "failed", "cancelled"];

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
        let older = before.map_or(Bound::Unbounded, Bound::Excluded);
        let mut active = self.state.runs.range((Bound::Unbounded, older)).rev().map(|(id, _)| *id).peekable();
        let mut history = History { turn: self, page: VecDeque::new(), after: before };
        let (mut items, mut last) = (Vec::new(), None);
        for _ in 0..SCANNED {
            let (waiting, over) = (active.peek().copied(), history.peek()?);
            // Both are in order, so the newer of their heads is the next of all.
            let record = match waiting.filter(|waiting| over.is_none_or(|over| over < *waiting)) {
                Some(waiting) => active.next().map(|_| self.run(waiting)).transpose()?,
                None => history.page.pop_front(),
            };
            let Some(record) = record else { return Ok(Page { items, next: None }) };
            if items.len() == limit {
                return Ok(Page { items, next: last });
            }
            last = Some(record.spec.id);
            if matches(filter, environment, &record) {
                items.push(record);
            }
        }
        Ok(Page { items, next: last })
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

/// Finished runs, newest first, read as they are needed.
struct History<'a, 'b> {
    turn: &'a Turn<'b>,
    page: VecDeque<RunRecord>,
    after: Option<RunId>,
}

impl History<'_, '_> {
    fn peek(&mut self) -> Result<Option<RunId>, Refusal> {
        if self.page.is_empty() {
            let after = self.after.map(RunId::to_bytes);
            self.page = self.turn.page(HISTORY, after.as_ref().map(<[u8; 16]>::as_slice), READ)?.into();
            self.after = self.page.back().map(|record| record.spec.id).or(self.after);
        }
        Ok(self.page.front().map(|record| record.spec.id))
    }
}

fn matches(filter: &RunFilter, environment: Option<EnvironmentId>, record: &RunRecord) -> bool {
    environment.is_none_or(|id| id == record.spec.environment)
        && filter.operation.as_ref().is_none_or(|name| *name == record.spec.operation)
        && filter.state.as_ref().is_none_or(|word| word == state_word(&record.stored.state))
}
