//! Who moves the lock of an environment: under the policy `disable_auto_connector_update` operators alone, as soon as
//! there is one.

use std::collections::BTreeSet;

use wherry_domain::{
    id::GroupId,
    lock::{Lock, Mode},
    name::Name,
};
use wherry_trust::chain::Level;

use crate::engine::{Refusal, Turn};

/// Why a lock is held.
const WHY: &str = "policy disable_auto_connector_update";

impl Turn<'_> {
    /// Who may move the lock from now on: under the policy an operator, where there is one.
    pub(super) fn wanted_mode(&self, environment: &Name) -> Result<Mode, Refusal> {
        let group = self.environment(environment)?.group;
        let held = self.policies(environment).disable_auto_connector_update && self.has_operators(group);
        Ok(if held { Mode::Held } else { Mode::Automatic })
    }

    /// Whether there is anybody whose signature agents of the group would believe.
    fn has_operators(&self, group: GroupId) -> bool {
        let roster = self.state.keyrings.get(&group).and_then(|keyring| keyring.roster());
        self.publishers_level() == Level::Operator || roster.is_some_and(|roster| roster.operators().next().is_some())
    }

    /// Where the policy says that only operators move connectors, and there are operators, agents are told so.
    pub(in crate::engine) fn hold_locks(&mut self, who: &str) {
        self.refresh_catalogue();
        for (environment, refusal) in self.hold_due(who) {
            tracing::error!(%environment, %refusal, "the lock cannot be held");
            self.environments_changed();
        }
    }

    /// Holds each lock that has to be and is not yet; gives those that cannot be.
    pub(in crate::engine) fn hold_due(&mut self, who: &str) -> Vec<(Name, Refusal)> {
        let mut failed = Vec::new();
        for environment in self.state.environments.keys().cloned().collect::<Vec<_>>() {
            let Some(before) = self.lock_of(&environment).filter(|lock| lock.mode == Mode::Automatic) else { continue };
            if self.wanted_mode(&environment).ok() != Some(Mode::Held) {
                continue;
            }
            let lock = Lock { mode: Mode::Held, ..before.as_ref().clone() };
            match self.commit_lock(&environment, lock) {
                Ok(_) => self.explain_lock(who, WHY),
                Err(refusal) => failed.push((environment, refusal)),
            }
        }
        failed
    }

    /// The environments whose locks are held, of those there are or of one.
    pub(in crate::engine) fn held_in(&self, environment: Option<&Name>) -> BTreeSet<Name> {
        let wanted = |name: &&Name| environment.is_none_or(|only| only == *name);
        let is_held = |name: &&Name| self.lock_of(name).is_some_and(|lock| lock.mode == Mode::Held);
        self.state.environments.keys().filter(wanted).filter(is_held).cloned().collect()
    }
}
