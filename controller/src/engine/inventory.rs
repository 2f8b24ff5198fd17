//! What agents have of what they should have, as they say themselves; forgotten with their sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wherry_domain::{
    digest::Digest,
    failure::Code,
    id::AgentId,
    lock::{Lock, Mode},
    name::Name,
};
use wherry_proto::frame::{Holding, HoldingState, Inventory};

use super::{Ledger, Refusal, Turn, state::AgentState};

/// Agents that are named one by one where they differ: more than a person reads.
const MOST_DIFFERING: usize = 100;

/// How far a component is on the agents of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Live agents that know locks.
    pub agents: usize,
    /// Enrolled agents without a session: what they have shows when they come back.
    pub away: usize,
    /// Live agents that can run it.
    pub ready: usize,
    /// Live agents that never will as things stand, with why.
    pub refused: Vec<(AgentId, Code, String)>,
}

/// Where a version of a connector is wanted, and how far its agents are.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The environment.
    pub environment: Name,
    /// Whether the lock names it for a trial only.
    pub on_trial: bool,
    /// Whether only an operator's key moves the lock.
    pub held: bool,
    /// How far its agents are.
    pub readiness: Readiness,
    /// Agents that do not run it, and why; at most a hundred.
    pub differing: Vec<Differing>,
}

/// An agent that does not run the version that its environment wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Its name.
    pub agent: Name,
    /// The version that it runs, as far as it is known.
    pub has: Option<semver::Version>,
    /// In one word: `away`, `no_locks`, `behind`, `preparing`, `refused` or `quarantined`.
    pub state: &'static str,
    /// Why, in the agent's words.
    pub why: Option<(Code, String)>,
}

/// What an agent has of what it should have.
#[derive(Clone, Debug)]
pub struct StockView {
    /// What it says itself; nothing while it is away.
    pub inventory: Option<Inventory>,
    /// The lock of each environment, as it should be: an agent that says another version is behind.
    pub wanted: BTreeMap<Name, Arc<Lock>>,
}

impl Ledger {
    /// How far a component is on the agents of an environment.
    ///
    /// # Errors
    /// If there is no such environment.
    pub async fn readiness(&self, environment: Name, connector: Name, wasm: Digest) -> Result<Readiness, Refusal> {
        self.act(move |turn| turn.readiness(&environment, &connector, wasm)).await
    }
}

impl Ledger {
    /// What components are, of those that were published.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn components(
        &self,
        digests: BTreeSet<Digest>,
    ) -> Result<BTreeMap<Digest, (Name, semver::Version)>, Refusal> {
        self.act(move |turn| {
            let all = turn.state.connectors.values().flat_map(|versions| versions.values());
            let found = all.filter(|connector| digests.contains(&connector.digest));
            // Of several versions with one component the newest counts.
            Ok(found.map(|one| (one.digest, (one.name.clone(), one.version.clone()))).collect())
        })
        .await
    }

    /// Where the versions of a connector are wanted, by the digests of their components.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn placements(&self, connector: Name) -> Result<BTreeMap<Digest, Vec<Placement>>, Refusal> {
        self.act(move |turn| {
            let mut placements: BTreeMap<Digest, Vec<Placement>> = BTreeMap::new();
            for environment in turn.state.environments.values().map(|one| &one.name) {
                let Some(lock) = turn.lock_of(environment) else { continue };
                let named = [(lock.connectors.get(&connector), false), (lock.trials.get(&connector), true)];
                for (locked, on_trial) in named.into_iter().filter_map(|(locked, on_trial)| Some((locked?, on_trial))) {
                    let placement = Placement {
                        environment: environment.clone(),
                        on_trial,
                        held: lock.mode == Mode::Held,
                        readiness: turn.readiness(environment, &connector, locked.wasm)?,
                        differing: turn.differing(environment, &connector, locked.wasm)?,
                    };
                    placements.entry(locked.wasm).or_default().push(placement);
                }
            }
            Ok(placements)
        })
        .await
    }
}

