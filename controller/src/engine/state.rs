//! What the writer holds in memory: every definition, and the runs that are not over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};
use wherry_domain::{
    digest::Digest,
    epoch::Epoch,
    id::{AgentId, EnvironmentId, GroupId, OrganisationId, RunId},
    lease::LeaseTerms,
    name::Name,
    presence::Presence,
    project::{Mapping, Snapshot},
    run::{Outcome, Run, State as RunState},
    schedule::{Queue, Slots},
    throttle::Throttle,
    time::Timestamp,
};
use wherry_proto::frame::FromController;

use super::{
    Directory,
    actions::{Input, Inputs, Passed},
    asks::Asks,
    catalogue::Catalogue,
    consents::Flows,
    delivery::Undelivered,
    keyring::{Keyring, Told},
    owners::{Kept, OwnerKey},
    policies, rollouts,
    seats::{Lane, Seat},
};
use crate::{
    ca::CatalogueKey,
    model::{
        Agent, AppRegistration, Connector, Deployment, EnrolmentToken, Environment, Group, PolicyRecord, Publisher,
        RunRecord,
    },
};

/// What the ledger is told when it opens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Terms of every lease.
    pub lease: LeaseTerms,
    /// How often agents send a heartbeat.
    pub heartbeat: Duration,
    /// For how long finished runs are kept.
    pub keep_runs: Duration,
    /// Signs what agents may run.
    pub catalogue: CatalogueKey,
    /// Most runs that may wait or be leased at once.
    pub max_active: usize,
}

/// Everything the writer knows.
pub struct State {
    pub(super) settings: Settings,
    pub(super) organisation: OrganisationId,
    /// Rises when the controller is restored from a copy.
    pub(super) generation: u32,
    pub(super) environments: BTreeMap<Name, Environment>,
    pub(super) groups: BTreeMap<GroupId, GroupState>,
    pub(super) agents: BTreeMap<AgentId, AgentState>,
    pub(super) enrolment_tokens: BTreeMap<String, EnrolmentToken>,
    pub(super) directory: Directory,
    pub(super) publishers: BTreeMap<String, Publisher>,
    pub(super) applications: BTreeMap<Name, AppRegistration>,
    pub(super) policies: BTreeMap<policies::Place, PolicyRecord>,
    /// Canaries under way, and the last one of each connector.
    pub(super) rollouts: BTreeMap<rollouts::Place, rollouts::Canary>,
    pub(super) connectors: BTreeMap<Name, BTreeMap<semver::Version, Connector>>,
    pub(super) catalogue: Catalogue,
    /// Who does the work of connections that one agent uses at a time, by environment and project.
    pub(super) seats: BTreeMap<(EnvironmentId, Name), Seat>,
    pub(super) owners: BTreeMap<OwnerKey, Kept>,
    /// People who connect an account just now; gone with the process.
    pub(super) flows: Flows,
    pub(super) current: BTreeMap<(EnvironmentId, Name), Current>,
    /// Calls of throttled connections, by environment, project and name.
    pub(super) throttles: BTreeMap<(EnvironmentId, Name, Name), Throttle>,
    /// How much of what callers handed over is held.
    pub(super) inputs: Inputs,
    /// What environments say of projects, for their next deployments.
    pub(super) mappings: BTreeMap<(EnvironmentId, Name), Mapping>,
    /// Number of the last deployment of each project that was taken out of an environment.
    pub(super) withdrawn: BTreeMap<(EnvironmentId, Name), u64>,
    pub(super) runs: BTreeMap<RunId, ActiveRun>,
    /// What could not be sent since the last turn.
    pub(super) undelivered: Vec<Undelivered>,
    /// When to look at a run again. An entry may be early, never late: renewals do not move it.
    pub(super) timers: BTreeSet<(Timestamp, RunId)>,
    /// The same for agents.
    pub(super) agent_timers: BTreeSet<(Timestamp, AgentId)>,
    /// Groups in which a waiting run and a free slot may have to be brought together.
    pub(super) touched: BTreeSet<GroupId>,
    /// Keys and secrets of groups.
    pub(super) keyrings: BTreeMap<GroupId, Keyring>,
    /// Groups whose agents have to be told something, once it is in the store.
    pub(super) keyrings_touched: BTreeSet<GroupId>,
    /// The same, and it is in the store.
    pub(super) keyrings_ripe: BTreeSet<GroupId>,
    /// The epoch of the group's key that each sealed state of a connection needs, by its key in the store.
    pub(super) sealed_states: BTreeMap<Vec<u8>, u32>,
    pub(super) audit: (u64, Digest),
    pub(super) next_sweep: Timestamp,
    /// The idempotency key that the last sweep came to.
    pub(super) swept_to: Option<Vec<u8>>,
}

