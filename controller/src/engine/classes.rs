//! What may be done again without asking: a run is as dangerous as the strictest of what its deployment says and of what
//! the versions of connectors declare that it runs on. Those move after it was submitted, so it is judged again each time
//! it is given to an agent.

use wherry_domain::{
    effects::SideEffects,
    id::{AgentId, RunId},
    name::Name,
    run::{Event, State as RunState},
};

use super::Turn;
use crate::model::Connector;

impl Turn<'_> {
    /// The strictest class of activities, each named with its connector, under the lock of an environment; of
    /// connectors in `trial` also under what the lock tries. None where the lock names none of the connectors.
    pub(super) fn class_under<'a>(
        &self,
        environment: &Name,
        calls: impl Iterator<Item = (&'a Name, &'a str)>,
        trial: &[Name],
    ) -> Option<SideEffects> {
        let lock = self.lock_of(environment)?;
        let declared = calls.flat_map(|(name, activity)| {
            let tried = trial.contains(name).then(|| lock.trials.get(name)).flatten();
            let versions = [lock.connectors.get(name), tried].into_iter().flatten();
            versions.map(move |locked| {
                let connector = self.state.connectors.get(name).and_then(|known| known.get(&locked.version));
                // What is not known is not repeated.
                connector.and_then(|connector| class_of(connector, activity)).unwrap_or(SideEffects::Unsafe)
            })
        });
        declared.max()
    }

    /// Before a run is given to an agent: what it would run on there. Whether it may still be given.
    pub(super) fn judge(&mut self, run: RunId, agent: AgentId) -> bool {
        let generation = self.state.generation;
        let Some(active) = self.state.runs.get(&run) else { return false };
        let (spec, known, last) = (&active.record.spec, active.machine.side_effects(), active.record.agent);
        if let Some(fence) = active.machine.fence().next(generation)
            && let Some(environment) = self.state.environment(spec.environment)
        {
            let (_, trial) = self.under_lock(run, agent, fence);
            let class = self.class_under(&environment.name, spec.calls(), &trial);
            if let Some(side_effects) = class.filter(|class| *class > known) {
                self.event(run, Event::Judged { side_effects, last });
            }
        }
        let state = self.state.runs.get(&run).map(|active| active.machine.state());
        matches!(state, Some(RunState::Queued { .. }))
    }
}

/// What a version declares of an activity.
fn class_of(connector: &Connector, activity: &str) -> Option<SideEffects> {
    let named = connector.activities.iter().filter(|known| known.name == activity);
    named.map(|known| known.side_effects).max()
}

/// Whether a version declares an activity to be more dangerous than the version before it did.
pub(super) fn loosens(old: &Connector, new: &Connector) -> bool {
    let before = |name| class_of(old, name);
    new.activities.iter().any(|activity| before(&activity.name).is_some_and(|class| activity.side_effects > class))
}
