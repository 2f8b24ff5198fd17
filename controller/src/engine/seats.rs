//! Runs that not every agent may do: those of connections that one agent uses at a time, those whose OAuth tokens only
//! one agent has, and those whose secrets an agent without its group's keys cannot open.
//!
//! ```text
//! nobody has the seat ─ a run is placed ─► agent a ─ a takes no work, holds no such run, is lost or drains ─► whoever is next
//! ```
//!
//! All `single_agent` connections of a project in an environment share one seat, so that an operation never needs two.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wherry_domain::{
    id::{AgentId, EnvironmentId, GroupId, RunId},
    name::Name,
    presence::State as Presence,
    project::{
        Auth, Operation, Project,
        auth::{Grant, Initiate, OAuth2},
    },
    run::State as RunState,
    schedule::{Queue, Tie},
};

use super::{
    Turn,
    owners::oauth_of,
    place::reserved,
    state::{AgentState, Current, State},
};
use crate::model::{RunSpec, Tied};

/// Which runs wait in one line: those of a project that the same agents may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) project: Name,
    pub(super) tied: Option<(EnvironmentId, Tied)>,
    /// Whether a secret that they need is sealed to the group.
    pub(super) keyed: bool,
}

/// A seat that is taken, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) environment: EnvironmentId,
    pub(super) project: Name,
    pub(super) agent: AgentId,
}

pub(super) fn lane(spec: &RunSpec, state: &State) -> Lane {
    let tied = spec.tied.clone().map(|tied| (spec.environment, tied));
    Lane { project: spec.project.clone(), tied, keyed: state.needs_keys(spec) }
}

