//! What people do with agents.

use std::{ops::Bound, time::Duration};

use wherry_domain::{
    id::AgentId,
    presence::{Asker, Event as Presence, State as Presented},
    run::Event,
};
use wherry_proto::frame::{FromController, GoAwayReason, KeyringTrouble};

use super::{Ledger, Page, Refusal, Turn, inventory::StockView, state::AgentState};
use crate::model::Agent;

/// An agent as people see it.
#[derive(Clone, Debug)]
pub struct AgentView {
    /// What is stored of it.
    pub agent: Agent,
    /// Name of its group.
    pub group: String,
    /// `awaiting`, `live`, `suspect`, `lost` or `locked`.
    pub state: &'static str,
    /// Slots of its present session.
    pub slots: u32,
    /// Runs it holds.
    pub running: usize,
    /// Whether it has its group's keys: `none`, `pending_keys`, `member` or `removed`.
    pub keys: &'static str,
    /// Why it does not follow its group's roster, if it does not.
    pub keys_trouble: Option<KeyringTrouble>,
    /// What it has of the connectors it should have; nothing of an agent that is too old to say it.
    pub stock: Option<StockView>,
}

impl Ledger {
    /// Every agent.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn agents(&self) -> Result<Vec<AgentView>, Refusal> {
        self.act(|turn| Ok(turn.state.agents.values().map(|state| turn.agent_view(state)).collect())).await
    }

    /// Agents in the order of their ids, after that of `after`; with `group` only those of this group.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn list_agents(
        &self,
        group: Option<String>,
        after: Option<AgentId>,
        limit: usize,
    ) -> Result<Page<AgentView, AgentId>, Refusal> {
        self.act(move |turn| {
            let later = after.map_or(Bound::Unbounded, Bound::Excluded);
            let all = turn.state.agents.range((later, Bound::Unbounded)).map(|(_, state)| turn.agent_view(state));
            let mut wanted = all.filter(|view| group.as_ref().is_none_or(|group| *group == view.group));
            let items: Vec<AgentView> = wanted.by_ref().take(limit).collect();
            let next = wanted.next().and_then(|_| items.last()).map(|last| last.agent.id);
            Ok(Page { items, next })
        })
        .await
    }

    /// An agent by id or name.
    ///
    /// # Errors
    /// If there is none.
    pub async fn agent(&self, which: String) -> Result<AgentView, Refusal> {
        self.act(move |turn| {
            let id = turn.find_agent(&which)?;
            turn.view_of(id)
        })
        .await
    }

    /// Stops giving work to an agent, or begins again.
    ///
    /// # Errors
    /// If there is none.
    pub async fn drain(&self, who: String, which: String, draining: bool) -> Result<AgentView, Refusal> {
        self.act(move |turn| {
            let id = turn.find_agent(&which)?;
            turn.audit(&who, if draining { "agent.drain" } else { "agent.resume" }, &id.to_string(), "");
            turn.change_agent(id, |agent| agent.draining = draining);
            let by = Asker::Operator;
            turn.presence(id, if draining { Presence::Drain { by } } else { Presence::Resume { by } });
            turn.open_slots(id);
            turn.view_of(id)
        })
        .await
    }

    /// Locks an agent out, at once, or lets it in again.
    ///
    /// # Errors
    /// If there is none.
    pub async fn lock(&self, who: String, which: String, reason: Option<String>) -> Result<AgentView, Refusal> {
        self.act(move |turn| {
            let id = turn.find_agent(&which)?;
            let what = if reason.is_some() { "agent.lock" } else { "agent.unlock" };
            turn.audit(&who, what, &id.to_string(), reason.as_deref().unwrap_or_default());
            match reason {
                Some(reason) => turn.lock(id, reason),
                None => {
                    turn.change_agent(id, |agent| agent.locked = None);
                    turn.presence(id, Presence::Unlock);
                    turn.touch_keyring_of(id);
                }
            }
            turn.view_of(id)
        })
        .await
    }

    /// Removes an agent for good.
    ///
    /// # Errors
    /// If there is none, or it still holds runs.
    pub async fn remove_agent(&self, who: String, which: String) -> Result<(), Refusal> {
        self.act(move |turn| {
            let id = turn.find_agent(&which)?;
            let held = turn.state.agents.get(&id).map_or(0, |state| state.leased.len() + state.unknown.len());
            if held > 0 {
                let message = format!("{which} holds {held} runs: drain it and wait, or cancel them");
                return Err(Refusal::conflict("resource.in_use", message));
            }
            turn.audit(&who, "agent.remove", &id.to_string(), "");
            turn.undefine("agent", &id.to_string());
            turn.remove(id);
            Ok(())
        })
        .await
    }
}

