//! Which issues a search found. A search of a hundred thousand issues is made once, not once a page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Positions of issues, in the order asked for.
pub(crate) type Found = Arc<Vec<usize>>;

/// Most results that are kept while nothing changes.
const LIVE: usize = 16;
/// Most results that page tokens may point into; older tokens have expired.
const SNAPSHOTS: usize = 64;

/// Results of searches.
#[derive(Debug, Default)]
pub(crate) struct Finder(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    live: VecDeque<(String, u64, Found)>,
    snapshots: VecDeque<(u64, Found)>,
    number: u64,
}

impl Finder {
    /// What a search finds now; computed again only after a change.
    pub(crate) fn live(&self, search: &str, version: u64, compute: impl FnOnce() -> Vec<usize>) -> Found {
        let known = |kept: &Kept| {
            let fits = kept.live.iter().find(|(known, at, _)| *at == version && known == search);
            fits.map(|(_, _, found)| found.clone())
        };
        if let Some(found) = known(&self.lock()) {
            return found;
        }
        let found = Arc::new(compute());
        let mut kept = self.lock();
        kept.live.retain(|(_, at, _)| *at == version);
        kept.live.truncate(LIVE - 1);
        kept.live.push_front((search.to_owned(), version, found.clone()));
        found
    }

    /// Keeps a result for the pages after the first.
    pub(crate) fn keep(&self, found: &Found) -> u64 {
        let mut kept = self.lock();
        kept.number += 1;
        kept.snapshots.truncate(SNAPSHOTS - 1);
        let number = kept.number;
        kept.snapshots.push_front((number, found.clone()));
        number
    }

    /// A result that was kept.
    pub(crate) fn kept(&self, number: u64) -> Option<Found> {
        self.lock().snapshots.iter().find(|(known, _)| *known == number).map(|(_, found)| found.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
