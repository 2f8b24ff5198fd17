//! How often a connection may be called: requests within an interval and calls at once, shared fairly between callers.
//!
//! ```text
//! call ─► at once? ─► within the interval? ─► does somebody with fewer calls wait? ─► admitted
//!            └──────────────┴───────────────────────┴─► refused, with when to come back
//! ```

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{duration, time::Timestamp};

/// Most requests that an interval may allow: as many times are remembered.
pub const MAX_REQUESTS: u32 = 10_000;
/// Most calls at once.
pub const MAX_CONCURRENT: u32 = 256;
/// Longest interval.
pub const MAX_PER: Duration = Duration::from_secs(24 * 3_600);
/// When to come back if only the number of calls at once stood in the way: nobody knows how long they take.
const AGAIN: Duration = Duration::from_secs(1);
/// Callers remembered as refused; beyond it the oldest is forgotten and waits its turn like anyone.
const MAX_REFUSED: usize = 256;

/// The limits of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests within an interval; without it there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// The interval; one second, if absent.
    #[serde(default = "second", with = "duration::text")]
    pub per: Duration,
    /// Calls at once; without it there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
}

const fn second() -> Duration {
    Duration::from_secs(1)
}

impl Limits {
    /// Whether every number is in its range: 1 to [`MAX_REQUESTS`], 1 to [`MAX_CONCURRENT`], 1 ms to [`MAX_PER`].
    pub fn is_in_range(&self) -> bool {
        self.requests.is_none_or(|requests| (1..=MAX_REQUESTS).contains(&requests))
            && self.concurrent.is_none_or(|concurrent| (1..=MAX_CONCURRENT).contains(&concurrent))
            && !self.per.is_zero()
            && self.per <= MAX_PER
    }
}

/// The books of one connection.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    /// Who was admitted when, oldest first, within the interval.
    admitted: VecDeque<(Timestamp, String)>,
    /// How many of them each caller has.
    used: BTreeMap<String, u32>,
    /// Who was refused since when, and was not admitted since.
    refused: BTreeMap<String, Timestamp>,
    running: u32,
}

impl Throttle {
    /// Whether `caller` may call now; it is counted then, until [`Throttle::ended`]. Otherwise when to come back.
    ///
    /// # Errors
    /// With the time to wait.
    pub fn admit(&mut self, limits: &Limits, caller: &str, now: Timestamp) -> Result<(), Duration> {
        self.forget(limits, now);
        let wait = self.obstacle(limits, caller, now);
        if let Some(wait) = wait {
            self.note_refused(caller, now);
            return Err(wait);
        }
        self.refused.remove(caller);
        self.running = self.running.saturating_add(1);
        if limits.requests.is_some() {
            self.admitted.push_back((now, caller.into()));
            *self.used.entry(caller.into()).or_default() += 1;
        }
        Ok(())
    }

    /// A call that was admitted has ended.
    pub fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Whether nothing is left to remember.
    pub fn is_idle(&self) -> bool {
        self.running == 0 && self.admitted.is_empty()
    }

    /// Forgets what is older than the interval.
    pub fn forget(&mut self, limits: &Limits, now: Timestamp) {
        while let Some((_, caller)) = self.admitted.pop_front_if(|(at, _)| now.since(*at) >= limits.per) {
            if let Some(used) = self.used.get_mut(&caller) {
                *used = used.saturating_sub(1);
            }
        }
        self.used.retain(|_, used| *used > 0);
        self.refused.retain(|_, at| now.since(*at) < limits.per);
    }

    fn obstacle(&self, limits: &Limits, caller: &str, now: Timestamp) -> Option<Duration> {
        if limits.concurrent.is_some_and(|most| self.running >= most) {
            return Some(AGAIN);
        }
        let most = usize::try_from(limits.requests?).unwrap_or(usize::MAX);
        let oldest = || self.admitted.front().map_or(AGAIN, |(at, _)| limits.per.saturating_sub(now.since(*at)));
        if self.admitted.len() >= most {
            return Some(oldest());
        }
        // The last places of an interval are for those who had fewer of them and were sent away.
        let mine = self.used_by(caller);
        let waiting = self.refused.keys().filter(|other| self.used_by(other) < mine).count();
        (waiting > 0 && most - self.admitted.len() <= waiting).then(oldest)
    }

    fn used_by(&self, caller: &str) -> u32 {
        self.used.get(caller).copied().unwrap_or_default()
    }

    fn note_refused(&mut self, caller: &str, now: Timestamp) {
        if self.refused.len() >= MAX_REFUSED && !self.refused.contains_key(caller) {
            let oldest = self.refused.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.refused.remove(&name));
        }
        self.refused.insert(caller.into(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn limits(requests: Option<u32>, concurrent: Option<u32>) -> Limits {
        Limits { requests, per: Duration::from_secs(10), concurrent }
    }

    #[test]
    fn an_interval_allows_so_many_requests_and_says_when_to_come_back() {
        let (limits, mut throttle) = (limits(Some(2), None), Throttle::default());
        assert_eq!(throttle.admit(&limits, "a", at(0)), Ok(()));
        assert_eq!(throttle.admit(&limits, "a", at(4_000)), Ok(()));
        assert_eq!(throttle.admit(&limits, "a", at(5_000)), Err(Duration::from_secs(5)));
        assert_eq!(throttle.admit(&limits, "a", at(10_000)), Ok(()), "the first one left the interval");
        assert_eq!(throttle.admit(&limits, "a", at(10_000)), Err(Duration::from_secs(4)));
    }

    #[test]
    fn so_many_calls_run_at_once() {
        let (limits, mut throttle) = (limits(None, Some(1)), Throttle::default());
        assert_eq!(throttle.admit(&limits, "a", at(0)), Ok(()));
        assert_eq!(throttle.admit(&limits, "b", at(0)), Err(AGAIN));
        throttle.ended();
        assert_eq!(throttle.admit(&limits, "b", at(0)), Ok(()));
        throttle.ended();
        assert!(throttle.is_idle(), "without a limit on requests no times are remembered");
    }

    #[test]
    fn a_busy_caller_leaves_the_next_places_to_one_that_had_none() {
        let (limits, mut throttle) = (limits(Some(4), None), Throttle::default());
        for second in 0..4 {
            assert_eq!(throttle.admit(&limits, "greedy", at(second * 1_000)), Ok(()));
        }
        assert!(throttle.admit(&limits, "modest", at(9_000)).is_err(), "everything is taken");
        assert!(throttle.admit(&limits, "greedy", at(10_000)).is_err(), "the free place is for the one that waits");
        assert_eq!(throttle.admit(&limits, "modest", at(10_000)), Ok(()));
        assert_eq!(throttle.admit(&limits, "greedy", at(11_000)), Ok(()), "nobody waits any more");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (limits, mut throttle) = (limits(Some(1), None), Throttle::default());
        for caller in 0..1_000 {
            let _ = throttle.admit(&limits, &std::format!("c{caller}"), at(0));
        }
        assert!(throttle.refused.len() <= MAX_REFUSED && throttle.admitted.len() == 1);
        throttle.forget(&limits, at(60_000));
        throttle.ended();
        assert!(throttle.is_idle() && throttle.refused.is_empty() && throttle.used.is_empty());
    }
}
