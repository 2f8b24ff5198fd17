//! Results on their way to the controller, in memory: what the store holds, and what of it may go.

use std::{collections::BTreeMap, sync::Arc};

use wherry_daemon::store::Batch;
use wherry_proto::frame::Attempt;

use super::{deletions, record::Finished};

/// All results that are not removed yet, by number.
#[derive(Debug)]
pub(super) struct Outbox {
    next_seq: u64,
    results: BTreeMap<u64, Kept>,
    /// Attempts whose records ride out with the next commit, and how many states stand beside each.
    pruned: Vec<(Attempt, u8)>,
}

#[derive(Debug)]
enum Kept {
    /// Numbered, not durable.
    Writing,
    /// Durable, waits for its acknowledgement.
    Waiting(Arc<Finished>),
    /// Never written, waits for its acknowledgement.
    Passing(Arc<Finished>),
    /// Acknowledged; its record holds the highest number.
    Marker(Attempt, u8),
}

impl Kept {
    /// What waits for its acknowledgement.
    const fn result(&self) -> Option<&Arc<Finished>> {
        match self {
            Self::Waiting(finished) | Self::Passing(finished) => Some(finished),
            Self::Writing | Self::Marker(..) => None,
        }
    }

    /// What is left of a result that nobody waits for.
    fn marker(finished: &Finished) -> Self {
        let states = u8::try_from(finished.report.states.len()).unwrap_or(u8::MAX);
        Self::Marker(finished.report.attempt, states)
    }
}

impl Outbox {
    /// Nothing yet; the first number is at least `least_seq`, and never 0.
    pub(super) fn new(least_seq: u64) -> Self {
        Self { next_seq: least_seq.max(1), results: BTreeMap::new(), pruned: Vec::new() }
    }

    /// Takes in a record that was read back.
    pub(super) fn restore(&mut self, finished: Arc<Finished>) {
        self.next_seq = self.next_seq.max(finished.report.seq.saturating_add(1));
        self.results.insert(finished.report.seq, Kept::Waiting(finished));
    }

    /// Everything was read back. Nothing to do so far: what was acknowledged but not removed is sent again, and the
    /// controller knows it by its fence.
    pub(super) fn restored(&mut self) {
        self.pruned.clear();
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        self.results.insert(seq, Kept::Writing);
        seq
    }

    pub(super) fn durable(&mut self, finished: Arc<Finished>) {
        self.results.insert(finished.report.seq, Kept::Waiting(finished));
        self.release_markers();
    }

    pub(super) fn pass_on(&mut self, finished: Arc<Finished>) {
        self.results.insert(finished.report.seq, Kept::Passing(finished));
    }

    pub(super) fn acknowledged(&mut self, up_to: u64) {
        self.results.retain(|seq, kept| *seq > up_to || !matches!(kept, Kept::Passing(_)));
        for kept in self.results.range_mut(..=up_to).map(|(_, kept)| kept) {
            if let Kept::Waiting(finished) = kept {
                *kept = Kept::marker(finished);
            }
        }
        self.release_markers();
    }

    /// The attempt's record goes with the next commit, whatever it says.
    pub(super) fn forget(&mut self, attempt: Attempt) {
        let found =
            self.results.iter().find(|(_, kept)| kept.result().is_some_and(|result| result.report.attempt == attempt));
        match found.map(|(seq, kept)| (*seq, kept)) {
            Some((seq, Kept::Waiting(finished))) => {
                let marker = Kept::marker(finished);
                self.results.insert(seq, marker);
            }
            Some((seq, Kept::Passing(_))) => drop(self.results.remove(&seq)),
            Some((_, Kept::Writing | Kept::Marker(..))) | None => self.pruned.push((attempt, 0)),
        }
        self.release_markers();
    }

    pub(super) fn next_after(&self, sent: u64) -> Option<Arc<Finished>> {
        let after = sent.saturating_add(1);
        self.results.range(after..).find_map(|(_, kept)| match kept {
            Kept::Marker(..) => None,
            Kept::Waiting(finished) | Kept::Passing(finished) => Some(Some(Arc::clone(finished))),
            Kept::Writing => Some(None),
        })?
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = Attempt> + '_ {
        self.results.values().filter_map(|kept| kept.result().map(|finished| finished.report.attempt))
    }

    /// The removals for the next commit. Should that commit be refused, the records are sent again after a restart
    /// and nothing else happens.
    pub(super) fn take_pruned(&mut self) -> Batch {
        deletions(std::mem::take(&mut self.pruned).into_iter())
    }

    /// Markers below the highest durable record have served their purpose.
    fn release_markers(&mut self) {
        let written = |kept: &Kept| matches!(kept, Kept::Waiting(_) | Kept::Marker(..));
        let highest = self.results.iter().rev().find(|(_, kept)| written(kept));
        let Some(highest) = highest.map(|(seq, _)| *seq) else { return };
        while let Some((&seq, Kept::Marker(attempt, states))) = self.results.first_key_value() {
            if seq >= highest {
                break;
            }
            self.pruned.push((*attempt, *states));
            self.results.remove(&seq);
        }
    }
}
