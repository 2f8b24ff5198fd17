//! One turn of the writer: what it decides, and what follows once that is durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use wherry_daemon::{
    clock::Clock,
    store::{Batch, Store, StoreError, record},
};
use wherry_domain::{
    epoch::Epoch,
    id::{AgentId, GroupId, RunId},
    run::{Event, State as RunState},
    time::Timestamp,
};
use wherry_proto::frame::FromController;

use super::state::State;
use crate::model::{ACTIVE, DEFINITIONS, HISTORY, RunRecord, SCHEMA};

/// One turn: state, time, and what is to be stored and sent.
pub struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) store: &'a dyn Store,
    pub(super) batch: Batch,
    pub(super) out: Outgoing,
    pub(super) now: Timestamp,
    /// Unix milliseconds.
    pub(super) wall_ms: u64,
    pub(super) has_room: bool,
    pub(super) dirty: BTreeSet<RunId>,
    pub(super) touched: BTreeSet<GroupId>,
    error: Option<StoreError>,
}

/// What may be seen outside once the turn is durable.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) frames: Vec<(AgentId, Epoch, FromController)>,
    pub(super) acks: BTreeMap<(AgentId, Epoch), u64>,
    /// To streams that end.
    pub(super) last_words: Vec<(mpsc::Sender<FromController>, FromController)>,
    answers: Vec<(oneshot::Sender<Arc<RunRecord>>, Arc<RunRecord>)>,
    updates: Vec<(watch::Sender<Arc<RunRecord>>, Arc<RunRecord>)>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(state: &'a mut State, store: &'a dyn Store, clock: &Clock, has_room: bool) -> Self {
        Self {
            state,
            store,
            batch: Batch::new(),
            out: Outgoing::default(),
            now: clock.now(),
            wall_ms: clock.wall_unix_millis(),
            has_room,
            dirty: BTreeSet::new(),
            touched: BTreeSet::new(),
            error: None,
        }
    }

    /// Stores a definition under `kind/key`.
    pub(super) fn define<T: Serialize>(&mut self, kind: &str, key: &str, value: &T) {
        let key = format!("{kind}/{key}");
        self.encoded(value, |batch, bytes| batch.put(DEFINITIONS, key, bytes));
    }

    /// Removes a definition.
    pub(super) fn undefine(&mut self, kind: &str, key: &str) {
        self.batch.delete(DEFINITIONS, format!("{kind}/{key}"));
    }

    /// Encodes a record into the batch. A record that cannot be encoded is a defect that would lose
    /// data, so it fails the whole turn.
    pub(super) fn encoded<T: Serialize>(&mut self, value: &T, put: impl FnOnce(&mut Batch, Vec<u8>)) {
        match record::encode(SCHEMA, value) {
            Ok(bytes) => put(&mut self.batch, bytes),
            Err(error) => self.error = Some(error),
        }
    }

    /// Runs whose time has come.
    pub(super) fn tick(&mut self) {
        while let Some((at, run)) = self.state.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.state.timers.remove(&(at, run));
            let Some(active) = self.state.runs.get(&run) else { continue };
            if !matches!(active.machine.state(), RunState::Leased { .. }) {
                continue;
            }
            match active.machine.deadline() {
                Some(deadline) if deadline > self.now => {
                    self.state.timers.insert((deadline, run));
                }
                Some(_) | None => self.event(run, Event::Tick),
            }
        }
        self.tick_agents();
        if self.state.next_sweep <= self.now {
            self.sweep();
        }
    }

    /// Puts every changed run into the batch and gathers what follows.
    pub(super) fn finish(mut self) -> Result<(Batch, Outgoing), StoreError> {
        for run in std::mem::take(&mut self.dirty) {
            self.store_run(run);
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.batch, self.out)),
        }
    }

    fn store_run(&mut self, run: RunId) {
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        active.record.stored = active.machine.stored();
        let over = matches!(active.machine.state(), RunState::Finished { .. });
        let space = if over { HISTORY } else { ACTIVE };
        match record::encode(SCHEMA, &active.record) {
            Ok(bytes) => self.batch.put(space, run.to_bytes(), bytes),
            Err(error) => self.error = Some(error),
        }
        if over {
            self.batch.delete(ACTIVE, run.to_bytes());
            if let Some(mut done) = self.state.runs.remove(&run) {
                let record = Arc::new(done.record);
                self.out.answers.extend(done.waiters.drain(..).map(|waiter| (waiter, Arc::clone(&record))));
                self.out.updates.extend(done.watch.map(|watch| (watch, record)));
            }
        } else if let Some(watch) = active.watch.as_ref() {
            self.out.updates.push((watch.clone(), Arc::new(active.record.clone())));
        }
    }

    /// Shows progress that is not worth storing.
    pub(super) fn show(&mut self, run: RunId) {
        if let Some(active) = self.state.runs.get(&run)
            && let Some(watch) = &active.watch
            && !self.dirty.contains(&run)
        {
            self.out.updates.push((watch.clone(), Arc::new(active.record.clone())));
        }
    }
}

impl Outgoing {
    /// Performs what the turn decided.
    pub(super) fn perform(self, state: &mut State) {
        for (frames, frame) in self.last_words {
            // A stream that does not take its farewell ends without one.
            let _ = frames.try_send(frame);
        }
        let acks = self.acks.into_iter().map(|((agent, epoch), up_to)| (agent, epoch, FromController::Ack { up_to }));
        for (agent, epoch, frame) in self.frames.into_iter().chain(acks) {
            send(state, agent, epoch, frame);
        }
        for (watch, record) in self.updates {
            watch.send_replace(record);
        }
        for (waiter, record) in self.answers {
            // The caller may have stopped waiting.
            let _ = waiter.send(record);
        }
    }
}

/// A session whose queue is full does not keep up: its stream is dropped and the agent, which has
/// everything durable, comes back.
fn send(state: &mut State, agent: AgentId, epoch: Epoch, frame: FromController) {
    let Some(agent_state) = state.agents.get_mut(&agent) else { return };
    let Some(session) = agent_state.session.as_ref().filter(|session| session.epoch == epoch) else { return };
    if session.frames.try_send(frame).is_err() {
        agent_state.session = None;
        let group = agent_state.agent.group;
        if let Some(group) = state.groups.get_mut(&group) {
            group.slots.remove(agent);
        }
    }
}
