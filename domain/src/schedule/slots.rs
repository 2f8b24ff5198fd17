//! Free slots of a group's agents.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use crate::id::AgentId;

/// How many more runs each agent of a group may be offered.
///
/// The last `reserved` free slots of an agent take synchronous runs only, so that a caller who
/// waits for an answer does not queue behind a night's batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    agents: BTreeMap<AgentId, Room>,
    all: Index,
    /// Only of agents that have the keys of their group.
    keyed: Index,
}

/// Agents with room, those with most of it first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index {
    for_any: BTreeSet<(Reverse<u32>, AgentId)>,
    for_synchronous: BTreeSet<(Reverse<u32>, AgentId)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    free: u32,
    reserved: u32,
    keyless: bool,
}

impl Room {
    const fn for_any(self) -> u32 {
        self.free.saturating_sub(self.reserved)
    }

    /// What of it counts where only agents with keys do.
    const fn keyed(self) -> Self {
        if self.keyless { Self { free: 0, ..self } } else { self }
    }
}

impl Index {
    const fn new() -> Self {
        Self { for_any: BTreeSet::new(), for_synchronous: BTreeSet::new() }
    }

    const fn of(&self, synchronous: bool) -> &BTreeSet<(Reverse<u32>, AgentId)> {
        if synchronous { &self.for_synchronous } else { &self.for_any }
    }

    fn replace(&mut self, agent: AgentId, before: Room, after: Room) {
        move_entry(&mut self.for_any, agent, before.for_any(), after.for_any());
        move_entry(&mut self.for_synchronous, agent, before.free, after.free);
    }
}

impl Slots {
    /// No agent at all.
    pub const fn new() -> Self {
        Self { agents: BTreeMap::new(), all: Index::new(), keyed: Index::new() }
    }

    /// The agent has `free` slots now, the last `reserved` of them for synchronous runs only.
    /// Replaces what was known of it, except whether it has keys.
    ///
    /// An agent with a single slot had better reserve none: it would never take ordinary work.
    pub fn set(&mut self, agent: AgentId, free: u32, reserved: u32) {
        let keyless = self.agents.get(&agent).is_some_and(|room| room.keyless);
        self.replace(agent, Some(Room { free, reserved, keyless }));
    }

    /// Whether the agent has the keys of its group; it has, unless this says otherwise. Of an unknown agent nothing is
    /// kept.
    pub fn set_keyed(&mut self, agent: AgentId, keyed: bool) {
        if let Some(room) = self.agents.get(&agent).copied() {
            self.replace(agent, Some(Room { keyless: !keyed, ..room }));
        }
    }

    /// The agent takes no more work: it left, drains or is locked.
    pub fn remove(&mut self, agent: AgentId) {
        self.replace(agent, None);
    }

    /// A slot of the agent became free. Of an unknown agent nothing is kept.
    pub fn release(&mut self, agent: AgentId) {
        if let Some(Room { free, reserved, .. }) = self.agents.get(&agent).copied() {
            self.set(agent, free.saturating_add(1), reserved);
        }
    }

    /// Takes a slot for one run from the agent that has most of them, ties by id.
    pub fn take(&mut self, synchronous: bool) -> Option<AgentId> {
        let (_, agent) = self.all.of(synchronous).first().copied()?;
        self.take_one(agent)
    }

    /// The same, of agents that have their group's keys.
    pub fn take_keyed(&mut self, synchronous: bool) -> Option<AgentId> {
        let (_, agent) = self.keyed.of(synchronous).first().copied()?;
        self.take_one(agent)
    }

    fn take_one(&mut self, agent: AgentId) -> Option<AgentId> {
        let Room { free, reserved, .. } = self.agents.get(&agent).copied()?;
        self.set(agent, free.saturating_sub(1), reserved);
        Some(agent)
    }

    /// Takes a slot of this agent for one run; `false` if it has none for this kind.
    pub fn take_at(&mut self, agent: AgentId, synchronous: bool) -> bool {
        let Some(Room { free, reserved, .. }) = self.agents.get(&agent).copied() else { return false };
        let has = self.has_room_at(agent, synchronous);
        if has {
            self.set(agent, free.saturating_sub(1), reserved);
        }
        has
    }

