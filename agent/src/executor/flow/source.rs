//! The source's side of a flow: records in, slices, its end.

use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure},
};
use wherry_host::{Batch, FromConnector, Outcome, ToConnector};

use super::{Flow, Said};
use crate::executor::plan::Step;

/// The source asked to be called again without saying where to continue.
const NO_CURSOR: Code = Code::new("connector.no_cursor");

/// The run was stopped between two slices of the source.
const STOPPED: Code = Code::new("sandbox.cancelled");

impl Flow<'_> {
    pub(super) fn start_source(&mut self, cursor: Option<String>) {
        let step = &self.scene.plan.source;
        self.effects_begun |= step.class != SideEffects::Read;
        let task = self.scene.errand.source(step, cursor.clone(), self.time_left(), self.source_state.clone());
        self.slice = cursor;
        self.source = Some(self.scene.start_source(step, task, self.blobs.clone()));
    }

    pub(super) fn hear_source(&mut self, said: Said) {
        let step = &self.scene.plan.source;
        match said {
            Said::Message(FromConnector::Batch { batch, cursor }) => {
                self.tally.read(batch.count, cursor);
                if batch.count > 0 {
                    self.receive(batch);
                } else {
                    self.tally.handed_on(0, 0);
                }
            }
            Said::Message(FromConnector::Checkpoint { cursor }) => {
                self.tally.read(0, Some(cursor));
                self.tally.handed_on(0, 0);
            }
            Said::Message(FromConnector::Log { level, message, fields }) => {
                self.scene.local_log(step, (level, &message), fields.as_deref(), &mut self.log);
            }
            Said::Message(FromConnector::Counter { name, delta }) => {
                self.scene.local_counter(step, &name, delta);
                self.counters.add(step, &name, delta);
            }
            Said::Message(FromConnector::Acked { .. } | FromConnector::Rejected { .. }) | Said::Taken => {}
            Said::Ended(Ok(outcome)) => self.source_ended(step, outcome),
            Said::Ended(Err(fault)) => self.source_over(Some(self.scene.failure_of(step, &fault))),
        }
    }

    fn source_ended(&mut self, step: &Step, mut outcome: Outcome) {
        self.source_remembers(&mut outcome);
        if !outcome.more {
            self.scene.local_output(step, &outcome);
            self.source_over(None);
        } else if self.stopping.is_none() {
            self.next_slice();
        } else {
            let message = format!("{}: stopped before its end", step.label);
            self.source_over(Some(Failure::permanent(STOPPED, message)));
        }
    }

    /// The target begins with the first records: until then it cannot have changed anything.
    pub(super) fn pass_on(&mut self, batch: Batch) {
        let Some(step) = &self.scene.plan.target else {
            return self.tally.only_counted();
        };
        if self.target.is_none() {
            self.effects_begun |= step.class != SideEffects::Read;
            self.target_state = self.memories.of(&step.connection);
            let task = self.scene.errand.target(step, self.time_left(), self.target_state.clone());
            self.target = Some(self.scene.start_target(step, task, self.blobs.clone()));
        }
        self.outgoing = Some(ToConnector::Batch(batch));
    }

    /// The source wants to be called again. A slice that moved nothing would be repeated for ever.
    fn next_slice(&mut self) {
        let cursor = self.tally.latest_cursor().cloned();
        if cursor.is_none() || cursor == self.slice {
            let message = format!(
                "{}: the connector asks to be called again but did not move its cursor",
                self.scene.plan.source.label
            );
            self.source_over(Some(Failure::permanent(NO_CURSOR, message)));
        } else {
            self.start_source(cursor);
        }
    }

    /// What the target was given it may finish, so that the next attempt begins as late as possible.
    fn source_over(&mut self, failure: Option<Failure>) {
        self.source = None;
        self.source_done = true;
        self.failure = failure;
        match &mut self.stage {
            Some(stage) => stage.close(),
            None if self.target.is_some() => self.outgoing = Some(ToConnector::End),
            None => {}
        }
    }
}
