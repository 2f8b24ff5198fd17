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

use alloc::collections::{BTreeMap, BTreeSet};

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
        self.promote(now);
        self.forget_idle();
        let only_synchronous = !slots.has_room(false);
        if only_synchronous && !slots.has_room(true) {
            return None;
        }
        let turns = if only_synchronous { &self.calling } else { &self.active };
        let (_, project) = turns.first().cloned()?;
        let step = SCALE / u64::from(self.weights.get(&project).copied().unwrap_or(1));
        let (run, synchronous) = self.change(&project, |flow| flow.take(only_synchronous, step)).flatten()?;
        self.waiting.remove(&run);
        slots.take(synchronous).map(|agent| (run, agent))
    }

    /// When the next run becomes due that no call of [`Queue::pop`] has seen due. A run that is
    /// due and finds no slot waits for a slot, not for a moment.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(due, _)| *due)
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
        let waits = !(flow.synchronous.is_empty() && flow.ordinary.is_empty());
        if waits { &mut self.active } else { &mut self.idle }.insert(key);
        Some(result)
    }
}

impl Flow {
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
