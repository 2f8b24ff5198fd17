//! What this process has reported so far, for a controller that was restored from a copy and has forgotten it.
//!
//! Without it such a controller would give a run to another agent although it has been done. It is kept in memory
//! only, without logs: a restarted agent repeats what its journal still holds.

use std::collections::VecDeque;

use wherry_domain::epoch::Epoch;
use wherry_proto::frame::Report;

/// Most results that can be repeated, the newest ones: about a megabyte.
const MOST: usize = 4_096;

/// Results that were sent, oldest first, and the controller that they were sent to.
#[derive(Debug, Default)]
pub(super) struct Past {
    generation: Option<u32>,
    reports: VecDeque<Report>,
}

impl Past {
    /// Keeps a result that was sent. One that was sent before is kept already.
    pub(super) fn sent(&mut self, report: &Report) {
        if self.reports.back().is_some_and(|last| last.seq >= report.seq) {
            return;
        }
        if self.reports.len() >= MOST {
            self.reports.pop_front();
        }
        let Report { seq, attempt, ref ending, counts, earlier, duration, ref trial, ref ran, .. } = *report;
        let (ending, log, states) = (ending.clone(), Vec::new(), Vec::new());
        let (trial, ran) = (trial.clone(), ran.clone());
        self.reports.push_back(Report {
            seq,
            attempt,
            ending,
            counts,
            duration,
            log,
            earlier,
            states,
            trial,
            answer: None,
            ran,
        });
    }

    /// Whom the agent talks to from now on; gives what that controller may have forgotten: nothing, unless it was
    /// restored since the session before. What waits for its acknowledgement from `waiting` on is sent in any case.
    pub(super) fn welcomed(&mut self, epoch: Epoch, waiting: Option<u64>) -> Vec<Report> {
        let known = self.generation.replace(epoch.generation());
        if known.is_none_or(|known| known >= epoch.generation()) {
            return Vec::new();
        }
        let before = waiting.unwrap_or(u64::MAX);
        self.reports.iter().filter(|report| report.seq < before).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use wherry_domain::{fence::Fence, id::RunId, run::Outcome};
    use wherry_proto::frame::{Attempt, Counts, Ending};

    fn report(seq: u64) -> Report {
        Report {
            seq,
            attempt: Attempt { run: RunId::from_u128(u128::from(seq)), fence: Fence::from_bits(1) },
            ending: Ending::Ended(Outcome::Succeeded),
            counts: Counts::default(),
            duration: Duration::ZERO,
            log: Vec::new(),
            earlier: Counts::default(),
            states: Vec::new(),
            trial: Vec::new(),
            answer: None,
            ran: None,
        }
    }

    fn repeated(past: &mut Past, generation: u32, waiting: Option<u64>) -> Vec<u64> {
        past.welcomed(Epoch::unused(generation), waiting).iter().map(|report| report.seq).collect()
    }

    #[test]
    fn everything_that_does_not_wait_anyway_is_repeated_once_to_a_restored_controller() {
        let mut past = Past::default();
        assert_eq!(repeated(&mut past, 3, None), [0; 0], "the first one has forgotten nothing");
        for seq in [1, 2, 3, 2, 3] {
            past.sent(&report(seq));
        }
        assert_eq!(repeated(&mut past, 3, None), [0; 0]);
        assert_eq!(repeated(&mut past, 4, Some(3)), [1, 2]);
        assert_eq!(repeated(&mut past, 4, None), [0; 0]);
        assert_eq!(repeated(&mut past, 5, None), [1, 2, 3]);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut past = Past::default();
        repeated(&mut past, 0, None);
        (1..=5_000).for_each(|seq| past.sent(&report(seq)));
        let kept = repeated(&mut past, 1, None);
        assert_eq!((kept.len(), kept.first(), kept.last()), (MOST, Some(&905), Some(&5_000)));
    }
}
