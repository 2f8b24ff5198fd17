//! Sessions of agents: opening, superseding, closing.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::mpsc;
use wherry_domain::{
    id::AgentId,
    run::{Event, State as RunState},
};
use wherry_proto::{
    PROTOCOL_MAX, PROTOCOL_MIN,
    frame::{Attempt, Decision, FromController, GoAwayReason, Hello, InFlight, Stage, Welcome},
};
use wherry_trust::names::AgentIdentity;

use super::{
    Kind, Ledger, Refusal, Turn,
    place::reserved,
    state::{AgentState, Session},
};

/// Several processes taking over from one another this often within [`FLAPPING`] share an identity.
const SUPERSEDES: usize = 3;
const FLAPPING: Duration = Duration::from_secs(300);

/// A session that was opened; the frames begin with the welcome.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Counts up with each session of the agent.
    pub epoch: u64,
}

impl Ledger {
    /// Opens a session. The welcome and everything after it goes to `frames`.
    ///
    /// # Errors
    /// If the agent is unknown, removed or locked, or speaks no common protocol.
    pub async fn open_session(
        &self,
        identity: AgentIdentity,
        hello: Hello,
        frames: mpsc::Sender<FromController>,
    ) -> Result<Opened, Refusal> {
        self.act(move |turn| Ok(turn.open(&identity, hello, frames))).await?
    }

    /// The stream of a session ended.
    pub async fn close_session(&self, agent: AgentId, epoch: u64) {
        // If the writer is gone, so is the session.
        let _ = self.tell(move |turn| turn.close(agent, epoch)).await;
    }
}

