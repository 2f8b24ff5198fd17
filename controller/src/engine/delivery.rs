//! Frames that could not be sent: a session that does not keep up ends like a lost link.
//!
//! An offer that never left is as good as declined: nothing can have begun, so the run need not wait for the end of
//! its lease. That a frame does not fit turns out only after its turn, so the next turn draws the consequences.

use wherry_domain::{epoch::Epoch, id::AgentId, presence::Event as Presence, run::Event};
use wherry_proto::frame::{Attempt, FromController};

use super::{Turn, settling::Acks, state::State};

/// What could not be sent.
pub(super) enum Undelivered {
    /// The session did not keep up and is gone.
    Session(AgentId, Epoch),
    /// The offer never left.
    Offer(AgentId, Attempt),
}

impl State {
    /// Sends a frame. A session whose queue is full does not keep up: its stream is dropped and the agent, which has
    /// everything durable, comes back.
    pub(super) fn send(&mut self, agent: AgentId, epoch: Epoch, frame: FromController) {
        let offer = if let FromController::Offer(offer) = &frame { Some(offer.attempt) } else { None };
        let Some(state) = self.agents.get_mut(&agent) else { return };
        if let Some(session) = state.session.as_ref().filter(|session| session.epoch == epoch) {
            if session.frames.try_send(frame).is_ok() {
                return;
            }
            tracing::warn!(%agent, "the session does not keep up with its frames and is closed");
            state.session = None;
            self.undelivered.push(Undelivered::Session(agent, epoch));
        }
        self.undelivered.extend(offer.map(|attempt| Undelivered::Offer(agent, attempt)));
    }
}

impl State {
    /// Tells sessions what is durable of their results.
    pub(super) fn acknowledge(&mut self, acks: Acks) {
        for ((agent, epoch), up_to) in acks {
            self.send(agent, epoch, FromController::Ack { up_to });
        }
    }
}

impl Turn<'_> {
    /// Draws the consequences of what the last turn could not send.
    pub(super) fn give_up_on_undelivered(&mut self) {
        for undelivered in std::mem::take(&mut self.state.undelivered) {
            match undelivered {
                Undelivered::Session(agent, epoch) => self.closed(agent, epoch),
                Undelivered::Offer(agent, attempt) => {
                    if self.held(agent, attempt).is_some() {
                        self.event(attempt.run, Event::Absent { agent });
                    }
                }
            }
            self.seam();
        }
    }

    /// The stream of this epoch ended.
    pub(super) fn close(&mut self, agent: AgentId, epoch: Epoch) {
        let Some(state) = self.state.agents.get_mut(&agent) else { return };
        if state.session.take_if(|session| session.epoch == epoch).is_some() {
            self.closed(agent, epoch);
        }
    }

    fn closed(&mut self, agent: AgentId, epoch: Epoch) {
        let wall_ms = self.wall_ms;
        self.change_agent(agent, |agent| agent.seen_ms = wall_ms);
        self.presence(agent, Presence::Closed { epoch });
        self.touch_keyring_of(agent);
        self.open_slots(agent);
    }
}