    /// Whether this agent can take a run of this kind.
    pub fn has_room_at(&self, agent: AgentId, synchronous: bool) -> bool {
        let room = self.agents.get(&agent).copied().unwrap_or_default();
        (if synchronous { room.free } else { room.for_any() }) > 0
    }

    /// Whether some agent can take a run of this kind.
    pub fn has_room(&self, synchronous: bool) -> bool {
        !self.all.of(synchronous).is_empty()
    }

    /// Whether some agent that has its group's keys can take a run of this kind.
    pub fn has_room_keyed(&self, synchronous: bool) -> bool {
        !self.keyed.of(synchronous).is_empty()
    }

    /// Free slots of the agent, reserved ones included; 0 if it is unknown.
    pub fn free(&self, agent: AgentId) -> u32 {
        self.agents.get(&agent).map_or(0, |room| room.free)
    }

    /// Whether no agent is known.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    fn replace(&mut self, agent: AgentId, room: Option<Room>) {
        let before = match room {
            Some(room) => self.agents.insert(agent, room),
            None => self.agents.remove(&agent),
        };
        let (before, after) = (before.unwrap_or_default(), room.unwrap_or_default());
        self.all.replace(agent, before, after);
        self.keyed.replace(agent, before.keyed(), after.keyed());
    }
}

/// Each index lists only agents with room.
fn move_entry(index: &mut BTreeSet<(Reverse<u32>, AgentId)>, agent: AgentId, before: u32, after: u32) {
    if before == after {
        return;
    }
    index.remove(&(Reverse(before), agent));
    if after > 0 {
        index.insert((Reverse(after), agent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AgentId = AgentId::from_u128(1);
    const B: AgentId = AgentId::from_u128(2);

    #[test]
    fn the_agent_with_most_free_slots_is_taken_and_ties_go_by_id() {
        let mut slots = Slots::new();
        slots.set(B, 2, 0);
        slots.set(A, 2, 0);
        let taken: [_; 5] = core::array::from_fn(|_| slots.take(false));
        assert_eq!(taken, [Some(A), Some(B), Some(A), Some(B), None]);
    }

    #[test]
    fn the_reserved_slots_take_only_synchronous_runs() {
        let mut slots = Slots::new();
        slots.set(A, 2, 1);
        assert_eq!((slots.take(false), slots.take(false)), (Some(A), None));
        assert_eq!((slots.take(true), slots.take(true)), (Some(A), None));
        slots.release(A);
        assert!(!slots.has_room(false) && slots.has_room(true));
    }

    #[test]
    fn a_slot_of_one_agent_is_taken_only_if_it_has_one() {
        let mut slots = Slots::new();
        slots.set(A, 2, 1);
        assert!(slots.take_at(A, false) && !slots.take_at(A, false));
        assert!(slots.has_room_at(A, true) && slots.take_at(A, true) && !slots.take_at(A, true));
        assert!(!slots.take_at(B, true));
    }

    #[test]
    fn an_agent_without_keys_is_not_taken_where_keys_are_needed() {
        let mut slots = Slots::new();
        slots.set(A, 3, 0);
        slots.set(B, 1, 0);
        slots.set_keyed(A, false);
        assert_eq!((slots.take_keyed(false), slots.take_keyed(true)), (Some(B), None));
        assert!(slots.has_room(false) && !slots.has_room_keyed(true));
        assert_eq!(slots.take(false), Some(A));
        slots.release(A);
        assert!(!slots.has_room_keyed(false), "a free slot brings no keys");
        slots.set_keyed(A, true);
        assert_eq!(slots.take_keyed(false), Some(A));
    }

    #[test]
    fn an_agent_that_left_is_not_taken_and_its_releases_do_not_bring_it_back() {
        let mut slots = Slots::new();
        slots.set(A, 2, 0);
        slots.remove(A);
        slots.release(A);
        assert_eq!((slots.take(true), slots.free(A), slots.is_empty()), (None, 0, true));
    }
}
