//! What was seen of one version.

use alloc::collections::BTreeMap;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// How an attempt ended, as far as a canary cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observed {
    /// Well.
    Succeeded,
    /// Not well.
    Failed,
    /// The connector ran into a wall of its box: it trapped, or took more than it may.
    Broke,
}

/// Counts of attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub attempts: u32,
    /// Those that failed, for whatever reason.
    pub failed: u32,
    /// Those of them in which the connector broke its box.
    pub broke: u32,
    /// How long those took that succeeded.
    pub took: Spread,
}

/// Times, counted in steps of a quarter of an octave: enough to compare medians, and small whatever comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spread(BTreeMap<u8, u32>);

impl Tally {
    pub(super) fn note(&mut self, observed: Observed, took: Duration) {
        self.attempts = self.attempts.saturating_add(1);
        match observed {
            Observed::Succeeded => self.took.note(took),
            Observed::Failed => self.failed = self.failed.saturating_add(1),
            Observed::Broke => {
                self.failed = self.failed.saturating_add(1);
                self.broke = self.broke.saturating_add(1);
            }
        }
    }
}

impl Spread {
    fn note(&mut self, took: Duration) {
        let count = self.0.entry(step(took)).or_default();
        *count = count.saturating_add(1);
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.values().fold(0, |all, count| all.saturating_add(*count))
    }

    /// Half of them took at most this long, in milliseconds; at most a quarter too much. 0 if there are none.
    pub fn median_ms(&self) -> u64 {
        let half = self.count().div_ceil(2);
        let mut seen = 0u32;
        for (step, count) in &self.0 {
            seen = seen.saturating_add(*count);
            if seen >= half {
                return top(*step);
            }
        }
        0
    }
}

/// Four steps for each doubling; below 4 ms each millisecond is a step.
fn step(took: Duration) -> u8 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if millis < 4 {
        return u8::try_from(millis).unwrap_or(u8::MAX);
    }
    let octave = millis.ilog2();
    let quarter = (millis >> (octave - 2)) & 3;
    u8::try_from(u64::from(octave - 1) * 4 + quarter).unwrap_or(u8::MAX)
}

/// The longest time of a step, in milliseconds.
fn top(step: u8) -> u64 {
    if step < 4 {
        return u64::from(step);
    }
    let (octave, quarter) = (u32::from(step / 4) + 1, u64::from(step % 4));
    let width = 1u64.checked_shl(octave - 2).unwrap_or(u64::MAX);
    width.saturating_mul(5 + quarter).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_at_most_a_quarter_too_much() {
        for millis in [0u64, 1, 3, 4, 5, 7, 8, 9, 100, 1_000, 1_023, 1_024, 86_400_000] {
            let mut spread = Spread::default();
            for _ in 0..3 {
                spread.note(Duration::from_millis(millis));
            }
            spread.note(Duration::from_secs(1_000_000));
            let median = spread.median_ms();
            assert!(median >= millis && median <= millis + millis / 4, "{millis} ms became {median} ms");
        }
        assert_eq!(Spread::default().median_ms(), 0);
    }
}
