//! Results of attempts: recorded once and under the current fence; every other one kept beside.

use std::sync::Arc;

use wherry_daemon::store::{Direction, record};
use wherry_domain::{
    id::{AgentId, GroupId, RunId},
    retry::Jitter,
    run::{Effect, Event, Outcome, State as RunState},
};
use wherry_proto::frame::{Attempt, Ending, Report};

use super::{Turn, logs::plain};
use crate::model::{HISTORY, Happened, LATE, RunRecord, SCHEMA};

/// Most late results kept of one run.
const MAX_LATE: usize = 20;

impl Turn<'_> {
    /// The result of an attempt; whatever it is, it may be acknowledged once this turn is durable.
    pub(super) fn result(&mut self, agent: AgentId, report: Report, jitter: Jitter) {
        let Attempt { run, fence } = report.attempt;
        let Some(group) = self.state.agents.get(&agent).map(|state| state.agent.group) else { return };
        let report = readable(report);
        self.recall(agent, report.attempt);
        let Some(active) = self.state.runs.get_mut(&run) else { return self.result_after_end(agent, group, &report) };
        if active.record.spec.group != group {
            return;
        }
        if fence != active.machine.fence() || active.record.agent != Some(agent) {
            if self.keep_late(&report) {
                self.perform(run, Effect::KeepLate { fence });
                self.changed(run);
            }
            return;
        }
        let counts = matches!(
            active.machine.state(),
            RunState::Leased { .. } | RunState::Unknown { .. } | RunState::Queued { open: true }
        );
        if counts {
            self.observe(&report);
            let Some(active) = self.state.runs.get_mut(&run) else { return };
            (active.record.counts, active.record.earlier) = (report.counts, report.earlier);
            let called = active.record.spec.action.as_ref();
            active.answer = report.answer.filter(|_| called.is_some_and(|called| called.answer)).map(Arc::new);
            self.log(run, fence, report.log);
            self.remember_states(report.attempt, report.states);
            self.changed(run);
        }
        let event = match report.ending {
            Ending::Ended(outcome) => Event::Reported { fence, outcome, jitter },
            Ending::Interrupted => Event::Interrupted { fence },
        };
        self.event(run, event);
    }

    /// A result for a run that is over: a repetition, or late. What is known of nobody is not kept.
    fn result_after_end(&mut self, agent: AgentId, group: GroupId, report: &Report) {
        let Attempt { run, fence } = report.attempt;
        let Some(mut known) = self.stored_end(run).filter(|known| known.spec.group == group) else { return };
        let repeated = known.stored.fence == fence && known.agent == Some(agent) && ended_so(&known, &report.ending);
        if repeated || !self.keep_late(report) {
            return;
        }
        known.late_results = known.late_results.saturating_add(1);
        let (at_ms, what, attempt) = (self.wall_ms, "late_result".to_owned(), known.stored.fence.attempt());
        known.happened(Happened { at_ms, what, attempt, agent: None, reason: None });
        self.put(HISTORY, run.to_bytes(), &known);
    }

    fn stored_end(&self, run: RunId) -> Option<RunRecord> {
        let bytes = self.store.get(HISTORY, &run.to_bytes()).ok()??;
        record::decode(SCHEMA, &bytes).ok()
    }

    /// Keeps a late result, without its log; tells whether it was not known before and is kept.
    fn keep_late(&mut self, report: &Report) -> bool {
        let run = report.attempt.run.to_bytes();
        let key = [run.as_slice(), &report.attempt.fence.bits().to_be_bytes()].concat();
        let Ok(known) = self.store.scan(LATE, &run, None, Direction::Ascending, MAX_LATE) else { return false };
        if known.len() >= MAX_LATE || known.iter().any(|(other, _)| *other == key) {
            return false;
        }
        self.put(LATE, key, &Report { log: Vec::new(), ..report.clone() });
        true
    }
}

fn ended_so(known: &RunRecord, ending: &Ending) -> bool {
    match (&known.stored.state, ending) {
        (RunState::Finished { outcome }, Ending::Ended(reported)) => outcome == reported,
        (_, _) => false,
    }
}

/// The same report, its texts without control characters.
fn readable(mut report: Report) -> Report {
    if let Ending::Ended(Outcome::Failed(failure)) = &mut report.ending {
        failure.message = plain(&failure.message);
    }
    report
}
