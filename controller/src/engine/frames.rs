//! What agents say during a session.

use wherry_domain::{
    epoch::Epoch,
    id::AgentId,
    presence::Event as Presence,
    retry::Jitter,
    run::{Event, State as RunState},
};
use wherry_proto::frame::{Attempt, FromAgent, FromController, Heartbeat, Report, Stage};

use super::{Ledger, Refusal, Turn};

impl Ledger {
    /// Takes a frame of a session; waits while the writer has too much to do, which slows the
    /// stream down.
    ///
    /// # Errors
    /// If the controller is stopping.
    pub async fn frame(&self, agent: AgentId, epoch: Epoch, frame: FromAgent, jitter: Jitter) -> Result<(), Refusal> {
        self.tell(move |turn| turn.from_agent(agent, epoch, frame, jitter)).await
    }
}

impl Turn<'_> {
    fn from_agent(&mut self, agent: AgentId, epoch: Epoch, frame: FromAgent, jitter: Jitter) {
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
            FromAgent::Declined { attempt, failure } => self.declined(agent, attempt, &failure),
            FromAgent::Progress { attempt, counts } => {
                if let Some(active) = self.held(agent, attempt) {
                    active.record.counts = counts;
                    self.show(attempt.run);
                }
            }
            FromAgent::Checkpoint { attempt, cursor } => {
                if let Some(active) = self.held(agent, attempt) {
                    active.record.cursor = Some(cursor);
                    self.dirty.insert(attempt.run);
                }
            }
            FromAgent::Log { attempt, lines } => {
                if self.held(agent, attempt).is_some() {
                    self.log(attempt.run, attempt.fence, lines);
                }
            }
            FromAgent::Goodbye { reason } => {
                tracing::info!(%agent, reason, "agent said goodbye");
                self.close(agent, epoch);
            }
        }
    }

    fn heartbeat(&mut self, agent: AgentId, beat: Heartbeat) {
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

    fn reported(&mut self, agent: AgentId, epoch: Epoch, report: Report, jitter: Jitter) {
        let seq = report.seq;
        self.result(agent, report, jitter);
        let acked = self.out.acks.entry((agent, epoch)).or_default();
        *acked = seq.max(*acked);
    }

    fn declined(&mut self, agent: AgentId, attempt: Attempt, failure: &wherry_domain::failure::Failure) {
        tracing::info!(%agent, run = %attempt.run, %failure, "agent gave a run back");
        if self.held(agent, attempt).is_some() {
            self.event(attempt.run, Event::Declined { fence: attempt.fence });
            // Until its next heartbeat the agent is full, whatever we believed.
            if let Some(state) = self.state.agents.get(&agent)
                && let Some(group) = self.state.groups.get_mut(&state.agent.group)
            {
                group.slots.set(agent, 0, 0);
            }
        }
    }

    /// The run, if this attempt of it is the agent's now.
    fn held(&mut self, agent: AgentId, attempt: Attempt) -> Option<&mut super::state::ActiveRun> {
        let active = self.state.runs.get_mut(&attempt.run)?;
        let holds = match active.machine.state() {
            RunState::Leased { agent: holder, .. } | RunState::Unknown { agent: holder } => *holder == agent,
            RunState::Queued { .. } | RunState::Finished { .. } => false,
        };
        (holds && active.machine.fence() == attempt.fence).then_some(active)
    }
}
