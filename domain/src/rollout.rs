//! A canary: a share of the attempts runs on the new version, and what becomes of them is compared with what becomes of
//! the others in the same time. It ends with the new version for everyone, or with the old one.
//!
//! By share of attempts and not of agents, because a group may have one agent.

mod judge;
mod share;
mod tally;
mod words;

use alloc::{vec, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use share::{InvalidShare, Share};
pub use tally::{Observed, Spread, Tally};
pub use words::{Effect, Event, Reason, Side, Verdict};

use crate::{duration, time::Timestamp};

/// Shortest time that a canary may take.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// Longest time that a canary may take.
pub const LONGEST: Duration = Duration::from_hours(24 * 30);
/// Attempts that the new version has to have been tried with, unless the operator says otherwise.
pub const ATTEMPTS: u32 = 10;
/// Most attempts that may be asked for.
pub const MAX_ATTEMPTS: u32 = 100_000;
/// A canary that saw too few attempts waits this many times its time before it gives up.
const PATIENCE: u32 = 3;

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How many of the attempts try the new version.
    pub share: Share,
    /// For how long, [`SHORTEST`] to [`LONGEST`].
    #[serde(with = "duration::text")]
    pub time: Duration,
    /// Attempts on the new version before anything is decided by comparison, 1 to [`MAX_ATTEMPTS`].
    pub attempts: u32,
}

/// Why terms make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// Too short or too long.
    #[error("a canary takes 1s to 30d")]
    Time,
    /// None, or too many.
    #[error("a canary needs 1 to {MAX_ATTEMPTS} attempts")]
    Attempts,
}

/// A canary under way, or how it ended.
#[derive(Clone, Debug)]
pub struct Rollout {
    stored: Stored,
    /// Since when time has to be added to what is stored.
    since: Timestamp,
}

/// What is kept of it over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// As asked for.
    pub terms: Terms,
    /// Attempts on the version that everyone had.
    pub old: Tally,
    /// Attempts on the new one.
    pub new: Tally,
    /// For how long it has gone on, without what passed since it was stored last.
    #[serde(with = "duration::text")]
    pub waited: Duration,
    /// How it ended.
    pub settled: Option<(Verdict, Reason)>,
}

impl Terms {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If one is left.
    pub fn check(self) -> Result<Self, InvalidTerms> {
        if !(SHORTEST..=LONGEST).contains(&self.time) {
            return Err(InvalidTerms::Time);
        }
        if !(1..=MAX_ATTEMPTS).contains(&self.attempts) {
            return Err(InvalidTerms::Attempts);
        }
        Ok(self)
    }
}

impl Rollout {
    /// Begins one.
    pub fn new(terms: Terms, now: Timestamp) -> Self {
        let (old, new) = (Tally::default(), Tally::default());
        Self { stored: Stored { terms, old, new, waited: Duration::ZERO, settled: None }, since: now }
    }

    /// Goes on with one. The time in which nobody watched does not count.
    pub const fn restored(stored: Stored, now: Timestamp) -> Self {
        Self { stored, since: now }
    }

    /// What has to be kept.
    pub fn stored(&self, now: Timestamp) -> Stored {
        Stored { waited: self.waited(now), ..self.stored.clone() }
    }

    /// How it ended, if it did.
    pub const fn settled(&self) -> Option<&(Verdict, Reason)> {
        self.stored.settled.as_ref()
    }

    /// When to look again, if nothing happens before.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.stored.settled.is_some() {
            return None;
        }
        let ends = |times: u32| self.stored.terms.time.saturating_mul(times).saturating_sub(self.stored.waited);
        let first = self.since.plus(ends(1));
        // Once the time is over, it waits for attempts or for its patience to end.
        Some(if ends(1).is_zero() { self.since.plus(ends(PATIENCE)) } else { first })
    }

    /// Something happened.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        if self.stored.settled.is_some() {
            return Vec::new();
        }
        self.stored.waited = self.waited(now);
        self.since = now;
        let settled = match event {
            Event::Attempt { side, observed, took } => {
                let tally = match side {
                    Side::Old => &mut self.stored.old,
                    Side::New => &mut self.stored.new,
                };
                tally.note(observed, took);
                judge::early(&self.stored)
            }
            Event::Refused { code } => Some((Verdict::Back, Reason::Refused { code })),
            Event::Asked { verdict } => Some((verdict, Reason::Asked)),
            Event::Superseded => {
                self.stored.settled = Some((Verdict::Back, Reason::Superseded));
                return Vec::new();
            }
            Event::Tick => None,
        };
        let settled = settled
            .or_else(|| self.time_is_over().then(|| judge::late(&self.stored, self.is_out_of_patience())).flatten());
        let Some((verdict, reason)) = settled else { return Vec::new() };
        self.stored.settled = Some((verdict, reason.clone()));
        vec![Effect::Settle { verdict, reason }]
    }

    fn waited(&self, now: Timestamp) -> Duration {
        if self.stored.settled.is_some() {
            return self.stored.waited;
        }
        self.stored.waited.saturating_add(now.since(self.since))
    }

    fn time_is_over(&self) -> bool {
        self.stored.waited >= self.stored.terms.time
    }

    fn is_out_of_patience(&self) -> bool {
        self.stored.waited >= self.stored.terms.time.saturating_mul(PATIENCE)
    }
}