/// A group with its queue.
pub(super) struct GroupState {
    pub(super) group: Group,
    pub(super) queue: Queue<Lane>,
    pub(super) slots: Slots,
}

/// An agent with its session.
pub(super) struct AgentState {
    pub(super) agent: Agent,
    pub(super) presence: Presence,
    /// Its entry in the timers: early, never late, and only one.
    pub(super) timer: Option<Timestamp>,
    pub(super) session: Option<Session>,
    pub(super) leased: BTreeSet<RunId>,
    /// Runs that it may or may not have done.
    pub(super) unknown: BTreeSet<RunId>,
}

/// A live stream to an agent.
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) slots: u32,
    /// How many runs it would hold in all, as far as it said last: an owner's policy may have moved its slots meanwhile.
    pub(super) offered: u32,
    pub(super) asks: Asks,
    /// It knows frames about OAuth.
    pub(super) oauth: bool,
    /// It knows frames about catalogues.
    pub(super) catalogue: bool,
    /// What it said that it has of the connectors it should have.
    pub(super) inventory: Option<wherry_proto::frame::Inventory>,
    /// What it said of its group's keys; an older agent says nothing.
    pub(super) keyring: Option<Told>,
    pub(super) frames: mpsc::Sender<FromController>,
}

/// The newest deployment of a project in an environment.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) deployment: Deployment,
    pub(super) snapshot: Arc<Snapshot>,
}

/// A run that is not over.
pub(super) struct ActiveRun {
    pub(super) machine: Run,
    pub(super) record: RunRecord,
    pub(super) waiters: Vec<oneshot::Sender<Arc<RunRecord>>>,
    /// Who waits for the answer of an action.
    pub(super) callers: Vec<oneshot::Sender<Passed>>,
    /// What an action was handed, until its end.
    pub(super) input: Option<Input>,
    /// What it answered, until its callers have it.
    pub(super) answer: Option<Arc<Vec<u8>>>,
    pub(super) watch: Option<watch::Sender<Arc<RunRecord>>>,
}

impl AgentState {
    pub(super) const fn new(agent: Agent, presence: Presence) -> Self {
        Self { agent, presence, timer: None, session: None, leased: BTreeSet::new(), unknown: BTreeSet::new() }
    }
}

impl Session {
    /// How many more runs may be offered to an agent that holds `leased`: what it announced, less those that are on
    /// their way to it, and what ended since.
    pub(super) fn free(&self, leased: usize) -> u32 {
        let leased = u32::try_from(leased).unwrap_or(u32::MAX);
        self.slots.min(self.offered).saturating_sub(leased)
    }
}

impl ActiveRun {
    pub(super) const fn new(machine: Run, record: RunRecord) -> Self {
        Self { machine, record, waiters: Vec::new(), callers: Vec::new(), input: None, answer: None, watch: None }
    }

    /// Resolves once the run is over.
    pub(super) fn wait(&mut self) -> oneshot::Receiver<Arc<RunRecord>> {
        let (sender, receiver) = oneshot::channel();
        // Who asks again and again and waits a moment each time leaves one behind each time.
        self.waiters.retain(|waiter| !waiter.is_closed());
        self.waiters.push(sender);
        receiver
    }

    /// What the record takes on disk: at least that, and hardly more.
    pub(super) fn weight(&self) -> usize {
        let message = match self.machine.state() {
            RunState::Finished { outcome: Outcome::Failed(failure) } => failure.message.len(),
            RunState::Finished { outcome: Outcome::Succeeded | Outcome::Cancelled }
            | RunState::Queued { .. }
            | RunState::Leased { .. }
            | RunState::Unknown { .. } => 0,
        };
        self.record.payload() + 160 * self.record.history.len() + 2 * message + 2_048
    }
}

impl State {
    pub(super) fn environment(&self, id: EnvironmentId) -> Option<&Environment> {
        self.environments.values().find(|environment| environment.id == id)
    }

    pub(super) fn group_named(&self, name: &Name) -> Option<&GroupState> {
        self.groups.values().find(|state| state.group.name == *name)
    }

    /// Until when nothing happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if !self.touched.is_empty() || !self.undelivered.is_empty() || !self.keyrings_ripe.is_empty() {
            return Some(Timestamp::default());
        }
        let runs = self.timers.first().map(|(at, _)| *at);
        let agents = self.agent_timers.first().map(|(at, _)| *at);
        let queues =
            self.groups.values().filter(|group| !group.slots.is_empty()).filter_map(|group| group.queue.next_due());
        queues
            .chain(runs)
            .chain(agents)
            .chain(self.flows.next_deadline())
            .chain(self.keyrings_due())
            .chain(self.rollouts.values().filter_map(rollouts::Canary::deadline))
            .chain([self.next_sweep])
            .min()
    }
}
