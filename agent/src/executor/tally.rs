//! How many records went where, and up to which cursor all of them have arrived.

use std::collections::VecDeque;

use wherry_proto::frame::Counts;

use super::{cursor::Position, memory::Changes};

/// Cursors that wait for their records to arrive; a source that runs further ahead loses the older ones, which only
/// makes the next checkpoint come later.
const MAX_MARKS: usize = 1_024;

/// A place in the source's records.
#[derive(Debug, Default)]
struct Mark {
    /// How many records have to be done with before it is reached: first of the source, then of those for the target.
    after: u64,
    /// What was read up to it.
    read: u64,
    batches: u64,
    /// Where to go on behind it; none where only an invocation ended.
    cursor: Option<String>,
    /// What the source changed of its connection's memory before it.
    changes: Changes,
}

/// The books of one attempt.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Counts,
    /// Records of the source that need no further work before the target.
    used: u64,
    /// Records for the target: as many as were used, unless the operation transforms them.
    given: u64,
    acknowledged: u64,
    /// Where this attempt began.
    before: Position,
    /// Cursors whose records are still worked on, each after how many records of the source.
    ahead: VecDeque<Mark>,
    /// Cursors whose records are on their way to the target, each after how many records for it.
    marks: VecDeque<Mark>,
    confirmed: Option<Position>,
    /// What the source changed before records that have all arrived.
    arrived: Changes,
    /// There is no target.
    only_counts: bool,
    latest: Option<String>,
}

impl Tally {
    pub(super) fn new(before: Position) -> Self {
        Self {
            counts: Counts::default(),
            used: 0,
            given: 0,
            acknowledged: 0,
            before,
            ahead: VecDeque::new(),
            marks: VecDeque::new(),
            confirmed: None,
            arrived: Changes::default(),
            only_counts: false,
            latest: None,
        }
    }

    /// The source yielded records, and perhaps said where to continue after them.
    pub(super) fn read(&mut self, records: u32, cursor: Option<String>) {
        self.counts.read += u64::from(records);
        self.counts.batches += u64::from(records > 0);
        if let Some(cursor) = cursor {
            self.latest = Some(cursor.clone());
            self.mark(Some(cursor), Changes::default());
        }
    }

    /// An invocation of the source has ended well and changed what its connection remembers.
    pub(super) fn changed(&mut self, changes: Changes) {
        if !changes.is_empty() {
            self.mark(None, changes);
            self.handed_on(0, 0);
        }
    }

    fn mark(&mut self, cursor: Option<String>, changes: Changes) {
        let Counts { read, batches, .. } = self.counts;
        push(&mut self.ahead, Mark { after: read, read, batches, cursor, changes });
    }

    /// Of the records read so far, `used` more are done with, and `given` more came of them for the target. What came
    /// of a record is told no later than that the record is used.
    pub(super) fn handed_on(&mut self, used: u32, given: u32) {
        self.used += u64::from(used);
        self.given += u64::from(given);
        while let Some(mark) = self.ahead.pop_front_if(|mark| mark.after <= self.used) {
            push(&mut self.marks, Mark { after: self.given, ..mark });
        }
        self.settle();
    }

    /// The target holds all records before `up_to`, or has refused them. A target cannot hold what it was not given.
    pub(super) fn acknowledged(&mut self, up_to: u64) {
        self.acknowledged = self.acknowledged.max(up_to.min(self.given));
        self.counts.written = self.acknowledged.saturating_sub(self.counts.rejected);
        self.settle();
    }

    /// The target refused a record.
    pub(super) fn rejected(&mut self) {
        self.counts.rejected = self.counts.rejected.saturating_add(1).min(self.given);
        self.counts.written = self.acknowledged.saturating_sub(self.counts.rejected);
    }

    /// Records that the target refused, in earlier attempts too.
    pub(super) fn refused(&self) -> u64 {
        self.before.counts.rejected + self.counts.rejected
    }

