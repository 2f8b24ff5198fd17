//! Leases: for how long an agent may work on a run without hearing from the controller.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The terms of a lease; both sides know them, each counts on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// How long a grant or renewal lasts.
    pub term: Duration,
    /// How much longer the controller waits, so that the agent's count always ends first.
    pub grace: Duration,
    /// How long before its end the agent stops beginning new effects.
    pub margin: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { term: Duration::from_secs(60), grace: Duration::from_secs(15), margin: Duration::from_secs(10) }
    }
}

impl LeaseTerms {
    /// When the controller may give the run to someone else, after granting or renewing at `now`.
    pub fn lost_at(&self, now: Timestamp, offline_term: Duration) -> Timestamp {
        now.plus(self.term.max(offline_term)).plus(self.grace)
    }
}

/// A lease as the agent holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    terms: LeaseTerms,
    offline_term: Duration,
    since: Timestamp,
}

impl Held {
    /// A lease counted from `since`: for a grant, when the stream that carried it was last known
    /// to be alive; for a renewal, when its request was **sent**. The first holds only on a stream
    /// that keeps its order: an answered heartbeat must not overtake a grant sent before it.
    pub const fn new(terms: LeaseTerms, offline_term: Duration, since: Timestamp) -> Self {
        Self { terms, offline_term, since }
    }

    /// The controller confirmed the renewal sent at `sent`. Confirmations may arrive out of order;
    /// an older one changes nothing. What was sent after the last effect revives nothing: a process
    /// that was frozen asks for leases that ended while it slept.
    pub fn renewed(&mut self, sent: Timestamp) {
        if self.may_begin_effect(sent) {
            self.since = self.since.max(sent);
        }
    }

    /// Until when new effects may begin.
    pub fn effects_until(&self) -> Timestamp {
        self.since.plus(self.terms.term.max(self.offline_term).saturating_sub(self.terms.margin))
    }

    /// Whether a new effect may begin at `now`.
    pub fn may_begin_effect(&self, now: Timestamp) -> bool {
        now < self.effects_until()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The agent's last effect always comes before the controller's re-dispatch, however the
        /// confirmation was delayed, as long as no message arrives before it was sent.
        #[test]
        fn the_agent_stops_before_the_controller_re_dispatches(
            sent in 0..1_000_000_u64, transit in 0..600_000_u64, offline in 0..600_000_u64,
        ) {
            let terms = LeaseTerms::default();
            let offline = Duration::from_millis(offline);
            let held = Held::new(terms, offline, Timestamp::from_millis(sent));
            let lost = terms.lost_at(Timestamp::from_millis(sent + transit), offline);
            prop_assert!(held.effects_until() < lost);
        }
    }

    #[test]
    fn a_renewal_sent_after_the_end_revives_nothing() {
        let mut held = Held::new(LeaseTerms::default(), Duration::ZERO, Timestamp::from_millis(0));
        held.renewed(Timestamp::from_millis(50_000));
        assert!(!held.may_begin_effect(Timestamp::from_millis(50_000)));
        held.renewed(Timestamp::from_millis(49_999));
        assert!(held.may_begin_effect(Timestamp::from_millis(50_000)), "it was sent in time");
    }

    #[test]
    fn an_older_confirmation_changes_nothing() {
        let mut held = Held::new(LeaseTerms::default(), Duration::ZERO, Timestamp::from_millis(0));
        held.renewed(Timestamp::from_millis(20_000));
        held.renewed(Timestamp::from_millis(10_000));
        assert_eq!(held.effects_until(), Timestamp::from_millis(70_000));
        assert!(!held.may_begin_effect(Timestamp::from_millis(70_000)));
    }
}
