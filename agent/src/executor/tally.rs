//! How many records went where, and up to which cursor all of them have arrived.

use std::collections::VecDeque;

use wherry_proto::frame::Counts;

use super::cursor::Position;

/// Cursors that wait for their records to arrive; a source that runs further ahead loses the older ones, which only
/// makes the next checkpoint come later.
const MAX_MARKS: usize = 1_024;

/// The books of one attempt.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Counts,
    acknowledged: u64,
    /// Records of the run before this attempt.
    before: u64,
    marks: VecDeque<(u64, String)>,
    confirmed: Option<Position>,
    latest: Option<String>,
}

impl Tally {
    pub(super) fn new(before: u64) -> Self {
        Self {
            counts: Counts::default(),
            acknowledged: 0,
            before,
            marks: VecDeque::new(),
            confirmed: None,
            latest: None,
        }
    }

    /// The source yielded records, and perhaps said where to continue after them.
    pub(super) fn read(&mut self, records: u32, cursor: Option<String>) {
        self.counts.read += u64::from(records);
        self.counts.batches += u64::from(records > 0);
        if let Some(cursor) = cursor {
            if self.marks.len() >= MAX_MARKS {
                self.marks.pop_front();
            }
            self.latest = Some(cursor.clone());
            self.marks.push_back((self.counts.read, cursor));
            self.settle();
        }
    }

    /// The target holds all records before `up_to`, or has refused them. A target cannot hold what it was not given.
    pub(super) fn acknowledged(&mut self, up_to: u64) {
        self.acknowledged = self.acknowledged.max(up_to.min(self.counts.read));
        self.counts.written = self.acknowledged.saturating_sub(self.counts.rejected);
        self.settle();
    }

    /// The target refused a record.
    pub(super) fn rejected(&mut self) {
        self.counts.rejected = self.counts.rejected.saturating_add(1).min(self.counts.read);
        self.counts.written = self.acknowledged.saturating_sub(self.counts.rejected);
    }

    /// Everything read so far has arrived.
    pub(super) fn all_arrived(&mut self) {
        self.acknowledged(self.counts.read);
    }

    /// There is no target: what was read has arrived with that, and nothing is written.
    pub(super) fn only_counted(&mut self) {
        self.acknowledged = self.counts.read;
        self.settle();
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
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
        while let Some((rows, cursor)) = self.marks.pop_front_if(|(rows, _)| *rows <= self.acknowledged) {
            self.confirmed = Some(Position { rows: self.before + rows, cursor: Some(cursor) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(tally: &mut Tally) -> Option<(u64, String)> {
        tally.take_confirmed().and_then(|position| position.cursor.map(|cursor| (position.rows, cursor)))
    }

    #[test]
    fn a_cursor_is_confirmed_once_every_record_before_it_has_arrived() {
        let mut tally = Tally::new(100);
        tally.read(10, Some("a".into()));
        tally.read(5, Some("b".into()));
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
        let mut tally = Tally::new(0);
        tally.read(10, Some("a".into()));
        tally.only_counted();
        assert_eq!(cursor(&mut tally), Some((10, "a".into())));
        assert_eq!(tally.counts(), Counts { read: 10, written: 0, rejected: 0, batches: 1 });
    }

    #[test]
    fn refused_records_are_not_counted_as_written() {
        let mut tally = Tally::new(0);
        tally.read(10, None);
        tally.rejected();
        tally.acknowledged(10);
        tally.acknowledged(4);
        assert_eq!(tally.counts(), Counts { read: 10, written: 9, rejected: 1, batches: 1 });
    }

    #[test]
    fn a_target_that_claims_more_than_it_was_given_gets_no_more() {
        let mut tally = Tally::new(0);
        tally.read(3, Some("a".into()));
        tally.acknowledged(1_000);
        assert_eq!(tally.counts().written, 3);
    }
}