    /// Everything given to the target so far has arrived.
    pub(super) fn all_arrived(&mut self) {
        self.acknowledged(self.given);
    }

    /// Records for the target so far.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// There is no target: what was read has arrived with that, and nothing is written.
    pub(super) fn only_counted(&mut self) {
        (self.acknowledged, self.only_counts) = (self.given, true);
        self.settle();
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What the attempts before this one did, as far as it went on behind them.
    pub(super) fn earlier(&self) -> Counts {
        self.before.counts
    }

    /// What the source changed of its connection's memory before records that have all arrived; once.
    pub(super) fn take_arrived(&mut self) -> Changes {
        std::mem::take(&mut self.arrived)
    }

    /// The newest cursor before which everything has arrived, if it moved since it was last asked for.
    pub(super) fn take_confirmed(&mut self) -> Option<Position> {
        self.confirmed.take()
    }

    /// Where the source is, whether or not its records have arrived.
    pub(super) fn latest_cursor(&self) -> Option<&String> {
        self.latest.as_ref()
    }

    fn settle(&mut self) {
        while let Some(Mark { after, read, batches, cursor, changes }) =
            self.marks.pop_front_if(|mark| mark.after <= self.acknowledged)
        {
            self.arrived.and_then(changes);
            let rejected = self.counts.rejected;
            let written = if self.only_counts { 0 } else { after.saturating_sub(rejected) };
            if cursor.is_some() {
                let counts = self.before.counts.and(Counts { read, written, rejected, batches });
                self.confirmed = Some(Position { rows: self.before.rows + after, counts, cursor });
            }
        }
    }
}

/// What a source changed is not left out with its place: it counts at the next one.
fn push(marks: &mut VecDeque<Mark>, mark: Mark) {
    if marks.len() >= MAX_MARKS
        && let Some(mut left_out) = marks.pop_front()
        && let Some(next) = marks.front_mut()
    {
        left_out.changes.and_then(std::mem::take(&mut next.changes));
        next.changes = left_out.changes;
    }
    marks.push_back(mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::memory::Entries;

    fn after(rows: u64) -> Tally {
        Tally::new(Position { rows, ..Position::default() })
    }

    #[test]
    fn what_was_refused_is_remembered_with_the_cursor() {
        let refused = Counts { rejected: 1, ..Counts::default() };
        let mut tally = Tally::new(Position { rows: 10, counts: refused, cursor: None });
        read(&mut tally, 5, Some("a"));
        tally.rejected();
        tally.acknowledged(5);
        let position = tally.take_confirmed().unwrap();
        assert_eq!((position.rows, position.counts.rejected, tally.refused()), (15, 2, 2));
    }

    fn change(key: &str) -> Changes {
        Changes::between(&Entries::new(), &Entries::from([(key.to_owned(), vec![1])]))
    }

    #[test]
    fn what_a_source_changed_counts_when_its_records_have_arrived() {
        let mut tally = after(0);
        read(&mut tally, 10, Some("a"));
        tally.changed(change("one"));
        read(&mut tally, 5, Some("b"));
        tally.changed(change("two"));
        tally.acknowledged(9);
        assert!(tally.take_arrived().is_empty());
        tally.acknowledged(10);
        assert_eq!((tally.take_arrived(), cursor(&mut tally)), (change("one"), Some((10, "a".into()))));
        tally.all_arrived();
        assert_eq!(tally.take_arrived(), change("two"));
        assert!(tally.take_arrived().is_empty());
    }

    #[test]
    fn a_change_survives_a_source_that_runs_far_ahead() {
        let mut tally = after(0);
        read(&mut tally, 1, None);
        tally.changed(change("early"));
        (0..2 * MAX_MARKS).for_each(|_| read(&mut tally, 1, Some("later")));
        tally.all_arrived();
        assert_eq!(tally.take_arrived(), change("early"));
    }

    #[test]
    fn the_sums_of_a_run_go_on_behind_the_last_confirmed_cursor() {
        let mut first = after(0);
        read(&mut first, 10, Some("a"));
        read(&mut first, 10, Some("b"));
        first.rejected();
        first.acknowledged(12);
        let position = first.take_confirmed().unwrap();
        assert_eq!(position.counts, Counts { read: 10, written: 9, rejected: 1, batches: 1 });
        let mut second = Tally::new(position);
        read(&mut second, 10, Some("b"));
        second.all_arrived();
        let sum = second.counts().and(second.earlier());
        assert_eq!(sum, Counts { read: 20, written: 19, rejected: 1, batches: 2 });
        assert_eq!(second.take_confirmed().unwrap().counts, sum);
    }

    /// As without a transformation.
    fn read(tally: &mut Tally, records: u32, cursor: Option<&str>) {
        tally.read(records, cursor.map(str::to_owned));
        tally.handed_on(records, records);
    }

    fn cursor(tally: &mut Tally) -> Option<(u64, String)> {
        tally.take_confirmed().and_then(|position| position.cursor.map(|cursor| (position.rows, cursor)))
    }

    #[test]
    fn a_cursor_is_confirmed_once_every_record_before_it_has_arrived() {
        let mut tally = after(100);
        read(&mut tally, 10, Some("a"));
        read(&mut tally, 5, Some("b"));
        tally.acknowledged(9);
        assert_eq!(cursor(&mut tally), None);
        tally.acknowledged(12);
        assert_eq!(cursor(&mut tally), Some((110, "a".into())));
        assert_eq!(cursor(&mut tally), None, "it did not move since");
        tally.all_arrived();
        assert_eq!(cursor(&mut tally), Some((115, "b".into())));
    }

    #[test]
    fn without_a_target_the_cursor_moves_and_nothing_is_written() {
        let mut tally = after(0);
        read(&mut tally, 10, Some("a"));
        tally.only_counted();
        assert_eq!(cursor(&mut tally), Some((10, "a".into())));
        assert_eq!(tally.counts(), Counts { read: 10, written: 0, rejected: 0, batches: 1 });
    }

    #[test]
    fn refused_records_are_not_counted_as_written() {
        let mut tally = after(0);
        read(&mut tally, 10, None);
        tally.rejected();
        tally.acknowledged(10);
        tally.acknowledged(4);
        assert_eq!(tally.counts(), Counts { read: 10, written: 9, rejected: 1, batches: 1 });
    }

    #[test]
    fn a_target_that_claims_more_than_it_was_given_gets_no_more() {
        let mut tally = after(0);
        read(&mut tally, 3, Some("a"));
        tally.acknowledged(1_000);
        assert_eq!(tally.counts().written, 3);
    }

    #[test]
    fn a_cursor_waits_until_everything_that_came_of_its_records_has_arrived() {
        let mut tally = after(100);
        tally.read(2, Some("a".into()));
        tally.handed_on(0, 1_000);
        tally.acknowledged(1_000);
        assert_eq!(cursor(&mut tally), None, "more may come of them");
        tally.read(2, Some("b".into()));
        tally.handed_on(0, 1);
        tally.handed_on(2, 0);
        assert_eq!(cursor(&mut tally), None, "one more came of them");
        tally.acknowledged(1_001);
        assert_eq!(cursor(&mut tally), Some((1_101, "a".into())), "counted in records for the target");
        assert_eq!(tally.counts(), Counts { read: 4, written: 1_001, rejected: 0, batches: 2 });
    }

    #[test]
    fn a_cursor_moves_past_records_of_which_nothing_came() {
        let mut tally = after(0);
        tally.read(10, Some("a".into()));
        tally.read(0, Some("b".into()));
        tally.handed_on(0, 0);
        assert_eq!(cursor(&mut tally), None);
        tally.handed_on(10, 0);
        assert_eq!(cursor(&mut tally), Some((0, "b".into())));
    }
}
