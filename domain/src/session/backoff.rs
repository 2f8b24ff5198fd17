//! How long to wait before dialling the controller again.

use core::time::Duration;

use crate::retry::Jitter;

/// Longest wait after the first failure.
const BASE: Duration = Duration::from_secs(1);
/// Longest wait ever.
pub const CAP: Duration = Duration::from_secs(120);

/// Exponential backoff with full jitter: base 1 s, factor 1.6, cap 120 s.
///
/// Source: the figures are those of gRPC's connection backoff document, with full jitter in place
/// of its 0.2 so that agents that lost the same controller come back spread out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(super) fn next(&mut self, jitter: Jitter) -> Duration {
        let longest =
            (0..self.failures).try_fold(BASE, |wait, _| Some(wait * 8 / 5).filter(|wait| *wait < CAP)).unwrap_or(CAP);
        self.failures = self.failures.saturating_add(1);
        jitter.of(longest)
    }

    /// The stream was good: forget the failures.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_wait_grows_by_1_6_from_1_s_to_120_s_and_stays_there() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..13).map(|_| backoff.next(Jitter(u16::MAX)).as_millis()).collect();
        assert_eq!(waits[..4], [1_000, 1_600, 2_560, 4_096]);
        assert_eq!(waits[10..], [109_951, 120_000, 120_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(Jitter(u16::MAX / 2)).as_millis(), 59_999);
        assert_eq!(backoff.next(Jitter(0)), Duration::ZERO);
    }
}
