//! One attempt at work: its machine, its lease, and what the host does for it.

use wherry_domain::{
    effects::SideEffects,
    execution::{Execution, State},
    failure::{Code, Failure},
    lease::Held,
    run::{Outcome, Terms},
    time::Timestamp,
};

use super::world::World;

pub(super) struct Work {
    pub(super) terms: Terms,
    pub(super) execution: Execution,
    pub(super) lease: Held,
    pub(super) lease_over: bool,
    pub(super) running: bool,
    pub(super) effects_begun: bool,
}

impl Work {
    pub(super) fn new(execution: Execution, terms: Terms, since: Timestamp) -> Self {
        let lease = Held::new(terms.lease, terms.offline_term, since);
        Self { terms, execution, lease, lease_over: false, running: false, effects_begun: false }
    }

    pub(super) fn may_begin_effect(&self, now: Timestamp) -> bool {
        self.terms.side_effects == SideEffects::Read || self.lease.may_begin_effect(now)
    }

    /// When the machine has to hear of the end of the lease. While it asks, it has none.
    pub(super) fn lease_end(&self) -> Option<Timestamp> {
        let waits = matches!(self.execution.state(), State::Accepted | State::Starting | State::Started { kill: None });
        (waits && !self.lease_over).then(|| self.lease.effects_until())
    }
}

/// Draws how work fails.
pub(super) fn failed(world: &mut World, begun: bool) -> Outcome {
    let code = Code::new("connection.refused");
    let failure = if world.chance.percent(70) {
        Failure::retry(code, "the system outside refused")
    } else {
        Failure::permanent(code, "the system outside refused")
    };
    Outcome::Failed(failure.after_effects(begun))
}
