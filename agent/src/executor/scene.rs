//! What surrounds an attempt at work: its plan, its lease, and the ways to speak.

use std::sync::Arc;

use wherry_daemon::clock::Clock;
use wherry_domain::{effects::SideEffects, failure::Failure};
use wherry_host::{Blobs, ConnectorError, ConnectorFault, Egress, Level, Outcome, Task};

use super::{
    errand::Errand,
    gate::Gate,
    log::RunLog,
    plan::{Plan, Step},
    side::Side,
    target::Target,
    team::Team,
    voice::Voice,
    words,
};
use crate::runs::Running;

/// Refused records that are told one by one: enough to see what they have in common, and few beside the lines that a run
/// keeps.
const REFUSALS_TOLD: u64 = 10;

/// What surrounds an attempt at work.
pub(super) struct Scene<'a> {
    pub(super) clock: &'a Clock,
    pub(super) running: &'a Running,
    pub(super) voice: &'a Voice,
    pub(super) plan: &'a Plan,
    pub(super) errand: &'a Errand,
    /// Whether the words of connectors may leave the agent.
    pub(super) text: bool,
}

impl Scene<'_> {
    /// Starts a source.
    pub(super) fn start_source(&self, step: &Step, task: Task, blobs: Blobs) -> Side {
        Side::start(step.access.connector.clone(), self.egress(step), task, blobs)
    }

    /// Starts a target, with as many instances as it may have. Keys are made from the numbers of records, which several
    /// instances cannot agree on, so that a target that needs them gets one.
    pub(super) fn start_target(&self, step: &Step, task: Task, blobs: Blobs) -> Target {
        let keyed = [self.plan.class, step.class].contains(&SideEffects::Keyed);
        let members = if keyed { 1 } else { step.access.instances(&step.activity) };
        let (connector, egress) = (&step.access.connector, self.egress(step));
        if members == 1 {
            return Target::One(Side::start(connector.clone(), egress, task, blobs));
        }
        Target::Many(Box::new(Team::start(members, connector, &egress, &task, &blobs)))
    }

    /// Whatever changes something loses its way out with the lease.
    fn egress(&self, step: &Step) -> Arc<dyn Egress> {
        match self.plan.class {
            SideEffects::Read => step.access.egress(),
            SideEffects::Idempotent | SideEffects::Keyed | SideEffects::Unsafe => {
                Arc::new(Gate { inner: step.access.egress(), lease: self.running.lease(), clock: self.clock.clone() })
            }
        }
    }

    /// What a connector writes is for the agent owner, and for the log of the run only where he lets it out.
    pub(super) fn local_log(
        &self,
        step: &Step,
        (level, message): (Level, &str),
        fields: Option<&str>,
        log: &mut RunLog,
    ) {
        tracing::debug!(run = self.errand.run, step = step.label, ?level, message, fields, "connector");
        if self.text {
            let text = format!("{}: {}", step.label, words::cut(message));
            match level {
                Level::Trace | Level::Debug => {}
                Level::Info => log.info(text),
                Level::Warn => log.warn(text),
                Level::Error => log.error(text),
            }
        }
    }

    /// A record was refused, after so many others in this attempt; of many only the first ones are told.
    pub(super) fn refused(&self, step: &Step, (row, error): (u64, &ConnectorError), before: u64, log: &mut RunLog) {
        let (run, code, message) = (&self.errand.run, &error.code, &error.message);
        if before >= REFUSALS_TOLD {
            if before == REFUSALS_TOLD {
                tracing::info!(run, "further refusals are logged at debug only: --set log.filter=debug");
            }
            tracing::debug!(run, row, code, message, "refused");
            return;
        }
        tracing::info!(run, row, code, message, "refused");
        let told = if self.text { words::cut(message) } else { "its reason is in the agent's log".to_owned() };
        log.warn(format!("{}: record {row} was refused ({}); {told}", step.label, step.access.error_code(code)));
    }

    /// How many refusals of this attempt are not told one by one, if any.
    pub(super) fn refused_beside(&self, rejected: u64, log: &mut RunLog) {
        if let (Some(step), more @ 1..) = (&self.plan.target, rejected.saturating_sub(REFUSALS_TOLD)) {
            let records = if more == 1 { "1 more record was".to_owned() } else { format!("{more} more records were") };
            log.warn(format!("{}: {records} refused; the agent logs each with log.filter=debug", step.label));
        }
    }

    /// What a connector says of its work at the end is for the agent owner only.
    pub(super) fn local_output(&self, step: &Step, outcome: &Outcome) {
        if let Some(output) = &outcome.output {
            tracing::debug!(run = self.errand.run, step = step.label, output, "connector");
        }
    }

    /// The sum of one of its counters.
    pub(super) fn local_counter(&self, step: &Step, name: &str, sum: u64) {
        tracing::info!(run = self.errand.run, step = step.label, counter = name, sum, "connector");
    }

    /// The fault in words that may leave; the connector's own words go to the local log.
    pub(super) fn failure_of(&self, step: &Step, fault: &ConnectorFault) -> Failure {
        let details = fault.details();
        step.access.judge(fault);
        let said = words::said(fault);
        tracing::info!(run = self.errand.run, step = step.label, %fault, said, details, "a connector failed");
        let failure = step.access.failure(fault, self.text);
        Failure { message: format!("{}: {}", step.label, failure.message), ..failure }
    }
}
