//! What became of the environments' locks: every version with who moved it, when and why.

use std::collections::BTreeSet;

use wherry_daemon::store::{Direction, record};
use wherry_domain::{lock::Lock, name::Name};
use wherry_trust::chain::Level;

use super::{Ledger, Refusal, Turn};
use crate::model::{DEFINITIONS, LockChange, Moved, SCHEMA};

/// Versions of a lock that are kept for people.
const KEPT: usize = 200;
/// Who moves locks that nobody asked for.
const CONTROLLER: &str = "controller";

impl Ledger {
    /// Versions of an environment's lock, newest first; of one connector only those that changed it.
    ///
    /// # Errors
    /// If there is no such environment, or it never used the connector.
    pub async fn lock_history(&self, environment: Name, connector: Option<Name>) -> Result<Vec<LockChange>, Refusal> {
        self.act(move |turn| {
            turn.environment(&environment)?;
            let mut all = turn.lock_changes(&environment)?;
            all.retain(|change| {
                connector.as_ref().is_none_or(|name| change.changes.iter().any(|moved| moved.connector == *name))
            });
            match connector {
                Some(name) if all.is_empty() && !turn.uses(&environment, &name) => Err(unused(&environment, &name)),
                Some(_) | None => Ok(all),
            }
        })
        .await
    }
}

/// That an environment has nothing to do with a connector.
pub(super) fn unused(environment: &Name, connector: &Name) -> Refusal {
    let message = format!(
        "environment {environment} uses no connector {connector}: see wherry connector list --environment {environment}"
    );
    Refusal::not_found("lock.connector_missing", message)
}

fn prefix(environment: &Name) -> String {
    format!("lock-history/{environment}/")
}

fn key(environment: &Name, version: u64) -> String {
    // Twenty digits, so that keys sort as their numbers do.
    format!("{environment}/{version:020}")
}

impl Turn<'_> {
    /// A lock is in force from now on.
    pub(super) fn remember_lock(&mut self, before: Option<&Lock>, after: &Lock, level: Level) {
        let environment = after.environment.clone();
        let change = LockChange {
            environment: environment.clone(),
            version: after.version,
            at_ms: self.wall_ms,
            who: CONTROLLER.to_owned(),
            why: if before.is_some() { "what the deployments use" } else { "the first lock" }.to_owned(),
            level,
            mode: after.mode,
            changes: changes(before, after),
        };
        self.define("lock-history", &key(&environment, after.version), &change);
        self.newest_change = Some(change);
        let old = self.store.scan(DEFINITIONS, prefix(&environment).as_bytes(), None, Direction::Descending, KEPT + 8);
        for (key, _) in old.into_iter().flatten().skip(KEPT - 1) {
            self.delete(DEFINITIONS, key);
        }
        self.superseded(after);
    }

    /// Says who moved the lock just now, and why.
    pub(super) fn explain_lock(&mut self, who: &str, why: &str) {
        let Some(mut change) = self.newest_change.take() else { return };
        change.who = who.to_owned();
        change.why = why.to_owned();
        let shown = change.changes.iter().map(shown).collect::<Vec<_>>().join(", ");
        self.audit(who, "lock.move", change.environment.as_str(), &format!("{} {shown}: {why}", change.version));
        self.define("lock-history", &key(&change.environment, change.version), &change);
    }

    /// Whether the lock of an environment names a connector, if only on trial.
    fn uses(&self, environment: &Name, connector: &Name) -> bool {
        let lock = self.lock_of(environment);
        lock.is_some_and(|lock| lock.connectors.contains_key(connector) || lock.trials.contains_key(connector))
    }

    pub(super) fn lock_changes(&self, environment: &Name) -> Result<Vec<LockChange>, Refusal> {
        let page = self.store.scan(DEFINITIONS, prefix(environment).as_bytes(), None, Direction::Descending, KEPT);
        let page = page.map_err(|error| Refusal::read(&error))?;
        let all = page.iter().map(|(_, bytes)| record::decode(SCHEMA, bytes)).collect::<Result<Vec<_>, _>>();
        all.map_err(|error| Refusal::read(&error))
    }
}

fn shown(moved: &Moved) -> String {
    let version = |version: Option<&semver::Version>| version.map_or_else(|| "none".to_owned(), ToString::to_string);
    let trial = moved.trial.as_ref().map(|trial| format!(", trying {trial}")).unwrap_or_default();
    let pinned = if moved.pinned { ", pinned" } else { "" };
    let (from, to) = (version(moved.from.as_ref()), version(moved.to.as_ref()));
    format!("{} {from} to {to}{trial}{pinned}", moved.connector)
}

fn changes(before: Option<&Lock>, after: &Lock) -> Vec<Moved> {
    let locks = [before, Some(after)].into_iter().flatten();
    let names: BTreeSet<&Name> = locks.flat_map(|lock| lock.connectors.keys().chain(lock.trials.keys())).collect();
    let of = |name: &Name| {
        let old = before.and_then(|lock| lock.connectors.get(name));
        let new = after.connectors.get(name);
        let (tried, trial) = (before.and_then(|lock| lock.trials.get(name)), after.trials.get(name));
        (old != new || tried != trial).then(|| Moved {
            connector: name.clone(),
            from: old.map(|locked| locked.version.clone()),
            to: new.map(|locked| locked.version.clone()),
            trial: trial.map(|locked| locked.version.clone()),
            pinned: new.is_some_and(|locked| locked.pinned),
        })
    };
    names.into_iter().filter_map(of).collect()
}