/// The secrets that these connections name, each once.
pub(super) fn secrets<'a>(project: &Project, connections: impl IntoIterator<Item = &'a Name>) -> Vec<Name> {
    let used = connections.into_iter().filter_map(|name| project.connections.get(name));
    let named = used.flat_map(|connection| connection.auth.secrets().into_iter().chain(connection.tls.secrets()));
    named.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// To what the runs of an operation are tied.
pub(super) fn tied(project: &Project, operation: &Operation) -> Option<Tied> {
    let used =
        || operation.steps().filter_map(|step| Some((&step.connection, project.connections.get(&step.connection)?)));
    if used().any(|(_, connection)| connection.single_agent) {
        return Some(Tied::Seat);
    }
    used().find(|(_, connection)| rotates(&connection.auth)).map(|(name, _)| Tied::Owner(name.clone()))
}

/// To what an action on a connection is tied.
pub(super) fn tied_to(project: &Project, name: &Name) -> Option<Tied> {
    let connection = project.connections.get(name)?;
    match connection.single_agent {
        true => Some(Tied::Seat),
        false => rotates(&connection.auth).then(|| Tied::Owner(name.clone())),
    }
}

/// Whether the agent has tokens that are good once only.
pub(super) fn rotates(auth: &Auth) -> bool {
    let renewed = |oauth: &OAuth2| match oauth.grant {
        Grant::AuthorizationCode | Grant::RefreshToken => oauth.initiate != Some(Initiate::Off),
        Grant::ClientCredentials | Grant::Password => false,
        Grant::AccessToken => oauth.initiate == Some(Initiate::Refresh),
    };
    oauth_of(auth).is_some_and(renewed)
}

impl Turn<'_> {
    /// Which agents may take the runs of a line now, given who else waits.
    pub(super) fn tie(&self, lane: &Lane, queue: &Queue<Lane>) -> Tie {
        let tie = match &lane.tied {
            None => Tie::Any,
            Some((environment, Tied::Seat)) => self.seat_tie(*environment, lane, queue),
            Some((environment, Tied::Owner(connection))) => {
                let key = (*environment, lane.project.clone(), connection.clone());
                self.state.owners.get(&key).map_or(Tie::Any, |kept| self.owner_tie(kept))
            }
        };
        match tie {
            Tie::Any if lane.keyed => Tie::Keyed,
            Tie::Only(agent) if lane.keyed && self.waits_for_keys(agent) => Tie::Nobody,
            Tie::Any | Tie::Keyed | Tie::Only(_) | Tie::Nobody => tie,
        }
    }

    /// The agent to ask about a connection that not every agent may use just now.
    pub(super) fn asked_of(&self, current: &Current, name: &Name) -> Option<AgentId> {
        let connection = current.snapshot.project.connections.get(name)?;
        let (environment, project) = (current.deployment.environment, &current.deployment.project);
        if connection.single_agent {
            return self.seated(environment, project);
        }
        let kept = self.state.owners.get(&(environment, project.clone(), name.clone()))?;
        match self.owner_tie(kept) {
            Tie::Only(agent) => Some(agent),
            Tie::Any | Tie::Keyed | Tie::Nobody => None,
        }
    }

    fn seat_tie(&self, environment: EnvironmentId, lane: &Lane, queue: &Queue<Lane>) -> Tie {
        let Lane { project, keyed, .. } = lane;
        let Some(agent) = self.state.seats.get(&(environment, project.clone())).map(|seat| seat.agent) else {
            return Tie::Any;
        };
        let Some(state) = self.state.agents.get(&agent) else { return Tie::Any };
        if state.presence.may_take_work() {
            if !self.waits_for_keys(agent) {
                return Tie::Only(agent);
            }
            if !keyed {
                return if self.gives_way(state, lane, queue) { Tie::Nobody } else { Tie::Only(agent) };
            }
        }
        // Whatever it holds it may still be doing. One that is silent for a moment is waited for.
        let at_work = self.holds_tied(state, environment, project);
        if at_work || matches!(state.presence.state(), Presence::Suspect { .. }) { Tie::Nobody } else { Tie::Any }
    }

    /// Whether an agent without keys takes no more runs of its seat, because others of them wait for keys that somebody
    /// else has. Otherwise those would wait for as long as there is work that needs none.
    fn gives_way(&self, seated: &AgentState, lane: &Lane, queue: &Queue<Lane>) -> bool {
        let has_keys = |state: &AgentState| {
            let session = state.session.as_ref().filter(|_| state.presence.may_take_work());
            // An agent that keeps all but its reserved slots for itself might never take an ordinary run.
            session.is_some_and(|session| session.free(0) > reserved(session.slots))
                && state.agent.group == seated.agent.group
                && !self.waits_for_keys(state.agent.id)
        };
        queue.is_ready(&Lane { keyed: true, ..lane.clone() }) && self.state.agents.values().any(has_keys)
    }

    /// What is sealed to a group is not what it was: each of its waiting runs goes on waiting in the line that is right
    /// for it now.
    pub(super) fn relane(&mut self, group: GroupId) {
        let waiting = self.state.runs.iter().filter(|(_, active)| {
            let spec = &active.record.spec;
            spec.group == group && !spec.secrets.is_empty() && matches!(active.machine.state(), RunState::Queued { .. })
        });
        let lanes: Vec<_> = waiting.map(|(run, active)| (*run, lane(&active.record.spec, self.state))).collect();
        let Some(state) = self.state.groups.get_mut(&group) else { return };
        for (run, lane) in lanes {
            state.queue.relabel(run, lane);
        }
        self.state.touched.insert(group);
    }

    fn holds_tied(&self, state: &AgentState, environment: EnvironmentId, project: &Name) -> bool {
        state.leased.iter().filter_map(|run| self.state.runs.get(run)).any(|active| {
            let spec = &active.record.spec;
            spec.tied == Some(Tied::Seat) && spec.environment == environment && spec.project == *project
        })
    }

    /// Notes who does the tied runs of a project from now on.
    pub(super) fn take_seat(&mut self, run: RunId, agent: AgentId) {
        let Some(spec) = self.state.runs.get(&run).map(|active| &active.record.spec) else { return };
        if spec.tied != Some(Tied::Seat) {
            return;
        }
        let key = (spec.environment, spec.project.clone());
        if self.state.seats.get(&key).is_some_and(|seat| seat.agent == agent) {
            return;
        }
        let seat = Seat { environment: key.0, project: key.1.clone(), agent };
        tracing::info!(project = %seat.project, %agent, "does the work of the connections that one agent uses at a time");
        self.define("seat", &format!("{}/{}", key.0, key.1), &seat);
        self.state.seats.insert(key, seat);
    }

    /// Who has the seat of a project, if it is there.
    pub(super) fn seated(&self, environment: EnvironmentId, project: &Name) -> Option<AgentId> {
        let agent = self.state.seats.get(&(environment, project.clone()))?.agent;
        self.state.agents.get(&agent).filter(|state| state.presence.may_take_work()).map(|_| agent)
    }

    /// Forgets what was tied in an environment that is gone.
    pub(super) fn forget_seats(&mut self, environment: EnvironmentId) {
        let gone: Vec<_> = self.state.seats.keys().filter(|(id, _)| *id == environment).cloned().collect();
        for key in gone {
            self.undefine("seat", &format!("{}/{}", key.0, key.1));
            self.state.seats.remove(&key);
        }
    }
}
