//! The waiting runs of one group, weighted fair between projects.
//!
//! ```text
//! push ─► later ─ due ─► ready of its project ─ pop ─► (run, agent)
//! ```
//!
//! Start-time fair queueing over integers: each project has a tag, a pop takes the project with
//! the lowest tag and moves that tag on by `SCALE / weight`; a project that returns after a pause
//! starts at the present, so it can neither save up turns nor lose its place. Within a project
//! synchronous runs go first, then the order is due time, then id.
//!
//! Source: Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::slots::Slots;
use crate::{
    id::{AgentId, RunId},
    time::Timestamp,
};

/// Largest weight of a project; 1 is the weight of a project nobody spoke about.
pub const MAX_WEIGHT: u32 = 1_000;

/// How far one run moves a project of weight 1: divisible well by small weights, and small
/// enough for 2^40 runs before a tag would saturate.
const SCALE: u64 = 1 << 24;

/// The waiting runs of one group. `P` names a project: a name, or whatever is cheap to clone.
///
/// Its length is bounded by the caller, who knows what to answer when it is full: see
/// [`Queue::len`]. Every call costs O(log n).
#[derive(Clone, Debug)]
pub struct Queue<P> {
    waiting: BTreeMap<RunId, Waiting<P>>,
    later: BTreeSet<(Timestamp, RunId)>,
    flows: BTreeMap<P, Flow>,
    weights: BTreeMap<P, u32>,
    active: BTreeSet<(u64, P)>,
    calling: BTreeSet<(u64, P)>,
    idle: BTreeSet<(u64, P)>,
    present: u64,
}

/// Whose turn it is: what fairness remembers from one plan to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns<P> {
    present: u64,
    tags: BTreeMap<P, u64>,
}

impl<P> Default for Turns<P> {
    fn default() -> Self {
        Self { present: 0, tags: BTreeMap::new() }
    }
}

/// Which agents may take the runs of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// All of them.
    Any,
    /// Those that have their group's keys.
    Keyed,
    /// This one.
    Only(AgentId),
    /// None for now.
    Nobody,
}

#[derive(Clone, Debug)]
struct Waiting<P> {
    project: P,
    due: Timestamp,
    synchronous: bool,
}

/// The ready runs of one project.
#[derive(Clone, Debug, Default)]
struct Flow {
    tag: u64,
    synchronous: BTreeSet<(Timestamp, RunId)>,
    ordinary: BTreeSet<(Timestamp, RunId)>,
}

