//! The target's side of a flow: acknowledgements, refusals, its end.

use wherry_domain::failure::{Code, Failure};
use wherry_host::{ConnectorFault, FromConnector, Outcome};

use super::{Flow, Over, Said};
use crate::executor::plan::Step;

/// The target ended before it had read everything.
const LEFT_INPUT: Code = Code::new("connector.input_left");

impl Flow<'_> {
    pub(super) fn hear_target(&mut self, said: Said) -> Option<Over> {
        let step = self.scene.plan.target.as_ref()?;
        match said {
            Said::Message(FromConnector::Acked { up_to }) => self.tally.acknowledged(up_to),
            Said::Message(FromConnector::Rejected { row, error }) => {
                let before = self.tally.counts().rejected;
                self.scene.refused(step, (row, &error), before, &mut self.log);
                self.tally.rejected();
            }
            Said::Message(FromConnector::Log { level, message, fields }) => {
                self.scene.local_log(step, (level, &message), fields.as_deref(), &mut self.log);
            }
            Said::Message(FromConnector::Counter { name, delta }) => {
                self.scene.local_counter(step, &name, delta);
                self.counters.add(step, &name, delta);
            }
            Said::Message(FromConnector::Batch { .. } | FromConnector::Checkpoint { .. }) | Said::Taken => {}
            Said::Ended(ended) => return self.target_over(step, ended),
        }
        None
    }

    /// At the end: how many refusals were not told one by one.
    pub(in crate::executor) fn sum_up_refusals(&mut self) {
        self.scene.refused_beside(self.tally.counts().rejected, &mut self.log);
    }

    fn target_over(&mut self, step: &Step, ended: Result<Outcome, ConnectorFault>) -> Option<Over> {
        self.target = None;
        // It took the end of its input, so it has seen everything.
        let saw_all = self.source_done && self.stage.is_none() && self.outgoing.is_none();
        self.outgoing = None;
        match ended {
            Ok(mut outcome) if saw_all && !outcome.input_left => {
                self.scene.local_output(step, &outcome);
                self.tally.all_arrived();
                self.target_remembers(&step.connection, &mut outcome);
                None
            }
            Ok(_) => {
                let message = format!("{}: the connector ended before it had read every record", step.label);
                Some(self.fail(Failure::permanent(LEFT_INPUT, message)))
            }
            Err(fault) => Some(self.fail(self.scene.failure_of(step, &fault))),
        }
    }
}