impl Turn<'_> {
    /// An agent says what it has.
    pub(super) fn stocked(&mut self, agent: AgentId, inventory: Inventory) {
        self.judge_stock(agent, &inventory);
        if let Some(session) = self.state.agents.get_mut(&agent).and_then(|state| state.session.as_mut()) {
            // The owner may have changed how many runs there may be since the hello.
            session.slots = inventory.policy.as_ref().map_or(session.slots, |policy| policy.slots);
            session.inventory = Some(inventory);
        }
        self.open_slots(agent);
    }

    /// What an agent has, beside what it should have; nothing of one that is too old to say it.
    pub(super) fn stock_of(&self, state: &AgentState) -> Option<StockView> {
        let inventory = match &state.session {
            Some(session) if !session.catalogue => return None,
            Some(session) => Some(session.inventory.clone().unwrap_or_default()),
            None => None,
        };
        let served = self.state.environments.values().filter(|one| one.group == state.agent.group);
        let wanted = served.filter_map(|one| Some((one.name.clone(), self.lock_of(&one.name)?))).collect();
        Some(StockView { inventory, wanted })
    }

    /// How far a component is on the agents of an environment.
    ///
    /// # Errors
    /// If there is no such environment.
    pub(super) fn readiness(&self, environment: &Name, connector: &Name, wasm: Digest) -> Result<Readiness, Refusal> {
        let group = self.environment(environment)?.group;
        let lock = self.lock_of(environment).map(|lock| lock.version);
        let mut readiness = Readiness::default();
        let members = self.state.agents.iter().filter(|(_, state)| state.agent.group == group);
        for (agent, session) in members.map(|(agent, state)| (agent, state.session.as_ref())) {
            let Some(session) = session else {
                readiness.away += 1;
                continue;
            };
            if !session.catalogue {
                continue;
            }
            readiness.agents += 1;
            let stocks = session.inventory.iter().flat_map(|inventory| &inventory.environments);
            // Under another lock the same component may be another release, or judged by other approvals.
            let stocks = stocks.filter(|stock| stock.environment == *environment && Some(stock.lock_version) == lock);
            let holdings = stocks.flat_map(|stock| &stock.holdings);
            match holdings.filter(|one| one.connector == *connector && one.digest == wasm).map(|one| &one.state).next()
            {
                Some(HoldingState::Ready) => readiness.ready += 1,
                Some(HoldingState::Refused { code, message } | HoldingState::Quarantined { code, message }) => {
                    readiness.refused.push((*agent, code.clone(), message.clone()));
                }
                Some(HoldingState::Preparing) | None => (),
            }
        }
        Ok(readiness)
    }

    /// The agents of an environment that do not run a component, each with what it has and why.
    fn differing(&self, environment: &Name, connector: &Name, wasm: Digest) -> Result<Vec<Differing>, Refusal> {
        let group = self.environment(environment)?.group;
        let members = self.state.agents.values().filter(|state| state.agent.group == group);
        let lock = self.lock_of(environment).map(|lock| lock.version);
        let differing = members.filter_map(|state| differs(state, (environment, lock), connector, wasm));
        Ok(first_of(differing.collect()))
    }
}

/// As many as are named, by name: always the same ones.
fn first_of(mut differing: Vec<Differing>) -> Vec<Differing> {
    differing.sort_by(|one, other| one.agent.cmp(&other.agent));
    differing.truncate(MOST_DIFFERING);
    differing
}

/// What keeps an agent from running it; nothing, if nothing does.
fn differs(
    state: &AgentState,
    (environment, lock): (&Name, Option<u64>),
    connector: &Name,
    wasm: Digest,
) -> Option<Differing> {
    let told = |has, state_word, why| Some(Differing { agent: state.agent.name.clone(), has, state: state_word, why });
    let Some(session) = &state.session else { return told(None, "away", None) };
    if !session.catalogue {
        return told(None, "no_locks", None);
    }
    let stocks = session.inventory.iter().flat_map(|inventory| &inventory.environments);
    let stocks: Vec<_> = stocks.filter(|stock| stock.environment == *environment).collect();
    let follows = stocks.iter().any(|stock| Some(stock.lock_version) == lock);
    let holdings = stocks.into_iter().flat_map(|stock| &stock.holdings);
    let holdings: Vec<&Holding> = holdings.filter(|one| one.connector == *connector).collect();
    let Some(holding) = holdings.iter().find(|one| follows && one.digest == wasm) else {
        // It follows another lock; if it refused this one, it says why.
        let ready = holdings.iter().find(|one| one.state == HoldingState::Ready);
        let refusal = session.inventory.as_ref().and_then(|inventory| inventory.refusal.clone());
        return told(ready.map(|one| one.version.clone()), "behind", refusal);
    };
    match &holding.state {
        HoldingState::Ready => None,
        HoldingState::Preparing => told(None, "preparing", None),
        HoldingState::Refused { code, message } => told(None, "refused", Some((code.clone(), message.clone()))),
        HoldingState::Quarantined { code, message } => {
            told(holding.instead.clone(), "quarantined", Some((code.clone(), message.clone())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_agents_than_are_named_the_first_by_name_are() {
        let differing =
            |n: u32| Differing { agent: format!("pier-{n:03}").parse().unwrap(), has: None, state: "away", why: None };
        let named = first_of((0..=100).rev().map(differing).collect());
        assert_eq!(named, (0..100).map(differing).collect::<Vec<_>>());
    }
}
