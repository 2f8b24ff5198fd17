//! Which waiting run goes to which agent of a group, and when.
//!
//! ```text
//! waiting runs ──► whose turn? (weighted fair between projects) ──► most free agent ──► placed
//!                      └── not due, no agent, no slot: refused, with the reason
//! ```
//!
//! [`place`] plans from a snapshot and explains itself; [`Queue`] does the same one run at a time
//! and keeps its order between calls, for a hot path.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    id::{AgentId, RunId},
    time::Timestamp,
};

pub mod queue;
pub mod slots;

pub use queue::{Queue, Tie, Turns};
pub use slots::Slots;

/// One group, as the planner sees it. `P` names a project.
#[derive(Clone, Debug)]
pub struct Fleet<P> {
    /// Its agents.
    pub agents: Vec<Candidate>,
    /// What waits.
    pub waiting: Vec<Waiting<P>>,
    /// Weights of projects; 1 for those not named.
    pub weights: BTreeMap<P, u32>,
    /// [`Plan::turns`] of the plan before.
    pub turns: Turns<P>,
}

/// An agent that might take a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The agent.
    pub agent: AgentId,
    /// Free slots, the reserved ones included.
    pub free: u32,
    /// How many of them, the last ones, take synchronous runs only.
    pub reserved: u32,
    /// Whether it has the connectors that the group's runs need.
    pub ready: bool,
    /// Whether it takes no more work.
    pub draining: bool,
}

impl Candidate {
    const fn fits(&self) -> bool {
        self.ready && !self.draining
    }
}

/// A run that waits for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<P> {
    /// The run.
    pub run: RunId,
    /// Its project.
    pub project: P,
    /// Not before this moment.
    pub due: Timestamp,
    /// Whether a caller waits for its answer.
    pub synchronous: bool,
}

/// What to do, and why not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<P> {
    /// Runs and their agents, in the order of their turns.
    pub placed: Vec<(RunId, AgentId)>,
    /// Every other run with the reason, in the order of the snapshot.
    pub refused: Vec<(RunId, Refusal)>,
    /// Whose turn it is next: for the next snapshot.
    pub turns: Turns<P>,
}

/// Why a run was not placed; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its moment has not come.
    NotDue {
        /// That moment.
        due: Timestamp,
    },
    /// The group has no agent online.
    NoAgent,
    /// All its agents take no more work.
    Draining,
    /// No agent that takes work has the connectors yet.
    ConnectorMissing,
    /// Every slot is taken.
    Full,
    /// Only slots for synchronous runs are left.
    Reserved,
}

/// Places as many runs as fit. The same snapshot gives the same plan; costs O(n log n).
pub fn place<P: Ord + Clone>(fleet: &Fleet<P>, now: Timestamp) -> Plan<P> {
    let mut slots = Slots::new();
    for candidate in fleet.agents.iter().filter(|candidate| candidate.fits()) {
        slots.set(candidate.agent, candidate.free, candidate.reserved);
    }
    let mut queue = queue(fleet);
    let placed = core::iter::from_fn(|| queue.pop(now, &mut slots)).collect();
    let refusal = |waiting: &Waiting<P>| {
        if waiting.due > now { Refusal::NotDue { due: waiting.due } } else { refusal(&fleet.agents, &slots) }
    };
    let left = fleet.waiting.iter().filter(|waiting| queue.contains(waiting.run));
    Plan { placed, refused: left.map(|waiting| (waiting.run, refusal(waiting))).collect(), turns: queue.turns() }
}

fn queue<P: Ord + Clone>(fleet: &Fleet<P>) -> Queue<P> {
    let mut queue = Queue::new();
    for (project, weight) in &fleet.weights {
        queue.set_weight(project.clone(), *weight);
    }
    queue.resume(fleet.turns.clone());
    for Waiting { run, project, due, synchronous } in &fleet.waiting {
        queue.push(project.clone(), *run, *due, *synchronous);
    }
    queue
}

