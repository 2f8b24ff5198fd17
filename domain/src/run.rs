//! The life of a run as the controller sees it.
//!
//! ```text
//! Queued ─Placed─► Leased ─Reported─► Finished
//!   ▲                │ lease over, agent restarted, failed attempt
//!   └── may repeat ──┤
//!                    └── may not repeat ─► Unknown ─ that agent's report, or a person ─► Finished
//!                        (also where the process died that ran a connector)
//! ```
//!
//! What may repeat depends on the version of a connector that an attempt runs on. A run is of the strictest class that it
//! was ever judged to be of.
//!
//! Three rules hold whatever arrives: a finished run never changes; only the current fence moves a
//! run; a run whose effects may not repeat is never dispatched twice by itself once an agent may
//! have begun.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    effects::SideEffects,
    failure::{Code, Failure, FailureClass},
    fence::Fence,
    id::AgentId,
    lease::LeaseTerms,
    retry::{Jitter, LONGEST_WAIT, RetryRule},
    time::Timestamp,
};

mod class;
mod words;

pub use words::{Effect, Event, Outcome, Reason, State, Stored};

/// The attempts of the run are used up by agents that were lost.
pub const AGENT_LOST: Code = Code::new("run.agent_lost");
/// The process that ran a connector's code was lost in the middle of an attempt.
pub const WORKER_DIED: Code = Code::new("worker.died");
/// The run was dispatched as often as a fence can count.
pub const FENCE_EXHAUSTED: Code = Code::new("run.fence_exhausted");

/// How often a run may be dispatched again because its agent was lost, apart from its retry rule:
/// a run that takes every agent down with it has to stop somewhere.
pub const MAX_LOSSES: u32 = 3;

/// What an operation says about its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What may be done again without asking.
    pub side_effects: SideEffects,
    /// How often a failed attempt is repeated.
    pub retry: RetryRule,
    /// For how long the agent may go on without the controller.
    pub offline_term: Duration,
    /// The lease.
    pub lease: LeaseTerms,
}

/// A run as the controller decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    terms: Terms,
    state: State,
    fence: Fence,
    failures: u32,
    losses: u32,
    cancel_asked: bool,
    given_up: bool,
    begun: bool,
    acted: bool,
    raised: bool,
    due: Timestamp,
}

impl Run {
    /// A run that was just submitted.
    pub const fn submitted(terms: Terms, generation: u32, now: Timestamp) -> Self {
        Self {
            terms,
            state: State::Queued { open: false },
            fence: Fence::unused(generation),
            failures: 0,
            losses: 0,
            cancel_asked: false,
            given_up: false,
            begun: false,
            acted: false,
            raised: false,
            due: now,
        }
    }

    /// A run read back after a restart: whatever lease it had counts as granted now.
    pub fn restored(terms: Terms, stored: Stored, now: Timestamp) -> Self {
        let Stored { state, fence, failures, losses, cancel_asked, given_up, begun, acted, raised } = stored;
        let side_effects = raised.map_or(terms.side_effects, |raised| raised.max(terms.side_effects));
        let terms = Terms { side_effects, ..terms };
        let due = match state {
            State::Leased { .. } => terms.lease.lost_at(now, terms.offline_term),
            State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => now,
        };
        let raised = raised.is_some();
        Self { terms, state, fence, failures, losses, cancel_asked, given_up, begun, acted, raised, due }
    }

    /// As [`Run::restored`], from a copy of what another controller remembered: since then that one may have given
    /// the run to anyone. So it is not placed before whoever has it had the time of a lease, and at least `patience`,
    /// to say so; and an agent that does not know the last attempt proves nothing.
    pub fn restored_from_copy(terms: Terms, stored: Stored, patience: Duration, now: Timestamp) -> Self {
        let due = terms.lease.lost_at(now, terms.offline_term).max(now.plus(patience));
        Self { due, ..Self::restored(terms, Stored { begun: true, ..stored }, now) }
    }

    /// What to keep on disk.
    pub fn stored(&self) -> Stored {
        let Self { fence, failures, losses, cancel_asked, given_up, begun, acted, .. } = *self;
        let raised = self.raised.then_some(self.terms.side_effects);
        Stored { state: self.state.clone(), fence, failures, losses, cancel_asked, given_up, begun, acted, raised }
    }

    /// What may be done again without asking, as far as it is known by now.
    pub const fn side_effects(&self) -> SideEffects {
        self.terms.side_effects
    }

