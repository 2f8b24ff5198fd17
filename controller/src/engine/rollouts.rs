//! Canaries: feeding their machines with how attempts ended, and moving the lock when they say so.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use wherry_daemon::clock::Clock;
use wherry_domain::{
    failure::Code,
    fence::Fence,
    id::{AgentId, RunId},
    lock::Lock,
    name::Name,
    rollout::{Effect, Event, Observed, Reason, Rollout, Side, Stored, Terms, Verdict},
    run::Outcome,
    time::Timestamp,
};
use wherry_proto::frame::{Ending, HoldingState, Inventory, Report};

use super::{Refusal, Turn, state::AgentState};
use crate::model::RolloutRecord;

/// When a settled canary whose lock could not be moved is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// Codes of an agent that say that a connector broke its box, or cannot be brought into one.
const BROKE: [&str; 3] = ["sandbox.", "worker.", "connector.descriptor_mismatch"];
/// Codes of a box that say nothing about the connector: a person asked, or the system outside is slow.
const NOT_ITS_FAULT: [&str; 3] = ["sandbox.cancelled", "sandbox.time_limit", "worker.start_failed"];

/// Which canary.
pub(super) type Place = (Name, Name);

/// A canary, under way or the last one of its connector.
pub(super) struct Canary {
    pub(super) record: RolloutRecord,
    machine: Rollout,
    /// It is settled, and the lock does not say so yet.
    owed: Option<Timestamp>,
}

/// Puts what is stored in place.
pub(super) fn load(records: Vec<RolloutRecord>, clock: &Clock) -> BTreeMap<Place, Canary> {
    let now = clock.now();
    let canary = |record: RolloutRecord| {
        let machine = Rollout::restored(record.stored.clone(), now);
        // The decision may have been stored and the lock not: look at once.
        let owed = machine.settled().map(|_| now);
        ((record.environment.clone(), record.connector.clone()), Canary { record, machine, owed })
    };
    records.into_iter().map(canary).collect()
}

impl Canary {
    pub(super) fn is_under_way(&self) -> bool {
        self.machine.settled().is_none()
    }

    /// The version that it took back; none if it went on, or the lock moved past it.
    pub(super) fn taken_back(&self) -> Option<&semver::Version> {
        let (verdict, reason) = self.machine.settled()?;
        (*verdict == Verdict::Back && *reason != Reason::Superseded).then_some(&self.record.to)
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.owed.or_else(|| self.machine.deadline())
    }

    /// A person decided, and moved the lock already.
    pub(super) fn by_hand(&mut self, verdict: Verdict, wall_ms: u64, now: Timestamp) {
        let settled = Some((verdict, Reason::Asked));
        self.machine = Rollout::restored(Stored { settled, ..self.machine.stored(now) }, now);
        self.record.settled_ms = Some(wall_ms);
        self.owed = None;
    }

    /// As it stands.
    pub(super) fn shown(&self, now: Timestamp) -> RolloutRecord {
        RolloutRecord { stored: self.machine.stored(now), ..self.record.clone() }
    }
}

