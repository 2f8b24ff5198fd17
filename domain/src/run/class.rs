//! The class of a run, as far as it is known by now.

use alloc::{vec, vec::Vec};

use super::{Effect, Reason, Run, State};
use crate::{effects::SideEffects, id::AgentId};

impl Run {
    pub(super) fn judged(&mut self, side_effects: SideEffects, last: Option<AgentId>) -> Vec<Effect> {
        let before = self.terms.side_effects;
        if side_effects <= before || matches!(self.state, State::Finished { .. }) {
            return Vec::new();
        }
        (self.terms.side_effects, self.raised) = (side_effects, true);
        // It was repeatable as what it was then. Nobody can say whether it still is.
        let in_doubt = before != SideEffects::Read && (self.losses > 0 || self.acted);
        match (&self.state, last) {
            (State::Queued { .. }, Some(agent)) if in_doubt => {
                self.begun = true;
                self.state = State::Unknown { agent };
                vec![Effect::Hold { reason: Reason::ClassRaised }]
            }
            (_, _) => Vec::new(),
        }
    }
}