impl Turn<'_> {
    fn open(
        &mut self,
        identity: &AgentIdentity,
        hello: Hello,
        frames: mpsc::Sender<FromController>,
    ) -> Result<Opened, Refusal> {
        let agent = self.admit(identity, &hello)?;
        if self.supersede(agent, &hello) {
            return Err(self.lock_copied(agent));
        }
        let verdicts = self.verdicts(agent, &hello.in_flight);
        self.absent(agent, &hello.in_flight);
        let generation = self.state.generation;
        let (now, wall_ms) = (self.now, self.wall_ms);
        let Some(state) = self.state.agents.get_mut(&agent) else { return Err(unknown(agent)) };
        state.agent.sessions = state.agent.sessions.wrapping_add(1);
        let epoch = (u64::from(generation) << 32) | u64::from(state.agent.sessions);
        state.agent.version = hello.version;
        state.agent.seen_ms = wall_ms;
        state.agent.secret_names = hello.secret_names;
        state.agent.connectors = hello.connectors;
        state.session = Some(Session { epoch, instance: hello.instance, slots: hello.slots, beat: now, frames });
        let record = state.agent.clone();
        self.define("agent", &agent.to_string(), &record);
        let welcome = self.welcome(epoch, verdicts, record.group);
        self.out.frames.push((agent, epoch, FromController::Welcome(welcome)));
        self.open_slots(agent);
        Ok(Opened { epoch })
    }

    fn admit(&self, identity: &AgentIdentity, hello: &Hello) -> Result<AgentId, Refusal> {
        let state = self.state.agents.get(&identity.agent()).ok_or_else(|| unknown(identity.agent()))?;
        if identity.organisation() != self.state.organisation || identity.group() != state.agent.group {
            return Err(unknown(identity.agent()));
        }
        if let Some(reason) = &state.agent.locked {
            return Err(Refusal::new(Kind::Forbidden, "agent.locked", format!("this agent is locked: {reason}")));
        }
        if hello.protocol_min > PROTOCOL_MAX || hello.protocol_max < PROTOCOL_MIN {
            let message = format!(
                "the agent speaks protocol {} to {}, this controller {PROTOCOL_MIN} to {PROTOCOL_MAX}: upgrade the older one",
                hello.protocol_min, hello.protocol_max
            );
            return Err(Refusal::new(Kind::Forbidden, "agent.version_unsupported", message));
        }
        Ok(identity.agent())
    }

    /// Ends an older session of the agent; tells whether its identity is used by several processes.
    fn supersede(&mut self, agent: AgentId, hello: &Hello) -> bool {
        let now = self.now;
        let Some(state) = self.state.agents.get_mut(&agent) else { return false };
        let Some(old) = state.session.take() else { return false };
        if old.instance != hello.instance {
            state.supersedes.retain(|at| now.since(*at) < FLAPPING);
            state.supersedes.push(now);
        }
        let away = FromController::GoAway { reason: GoAwayReason::Superseded, reconnect_after: Duration::from_secs(5) };
        self.out.last_words.push((old.frames, away));
        state.supersedes.len() >= SUPERSEDES
    }

    fn lock_copied(&mut self, agent: AgentId) -> Refusal {
        let why = "several processes use this identity at once: was its data folder copied?";
        self.lock(agent, why.to_owned());
        self.audit("controller", "agent.lock", &agent.to_string(), why);
        Refusal::new(Kind::Forbidden, "agent.locked", format!("this agent is locked: {why}"))
    }

    /// What becomes of the attempts that the agent has journalled.
    fn verdicts(&mut self, agent: AgentId, in_flight: &[InFlight]) -> Vec<(Attempt, Decision)> {
        let mut verdicts = Vec::with_capacity(in_flight.len());
        for InFlight { attempt, stage } in in_flight {
            let current = self.state.runs.get(&attempt.run).filter(|active| active.machine.fence() == attempt.fence);
            let holds = current.is_some_and(|active| match active.machine.state() {
                RunState::Leased { agent: holder, .. } | RunState::Unknown { agent: holder } => *holder == agent,
                RunState::Queued { .. } | RunState::Finished { .. } => false,
            });
            let decision = match stage {
                Stage::Finished | Stage::Interrupted => Decision::Report,
                Stage::Accepted | Stage::Started if holds => Decision::Keep,
                Stage::Accepted | Stage::Started => Decision::Drop,
            };
            if holds {
                self.event(attempt.run, Event::Renewed { fence: attempt.fence });
            }
            verdicts.push((*attempt, decision));
        }
        verdicts
    }

    /// Runs leased to the agent that it does not know never reached its journal.
    fn absent(&mut self, agent: AgentId, in_flight: &[InFlight]) {
        let known: BTreeSet<Attempt> = in_flight.iter().map(|item| item.attempt).collect();
        let Some(state) = self.state.agents.get(&agent) else { return };
        for run in state.leased.union(&state.unknown).copied().collect::<Vec<_>>() {
            let fence = self.state.runs.get(&run).map(|active| active.machine.fence());
            if fence.is_none_or(|fence| !known.contains(&Attempt { run, fence })) {
                self.event(run, Event::Absent { agent });
            }
        }
    }

    fn welcome(&self, epoch: u64, verdicts: Vec<(Attempt, Decision)>, group: wherry_domain::id::GroupId) -> Welcome {
        let environments = self.state.environments.values().filter(|environment| environment.group == group);
        Welcome {
            protocol: PROTOCOL_MAX,
            epoch,
            lease: self.state.settings.lease,
            heartbeat: self.state.settings.heartbeat,
            verdicts,
            publishers: self.trusted_publishers(),
            environments: environments.map(|environment| environment.name.clone()).collect(),
        }
    }

    /// Tells the queue how many runs the agent can take now.
    pub(super) fn open_slots(&mut self, agent: AgentId) {
        let Some(AgentState { agent: record, session, leased, .. }) = self.state.agents.get(&agent) else { return };
        let Some(group) = self.state.groups.get_mut(&record.group) else { return };
        match session {
            Some(session) if !record.draining && record.locked.is_none() => {
                let taken = u32::try_from(leased.len()).unwrap_or(u32::MAX);
                group.slots.set(agent, session.slots.saturating_sub(taken), reserved(session.slots));
            }
            Some(_) | None => group.slots.remove(agent),
        }
        self.touched.insert(record.group);
    }

    /// Ends the agent's session, if it is still that one.
    pub(super) fn close(&mut self, agent: AgentId, epoch: u64) {
        let wall_ms = self.wall_ms;
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        if state.session.as_ref().is_none_or(|session| session.epoch != epoch) {
            return;
        }
        state.session = None;
        state.agent.seen_ms = wall_ms;
        let record = state.agent.clone();
        self.define("agent", &agent.to_string(), &record);
        self.open_slots(agent);
    }
}

fn unknown(agent: AgentId) -> Refusal {
    Refusal::new(
        Kind::Forbidden,
        "agent.unknown",
        format!("{agent} is not an agent of this organisation: enrol it again"),
    )
}