impl Turn<'_> {
    /// Begins a canary of what the lock says is on trial.
    pub(super) fn begin_rollout(
        &mut self,
        who: &str,
        lock: &Lock,
        connector: &Name,
        terms: Terms,
    ) -> Result<(), Refusal> {
        let missing = || {
            Refusal::conflict(
                "lock.overtaken",
                "the lock that was signed tries nothing: ask for the change again and sign that",
            )
        };
        let from = lock.connectors.get(connector).ok_or_else(missing)?.version.clone();
        let to = lock.trials.get(connector).ok_or_else(missing)?.version.clone();
        let machine = Rollout::new(terms, self.now);
        let record = RolloutRecord {
            environment: lock.environment.clone(),
            connector: connector.clone(),
            from,
            to,
            started_by: who.to_owned(),
            started_ms: self.wall_ms,
            settled_ms: None,
            stored: machine.stored(self.now),
        };
        let place = (lock.environment.clone(), connector.clone());
        self.state.rollouts.insert(place.clone(), Canary { record, machine, owed: None });
        self.keep_rollout(&place);
        Ok(())
    }

    /// The lock that an attempt runs under, and the connectors of which it tries the new version.
    pub(super) fn under_lock(&self, run: RunId, agent: AgentId, fence: Fence) -> (u64, Vec<Name>) {
        let none = (0, Vec::new());
        let knows = self
            .state
            .agents
            .get(&agent)
            .and_then(|state| state.session.as_ref())
            .is_some_and(|session| session.catalogue);
        let Some(active) = self.state.runs.get(&run).filter(|_| knows) else { return none };
        let Some(environment) = self.state.environment(active.record.spec.environment) else { return none };
        let Some(lock) = self.lock_of(&environment.name) else { return none };
        (lock.version, self.on_trial(&environment.name, run, fence.attempt()))
    }

    /// The connectors of which an attempt tries the new version.
    fn on_trial(&self, environment: &Name, run: RunId, attempt: u32) -> Vec<Name> {
        let here =
            self.state.rollouts.iter().filter(|((place, _), canary)| place == environment && canary.is_under_way());
        let taken = here.filter(|(_, canary)| canary.record.stored.terms.share.takes(run, attempt));
        taken.map(|((_, connector), _)| connector.clone()).collect()
    }

    /// An attempt ended, for every canary of the connectors that it used.
    pub(super) fn observe(&mut self, report: &Report) {
        if self.state.rollouts.is_empty() {
            return;
        }
        let Some(record) = self.state.runs.get(&report.attempt.run).map(|active| &active.record) else { return };
        let Some(dispatched_ms) = record.dispatched_ms(report.attempt.fence.attempt()) else { return };
        let used: BTreeSet<Name> = record.spec.connections.iter().map(|(_, connector)| connector.clone()).collect();
        let environment = self.state.environment(record.spec.environment).map(|found| found.name.clone());
        let (Some(environment), Some(observed)) = (environment, observed(&report.ending)) else { return };
        for connector in used {
            let place = (environment.clone(), connector);
            // What was under way before is no part of the comparison: it may have run on what an earlier canary tried.
            let canary = self.state.rollouts.get(&place).filter(|canary| dispatched_ms >= canary.record.started_ms);
            if let Some(side) = canary.and_then(|canary| side(&canary.record, report)) {
                self.rollout_event(&place, Event::Attempt { side, observed, took: report.duration });
            }
        }
    }

    /// What agents say that they have of what is on trial.
    pub(super) fn judge_stock(&mut self, agent: AgentId, inventory: &Inventory) {
        let Some(AgentState { agent: record, .. }) = self.state.agents.get(&agent) else { return };
        let group = record.group;
        for stock in &inventory.environments {
            if self.environment(&stock.environment).is_ok_and(|environment| environment.group != group) {
                continue;
            }
            let lock = self.lock_of(&stock.environment).filter(|lock| lock.version == stock.lock_version);
            let Some(lock) = lock else { continue };
            for holding in &stock.holdings {
                let code = match &holding.state {
                    HoldingState::Preparing | HoldingState::Ready => continue,
                    HoldingState::Refused { code, .. } | HoldingState::Quarantined { code, .. } => code.clone(),
                };
                if lock.trials.get(&holding.connector).is_some_and(|trial| trial.wasm == holding.digest) {
                    let place = (stock.environment.clone(), holding.connector.clone());
                    self.rollout_event(&place, Event::Refused { code });
                }
            }
        }
    }

    /// Canaries whose time has come.
    pub(super) fn tick_rollouts(&mut self) {
        let due = self.state.rollouts.iter().filter(|(_, canary)| canary.deadline().is_some_and(|at| at <= self.now));
        for place in due.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            self.rollout_event(&place, Event::Tick);
            self.settle_owed(&place);
        }
    }

    /// The lock moved: canaries of what it does not try any more are over.
    pub(super) fn superseded(&mut self, lock: &Lock) {
        let here = self.state.rollouts.iter().filter(|((environment, _), _)| *environment == lock.environment);
        let gone = here.filter(|((_, connector), canary)| {
            canary.is_under_way() && lock.trials.get(connector).is_none_or(|trial| trial.version != canary.record.to)
        });
        for place in gone.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            self.rollout_event(&place, Event::Superseded);
        }
    }

    /// Takes back what the lock of an environment that is removed tries: made again, it goes on with its lock.
    pub(super) fn drop_trials(&mut self, who: &str, environment: &Name) {
        let Some(lock) = self.lock_of(environment).filter(|lock| !lock.trials.is_empty()) else { return };
        let settled = Lock { trials: BTreeMap::new(), ..lock.as_ref().clone() };
        match self.commit_lock(environment, settled) {
            Ok(_) => self.explain_lock(who, "the environment is removed"),
            Err(refusal) => {
                tracing::error!(%environment, %refusal, "canaries of a removed environment stay in its lock")
            }
        }
    }

    /// Forgets the canaries of an environment that is removed.
    pub(super) fn forget_rollouts(&mut self, environment: &Name) {
        let gone: Vec<Place> = self.state.rollouts.keys().filter(|(place, _)| place == environment).cloned().collect();
        for place in gone {
            self.undefine("rollout", &key(&place));
            self.state.rollouts.remove(&place);
        }
    }

    pub(super) fn rollout_event(&mut self, place: &Place, event: Event) {
        let (now, wall_ms) = (self.now, self.wall_ms);
        let Some(canary) = self.state.rollouts.get_mut(place).filter(|canary| canary.is_under_way()) else { return };
        let effects = canary.machine.on(event, now);
        if canary.machine.settled().is_some() {
            canary.record.settled_ms = Some(wall_ms);
        }
        for Effect::Settle { verdict, reason } in effects {
            tracing::info!(environment = %place.0, connector = %place.1, ?verdict, %reason, "a canary ended");
            canary.owed = Some(now);
        }
        self.keep_rollout(place);
        self.settle_owed(place);
    }

    /// Moves the lock as the canary decided.
    fn settle_owed(&mut self, place: &Place) {
        let now = self.now;
        let Some(canary) = self.state.rollouts.get(place).filter(|canary| canary.owed.is_some_and(|at| at <= now))
        else {
            return;
        };
        let Some((verdict, reason)) = canary.machine.settled().cloned() else { return };
        let to = canary.record.to.clone();
        let why = match verdict {
            Verdict::Everyone => format!("canary of {to} ended: {reason}"),
            Verdict::Back => format!("canary of {to} rolled back: {reason}"),
        };
        let moved = match self.settled_lock(place, verdict, &to) {
            Some(lock) => self.commit_lock(&place.0, lock).map(|_| self.explain_lock("controller", &why)),
            None => Ok(()),
        };
        let owed = moved.err().map(|refusal| {
            tracing::error!(environment = %place.0, connector = %place.1, %refusal, "the lock cannot follow a canary");
            now.plus(AGAIN)
        });
        if let Some(canary) = self.state.rollouts.get_mut(place) {
            canary.owed = owed;
        }
    }

    /// The lock after a canary; none if it says so already.
    fn settled_lock(&self, (environment, connector): &Place, verdict: Verdict, to: &semver::Version) -> Option<Lock> {
        let mut lock = self.lock_of(environment)?.as_ref().clone();
        let trial = lock.trials.remove(connector).filter(|trial| trial.version == *to)?;
        match verdict {
            Verdict::Everyone => lock.connectors.insert(connector.clone(), trial),
            Verdict::Back => None,
        };
        Some(lock)
    }

    pub(super) fn keep_rollout(&mut self, place: &Place) {
        let Some(canary) = self.state.rollouts.get_mut(place) else { return };
        canary.record.stored = canary.machine.stored(self.now);
        let record = canary.record.clone();
        self.define("rollout", &key(place), &record);
    }
}

