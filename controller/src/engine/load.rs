//! Reading everything back at the start.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use wherry_daemon::{
    clock::Clock,
    ids,
    store::{Batch, Direction, Space, Store, StoreError, files::FileStore, record},
};
use wherry_domain::{
    id::OrganisationId,
    presence::{Asker, Event, Presence},
    project::Snapshot,
    run::{Run, State as RunState},
    schedule::{Queue, Slots},
    session::{CONNECT_WITHIN, LONGEST_WAIT},
};

use super::{
    Directory, aliases,
    audit::GENESIS,
    catalogue,
    consents::Flows,
    keyring, owners, policies, rollouts,
    seats::{self, Seat},
    state::{ActiveRun, AgentState, Current, GroupState, Settings, State},
};
use crate::model::{
    ACTIVE, AUDIT, AccessToken, Agent, AppRegistration, AuditEntry, Connector, DEFINITIONS, Deployment, Environment,
    Group, META, Publisher, RunRecord, SCHEMA,
};

/// Entries read at a time.
const PAGE: usize = 1_000;
/// How long after the start the first sweep comes.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
/// After a restore from a copy, how long agents have to come back and tell what they did since.
const RETURN_WITHIN: Duration = LONGEST_WAIT.saturating_add(CONNECT_WITHIN);

/// Key of the organisation's id.
pub(crate) const ORGANISATION: &str = "organisation";
/// Key of the restore generation.
pub(crate) const GENERATION: &str = "generation";

pub(super) fn load(
    store: &dyn Store,
    files: &FileStore,
    clock: &Clock,
    settings: Settings,
) -> Result<State, StoreError> {
    let organisation = organisation(store)?;
    let catalogue = catalogue::load(store, settings.catalogue.clone())?;
    let mut state = State {
        settings,
        organisation,
        directory: Directory::new(organisation),
        generation: meta(store, GENERATION)?.unwrap_or(0),
        environments: by_id(definitions(store, "environment")?, |one: &Environment| one.name.clone()),
        groups: definitions(store, "group")?.into_iter().map(group).collect(),
        agents: BTreeMap::new(),
        agent_timers: std::collections::BTreeSet::new(),
        enrolment_tokens: by_id(definitions(store, "token")?, |one: &crate::model::EnrolmentToken| one.id.clone()),
        publishers: by_id(definitions(store, "publisher")?, |one: &Publisher| one.trusted.name.clone()),
        applications: by_id(definitions(store, "application")?, |one: &AppRegistration| one.application.name.clone()),
        policies: policies::load(definitions(store, "policy")?),
        rollouts: rollouts::load(definitions(store, "rollout")?, clock),
        connectors: BTreeMap::new(),
        catalogue,
        seats: by_id(definitions(store, "seat")?, |seat: &Seat| (seat.environment, seat.project.clone())),
        owners: owners::load(store, clock)?,
        flows: Flows::default(),
        current: BTreeMap::new(),
        throttles: BTreeMap::new(),
        inputs: super::actions::Inputs::default(),
        mappings: aliases::load(store)?,
        withdrawn: BTreeMap::new(),
        runs: BTreeMap::new(),
        timers: std::collections::BTreeSet::new(),
        undelivered: Vec::new(),
        touched: std::collections::BTreeSet::new(),
        keyrings: BTreeMap::new(),
        keyrings_touched: std::collections::BTreeSet::new(),
        keyrings_ripe: std::collections::BTreeSet::new(),
        sealed_states: keyring::in_use::states(store)?,
        audit: audit_head(store)?,
        next_sweep: clock.now().plus(FIRST_SWEEP),
        swept_to: None,
    };
    for connector in definitions::<Connector>(store, "connector")? {
        state.connectors.entry(connector.name.clone()).or_default().insert(connector.version.clone(), connector);
    }
    for agent in definitions::<Agent>(store, "agent")? {
        load_agent(&mut state, agent, clock);
    }
    fill_directory(&state, definitions(store, "access")?);
    load_deployments(&mut state, store, files)?;
    keyring::load(store, &mut state)?;
    load_runs(&mut state, store, clock)?;
    Ok(state)
}

fn load_agent(state: &mut State, agent: Agent, clock: &Clock) {
    let now = clock.now();
    let mut presence = Presence::restored(state.settings.lease, agent.epoch, now);
    if agent.locked.is_some() {
        presence.on(Event::Lock, now);
    }
    if agent.draining {
        presence.on(Event::Drain { by: Asker::Operator }, now);
    }
    let timer = presence.deadline();
    state.agent_timers.extend(timer.map(|at| (at, agent.id)));
    state.agents.insert(agent.id, AgentState { timer, ..AgentState::new(agent, presence) });
}

fn fill_directory(state: &State, tokens: Vec<AccessToken>) {
    for environment in state.environments.values() {
        state.directory.learn_environment(environment.id, &environment.name);
    }
    for AgentState { agent, .. } in state.agents.values() {
        state.directory.learn_agent(agent.id, &agent.name);
    }
    for token in tokens {
        state.directory.add_token(token);
    }
}

