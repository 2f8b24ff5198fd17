//! Retry rules: how often, and how long to wait before the next attempt.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;

/// Most attempts that an operation may ask for.
pub const MAX_ATTEMPTS: u32 = 100;

/// Longest wait that a system may ask for; whoever wants more is asked again after this.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// How the wait grows from attempt to attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Doubles each time, up to the cap.
    #[default]
    Exponential,
    /// Always the base.
    Fixed,
}

/// An operation's retry rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// Attempts in all, the first one included: 1 to [`MAX_ATTEMPTS`].
    #[serde(default = "one")]
    pub attempts: u32,
    /// How the wait grows.
    #[serde(default)]
    pub backoff: Backoff,
    /// Wait after the first failure.
    #[serde(default = "default_base", with = "duration::text")]
    pub base: Duration,
    /// Longest wait.
    #[serde(default = "default_cap", with = "duration::text")]
    pub cap: Duration,
}

const fn one() -> u32 {
    1
}

const fn default_base() -> Duration {
    Duration::from_secs(2)
}

const fn default_cap() -> Duration {
    Duration::from_secs(300)
}

impl Default for RetryRule {
    fn default() -> Self {
        Self { attempts: one(), backoff: Backoff::default(), base: default_base(), cap: default_cap() }
    }
}

/// Chance, drawn by the caller: 0 to 65,535 stand for 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(pub u16);

impl Jitter {
    /// A share of `duration` between nothing and all of it ("full jitter"), rounded down to
    /// milliseconds.
    ///
    /// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    pub fn of(self, duration: Duration) -> Duration {
        let millis = duration.as_millis().saturating_mul(u128::from(self.0)) / u128::from(u16::MAX);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl RetryRule {
    /// How long to wait after `failures` failed attempts; `None` when they are used up.
    pub fn delay(&self, failures: u32, jitter: Jitter) -> Option<Duration> {
        if failures == 0 || failures >= self.attempts {
            return None;
        }
        let longest = match self.backoff {
            Backoff::Fixed => self.base,
            Backoff::Exponential => {
                self.base.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX)).min(self.cap)
            }
        };
        Some(jitter.of(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_wait_never_passes_the_cap_and_ends_with_the_attempts(
            attempts in 1..=MAX_ATTEMPTS, failures in 1..200_u32, jitter: u16, base in 1..10_000_u64,
        ) {
            let rule = RetryRule { attempts, base: Duration::from_millis(base), ..RetryRule::default() };
            match rule.delay(failures, Jitter(jitter)) {
                Some(wait) => prop_assert!(failures < attempts && wait <= rule.cap),
                None => prop_assert!(failures >= attempts),
            }
        }
    }
}