fn key((environment, connector): &Place) -> String {
    format!("{environment}/{connector}")
}

/// For which side of a canary a result counts; none if the attempt ran on neither version, or never began on any.
fn side(canary: &RolloutRecord, report: &Report) -> Option<Side> {
    let Some(ran) = &report.ran else {
        // An agent that names no versions is taken at its word about the trial, as every one was once; so is the journal
        // of one whose process died in an attempt without a trial.
        return Some(if report.trial.contains(&canary.connector) { Side::New } else { Side::Old });
    };
    let version = &ran.iter().find(|ran| ran.connector == canary.connector)?.version;
    let sides = [(&canary.to, Side::New), (&canary.from, Side::Old)];
    sides.into_iter().find(|(of, _)| *of == version).map(|(_, side)| side)
}

/// What an ending says of a connector; none if it says nothing.
fn observed(ending: &Ending) -> Option<Observed> {
    match ending {
        Ending::Ended(Outcome::Succeeded) => Some(Observed::Succeeded),
        Ending::Ended(Outcome::Cancelled) => None,
        Ending::Ended(Outcome::Failed(failure)) => {
            Some(if broke(&failure.code) { Observed::Broke } else { Observed::Failed })
        }
        // The process died: that may be the connector's doing as well as anything else's.
        Ending::Interrupted => Some(Observed::Failed),
    }
}

fn broke(code: &Code) -> bool {
    BROKE.iter().any(|start| code.as_str().starts_with(start)) && !NOT_ITS_FAULT.contains(&code.as_str())
}
