//! Runs: feeding events to their machines and doing what the machines say.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use wherry_daemon::store::record;
use wherry_domain::{
    fence::Fence,
    id::{AgentId, RunId},
    name::Name,
    run::{Effect, Event, Outcome, Reason, State as RunState},
};
use wherry_proto::frame::{Attempt, FromController, Offer};

use super::{Ledger, Refusal, Turn, seats, state::ActiveRun, submit::repeatable};
use crate::model::{ACTIVE, HISTORY, Happened, RunRecord, RunSpec, SCHEMA};

/// How a run can be followed.
pub enum Watch {
    /// It is over.
    Over(Box<RunRecord>),
    /// Each change of it, the last one with a final state.
    Live(watch::Receiver<Arc<RunRecord>>),
}

impl Turn<'_> {
    /// Something happened to a run.
    pub(super) fn event(&mut self, run: RunId, event: Event) {
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        let before = active.machine.stored();
        let effects = active.machine.on(event, self.now);
        let after = active.machine.stored();
        if after.state != before.state {
            self.moved(run, &before.state, &after.state);
        }
        if after != before || !effects.is_empty() {
            self.changed(run);
        }
        for effect in effects {
            self.perform(run, effect);
            self.changed(run);
        }
    }

    /// Keeps true what is known of the agent that held the run, or may have done it.
    fn moved(&mut self, run: RunId, before: &RunState, after: &RunState) {
        let holder = |state: &RunState| if let RunState::Leased { agent, .. } = state { Some(*agent) } else { None };
        if let Some(agent) = holder(before).filter(|agent| holder(after) != Some(*agent)) {
            self.release(run, agent);
        }
        self.track_unknown(run, before, after);
    }

    pub(super) fn perform(&mut self, run: RunId, effect: Effect) {
        match effect {
            Effect::Offer { agent, fence } => self.offer(run, agent, fence),
            Effect::AskCancel { agent, fence } => {
                self.happened(run, "cancel_asked", Some(agent), Some(Reason::Asked));
                self.frame(agent, FromController::Cancel(Attempt { run, fence }));
            }
            Effect::Requeue { due, reason } => {
                self.happened(run, "requeued", None, Some(reason));
                let Some(active) = self.state.runs.get(&run) else { return };
                let spec = &active.record.spec;
                let lane = seats::lane(spec, self.state);
                if let Some(group) = self.state.groups.get_mut(&spec.group) {
                    group.queue.push(lane, run, due, spec.synchronous);
                }
                self.state.touched.insert(spec.group);
                self.give_up_action(run);
            }
            Effect::Hold { reason } => {
                self.happened(run, "held", None, Some(reason));
                self.action_held(run);
            }
            Effect::Settle => self.settled(run),
            Effect::KeepLate { fence: _ } => {
                self.happened(run, "late_result", None, None);
                if let Some(active) = self.state.runs.get_mut(&run) {
                    active.record.late_results = active.record.late_results.saturating_add(1);
                }
            }
        }
    }

    fn offer(&mut self, run: RunId, agent: AgentId, fence: Fence) {
        self.happened(run, "dispatched", Some(agent), None);
        let (wall_ms, now, states) = (self.wall_ms, self.now, self.memories_of(run));
        let (lock_version, trial) = self.under_lock(run, agent, fence);
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        active.record.agent = Some(agent);
        active.record.started_ms.get_or_insert(wall_ms);
        let spec = &active.record.spec;
        let offer = Offer {
            attempt: Attempt { run, fence },
            deployment: spec.snapshot,
            operation: offered_as(run, spec),
            variables: spec.variables.as_ref().map(|raw| raw.get().as_bytes().to_vec()).unwrap_or_default(),
            cursor: active.record.cursor.clone(),
            key: format!("{:032x}", run.as_u128()),
            states,
            lock_version,
            trial,
            side_effects: Some(active.machine.side_effects()),
            action: active.input.as_ref().zip(spec.action.as_ref()).map(|(input, called)| input.action(called, now)),
        };
        if let Some(deadline) = active.machine.deadline() {
            self.state.timers.insert((deadline, run));
        }
        self.frame(agent, FromController::Offer(offer));
    }

    fn settled(&mut self, run: RunId) {
        let wall_ms = self.wall_ms;
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        active.record.finished_ms = Some(wall_ms);
        let group = active.record.spec.group;
        let outcome = match active.machine.state() {
            RunState::Finished { outcome } => outcome.clone(),
            RunState::Queued { .. } | RunState::Leased { .. } | RunState::Unknown { .. } => return,
        };
        if let Some(group) = self.state.groups.get_mut(&group) {
            group.queue.remove(run);
        }
        self.throttle_ended(run);
        self.follow_up(run, &outcome);
    }

    /// Keeps the list of runs that an agent may or may not have done.
    fn track_unknown(&mut self, run: RunId, before: &RunState, after: &RunState) {
        if let RunState::Unknown { agent } = before
            && let Some(state) = self.state.agents.get_mut(agent)
        {
            state.unknown.remove(&run);
        }
        if let RunState::Unknown { agent } = after
            && let Some(state) = self.state.agents.get_mut(agent)
        {
            state.unknown.insert(run);
        }
    }

    /// The agent holds the run no longer: its slot is free again.
    fn release(&mut self, run: RunId, agent: AgentId) {
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        if state.leased.remove(&run) {
            self.open_slots(agent);
        }
    }

    /// Sends a frame to the agent's present session, if it has one.
    pub(super) fn frame(&mut self, agent: AgentId, frame: FromController) {
        if let Some(session) = self.state.agents.get(&agent).and_then(|state| state.session.as_ref()) {
            self.out.frames.push((agent, session.epoch, frame));
        }
    }

    pub(super) fn happened(&mut self, run: RunId, what: &str, agent: Option<AgentId>, reason: Option<Reason>) {
        let at_ms = self.wall_ms;
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        let attempt = active.machine.fence().attempt();
        active.record.happened(Happened { at_ms, what: what.to_owned(), attempt, agent, reason });
    }
}

