//! Giving waiting runs to free slots.

use wherry_domain::{
    id::{AgentId, GroupId, RunId},
    run::Event,
};

use super::Turn;

/// Of agents with at least this many slots, one is kept for callers who wait for an answer.
const RESERVE_FROM: u32 = 4;

/// How many of an agent's slots only synchronous runs may take.
pub(super) const fn reserved(slots: u32) -> u32 {
    if slots >= RESERVE_FROM { 1 } else { 0 }
}

impl Turn<'_> {
    /// Fills the free slots of every group that something happened to, or whose next run is due; as
    /// many as a turn can take.
    pub(super) fn place(&mut self) {
        let now = self.now;
        let due = self.state.groups.iter().filter(|(id, state)| {
            self.state.touched.contains(id) || state.queue.next_due().is_some_and(|at| at <= now)
        });
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.state.touched.insert(id);
            while !self.is_long() {
                let Some((run, agent)) = self.next_of(id) else {
                    self.state.touched.remove(&id);
                    break;
                };
                if self.judge(run, agent) {
                    self.take_seat(run, agent);
                    self.give(run, agent);
                } else {
                    self.open_slots(agent);
                }
                self.seam();
            }
        }
    }

    /// The run whose turn it is, and a slot for it.
    fn next_of(&mut self, id: GroupId) -> Option<(RunId, AgentId)> {
        let group = self.state.groups.get_mut(&id)?;
        // Taken out while it is asked, because the answer depends on everything else.
        let (mut queue, mut slots) = (std::mem::take(&mut group.queue), std::mem::take(&mut group.slots));
        let found = queue.pop_tied(self.now, &mut slots, |lane, queue| self.tie(lane, queue));
        if let Some(group) = self.state.groups.get_mut(&id) {
            group.queue = queue;
            group.slots = slots;
        }
        found
    }

    fn give(&mut self, run: RunId, agent: AgentId) {
        let generation = self.state.generation;
        if let Some(state) = self.state.agents.get_mut(&agent) {
            state.leased.insert(run);
        }
        self.event(run, Event::Placed { agent, generation });
    }
}
