//! The middle of a flow: records through the operation's programs, results on to the target.

use wherry_host::{Batch, ToConnector, TransformFault, Transformed};

use super::Flow;
use crate::executor::stage::{Stage, Told};

impl Flow<'_> {
    /// Records of the source go to the programs, or straight on where there are none.
    pub(super) fn receive(&mut self, batch: Batch) {
        let Some(programs) = &self.scene.plan.programs else {
            self.tally.handed_on(batch.count, batch.count);
            return self.pass_on(batch);
        };
        if self.stage.is_none() {
            self.stage = Some(Stage::start(programs.transformer(), programs.of_run(&self.scene.errand.run)));
        }
        self.incoming = Some(batch);
    }

    /// Whether another batch of the source can be received.
    pub(super) fn may_read(&self) -> bool {
        if self.scene.plan.programs.is_some() { self.incoming.is_none() } else { self.outgoing.is_none() }
    }

    pub(super) fn hear_stage(&mut self, told: Told) {
        match told {
            Told::Out(Transformed::Batch(results)) => {
                self.tally.handed_on(0, results.count);
                self.pass_on(results);
            }
            Told::Out(Transformed::Used { records }) => self.tally.handed_on(records, 0),
            Told::Taken => {}
            Told::Ended(ended) => self.stage_over(ended),
        }
    }

    /// What the target was given it may finish, also after a failure.
    fn stage_over(&mut self, ended: Result<(), TransformFault>) {
        self.stage = None;
        if let Err(fault) = ended {
            // In the program's own words, which may be a piece of a record: for the agent owner only.
            tracing::info!(run = self.scene.errand.run, %fault, "a program failed");
            self.source = None;
            self.source_done = true;
            self.incoming = None;
            self.failure.get_or_insert_with(|| fault.failure());
        }
        if self.target.is_some() {
            self.outgoing = Some(ToConnector::End);
        }
    }
}
