//! Which instance works on which records, and up to where all of them have arrived.
//!
//! Each instance numbers its own records from 0; the run numbers all of them. What the run may rely on is the
//! low-water mark: every record before it has arrived, wherever it went.

use std::collections::{BTreeMap, VecDeque};

/// Records that went to one instance together.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Number of the first one for the instance.
    local: u64,
    /// Number of the first one for the run.
    global: u64,
    count: u64,
}

#[derive(Debug, Default)]
struct Member {
    spans: VecDeque<Span>,
    /// Records given to it so far.
    given: u64,
    /// Records before this one have arrived.
    acknowledged: u64,
}

/// The books of a team.
#[derive(Debug)]
pub(super) struct Books {
    members: Vec<Member>,
    given: u64,
    low: u64,
    /// Ranges that arrived beyond the low-water mark, from their first record to one after their last.
    beyond: BTreeMap<u64, u64>,
}

impl Books {
    pub(super) fn new(members: usize) -> Self {
        Self { members: (0..members).map(|_| Member::default()).collect(), given: 0, low: 0, beyond: BTreeMap::new() }
    }

    /// The next `count` records go to this instance.
    pub(super) fn assign(&mut self, member: usize, count: u64) {
        let Some(member) = self.members.get_mut(member) else { return };
        member.spans.push_back(Span { local: member.given, global: self.given, count });
        member.given += count;
        self.given += count;
    }

    /// The instance says that its records before `up_to` have arrived; the low-water mark, if that moved it.
    pub(super) fn acknowledged(&mut self, member: usize, up_to: u64) -> Option<u64> {
        let member = self.members.get_mut(member)?;
        let up_to = up_to.min(member.given);
        while let Some(span) = member.spans.front().copied().filter(|_| up_to > member.acknowledged) {
            let (from, end) = (member.acknowledged - span.local, (up_to - span.local).min(span.count));
            self.beyond.insert(span.global + from, span.global + end);
            member.acknowledged = span.local + end;
            if end == span.count {
                member.spans.pop_front();
            }
        }
        self.rise()
    }

    /// The instance ended well: everything it was given has arrived.
    pub(super) fn finished(&mut self, member: usize) -> Option<u64> {
        self.acknowledged(member, u64::MAX)
    }

    /// The run's number of an instance's record.
    pub(super) fn row(&self, member: usize, local: u64) -> u64 {
        let spans = self.members.get(member).map(|member| &member.spans);
        let span =
            spans.and_then(|spans| spans.iter().find(|span| (span.local..span.local + span.count).contains(&local)));
        span.map_or(local, |span| span.global + (local - span.local))
    }

    fn rise(&mut self) -> Option<u64> {
        let before = self.low;
        while let Some(range) = self.beyond.first_entry().filter(|range| *range.key() <= self.low) {
            self.low = self.low.max(range.remove());
        }
        (self.low > before).then_some(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_water_mark_waits_for_the_slowest() {
        let mut books = Books::new(2);
        books.assign(0, 10);
        books.assign(1, 10);
        books.assign(1, 5);
        assert_eq!(books.acknowledged(1, 12), None, "the first ten are still on their way");
        assert_eq!(books.acknowledged(0, 4), Some(4));
        assert_eq!(books.acknowledged(0, 10), Some(22));
        assert_eq!(books.finished(1), Some(25));
        assert_eq!(books.finished(0), None);
    }

    #[test]
    fn a_row_is_found_again_whoever_works_on_it() {
        let mut books = Books::new(2);
        books.assign(0, 3);
        books.assign(1, 3);
        books.assign(0, 3);
        assert_eq!((books.row(0, 2), books.row(1, 0), books.row(0, 3)), (2, 3, 6));
        books.acknowledged(0, 4);
        assert_eq!(books.row(0, 4), 7);
    }

    #[test]
    fn an_instance_cannot_claim_what_it_was_not_given() {
        let mut books = Books::new(2);
        books.assign(0, 3);
        books.assign(1, 3);
        assert_eq!(books.acknowledged(0, 1_000), Some(3));
        assert_eq!(books.acknowledged(0, 2), None, "it only grows");
        assert_eq!(books.acknowledged(7, 1), None);
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_list_of_all_records(steps in proptest::collection::vec((0usize..4, 1u64..9, proptest::bool::ANY), 1..200)) {
            let mut books = Books::new(4);
            let (mut arrived, mut owned, mut low) = (Vec::new(), vec![Vec::new(); 4], 0);
            let mut acknowledged = [0usize; 4];
            for (member, count, give) in steps {
                if give {
                    books.assign(member, count);
                    for _ in 0..count {
                        owned[member].push(arrived.len());
                        arrived.push(false);
                    }
                    continue;
                }
                let up_to = (acknowledged[member] + count as usize).min(owned[member].len());
                owned[member][acknowledged[member]..up_to].iter().for_each(|row| arrived[*row] = true);
                acknowledged[member] = up_to;
                let expected = arrived.iter().position(|there| !there).unwrap_or(arrived.len()) as u64;
                let moved = books.acknowledged(member, up_to as u64);
                proptest::prop_assert_eq!(moved, (expected > low).then_some(expected));
                low = expected;
            }
        }
    }
}