fn refusal(agents: &[Candidate], left: &Slots) -> Refusal {
    if agents.is_empty() {
        Refusal::NoAgent
    } else if agents.iter().all(|candidate| candidate.draining) {
        Refusal::Draining
    } else if !agents.iter().any(Candidate::fits) {
        Refusal::ConnectorMissing
    } else if left.has_room(true) {
        Refusal::Reserved
    } else {
        Refusal::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, vec};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn every_refusal_names_what_is_in_the_way() {
        let good = candidate(1, 1, 0);
        let refused = |agents| place(&fleet(agents, vec![waiting(1, 0, false), waiting(2, 0, false)]), NOW).refused;
        let last = |agents| refused(agents).last().map(|(_, why)| *why);
        assert_eq!(last(vec![]), Some(Refusal::NoAgent));
        assert_eq!(last(vec![Candidate { draining: true, ..good }]), Some(Refusal::Draining));
        assert_eq!(last(vec![Candidate { ready: false, ..good }]), Some(Refusal::ConnectorMissing));
        assert_eq!(last(vec![good]), Some(Refusal::Full));
        assert_eq!(last(vec![candidate(1, 2, 1)]), Some(Refusal::Reserved));
        let later = Waiting { due: NOW.plus(core::time::Duration::from_millis(1)), ..waiting(1, 0, false) };
        let plan = place(&fleet(vec![good], vec![later]), NOW);
        assert_eq!(plan.refused, [(later.run, Refusal::NotDue { due: later.due })]);
    }

    #[test]
    fn turns_carry_over_from_plan_to_plan() {
        let mut fleet = fleet(vec![candidate(1, 1, 0)], (0..4).map(|id| waiting(id, (id / 2) as u8, false)).collect());
        let mut order = vec![];
        for _ in 0..4 {
            let plan = place(&fleet, NOW);
            fleet.waiting.retain(|waiting| plan.placed.iter().all(|(run, _)| *run != waiting.run));
            fleet.turns = plan.turns;
            order.extend(plan.placed.into_iter().map(|(run, _)| run.as_u128()));
        }
        assert_eq!(order, [0, 2, 1, 3]);
    }

    proptest! {
        #[test]
        fn a_plan_never_exceeds_capacity_and_leaves_no_fitting_run_behind(
            agents in prop::collection::vec((0..4_u32, 0..3_u32, any::<bool>(), any::<bool>()), 0..4),
            runs in prop::collection::vec((0..3_u8, 0..2_000_u64, any::<bool>()), 0..20),
        ) {
            let agents: Vec<_> = (0_u128..).zip(agents).map(|(id, (free, reserved, ready, draining))| {
                Candidate { ready, draining, ..candidate(id, free, reserved) }
            }).collect();
            let runs: Vec<_> = (0_u128..).zip(runs).map(|(id, (project, due, synchronous))| {
                Waiting { due: Timestamp::from_millis(due), ..waiting(id, project, synchronous) }
            }).collect();
            let fleet = fleet(agents, runs);
            let plan = place(&fleet, NOW);
            prop_assert_eq!(&plan, &place(&fleet, NOW));
            prop_assert_eq!(plan.placed.len() + plan.refused.len(), fleet.waiting.len());
            let synchronous: BTreeSet<_> =
                fleet.waiting.iter().filter(|waiting| waiting.synchronous).map(|waiting| waiting.run).collect();
            let mut spare = (0, 0);
            for agent in &fleet.agents {
                let taken: Vec<_> = plan.placed.iter().filter(|(_, to)| *to == agent.agent).collect();
                let capacity = if agent.fits() { agent.free as usize } else { 0 };
                prop_assert!(taken.len() <= capacity);
                let ordinary = taken.iter().filter(|(run, _)| !synchronous.contains(run)).count();
                prop_assert!(ordinary <= agent.free.saturating_sub(agent.reserved) as usize);
                if agent.fits() {
                    let left = agent.free as usize - taken.len();
                    spare = (spare.0 + left, spare.1 + left.saturating_sub(agent.reserved as usize));
                }
            }
            for (run, why) in &plan.refused {
                let left = if synchronous.contains(run) { spare.0 } else { spare.1 };
                prop_assert!(left == 0 || matches!(why, Refusal::NotDue { .. }), "{} {:?}", run, why);
            }
        }
    }

    fn candidate(id: u128, free: u32, reserved: u32) -> Candidate {
        Candidate { agent: AgentId::from_u128(id), free, reserved, ready: true, draining: false }
    }

    fn waiting(id: u128, project: u8, synchronous: bool) -> Waiting<u8> {
        Waiting { run: RunId::from_u128(id), project, due: NOW, synchronous }
    }

    fn fleet(agents: Vec<Candidate>, waiting: Vec<Waiting<u8>>) -> Fleet<u8> {
        Fleet { agents, waiting, weights: BTreeMap::new(), turns: Turns::default() }
    }
}
