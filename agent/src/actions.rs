//! Answers of actions, kept for a while for a caller who asks again.
//!
//! They are records of the customer's systems, so they live in this process's memory only: never on disk, wiped when
//! they go, and few.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wherry_daemon::clock::Clock;
use wherry_domain::{id::RunId, time::Timestamp};
use wherry_proto::frame::Attempt;
use zeroize::Zeroizing;

/// For how long an answer can be asked for again.
const KEEP: Duration = Duration::from_secs(600);
/// Most bytes of all answers together: sixteen of the largest.
const MAX_BYTES: usize = 16 << 20;
/// Most answers.
const MAX_ANSWERS: usize = 1_024;

/// The answers of an agent; cheap to clone.
#[derive(Clone)]
pub struct Answers {
    clock: Clock,
    kept: Arc<Mutex<VecDeque<Kept>>>,
}

struct Kept {
    attempt: Attempt,
    until: Timestamp,
    document: Arc<Zeroizing<Vec<u8>>>,
}

impl Answers {
    /// None yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default() }
    }

    /// Keeps an answer. The oldest go where there is no room.
    pub fn keep(&self, attempt: Attempt, document: Vec<u8>) {
        let until = self.clock.now().plus(KEEP);
        let document = Arc::new(Zeroizing::new(document));
        self.change(|kept| {
            kept.push_back(Kept { attempt, until, document });
            while kept.len() > MAX_ANSWERS || bytes(kept) > MAX_BYTES {
                kept.pop_front();
            }
        });
    }

    /// The answer of an attempt, for its result.
    pub fn of(&self, attempt: Attempt) -> Option<Vec<u8>> {
        self.find(|kept| kept.attempt == attempt)
    }

    /// The newest answer of a run.
    pub fn of_run(&self, run: RunId) -> Option<Vec<u8>> {
        self.find(|kept| kept.attempt.run == run)
    }

    fn find(&self, wanted: impl Fn(&Kept) -> bool) -> Option<Vec<u8>> {
        self.change(|kept| {
            let found = kept.iter().rev().find(|kept| wanted(kept));
            found.map(|kept| kept.document.to_vec())
        })
    }

    /// A panic elsewhere cannot leave the list half-changed, so a poisoned lock is still good.
    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<Kept>) -> R) -> R {
        let now = self.clock.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.pop_front_if(|oldest| oldest.until <= now).is_some() {}
        change(&mut kept)
    }
}

fn bytes(kept: &VecDeque<Kept>) -> usize {
    kept.iter().map(|kept| kept.document.len()).sum()
}

#[cfg(test)]
mod tests {
    use wherry_domain::fence::Fence;

    use super::*;

    fn attempt(run: u128) -> Attempt {
        Attempt { run: RunId::from_u128(run), fence: Fence::from_bits(1) }
    }

    #[test]
    fn an_answer_can_be_asked_for_again_for_ten_minutes() {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(0));
        let answers = Answers::new(clock);
        answers.keep(attempt(1), b"{}".to_vec());
        hand.advance(Duration::from_secs(599));
        assert_eq!(
            (answers.of(attempt(1)), answers.of_run(RunId::from_u128(1))),
            (Some(b"{}".into()), Some(b"{}".into()))
        );
        assert_eq!(answers.of(attempt(2)), None);
        hand.advance(Duration::from_secs(1));
        assert_eq!(answers.of(attempt(1)), None);
    }

    #[test]
    fn the_oldest_answers_go_where_there_is_no_room() {
        let (clock, _hand) = Clock::manual(Timestamp::from_millis(0));
        let answers = Answers::new(clock);
        (0..20).for_each(|run| answers.keep(attempt(run), vec![0; 1 << 20]));
        let left: Vec<u128> = (0..20).filter(|run| answers.of(attempt(*run)).is_some()).collect();
        assert_eq!(left, (4..20).collect::<Vec<_>>());
        (0..2_000).for_each(|run| answers.keep(attempt(100 + run), Vec::new()));
        assert!((0..2_000).filter(|run| answers.of(attempt(100 + run)).is_some()).count() <= MAX_ANSWERS);
    }
}