impl<P: Ord + Clone> Default for Queue<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Ord + Clone> Queue<P> {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            later: BTreeSet::new(),
            flows: BTreeMap::new(),
            weights: BTreeMap::new(),
            active: BTreeSet::new(),
            calling: BTreeSet::new(),
            idle: BTreeSet::new(),
            present: 0,
        }
    }

    /// Gives the project `weight` turns for each turn of a project of weight 1; cut to 1 to
    /// [`MAX_WEIGHT`].
    pub fn set_weight(&mut self, project: P, weight: u32) {
        match weight.clamp(1, MAX_WEIGHT) {
            1 => self.weights.remove(&project),
            weight => self.weights.insert(project, weight),
        };
    }

    /// The run waits from now on, and may be placed from `due` on. A run that waits already is
    /// moved.
    pub fn push(&mut self, project: P, run: RunId, due: Timestamp, synchronous: bool) {
        self.remove(run);
        self.waiting.insert(run, Waiting { project, due, synchronous });
        self.later.insert((due, run));
    }

    /// A run that waits does so among the runs of another project from now on; its moment stays as it is.
    pub fn relabel(&mut self, run: RunId, project: P) {
        let Some(Waiting { project: before, due, synchronous }) = self.waiting.get(&run) else { return };
        if *before != project {
            let (due, synchronous) = (*due, *synchronous);
            self.push(project, run, due, synchronous);
        }
    }

    /// The run waits no more; whether it did.
    pub fn remove(&mut self, run: RunId) -> bool {
        let Some(Waiting { project, due, .. }) = self.waiting.remove(&run) else { return false };
        if !self.later.remove(&(due, run)) {
            self.change(&project, |flow| {
                flow.ordinary.remove(&(due, run));
                flow.synchronous.remove(&(due, run));
            });
        }
        true
    }

    /// Takes out the run whose turn it is and a slot for it; `None` if no run is due or none of
    /// the due ones fits a free slot.
    pub fn pop(&mut self, now: Timestamp, slots: &mut Slots) -> Option<(RunId, AgentId)> {
        self.pop_tied(now, slots, |_, _| Tie::Any)
    }

    /// As [`Queue::pop`], where not every agent may take the runs of every project. A project that finds no slot lets
    /// others go first, and saves up no turns meanwhile. `tie` is handed the queue, to see who else waits. Costs
    /// O(k log n) with k projects that find none.
    pub fn pop_tied(
        &mut self,
        now: Timestamp,
        slots: &mut Slots,
        tie: impl Fn(&P, &Self) -> Tie,
    ) -> Option<(RunId, AgentId)> {
        self.promote(now);
        self.forget_idle();
        let none_for_all = !slots.has_room(false);
        if none_for_all && !slots.has_room(true) {
            return None;
        }
        let turns = if none_for_all { &self.calling } else { &self.active };
        let mut passed = Vec::new();
        let found = turns.iter().find_map(|(tag, project)| {
            let tie = tie(project, self);
            let fit = self.flows.get(project).and_then(|flow| flow.fit(tie, slots));
            if fit.is_none() {
                passed.push(project.clone());
            }
            fit.map(|only_synchronous| (*tag, project.clone(), tie, only_synchronous))
        });
        let (tag, project, tie, only_synchronous) = found?;
        for other in passed {
            self.change(&other, |flow| flow.tag = flow.tag.max(tag));
        }
        self.present = self.present.max(tag);
        let step = SCALE / u64::from(self.weights.get(&project).copied().unwrap_or(1));
        let (run, synchronous) = self.change(&project, |flow| flow.take(only_synchronous, step)).flatten()?;
        self.waiting.remove(&run);
        let agent = match tie {
            Tie::Only(agent) => slots.take_at(agent, synchronous).then_some(agent),
            Tie::Keyed => slots.take_keyed(synchronous),
            Tie::Any | Tie::Nobody => slots.take(synchronous),
        };
        agent.map(|agent| (run, agent))
    }

    /// When the next run becomes due that no call of [`Queue::pop`] has seen due. A run that is
    /// due and finds no slot waits for a slot, not for a moment.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(due, _)| *due)
    }

    /// The turns as they stand: see [`Queue::resume`].
    pub fn turns(&self) -> Turns<P> {
        let tags = self.flows.iter().map(|(project, flow)| (project.clone(), flow.tag)).collect();
        Turns { present: self.present, tags }
    }

    /// Continues with the turns of an earlier queue; for a queue to which nothing was pushed yet.
    pub fn resume(&mut self, turns: Turns<P>) {
        self.present = self.present.max(turns.present);
        for (project, tag) in turns.tags {
            self.flows.entry(project.clone()).or_default();
            self.change(&project, |flow| flow.tag = flow.tag.max(tag));
        }
    }

    /// Whether a run of the project waits that was due when the queue was last asked.
    pub fn is_ready(&self, project: &P) -> bool {
        self.flows.get(project).is_some_and(Flow::waits)
    }

    /// Whether the run waits.
    pub fn contains(&self, run: RunId) -> bool {
        self.waiting.contains_key(&run)
    }

    /// Runs that wait, due or not.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn promote(&mut self, now: Timestamp) {
        while let Some((due, run)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.pop_first();
            let Some(Waiting { project, synchronous, .. }) = self.waiting.get(&run).cloned() else { continue };
            let present = self.present;
            self.flows.entry(project.clone()).or_default();
            self.change(&project, |flow| {
                flow.tag = flow.tag.max(present);
                if synchronous { &mut flow.synchronous } else { &mut flow.ordinary }.insert((due, run));
            });
        }
    }

    /// The present is the lowest tag of those who wait. A project without ready runs is
    /// remembered only while its tag is ahead of that: before that it has a turn to sit out.
    fn forget_idle(&mut self) {
        match self.active.first() {
            Some((tag, _)) => self.present = self.present.max(*tag),
            None => self.present = self.idle.last().map_or(self.present, |(tag, _)| self.present.max(*tag)),
        }
        while self.idle.first().is_some_and(|(tag, _)| *tag <= self.present) {
            if let Some((_, project)) = self.idle.pop_first() {
                self.flows.remove(&project);
            }
        }
    }

    /// Changes a flow and keeps the indexes true.
    fn change<R>(&mut self, project: &P, change: impl FnOnce(&mut Flow) -> R) -> Option<R> {
        let flow = self.flows.get_mut(project)?;
        let mut key = (flow.tag, project.clone());
        self.active.remove(&key);
        self.calling.remove(&key);
        self.idle.remove(&key);
        let result = change(flow);
        key.0 = flow.tag;
        if !flow.synchronous.is_empty() {
            self.calling.insert(key.clone());
        }
        if flow.waits() { &mut self.active } else { &mut self.idle }.insert(key);
        Some(result)
    }
}

impl Flow {
    fn waits(&self) -> bool {
        !(self.synchronous.is_empty() && self.ordinary.is_empty())
    }

