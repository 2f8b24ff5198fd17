//! How many callers a group waits for before it is closed.
//!
//! A sync costs the same for one change as for a hundred, and wakes more threads than the changes
//! themselves, so under load a fuller group is worth a short wait. A lone caller never waits.

use std::time::Duration;

/// Longest wait for a group to fill: about as long as one or two syncs.
pub(super) const GATHER: Duration = Duration::from_millis(1);
/// More than fit into one group are not waited for.
const MOST: usize = super::committer::MAX_GROUP;
/// Groups after a wait in vain before more callers are expected again.
const REST: u8 = 16;

/// Learns from each group how many callers the next one may expect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pace {
    expected: usize,
    rest: u8,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { expected: 1, rest: 0 }
    }

    /// The group is full with this many.
    pub(super) fn expected(&self) -> usize {
        self.expected
    }

    /// A group of `came` callers was closed, after less than the longest wait if `full`.
    pub(super) fn closed(&mut self, came: usize, full: bool) {
        self.rest = if full { self.rest.saturating_sub(1) } else { REST };
        let more = if came > 1 && self.rest == 0 { came / 4 + 1 } else { 0 };
        self.expected = came.max(1).saturating_add(more).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_caller_never_waits() {
        let mut pace = Pace::new();
        for full in [true, true, false] {
            pace.closed(1, full);
            assert_eq!(pace.expected(), 1);
        }
    }

    #[test]
    fn full_groups_grow_and_a_wait_in_vain_ends_that_for_a_while() {
        let mut pace = Pace::new();
        pace.closed(8, true);
        assert_eq!(pace.expected(), 11);
        pace.closed(11, true);
        assert_eq!(pace.expected(), 14);
        pace.closed(12, false);
        assert_eq!(pace.expected(), 12, "as many as came");
        for _ in 0..REST - 1 {
            pace.closed(12, true);
            assert_eq!(pace.expected(), 12);
        }
        pace.closed(12, true);
        assert_eq!(pace.expected(), 16);
    }

    #[test]
    fn callers_who_went_away_are_not_waited_for_twice() {
        let mut pace = Pace::new();
        pace.closed(64, true);
        pace.closed(1, false);
        assert_eq!(pace.expected(), 1);
    }
}
