//! After a restore from a copy: agents tell what became of runs since the copy was taken.
//!
//! ```text
//! copy: run queued, or under fence f ─► the other controller: fence g > f, result, acknowledged
//! restored: the run waits for its agents ─► an agent names g, or repeats the result of g ─► g is the current fence
//! ```
//!
//! Fences of the restored controller have a higher generation, so a fence of an older generation that is newer than
//! the known one can only come from the time in between.

use wherry_domain::{
    id::AgentId,
    run::{Event, State as RunState},
};
use wherry_proto::frame::{Attempt, InFlight};

use super::Turn;

impl Turn<'_> {
    /// Learns of the attempts that an agent has and this controller has forgotten.
    pub(super) fn recall_all(&mut self, agent: AgentId, in_flight: &[InFlight]) {
        if self.state.generation > 0 {
            in_flight.iter().for_each(|item| self.recall(agent, item.attempt));
        }
    }

    /// Learns of an attempt that the agent has and this controller may have forgotten; afterwards the agent holds it.
    pub(super) fn recall(&mut self, agent: AgentId, attempt: Attempt) {
        let Attempt { run, fence } = attempt;
        let generation = self.state.generation;
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        let Some(active) = self.state.runs.get_mut(&run) else { return };
        if matches!(active.machine.state(), RunState::Finished { .. }) {
            return;
        }
        let known = active.machine.fence();
        let forgotten = fence > known && fence.generation() < generation && known.generation() < generation;
        if !forgotten || active.record.spec.group != state.agent.group {
            return;
        }
        tracing::info!(%agent, %run, %fence, "an agent tells of an attempt that the copy does not know");
        if let Some(group) = self.state.groups.get_mut(&active.record.spec.group) {
            group.queue.remove(run);
        }
        active.record.agent = Some(agent);
        state.leased.insert(run);
        self.event(run, Event::Recalled { agent, fence });
        self.happened(run, "recalled", Some(agent), None);
        let deadline = self.state.runs.get(&run).and_then(|active| active.machine.deadline());
        self.state.timers.extend(deadline.map(|deadline| (deadline, run)));
    }
}
