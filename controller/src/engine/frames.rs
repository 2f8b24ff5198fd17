//! What agents say during a session.

use wherry_domain::{
    effects::SideEffects,
    epoch::Epoch,
    failure::Failure,
    id::AgentId,
    presence::Event as Presence,
    retry::Jitter,
    run::{Event, State as RunState},
};
use wherry_proto::frame::{Attempt, Counts, FromAgent, FromController, Heartbeat, InFlight, Report, Stage};

use super::{Ledger, Refusal, Turn, state::AgentState};

impl Ledger {
    /// Takes a frame of a session; waits while the writer has too much to do, which slows the
    /// stream down.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn frame(&self, agent: AgentId, epoch: Epoch, frame: FromAgent, jitter: Jitter) -> Result<(), Refusal> {
        self.tell(move |turn| turn.heard(agent, epoch, frame, jitter)).await
    }
}

impl Turn<'_> {
    fn heard(&mut self, agent: AgentId, epoch: Epoch, frame: FromAgent, jitter: Jitter) {
        let session = self.state.agents.get(&agent).and_then(|state| state.session.as_ref());
        if session.is_none_or(|session| session.epoch != epoch) {
            return;
        }
        self.presence(agent, Presence::Beat { epoch });
        match frame {
            // A second hello means a confused peer; its first one stands.
            FromAgent::Hello(_) => (),
            FromAgent::Heartbeat(beat) => self.heartbeat(agent, beat),
            FromAgent::Result(report) => self.reported(agent, epoch, report, jitter),
            FromAgent::Declined { attempt, failure, side_effects } => {
                self.declined(agent, attempt, &failure, side_effects);
            }
            FromAgent::Progress { attempt, counts, earlier } => self.progressed(agent, attempt, counts, earlier),
            FromAgent::Checkpoint { attempt, cursor, states } => {
                if let Some(active) = self.held(agent, attempt) {
                    if active.record.remember(cursor) {
                        self.changed(attempt.run);
                    } else {
                        tracing::warn!(%agent, run = %attempt.run, "ignored a cursor that is too large");
                    }
                    self.remember_states(attempt, states);
                }
            }
            FromAgent::Log { attempt, lines } => {
                if self.held(agent, attempt).is_some() {
                    self.log(attempt.run, attempt.fence, lines);
                }
            }
            FromAgent::Answer(answer) => self.answered(agent, answer),
            FromAgent::OAuth(report) => self.oauth_report(agent, report),
            FromAgent::Keyring(report) => self.keyring_report(agent, report),
            FromAgent::Inventory(inventory) => self.stocked(agent, inventory),
            FromAgent::Goodbye { reason } => {
                tracing::info!(%agent, reason, "agent said goodbye");
                self.close(agent, epoch);
            }
        }
    }

    fn progressed(&mut self, agent: AgentId, attempt: Attempt, counts: Counts, earlier: Counts) {
        let Some(active) = self.held(agent, attempt) else { return };
        (active.record.counts, active.record.earlier) = (counts, earlier);
        if !self.is_changed(attempt.run) {
            self.show(attempt.run);
        }
    }

    fn heartbeat(&mut self, agent: AgentId, beat: Heartbeat) {
        self.note_free(agent, beat.free_slots, &beat.in_flight);
        for item in beat.in_flight {
            let Attempt { run, fence } = item.attempt;
            if self.held(agent, item.attempt).is_some() {
                self.event(run, Event::Renewed { fence });
            } else if matches!(item.stage, Stage::Accepted | Stage::Started) {
                self.frame(agent, FromController::Cancel(item.attempt));
            }
        }
        self.frame(agent, FromController::HeartbeatAck { number: beat.number });
        self.open_slots(agent);
    }

    /// The agent counted its free slots before what is on its way to it arrived. Whatever else it does not offer is
    /// taken by runs that are not leased to it any more, or kept back.
    pub(super) fn note_free(&mut self, agent: AgentId, free: u32, in_flight: &[InFlight]) {
        let Some(AgentState { leased, session: Some(session), .. }) = self.state.agents.get_mut(&agent) else { return };
        let named = in_flight.iter().filter(|item| leased.contains(&item.attempt.run)).count();
        let named = u32::try_from(named).unwrap_or(u32::MAX);
        // The end of a leased run frees a slot in any case, also of an agent that announced just before.
        session.offered = free.saturating_add(named).max(u32::try_from(leased.len()).unwrap_or(u32::MAX));
    }

    fn reported(&mut self, agent: AgentId, epoch: Epoch, report: Report, jitter: Jitter) {
        let seq = report.seq;
        self.result(agent, report, jitter);
        let acked = self.out.acks.entry((agent, epoch)).or_default();
        *acked = seq.max(*acked);
    }

    fn declined(&mut self, agent: AgentId, attempt: Attempt, failure: &Failure, class: Option<SideEffects>) {
        tracing::info!(%agent, run = %attempt.run, %failure, "agent gave a run back");
        if self.held(agent, attempt).is_some() {
            self.event(attempt.run, Event::Declined { fence: attempt.fence });
            if let Some(side_effects) = class {
                self.event(attempt.run, Event::Judged { side_effects, last: Some(agent) });
            }
            // Until its next heartbeat the agent is full, whatever we believed.
            if let Some(AgentState { leased, session: Some(session), .. }) = self.state.agents.get_mut(&agent) {
                session.offered = session.offered.min(u32::try_from(leased.len()).unwrap_or(u32::MAX));
            }
            self.open_slots(agent);
        }
    }

    /// The run, if this attempt of it is the agent's now.
    pub(super) fn held(&mut self, agent: AgentId, attempt: Attempt) -> Option<&mut super::state::ActiveRun> {
        let active = self.state.runs.get_mut(&attempt.run)?;
        let holds = match active.machine.state() {
            RunState::Leased { agent: holder, .. } | RunState::Unknown { agent: holder } => *holder == agent,
            RunState::Queued { .. } | RunState::Finished { .. } => false,
        };
        (holds && active.machine.fence() == attempt.fence).then_some(active)
    }
}
