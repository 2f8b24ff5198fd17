//! One turn of the writer: what it decides, and what follows once that is durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::{mpsc, oneshot, watch};
use wherry_daemon::{
    clock::Clock,
    store::{Batch, Store, StoreError},
};
use wherry_domain::{
    digest::Digest,
    epoch::Epoch,
    id::{AgentId, RunId},
    run::{Event, State as RunState},
    time::Timestamp,
};
use wherry_proto::frame::FromController;

use super::{
    actions::Passed, changes::Changes, consents::FlowView, memories::Overlay, settling::Acks, state::State,
    submit::StoredKey,
};
use crate::model::{LockChange, RunRecord};

/// One turn: state, time, and what is to be stored and sent.
pub struct Turn<'a> {
    pub(super) state: &'a mut State,
    pub(super) store: &'a dyn Store,
    pub(super) changes: Changes,
    pub(super) out: Outgoing,
    pub(super) now: Timestamp,
    /// Unix milliseconds.
    pub(super) wall_ms: u64,
    pub(super) has_room: bool,
    /// Runs that came to their end in this turn.
    pub(super) over: BTreeSet<RunId>,
    /// Idempotency keys that came with this turn's submissions; they are not in the store yet.
    pub(super) keys: BTreeMap<Digest, StoredKey>,
    pub(super) memories: Overlay,
    /// The newest version of a lock that this turn made, for whoever knows why.
    pub(super) newest_change: Option<LockChange>,
    pub(super) error: Option<StoreError>,
}

/// What a turn decided.
pub(super) struct Decided {
    pub(super) commits: Vec<Batch>,
    pub(super) outgoing: Outgoing,
    /// Nothing may be seen outside before the commits are durable; otherwise see [`super::settling`].
    pub(super) waits: bool,
}

/// What may be seen outside once the turn is durable.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) frames: Vec<(AgentId, Epoch, FromController)>,
    pub(super) acks: Acks,
    /// To streams that end.
    pub(super) last_words: Vec<(mpsc::Sender<FromController>, FromController)>,
    answers: Vec<(oneshot::Sender<Arc<RunRecord>>, Arc<RunRecord>)>,
    /// To callers of actions.
    pub(super) passed: Vec<(oneshot::Sender<Passed>, Passed)>,
    updates: Vec<(watch::Sender<Arc<RunRecord>>, Arc<RunRecord>)>,
    /// People who connect an account, and what they see of it.
    pub(super) flows: Vec<(watch::Sender<FlowView>, FlowView)>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(state: &'a mut State, store: &'a dyn Store, clock: &Clock, has_room: bool) -> Self {
        Self {
            state,
            store,
            changes: Changes::default(),
            out: Outgoing::default(),
            now: clock.now(),
            wall_ms: clock.wall_unix_millis(),
            has_room,
            over: BTreeSet::new(),
            keys: BTreeMap::new(),
            memories: Overlay::new(),
            newest_change: None,
            error: None,
        }
    }

    /// Runs whose time has come; as many as a turn can take.
    pub(super) fn tick(&mut self) {
        self.give_up_on_undelivered();
        while let Some((at, run)) = self.state.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            if self.is_long() {
                break;
            }
            self.state.timers.remove(&(at, run));
            if self.give_up_action(run) {
                self.seam();
                continue;
            }
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
            self.seam();
        }
        self.tick_agents();
        self.tick_flows();
        self.tick_keyrings();
        self.tick_rollouts();
        self.tick_catalogue();
        if self.state.next_sweep <= self.now {
            self.sweep();
        }
    }

    /// The commits, and what follows once they are durable.
    pub(super) fn finish(mut self) -> Result<Decided, StoreError> {
        let commits = self.commits();
        self.state.ripen_keyrings();
        for run in std::mem::take(&mut self.over) {
            self.take_out(run);
        }
        match self.error {
            Some(error) => Err(error),
            None => Ok(Decided { commits, outgoing: self.out, waits: self.changes.waits() }),
        }
    }

    /// A run that is over is read from the store from now on.
    fn take_out(&mut self, run: RunId) {
        let Some(mut done) = self.state.runs.remove(&run) else { return };
        let record = Arc::new(done.record);
        self.out.answers.extend(done.waiters.drain(..).map(|waiter| (waiter, Arc::clone(&record))));
        let passed = Passed { record: Arc::clone(&record), answer: done.answer.take() };
        self.out.passed.extend(done.callers.drain(..).map(|caller| (caller, passed.clone())));
        self.out.updates.extend(done.watch.map(|watch| (watch, record)));
    }

    /// Shows a run to those who follow it, once everything is durable.
    pub(super) fn show(&mut self, run: RunId) {
        if let Some(active) = self.state.runs.get(&run)
            && let Some(watch) = &active.watch
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
        for (agent, epoch, frame) in self.frames {
            state.send(agent, epoch, frame);
        }
        state.acknowledge(self.acks);
        for (watch, record) in self.updates {
            watch.send_replace(record);
        }
        for (watch, view) in self.flows {
            watch.send_replace(view);
        }
        for (caller, passed) in self.passed {
            // The caller may have stopped waiting.
            let _ = caller.send(passed);
        }
        for (waiter, record) in self.answers {
            // The caller may have stopped waiting.
            let _ = waiter.send(record);
        }
    }
}
