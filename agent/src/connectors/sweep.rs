//! Removing what nobody needs any more, after a grace.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use wherry_domain::{digest::Digest, time::Timestamp};

/// How long something stays that nothing names: an offer under a slightly older lock may still be on its way.
const GRACE: Duration = Duration::from_secs(600);

/// Since when things are not needed.
#[derive(Debug, Default)]
pub(super) struct Grace(BTreeMap<Digest, Timestamp>);

impl Grace {
    /// What of `on_disk` may go now.
    pub(super) fn over(&mut self, on_disk: &BTreeSet<Digest>, keep: &BTreeSet<Digest>, now: Timestamp) -> Vec<Digest> {
        self.0.retain(|digest, _| on_disk.contains(digest) && !keep.contains(digest));
        for digest in on_disk.difference(keep) {
            self.0.entry(*digest).or_insert(now);
        }
        self.0.iter().filter(|(_, since)| now.since(**since) >= GRACE).map(|(digest, _)| *digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(all: &[u8]) -> BTreeSet<Digest> {
        all.iter().map(|n| Digest::from_bytes([*n; 32])).collect()
    }

    #[test]
    fn what_is_not_needed_goes_after_a_grace_that_begins_anew_when_it_was_needed_meanwhile() {
        let at = |minutes: u64| Timestamp::from_millis(minutes * 60_000);
        let mut grace = Grace::default();
        assert!(grace.over(&set(&[1, 2]), &set(&[1]), at(0)).is_empty());
        assert!(grace.over(&set(&[1, 2]), &set(&[1, 2]), at(5)).is_empty());
        assert!(grace.over(&set(&[1, 2]), &set(&[1]), at(6)).is_empty());
        assert!(grace.over(&set(&[1, 2]), &set(&[1]), at(15)).is_empty());
        assert_eq!(grace.over(&set(&[1, 2]), &set(&[1]), at(16)), [Digest::from_bytes([2; 32])]);
        assert!(grace.over(&set(&[1]), &set(&[1]), at(17)).is_empty());
        assert!(grace.0.is_empty());
    }
}