    /// Whether there is a slot for one of its runs: `Some(true)` for a synchronous one alone.
    fn fit(&self, tie: Tie, slots: &Slots) -> Option<bool> {
        let room = |synchronous| match tie {
            Tie::Any => slots.has_room(synchronous),
            Tie::Keyed => slots.has_room_keyed(synchronous),
            Tie::Only(agent) => slots.has_room_at(agent, synchronous),
            Tie::Nobody => false,
        };
        if room(false) {
            return Some(false);
        }
        (!self.synchronous.is_empty() && room(true)).then_some(true)
    }

    fn take(&mut self, only_synchronous: bool, step: u64) -> Option<(RunId, bool)> {
        let taken = match self.synchronous.pop_first() {
            Some((_, run)) => (run, true),
            None if only_synchronous => return None,
            None => (self.ordinary.pop_first()?.1, false),
        };
        self.tag = self.tag.saturating_add(step);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn room(free: u32, reserved: u32) -> Slots {
        let mut slots = Slots::new();
        slots.set(AgentId::from_u128(1), free, reserved);
        slots
    }

    fn ids(queue: &mut Queue<&'static str>, slots: &mut Slots) -> Vec<u128> {
        core::iter::from_fn(|| queue.pop(NOW, slots)).map(|(run, _)| run.as_u128()).collect()
    }

    fn queue(runs: &[(&'static str, u128, bool)]) -> Queue<&'static str> {
        let mut queue = Queue::new();
        for (project, run, synchronous) in runs {
            queue.push(*project, RunId::from_u128(*run), NOW, *synchronous);
        }
        queue
    }

    #[test]
    fn projects_take_turns_however_much_one_of_them_pushes() {
        let mut queue = queue(&[("a", 1, false), ("a", 2, false), ("a", 3, false), ("b", 4, false), ("b", 5, false)]);
        assert_eq!(ids(&mut queue, &mut room(9, 0)), [1, 4, 2, 5, 3]);
    }

    #[test]
    fn a_project_of_weight_three_gets_three_turns_for_one() {
        let mut queue = queue(&[]);
        queue.set_weight("a", 3);
        for run in 0..40 {
            queue.push(if run < 20 { "a" } else { "b" }, RunId::from_u128(run), NOW, false);
        }
        let first = ids(&mut queue, &mut room(16, 0));
        assert_eq!(first.iter().filter(|run| **run < 20).count(), 12);
    }

    #[test]
    fn a_project_that_pushes_one_run_at_a_time_does_not_starve_the_others() {
        let mut queue = queue(&[("b", 100, false), ("b", 101, false), ("b", 102, false)]);
        let mut order = vec![];
        for run in 0..4 {
            queue.push("a", RunId::from_u128(run), NOW, false);
            order.extend(ids(&mut queue, &mut room(1, 0)));
        }
        assert_eq!(order, [0, 100, 1, 101]);
    }

    #[test]
    fn a_project_that_slept_saved_up_no_turns() {
        let mut queue = queue(&[("a", 1, false), ("b", 2, false)]);
        ids(&mut queue, &mut room(2, 0));
        for run in 10..20 {
            queue.push("b", RunId::from_u128(run), NOW, false);
        }
        ids(&mut queue, &mut room(5, 0));
        for run in 20..30 {
            queue.push("a", RunId::from_u128(run), NOW, false);
        }
        assert_eq!(ids(&mut queue, &mut room(4, 0)).iter().filter(|run| **run >= 20).count(), 2);
    }

    #[test]
    fn a_synchronous_run_goes_first_in_its_project_and_alone_into_a_reserved_slot() {
        let mut queue = queue(&[("a", 1, false), ("a", 2, true), ("b", 3, false), ("b", 4, true)]);
        assert_eq!(ids(&mut queue, &mut room(2, 1)), [2, 4]);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_run_that_is_not_due_or_was_removed_is_not_popped() {
        let mut queue = queue(&[("a", 1, false), ("a", 2, false)]);
        queue.push("a", RunId::from_u128(1), Timestamp::from_millis(5_000), false);
        assert_eq!(queue.pop(NOW, &mut Slots::new()), None);
        assert_eq!(queue.next_due(), Some(Timestamp::from_millis(5_000)));
        assert!(queue.remove(RunId::from_u128(2)) && !queue.remove(RunId::from_u128(2)));
        assert_eq!(ids(&mut queue, &mut room(2, 0)), []);
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        /// Runs come, go and become due in any order.
        #[test]
        fn each_run_comes_out_once_when_it_is_due_unless_it_was_removed(
            steps in prop::collection::vec((0..3_u8, 0..12_u128, 0..40_u64, any::<bool>()), 0..80),
        ) {
            let mut queue = Queue::new();
            queue.set_weight(0, 5);
            let mut expected: BTreeMap<u128, u64> = BTreeMap::new();
            for (now, (step, id, millis, synchronous)) in (0_u64..).zip(steps) {
                let run = RunId::from_u128(id);
                match step {
                    0 => {
                        queue.push((id % 3) as u8, run, Timestamp::from_millis(now + millis), synchronous);
                        expected.insert(id, now + millis);
                    }
                    1 => prop_assert_eq!(queue.remove(run), expected.remove(&id).is_some()),
                    _ => {
                        let popped = queue.pop(Timestamp::from_millis(now), &mut room(1, 0));
                        let due = popped.and_then(|(run, _)| expected.remove(&run.as_u128()));
                        prop_assert_eq!(due.is_some(), popped.is_some());
                        let left = expected.values().any(|due| *due <= now);
                        prop_assert!(due.is_some_and(|due| due <= now) || !left);
                    }
                }
                prop_assert_eq!(queue.len(), expected.len());
                let ready = queue.flows.values().filter(|flow| !flow.ordinary.is_empty() || !flow.synchronous.is_empty());
                prop_assert_eq!(queue.active.len(), ready.count());
                prop_assert_eq!(queue.active.len() + queue.idle.len(), queue.flows.len());
            }
        }
    }

    #[test]
    fn a_project_that_is_tied_to_a_full_agent_lets_others_go_first_and_saves_up_no_turns() {
        let (busy, other) = (AgentId::from_u128(1), AgentId::from_u128(2));
        let tie = |project: &&str, _: &Queue<_>| if *project == "tied" { Tie::Only(busy) } else { Tie::Any };
        let mut queue = queue(&[]);
        for run in 0..20 {
            queue.push(if run < 10 { "tied" } else { "free" }, RunId::from_u128(run), NOW, false);
        }
        let mut slots = Slots::new();
        slots.set(other, 6, 0);
        let placed: Vec<_> = core::iter::from_fn(|| queue.pop_tied(NOW, &mut slots, tie)).collect();
        assert!(placed.len() == 6 && placed.iter().all(|(run, agent)| run.as_u128() >= 10 && *agent == other));
        slots.set(busy, 4, 0);
        let placed: Vec<_> = core::iter::from_fn(|| queue.pop_tied(NOW, &mut slots, tie)).collect();
        assert_eq!(placed.iter().filter(|(run, _)| run.as_u128() < 10).count(), 2, "{placed:?}");
        slots.set(other, 1, 0);
        slots.set(busy, 1, 0);
        assert_eq!(queue.pop_tied(NOW, &mut slots, |_, _| Tie::Nobody), None);
    }

    #[test]
    fn runs_that_need_keys_wait_for_an_agent_that_has_them_and_others_pass() {
        let (bare, keyed) = (AgentId::from_u128(1), AgentId::from_u128(2));
        let tie = |project: &&str, _: &Queue<_>| if *project == "sealed" { Tie::Keyed } else { Tie::Any };
        let mut queue = queue(&[("sealed", 1, false), ("open", 2, false), ("sealed", 3, true)]);
        let mut slots = Slots::new();
        slots.set(bare, 9, 0);
        slots.set_keyed(bare, false);
        assert_eq!(queue.pop_tied(NOW, &mut slots, tie), Some((RunId::from_u128(2), bare)));
        assert_eq!(queue.pop_tied(NOW, &mut slots, tie), None);
        slots.set(keyed, 1, 0);
        assert_eq!(queue.pop_tied(NOW, &mut slots, tie), Some((RunId::from_u128(3), keyed)));
        slots.set_keyed(bare, true);
        assert_eq!(queue.pop_tied(NOW, &mut slots, tie), Some((RunId::from_u128(1), bare)));
    }

    #[test]
    fn a_run_that_moves_to_another_project_keeps_its_moment_and_is_seen_there() {
        let (mut queue, slots) = (queue(&[("a", 1, false), ("a", 2, false)]), &mut room(1, 0));
        queue.push("a", RunId::from_u128(1), Timestamp::from_millis(5_000), false);
        assert_eq!(ids(&mut queue, slots), [2]);
        queue.relabel(RunId::from_u128(1), "b");
        queue.relabel(RunId::from_u128(2), "b");
        assert_eq!((queue.len(), queue.next_due()), (1, Some(Timestamp::from_millis(5_000))));
        assert_eq!(queue.pop(Timestamp::from_millis(5_000), slots), None);
        assert!(queue.is_ready(&"b") && !queue.is_ready(&"a"));
    }

    #[test]
    fn nothing_is_remembered_of_projects_once_nothing_waits() {
        let mut queue = queue(&[("a", 1, false), ("b", 2, true)]);
        ids(&mut queue, &mut room(3, 0));
        assert_eq!(queue.turns().tags, BTreeMap::new());
        assert!(queue.active.is_empty() && queue.calling.is_empty() && queue.idle.is_empty());
    }
}