fn group(group: Group) -> (wherry_domain::id::GroupId, GroupState) {
    (group.id, GroupState { group, queue: Queue::new(), slots: Slots::new() })
}

fn by_id<K: Ord, T>(list: Vec<T>, id: impl Fn(&T) -> K) -> BTreeMap<K, T> {
    list.into_iter().map(|one| (id(&one), one)).collect()
}

fn meta<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, StoreError> {
    store.get(META, key.as_bytes())?.map(|bytes| record::decode(SCHEMA, &bytes)).transpose()
}

fn organisation(store: &dyn Store) -> Result<OrganisationId, StoreError> {
    if let Some(known) = meta(store, ORGANISATION)? {
        return Ok(known);
    }
    let made: OrganisationId = ids::new_id();
    let mut batch = Batch::new();
    batch.put(META, ORGANISATION, record::encode(SCHEMA, &made)?);
    futures::executor::block_on(store.commit(batch))?;
    Ok(made)
}

fn audit_head(store: &dyn Store) -> Result<(u64, wherry_domain::digest::Digest), StoreError> {
    let newest = store.scan(AUDIT, &[], None, Direction::Descending, 1)?;
    let Some((_, bytes)) = newest.first() else { return Ok((0, GENESIS)) };
    let entry: AuditEntry = record::decode(SCHEMA, bytes)?;
    Ok((entry.n, entry.hash))
}

/// Every definition of a kind.
pub(super) fn definitions<T: DeserializeOwned>(store: &dyn Store, kind: &str) -> Result<Vec<T>, StoreError> {
    read_all(store, DEFINITIONS, format!("{kind}/").as_bytes())
}

fn read_all<T: DeserializeOwned>(store: &dyn Store, space: Space, prefix: &[u8]) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(space, prefix, after.as_deref(), Direction::Ascending, PAGE)?;
        for (_, bytes) in &page {
            all.push(record::decode(SCHEMA, bytes)?);
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(all),
        }
    }
}

fn load_deployments(state: &mut State, store: &dyn Store, files: &FileStore) -> Result<(), StoreError> {
    let mut newest: BTreeMap<_, Deployment> = BTreeMap::new();
    let all = definitions::<Deployment>(store, "deployment")?.into_iter();
    // What is left of a removed environment is only waiting to be forgotten.
    for deployment in all.filter(|deployment| state.environment(deployment.environment).is_some()) {
        let key = (deployment.environment, deployment.project.clone());
        if newest.get(&key).is_none_or(|known| known.number < deployment.number) {
            newest.insert(key, deployment);
        }
    }
    for (key, deployment) in newest {
        if deployment.withdrawn_ms.is_some() {
            state.withdrawn.insert(key, deployment.number);
            continue;
        }
        let snapshot = read_snapshot(files, &deployment)?;
        state.current.insert(key, Current { deployment, snapshot: Arc::new(snapshot) });
    }
    Ok(())
}

fn read_snapshot(files: &FileStore, deployment: &Deployment) -> Result<Snapshot, StoreError> {
    let broken = |reason: String| StoreError::Record { type_name: "Snapshot", reason: reason.into() };
    let bytes = files.read(&deployment.digest)?;
    let bytes = bytes
        .ok_or_else(|| broken(format!("the file {} of deployment {} is missing", deployment.digest, deployment.id)))?;
    let snapshot = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()));
    snapshot.map(Snapshot::bound)
}

fn load_runs(state: &mut State, store: &dyn Store, clock: &Clock) -> Result<(), StoreError> {
    let now = clock.now();
    for record in read_all::<RunRecord>(store, ACTIVE, &[])? {
        let run = record.spec.id;
        let (mut terms, stored) = (record.spec.terms, record.stored.clone());
        // Agents count with what the welcome says, whatever was in force when the run was submitted.
        if state.settings.lease.term > terms.lease.term {
            terms.lease = state.settings.lease;
        }
        let machine = if stored.fence.generation() < state.generation {
            Run::restored_from_copy(terms, stored, RETURN_WITHIN, now)
        } else {
            Run::restored(terms, stored, now)
        };
        match machine.state() {
            RunState::Queued { .. } => {
                let lane = seats::lane(&record.spec, state);
                if let Some(group) = state.groups.get_mut(&record.spec.group) {
                    let due = machine.deadline().unwrap_or(now);
                    group.queue.push(lane, run, due, record.spec.synchronous);
                }
                // Whoever called it is gone, and with the process what it was called with.
                state.timers.extend(record.spec.action.as_ref().map(|_| (now, run)));
            }
            RunState::Leased { agent, .. } => {
                if let Some(agent) = state.agents.get_mut(agent) {
                    agent.leased.insert(run);
                }
                state.timers.extend(machine.deadline().map(|deadline| (deadline, run)));
            }
            RunState::Unknown { agent } => {
                if let Some(agent) = state.agents.get_mut(agent) {
                    agent.unknown.insert(run);
                }
            }
            RunState::Finished { .. } => continue,
        }
        state.runs.insert(run, ActiveRun::new(machine, record));
    }
    Ok(())
}