impl Turn<'_> {
    /// Locks the agent: its stream ends, no certificate and no work for it until it is unlocked.
    pub(super) fn lock(&mut self, id: AgentId, reason: String) {
        self.change_agent(id, |agent| agent.locked = Some(reason));
        self.presence(id, Presence::Lock);
        self.touch_keyring_of(id);
        self.revoke(id);
    }

    /// Takes every run from an agent that was locked out, without waiting for the ends of its leases.
    pub(super) fn revoke(&mut self, id: AgentId) {
        let leased = self.state.agents.get(&id).map(|state| state.leased.iter().copied().collect::<Vec<_>>());
        for run in leased.unwrap_or_default() {
            self.event(run, Event::Revoked { agent: id });
            self.seam();
        }
    }

    fn remove(&mut self, id: AgentId) {
        let Some(state) = self.state.agents.remove(&id) else { return };
        if let Some(group) = self.state.groups.get_mut(&state.agent.group) {
            group.slots.remove(id);
        }
        self.touch_keyring(state.agent.group);
        if let Some(session) = state.session {
            let (reason, reconnect_after) = (GoAwayReason::Removed, Duration::from_secs(60));
            self.out.last_words.push((session.frames, FromController::GoAway { reason, reconnect_after }));
        }
    }

    pub(super) fn change_agent(&mut self, id: AgentId, change: impl FnOnce(&mut Agent)) {
        if let Some(state) = self.state.agents.get_mut(&id) {
            change(&mut state.agent);
            let record = state.agent.clone();
            self.define("agent", &id.to_string(), &record);
        }
    }

    fn find_agent(&self, which: &str) -> Result<AgentId, Refusal> {
        let by_id = which.parse::<AgentId>().ok().filter(|id| self.state.agents.contains_key(id));
        let named = |state: &&AgentState| state.agent.name.as_str() == which;
        let found = by_id.or_else(|| self.state.agents.values().find(named).map(|state| state.agent.id));
        found.ok_or_else(|| {
            let shown: String = which.chars().take(64).filter(|c| !c.is_control()).collect();
            Refusal::not_found("agent.not_found", format!("there is no agent {shown}: see wherry agent list"))
        })
    }

    fn view_of(&self, id: AgentId) -> Result<AgentView, Refusal> {
        let missing = || Refusal::not_found("agent.not_found", format!("there is no agent {id}"));
        self.state.agents.get(&id).map(|state| self.agent_view(state)).ok_or_else(missing)
    }

    fn agent_view(&self, state: &AgentState) -> AgentView {
        let word = match state.presence.state() {
            Presented::AwaitingFirst => "awaiting",
            Presented::Live { .. } => "live",
            Presented::Suspect { .. } => "suspect",
            Presented::Lost => "lost",
            Presented::Locked => "locked",
        };
        let (keys, keys_trouble) = self.keys_of(state.agent.id);
        AgentView {
            agent: state.agent.clone(),
            group: self
                .state
                .groups
                .get(&state.agent.group)
                .map(|group| group.group.name.to_string())
                .unwrap_or_default(),
            state: word,
            slots: state.session.as_ref().map_or(0, |session| session.slots),
            running: state.leased.len(),
            keys,
            keys_trouble,
            stock: self.stock_of(state),
        }
    }
}
