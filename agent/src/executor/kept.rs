//! What was made ready for one attempt and holds for others: plans of operations, connections of actions.

use std::{
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{connectors::Stand, recent::Recent};

/// How many are kept.
const KEPT: usize = 128;

/// Things of one kind, each with what it was made under.
pub(super) struct Kept<K, V> {
    /// Counts what the organisation wanted so far.
    wishes: AtomicU64,
    entries: Mutex<Recent<K, (Stand, Arc<V>)>>,
}

/// Under what something is being made. Taken before it is begun: what changes from then on makes it a thing of the past.
#[derive(Clone, Copy)]
pub(super) struct Under {
    stand: Stand,
    wishes: u64,
}

impl<K: Eq + Hash + Clone, V> Kept<K, V> {
    pub(super) fn new() -> Self {
        Self { wishes: AtomicU64::new(0), entries: Mutex::new(Recent::new(KEPT)) }
    }

    /// What was made under `stand`, if it is here.
    pub(super) fn recall(&self, key: &K, stand: Stand) -> Option<Arc<V>> {
        let (made_under, value) = self.lock().get(key)?;
        (made_under == stand).then_some(value)
    }

    /// Under what is made what begins now.
    pub(super) fn under(&self, stand: Stand) -> Under {
        Under { stand, wishes: self.wishes.load(SeqCst) }
    }

    /// Keeps what was made under `under`, unless that is the past already: what was made under other locks than `now` is
    /// used by those that began with it and by nobody else.
    pub(super) fn keep(&self, key: K, under: Under, now: Stand, value: &Arc<V>) {
        let mut entries = self.lock();
        entries.retain(|_, (stand, _)| *stand == now);
        if under.stand == now && under.wishes == self.wishes.load(SeqCst) {
            entries.insert(key, (now, Arc::clone(value)));
        }
    }

    /// Forgets everything, also what is still being made.
    pub(super) fn clear(&self) {
        self.wishes.fetch_add(1, SeqCst);
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Recent<K, (Stand, Arc<V>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Stand = Stand::of(1, 1);
    const LATE: Stand = Stand::of(1, 2);

    #[test]
    fn what_was_made_under_other_locks_is_not_used_again() {
        let kept = Kept::new();
        let early = kept.under(EARLY);
        kept.keep("a", early, EARLY, &Arc::new(1));
        assert_eq!((kept.recall(&"a", EARLY).as_deref(), kept.recall(&"a", LATE)), (Some(&1), None));
        kept.keep("b", kept.under(LATE), LATE, &Arc::new(2));
        kept.keep("a", early, LATE, &Arc::new(3));
        assert_eq!((kept.recall(&"a", EARLY), kept.recall(&"b", LATE).as_deref()), (None, Some(&2)));
    }

    #[test]
    fn what_was_begun_before_it_was_cleared_is_not_kept() {
        let kept = Kept::new();
        let under = kept.under(EARLY);
        kept.clear();
        kept.keep("a", under, EARLY, &Arc::new(1));
        assert_eq!(kept.recall(&"a", EARLY), None);
    }
}