    /// Where it is.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The last fence handed out.
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// When to call [`Run::on`] with [`Event::Tick`]; for a queued run, when it may be placed.
    pub const fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Queued { .. } | State::Leased { .. } => Some(self.due),
            State::Unknown { .. } | State::Finished { .. } => None,
        }
    }

    /// Something happened; here is all that must follow. No effect means nothing changed that
    /// anyone outside would see.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Judged { side_effects, last } => self.judged(side_effects, last),
            Event::Placed { agent, generation } => self.placed(agent, generation, now),
            Event::Renewed { fence } => self.renewed(fence, now),
            Event::Declined { fence } => self.declined(fence, now),
            Event::Absent { agent } => self.absent(agent, now),
            Event::Revoked { agent } => self.revoked(agent, now),
            Event::Recalled { agent, fence } => self.recalled(agent, fence, now),
            Event::Interrupted { fence } => self.interrupted(fence, now),
            Event::Reported { fence, outcome, jitter } => self.reported(fence, outcome, jitter, now),
            Event::CancelAsked => self.cancel_asked(),
            Event::GivenUp => self.given_up(),
            Event::RetryAsked => self.retry_asked(now),
            Event::Tick => self.tick(now),
        }
    }

    fn placed(&mut self, agent: AgentId, generation: u32, now: Timestamp) -> Vec<Effect> {
        if !matches!(self.state, State::Queued { .. }) || now < self.due {
            return Vec::new();
        }
        let Some(fence) = self.fence.next(generation) else {
            return self.settle(Outcome::Failed(Failure::permanent(
                FENCE_EXHAUSTED,
                "the run was dispatched as often as a fence can count",
            )));
        };
        self.fence = fence;
        self.begun = false;
        self.state = State::Leased { agent, cancelling: false };
        self.due = self.terms.lease.lost_at(now, self.terms.offline_term);
        vec![Effect::Offer { agent, fence }]
    }

    fn renewed(&mut self, fence: Fence, now: Timestamp) -> Vec<Effect> {
        if fence == self.fence && matches!(self.state, State::Leased { .. }) {
            self.due = self.terms.lease.lost_at(now, self.terms.offline_term);
        }
        Vec::new()
    }

    fn declined(&mut self, fence: Fence, now: Timestamp) -> Vec<Effect> {
        if fence == self.fence && self.holder().is_some() {
            self.never_begun(Reason::AgentDeclined, now)
        } else {
            Vec::new()
        }
    }

    fn absent(&mut self, agent: AgentId, now: Timestamp) -> Vec<Effect> {
        if self.holder() == Some(agent) { self.never_begun(Reason::OfferLost, now) } else { Vec::new() }
    }

    fn revoked(&mut self, agent: AgentId, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Leased { agent: holder, .. } if holder == agent => self.lost(agent, true, Reason::AgentLocked, now),
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn recalled(&mut self, agent: AgentId, fence: Fence, now: Timestamp) -> Vec<Effect> {
        if fence > self.fence && !matches!(self.state, State::Finished { .. }) {
            self.fence = fence;
            self.begun = true;
            self.state = State::Leased { agent, cancelling: self.cancel_asked };
            self.due = self.terms.lease.lost_at(now, self.terms.offline_term);
        }
        Vec::new()
    }

    const fn holder(&self) -> Option<AgentId> {
        match self.state {
            State::Leased { agent, .. } | State::Unknown { agent } => Some(agent),
            State::Queued { .. } | State::Finished { .. } => None,
        }
    }

    fn never_begun(&mut self, reason: Reason, now: Timestamp) -> Vec<Effect> {
        if self.begun {
            // An agent forgets what it reported as interrupted; its silence proves nothing then.
            Vec::new()
        } else if self.given_up {
            // This attempt never began; one before it may have.
            self.end_given_up()
        } else if self.cancel_asked {
            self.settle(Outcome::Cancelled)
        } else {
            self.requeue(now, false, reason)
        }
    }

    fn interrupted(&mut self, fence: Fence, now: Timestamp) -> Vec<Effect> {
        if fence != self.fence || self.holder().is_none() {
            return Vec::new();
        }
        self.begun = true;
        match self.state {
            State::Leased { agent, .. } => self.lost(agent, false, Reason::AgentRestarted, now),
            State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn reported(&mut self, fence: Fence, outcome: Outcome, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        if fence != self.fence {
            return vec![Effect::KeepLate { fence }];
        }
        match self.state {
            State::Leased { .. } | State::Unknown { .. } => self.ended(outcome, jitter, now),
            State::Queued { open: true } => self.ended_late(outcome),
            State::Queued { open: false } | State::Finished { .. } => Vec::new(),
        }
    }

    fn ended(&mut self, outcome: Outcome, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        let failure = match outcome {
            // What this attempt left undone one that was lost may have done.
            Outcome::Cancelled if self.given_up && self.losses > 0 => return self.end_given_up(),
            Outcome::Succeeded | Outcome::Cancelled => return self.settle(outcome),
            Outcome::Failed(failure) => failure,
        };
        let harmless = self.terms.side_effects.may_repeat() || !failure.effects_begun;
        if !harmless && failure.code == WORKER_DIED {
            return self.in_doubt(now);
        }
        self.failures = self.failures.saturating_add(1);
        self.acted |= failure.effects_begun;
        let again = match failure.class {
            FailureClass::Retry if harmless && !self.cancel_asked => self.terms.retry.delay(self.failures, jitter),
            FailureClass::Retry | FailureClass::Permanent => None,
        };
        let asked = failure.retry_after.unwrap_or_default().min(LONGEST_WAIT);
        match again {
            Some(wait) => self.requeue(now.plus(wait.max(asked)), false, Reason::AttemptFailed),
            None => self.settle(Outcome::Failed(failure)),
        }
    }

    /// Whatever did the work is gone and cannot say how far it came, as if the agent itself had been lost.
    fn in_doubt(&mut self, now: Timestamp) -> Vec<Effect> {
        self.begun = true;
        match self.state {
            State::Leased { agent, .. } => self.lost(agent, false, Reason::WorkerDied, now),
            State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    /// The run waits for its next attempt already: only what makes that one needless counts.
    fn ended_late(&mut self, outcome: Outcome) -> Vec<Effect> {
        let needless = match &outcome {
            Outcome::Succeeded => true,
            Outcome::Failed(failure) => failure.class == FailureClass::Permanent,
            Outcome::Cancelled => false,
        };
        if needless {
            return self.settle(outcome);
        }
        self.state = State::Queued { open: false };
        Vec::new()
    }

    fn cancel_asked(&mut self) -> Vec<Effect> {
        match &mut self.state {
            State::Queued { .. } | State::Unknown { .. } => self.settle(Outcome::Cancelled),
            State::Leased { agent, cancelling } => {
                *cancelling = true;
                self.cancel_asked = true;
                vec![Effect::AskCancel { agent: *agent, fence: self.fence }]
            }
            State::Finished { .. } => Vec::new(),
        }
    }

    fn given_up(&mut self) -> Vec<Effect> {
        match self.state {
            State::Queued { .. } | State::Unknown { .. } => self.end_given_up(),
            State::Leased { .. } => {
                self.given_up = true;
                self.cancel_asked()
            }
            State::Finished { .. } => Vec::new(),
        }
    }

    /// Nobody wants it any more, and nobody has it.
    fn end_given_up(&mut self) -> Vec<Effect> {
        let may_have_begun = self.losses > 0 || self.begun;
        if may_have_begun && self.terms.side_effects != SideEffects::Read {
            let message = "the agent was lost in the middle: it may or may not have been done, and is not done again";
            return self.settle(Outcome::Failed(Failure::permanent(AGENT_LOST, message).after_effects(true)));
        }
        self.settle(Outcome::Cancelled)
    }

    fn retry_asked(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Unknown { .. } => {
                (self.cancel_asked, self.given_up) = (false, false);
                self.requeue(now, true, Reason::Asked)
            }
            State::Queued { .. } | State::Leased { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Leased { agent, .. } if now >= self.due => self.lost(agent, true, Reason::LeaseExpired, now),
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    /// The attempt will not be continued. `open`: it may still report.
    fn lost(&mut self, agent: AgentId, open: bool, reason: Reason, now: Timestamp) -> Vec<Effect> {
        self.losses = self.losses.saturating_add(1);
        if !self.terms.side_effects.may_repeat() {
            self.state = State::Unknown { agent };
            return vec![Effect::Hold { reason }];
        }
        if self.given_up {
            return self.end_given_up();
        }
        if self.cancel_asked {
            return self.settle(Outcome::Cancelled);
        }
        if self.losses > MAX_LOSSES {
            let message = "the agent was lost during the run, several times in a row";
            return self.settle(Outcome::Failed(Failure::permanent(AGENT_LOST, message).after_effects(true)));
        }
        self.requeue(now, open, reason)
    }

    fn requeue(&mut self, due: Timestamp, open: bool, reason: Reason) -> Vec<Effect> {
        self.state = State::Queued { open };
        self.due = due;
        vec![Effect::Requeue { due, reason }]
    }

    fn settle(&mut self, outcome: Outcome) -> Vec<Effect> {
        self.state = State::Finished { outcome };
        vec![Effect::Settle]
    }
}
