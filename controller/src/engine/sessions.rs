//! Sessions of agents: opening, superseding, closing.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::mpsc;
use wherry_domain::{
    epoch::Epoch,
    id::{AgentId, GroupId},
    name::Name,
    presence::{Effect, Event as Presence},
    run::{Event, State as RunState},
};
use wherry_proto::{
    PROTOCOL_MAX, PROTOCOL_MIN,
    frame::{Attempt, Decision, Desired, FromController, GoAwayReason, Hello, InFlight, Stage, Welcome},
};
use wherry_trust::names::AgentIdentity;

use super::{
    Kind, Ledger, Refusal, Turn,
    asks::Asks,
    place::reserved,
    state::{AgentState, Session},
};

/// When an agent that was sent away may come back.
const COME_BACK: Duration = Duration::from_secs(5);
/// Secrets and connectors of an agent that people can see, so that its record stays small.
const MAX_LISTED: usize = 250;
/// Why an agent locks itself out.
const COPIED: &str = "several processes use this identity at once: was its data folder copied?";

/// A session that was opened; the frames begin with the welcome.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Counts up with each session of the agent.
    pub epoch: Epoch,
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
    pub async fn close_session(&self, agent: AgentId, epoch: Epoch) {
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
        let epoch = self.next_epoch(agent)?;
        self.presence(agent, Presence::Hello { epoch, instance: hello.instance });
        if let Some(reason) = self.state.agents.get(&agent).and_then(|state| state.agent.locked.as_ref()) {
            return Err(locked(reason));
        }
        self.recall_all(agent, &hello.in_flight);
        let verdicts = self.verdicts(agent, &hello.in_flight);
        self.absent(agent, &hello);
        let wall_ms = self.wall_ms;
        let Some(state) = self.state.agents.get_mut(&agent) else { return Err(unknown(agent)) };
        state.agent.epoch = Some(epoch);
        state.agent.version = hello.version;
        state.agent.seen_ms = wall_ms;
        state.agent.secret_names =
            hello.secret_names.into_iter().filter(|name| name.parse::<Name>().is_ok()).take(MAX_LISTED).collect();
        state.agent.connectors = hello.connectors.into_iter().take(MAX_LISTED).collect();
        state.session = Some(Session {
            epoch,
            slots: hello.slots,
            offered: 0,
            asks: Asks::new(hello.asks),
            oauth: hello.oauth,
            catalogue: hello.catalogue,
            inventory: None,
            keyring: None,
            frames,
        });
        let record = state.agent.clone();
        self.define("agent", &agent.to_string(), &record);
        let welcome = self.welcome(epoch, verdicts, record.group);
        self.out.frames.push((agent, epoch, FromController::Welcome(welcome)));
        self.tell_catalogue(agent, epoch, record.group);
        self.cancel_again(agent, &hello.in_flight);
        self.note_free(agent, hello.free_slots, &hello.in_flight);
        self.open_slots(agent);
        Ok(Opened { epoch })
    }

    /// Whoever was away when a person cancelled its run hears of it now.
    fn cancel_again(&mut self, agent: AgentId, in_flight: &[InFlight]) {
        for InFlight { attempt, .. } in in_flight {
            let held = self.held(agent, *attempt).map(|active| active.machine.state());
            if matches!(held, Some(RunState::Leased { cancelling: true, .. })) {
                self.frame(agent, FromController::Cancel(*attempt));
            }
        }
    }

    fn next_epoch(&self, agent: AgentId) -> Result<Epoch, Refusal> {
        let generation = self.state.generation;
        let newest = self.state.agents.get(&agent).and_then(|state| state.presence.newest());
        let next = newest.unwrap_or(Epoch::unused(generation)).next(generation);
        next.ok_or_else(|| Refusal::new(Kind::Forbidden, "agent.epochs_used_up", "enrol this agent again"))
    }

    /// Something happened to an agent's presence; does what must follow.
    pub(super) fn presence(&mut self, agent: AgentId, event: Presence) {
        let now = self.now;
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        let effects = state.presence.on(event, now);
        if let Some(at) = state.presence.deadline().filter(|at| state.timer.is_none_or(|earlier| *at < earlier)) {
            state.timer = Some(at);
            self.state.agent_timers.insert((at, agent));
        }
        for effect in effects {
            match effect {
                Effect::Supersede { epoch } => self.farewell(agent, epoch, GoAwayReason::Superseded),
                Effect::Close { epoch } => {
                    let locked = self.state.agents.get(&agent).is_some_and(|state| state.agent.locked.is_some());
                    // A locked agent gives up for good; one that was only silent is welcome again.
                    let reason = if locked { GoAwayReason::Locked } else { GoAwayReason::Drain };
                    self.farewell(agent, epoch, reason);
                }
                Effect::MarkLive | Effect::MarkSuspect | Effect::MarkLost => {
                    tracing::info!(%agent, presence = ?effect, "agent");
                    self.open_slots(agent);
                }
                Effect::LockDuplicate => {
                    self.change_agent(agent, |agent| agent.locked = Some(COPIED.to_owned()));
                    self.audit("controller", "agent.lock", &agent.to_string(), COPIED);
                    self.revoke(agent);
                }
            }
        }
    }

    /// Ends the stream of this epoch.
    fn farewell(&mut self, agent: AgentId, epoch: Epoch, reason: GoAwayReason) {
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        if let Some(session) = state.session.take_if(|session| session.epoch == epoch) {
            let away = FromController::GoAway { reason, reconnect_after: COME_BACK };
            self.out.last_words.push((session.frames, away));
            self.touch_keyring_of(agent);
        }
        self.open_slots(agent);
    }

    /// Agents whose time has come.
    pub(super) fn tick_agents(&mut self) {
        while let Some((at, agent)) = self.state.agent_timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.state.agent_timers.remove(&(at, agent));
            if let Some(state) = self.state.agents.get_mut(&agent).filter(|state| state.timer == Some(at)) {
                state.timer = None;
            }
            self.presence(agent, Presence::Tick);
        }
    }

    /// The group of an agent that may take part: known, where its certificate says, and not locked.
    /// A certificate outlives a lock and a removal, so every call asks.
    pub(super) fn member(&self, identity: &AgentIdentity) -> Result<GroupId, Refusal> {
        let state = self.state.agents.get(&identity.agent()).ok_or_else(|| unknown(identity.agent()))?;
        if identity.organisation() != self.state.organisation || identity.group() != state.agent.group {
            return Err(unknown(identity.agent()));
        }
        state.agent.locked.as_deref().map_or(Ok(state.agent.group), |reason| Err(locked(reason)))
    }

    fn admit(&self, identity: &AgentIdentity, hello: &Hello) -> Result<AgentId, Refusal> {
        self.member(identity)?;
        if hello.protocol_min > PROTOCOL_MAX || hello.protocol_max < PROTOCOL_MIN {
            let message = format!(
                "the agent speaks protocol {} to {}, this controller {PROTOCOL_MIN} to {PROTOCOL_MAX}: upgrade the older one",
                hello.protocol_min, hello.protocol_max
            );
            return Err(Refusal::new(Kind::Incompatible, "agent.version_unsupported", message));
        }
        Ok(identity.agent())
    }

    /// What becomes of the attempts that the agent has journalled.
    fn verdicts(&mut self, agent: AgentId, in_flight: &[InFlight]) -> Vec<(Attempt, Decision)> {
        let mut verdicts = Vec::with_capacity(in_flight.len());
        for InFlight { attempt, stage } in in_flight {
            let holds = self.held(agent, *attempt).is_some();
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

    /// Runs leased to the agent that it does not know never reached its journal, unless the journal itself is gone.
    fn absent(&mut self, agent: AgentId, hello: &Hello) {
        let known: BTreeSet<Attempt> = hello.in_flight.iter().map(|item| item.attempt).collect();
        let Some(state) = self.state.agents.get(&agent) else { return };
        for run in state.leased.union(&state.unknown).copied().collect::<Vec<_>>() {
            let fence = self.state.runs.get(&run).map(|active| active.machine.fence());
            if fence.is_none_or(|fence| !known.contains(&Attempt { run, fence })) {
                let lost = fence.filter(|_| hello.journal_lost).map(|fence| Event::Interrupted { fence });
                self.event(run, lost.unwrap_or(Event::Absent { agent }));
                self.seam();
            }
        }
    }

    fn welcome(&self, epoch: Epoch, verdicts: Vec<(Attempt, Decision)>, group: GroupId) -> Welcome {
        Welcome {
            protocol: PROTOCOL_MAX,
            epoch: epoch.bits(),
            lease: self.state.settings.lease,
            heartbeat: self.state.settings.heartbeat,
            verdicts,
            desired: self.desired(group),
        }
    }

    fn desired(&self, group: GroupId) -> Desired {
        let environments = self.state.environments.values().filter(|environment| environment.group == group);
        let environments: Vec<Name> = environments.map(|environment| environment.name.clone()).collect();
        let policies = self.policies_of(environments.iter());
        Desired { publishers: self.trusted_publishers(), environments, policies }
    }

    /// What is wanted of the agents changed: tells every live one.
    pub(super) fn desire(&mut self) {
        let live = self.state.agents.iter().filter_map(|(id, state)| {
            let session = state.session.as_ref()?;
            Some((*id, session.epoch, FromController::Desired(self.desired(state.agent.group))))
        });
        let frames: Vec<_> = live.collect();
        self.out.frames.extend(frames);
    }

    /// Tells the queue how many runs the agent can take now.
    pub(super) fn open_slots(&mut self, agent: AgentId) {
        let keyed = !self.waits_for_keys(agent);
        let Some(AgentState { agent: record, presence, session, leased, .. }) = self.state.agents.get(&agent) else {
            return;
        };
        let Some(group) = self.state.groups.get_mut(&record.group) else { return };
        match session.as_ref().filter(|_| presence.may_take_work()) {
            Some(session) => group.slots.set(agent, session.free(leased.len()), reserved(session.slots)),
            None => group.slots.remove(agent),
        }
        group.slots.set_keyed(agent, keyed);
        self.state.touched.insert(record.group);
    }
}

fn locked(reason: &str) -> Refusal {
    Refusal::new(Kind::Forbidden, "agent.locked", format!("this agent is locked: {reason}"))
}

fn unknown(agent: AgentId) -> Refusal {
    Refusal::new(
        Kind::Forbidden,
        "agent.unknown",
        format!("{agent} is not an agent of this organisation: enrol it again"),
    )
}