/// The operation's name. That of an action is one that no operation has, so that an agent that knows no actions refuses
/// it, whatever the caller's alias is called.
fn offered_as(run: RunId, spec: &RunSpec) -> Name {
    let of_action = || format!("action-{:032x}", run.as_u128()).parse().ok();
    spec.action.as_ref().and_then(|_| of_action()).unwrap_or_else(|| spec.operation.clone())
}

impl Ledger {
    /// Follows a run.
    ///
    /// # Errors
    /// If there is no such run.
    pub async fn watch(&self, run: RunId) -> Result<Watch, Refusal> {
        self.act(move |turn| match turn.state.runs.get_mut(&run) {
            Some(active) => {
                let ActiveRun { watch, record, .. } = active;
                let sender = watch.get_or_insert_with(|| watch::Sender::new(Arc::new(record.clone())));
                Ok(Watch::Live(sender.subscribe()))
            }
            None => turn.finished_run(run).map(|record| Watch::Over(Box::new(record))),
        })
        .await
    }

    /// A run, as soon as it is over: at once if it is.
    ///
    /// # Errors
    /// If there is no such run.
    pub async fn finished(&self, run: RunId) -> Result<oneshot::Receiver<Arc<RunRecord>>, Refusal> {
        self.act(move |turn| {
            let record = turn.run(run)?;
            Ok(turn.end_of(&record))
        })
        .await
    }

    /// Cancels a run.
    ///
    /// # Errors
    /// If there is no such run.
    pub async fn cancel(&self, run: RunId, who: String) -> Result<RunRecord, Refusal> {
        self.act(move |turn| {
            if !turn.state.runs.contains_key(&run) {
                return turn.finished_run(run);
            }
            turn.audit(&who, "run.cancel", &run.to_string(), "");
            // Whoever called an action has to know whether it was done.
            let is_action = turn.run(run)?.spec.action.is_some();
            turn.event(run, if is_action { Event::GivenUp } else { Event::CancelAsked });
            turn.run(run)
        })
        .await
    }

    /// Runs an unknown run again, or submits a failed or cancelled one anew.
    ///
    /// # Errors
    /// If there is no such run, it is not over, or it succeeded.
    pub async fn retry(&self, run: RunId, who: String) -> Result<RunRecord, Refusal> {
        self.begin(move |turn| {
            let record = turn.run(run)?;
            match record.stored.state {
                RunState::Unknown { .. } => {
                    repeatable(&record.spec)?;
                    turn.event(run, Event::RetryAsked);
                }
                RunState::Finished { outcome: Outcome::Succeeded } => {
                    let message = format!("{run} has succeeded: submit the operation again if it is to be done again");
                    return Err(Refusal::conflict("run.succeeded", message));
                }
                RunState::Finished { outcome: Outcome::Failed(_) | Outcome::Cancelled } => {
                    let id = turn.again(record, who.clone())?;
                    turn.audit(&who, "run.retry", &run.to_string(), "");
                    return turn.run(id);
                }
                RunState::Queued { .. } | RunState::Leased { .. } => {
                    return Err(Refusal::conflict("run.still_active", format!("{run} is not over: cancel it first")));
                }
            }
            turn.audit(&who, "run.retry", &run.to_string(), "");
            turn.run(run)
        })
        .await
    }
}

impl Turn<'_> {
    /// Resolves once the run is over: at once if it is.
    pub(super) fn end_of(&mut self, record: &RunRecord) -> oneshot::Receiver<Arc<RunRecord>> {
        if let Some(active) = self.state.runs.get_mut(&record.spec.id) {
            return active.wait();
        }
        let (sender, receiver) = oneshot::channel();
        // The receiver is in our hands, so this cannot fail.
        drop(sender.send(Arc::new(record.clone())));
        receiver
    }

    pub(super) fn run(&self, run: RunId) -> Result<RunRecord, Refusal> {
        match self.state.runs.get(&run) {
            Some(active) => {
                let mut record = active.record.clone();
                record.stored = active.machine.stored();
                Ok(record)
            }
            None => self.finished_run(run),
        }
    }

    pub(super) fn finished_run(&self, run: RunId) -> Result<RunRecord, Refusal> {
        let missing = || Refusal::not_found("run.not_found", format!("there is no run {run}"));
        let bytes = self.store.get(HISTORY, &run.to_bytes()).map_err(|error| Refusal::read(&error))?;
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                self.store.get(ACTIVE, &run.to_bytes()).map_err(|error| Refusal::read(&error))?.ok_or_else(missing)?
            }
        };
        record::decode(SCHEMA, &bytes).map_err(|error| Refusal::read(&error))
    }
}

impl Refusal {
    pub(super) fn read(error: &wherry_daemon::store::StoreError) -> Self {
        Self::new(super::Kind::Busy, "store.unreadable", error.to_string())
    }
}
