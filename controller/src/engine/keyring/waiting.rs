//! Runs that need what is sealed to the group, and agents that cannot open it yet.

use wherry_domain::{
    failure::{Code, Failure},
    id::{AgentId, RunId},
    run::State as RunState,
    schedule::Tie,
};
use wherry_proto::frame::KeyringState;
use wherry_trust::sealing::secret::Kind;

use crate::{
    engine::{Ledger, Refusal, State, Turn, seats},
    model::RunSpec,
};

/// No agent that is there can open the secrets of the run.
const PENDING_KEYS: Code = Code::new("secret.pending_keys");

impl State {
    /// Whether a secret that a run needs is sealed to the group, so that only an agent with the group's keys opens it.
    pub(in crate::engine) fn needs_keys(&self, spec: &RunSpec) -> bool {
        if spec.secrets.is_empty() {
            return false;
        }
        let Some(keyring) = self.keyrings.get(&spec.group) else { return false };
        let Some(environment) = self.environment(spec.environment) else { return false };
        spec.secrets.iter().any(|name| {
            let key = (environment.name.clone(), Kind::Secret, name.to_string());
            keyring.secrets.get(&key).is_some_and(|record| !record.removed)
        })
    }
}

impl Ledger {
    /// Why a queued run is not with an agent, where that is known.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn why_waiting(&self, run: RunId) -> Result<Option<Failure>, Refusal> {
        self.act(move |turn| Ok(turn.why_waiting(run))).await
    }
}

impl Turn<'_> {
    /// Whether an agent waits for its group's keys: it says so, or has not said anything yet and was only just invited.
    pub(in crate::engine) fn waits_for_keys(&self, agent: AgentId) -> bool {
        let Some(state) = self.state.agents.get(&agent) else { return false };
        match state.session.as_ref().and_then(|session| session.keyring.as_ref()) {
            Some(told) => matches!(told.state, KeyringState::PendingKeys | KeyringState::Removed),
            None => {
                let keyring = self.state.keyrings.get(&state.agent.group);
                let roster = keyring.and_then(|keyring| keyring.roster.as_ref());
                state.agent.invite.is_some() && roster.is_some_and(|roster| roster.member(agent).is_none())
            }
        }
    }

    fn why_waiting(&self, run: RunId) -> Option<Failure> {
        let active = self.state.runs.get(&run)?;
        let RunState::Queued { .. } = active.machine.state() else { return None };
        let spec = &active.record.spec;
        let lane = seats::lane(spec, self.state);
        let queue = &self.state.groups.get(&spec.group)?.queue;
        let keyed = lane.keyed && matches!(self.tie(&lane, queue), Tie::Keyed | Tie::Nobody);
        let here = self.state.agents.values().filter(|state| {
            state.agent.group == spec.group && state.session.is_some() && state.presence.may_take_work()
        });
        let here: Vec<_> = here.collect();
        if !keyed || here.is_empty() || here.iter().any(|state| !self.waits_for_keys(state.agent.id)) {
            return None;
        }
        let message = "it needs secrets that are sealed to its group, and every connected agent of the group still waits \
                       for the keys: start an agent that has them, or see `wherry agent list`";
        Some(Failure::retry(PENDING_KEYS, message))
    }
}
