//! How much of what callers handed over is held in memory, until their actions end.

use std::{collections::BTreeMap, time::Duration};

use wherry_domain::id::GroupId;

use super::Input;
use crate::engine::Refusal;

/// Most bytes held for all groups: a controller of the smallest recommended size has room for them.
const MOST: usize = 256 << 20;
/// Most bytes held for one group, so that one whose agents are gone leaves room for the others.
const MOST_OF_GROUP: usize = 64 << 20;
/// When to come back: callers wait for seconds, and what they handed over goes with them.
const AGAIN: Duration = Duration::from_secs(5);

/// The books of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Inputs {
    all: usize,
    groups: BTreeMap<GroupId, usize>,
}

impl Inputs {
    /// Whether so many bytes more may be held for a group.
    ///
    /// # Errors
    /// If too many are.
    pub(super) fn has_room(&self, group: GroupId, bytes: usize) -> Result<(), Refusal> {
        let of_group = self.groups.get(&group).copied().unwrap_or_default();
        if self.all.saturating_add(bytes) <= MOST && of_group.saturating_add(bytes) <= MOST_OF_GROUP {
            return Ok(());
        }
        let message = "actions that wait hold too much input already: try again in a moment";
        Err(Refusal { message: message.to_owned(), retry_after: Some(AGAIN), ..Refusal::busy() })
    }

    pub(super) fn hold(&mut self, group: GroupId, input: &Input) {
        self.all = self.all.saturating_add(input.bytes());
        let held = self.groups.entry(group).or_default();
        *held = held.saturating_add(input.bytes());
    }

    pub(super) fn release(&mut self, group: GroupId, input: &Input) {
        self.all = self.all.saturating_sub(input.bytes());
        if let Some(held) = self.groups.get_mut(&group) {
            *held = held.saturating_sub(input.bytes());
            if *held == 0 {
                self.groups.remove(&group);
            }
        }
    }
}

impl Input {
    fn bytes(&self) -> usize {
        self.with.len().saturating_add(self.records.len())
    }
}

#[cfg(test)]
mod tests {
    use wherry_daemon::ids;
    use wherry_domain::time::Timestamp;

    use super::*;

    fn input(bytes: usize) -> Input {
        Input { with: vec![0; bytes / 2], records: vec![0; bytes - bytes / 2], until: Timestamp::default() }
    }

    #[test]
    fn inputs_are_bounded_for_a_group_and_in_all_and_what_is_released_makes_room() {
        let mut inputs = Inputs::default();
        let groups: Vec<GroupId> = (0..5).map(|_| ids::new_id()).collect();
        let whole = input(MOST_OF_GROUP);
        for group in &groups[..4] {
            assert!(inputs.has_room(*group, MOST_OF_GROUP).is_ok());
            inputs.hold(*group, &whole);
            let refused = inputs.has_room(*group, 1).unwrap_err();
            assert_eq!((refused.code.as_str(), refused.retry_after), ("controller.busy", Some(AGAIN)));
        }
        assert!(inputs.has_room(groups[4], 1).is_err(), "all together");
        inputs.release(groups[0], &whole);
        assert!(inputs.has_room(groups[4], MOST_OF_GROUP).is_ok());
        for group in &groups[1..4] {
            inputs.release(*group, &whole);
        }
        assert_eq!((inputs.all, inputs.groups.len()), (0, 0));
    }
}
