//! The life of a run as the controller sees it.
//!
//! ```text
//! Queued ─Placed─► Leased ─Reported─► Finished
//!   ▲                │ lease over, agent restarted, failed attempt
//!   └── may repeat ──┤
//!                    └── may not repeat ─► Unknown ─ that agent's report, or a person ─► Finished
//! ```
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
    retry::{Jitter, RetryRule},
    time::Timestamp,
};

/// The attempts of the run are used up by agents that were lost.
pub const AGENT_LOST: Code = Code::new("run.agent_lost");
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

/// How a run or attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it was meant to do.
    Succeeded,
    /// It failed.
    Failed(Failure),
    /// It was cancelled.
    Cancelled,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Waits for an agent.
    Queued {
        /// Whether the last attempt may still answer: its lease ran out unheard.
        open: bool,
    },
    /// An agent holds it.
    Leased {
        /// That agent.
        agent: AgentId,
        /// Whether a person asked for it to be cancelled.
        cancelling: bool,
    },
    /// An agent may or may not have done it, and it must not be done twice.
    Unknown {
        /// That agent.
        agent: AgentId,
    },
    /// Over, for good.
    Finished {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The planner chose an agent; `generation` is the controller's restore generation.
    Placed {
        /// The chosen agent.
        agent: AgentId,
        /// The controller's restore generation.
        generation: u32,
    },
    /// The agent's heartbeat named the run.
    Renewed {
        /// The fence it named.
        fence: Fence,
    },
    /// The agent gave the attempt back before anything began.
    Declined {
        /// The attempt's fence.
        fence: Fence,
    },
    /// A new session of the agent does not know the attempt: the offer never reached its journal.
    Absent {
        /// The agent.
        agent: AgentId,
    },
    /// The agent's process died in the middle of the attempt.
    Interrupted {
        /// The attempt's fence.
        fence: Fence,
    },
    /// The agent reported how the attempt ended.
    Reported {
        /// The attempt's fence.
        fence: Fence,
        /// How it ended.
        outcome: Outcome,
        /// Chance for the wait before the next attempt.
        jitter: Jitter,
    },
    /// A person asked to cancel the run.
    CancelAsked,
    /// A person asked to run an unknown run again, knowing what that may repeat.
    RetryAsked,
    /// The deadline came.
    Tick,
}

/// Why the controller did what it did; kept with the run and in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The attempt failed and its retry rule allows another.
    AttemptFailed,
    /// The agent gave the attempt back.
    AgentDeclined,
    /// The offer never reached the agent.
    OfferLost,
    /// The agent's process died in the middle.
    AgentRestarted,
    /// The lease ran out.
    LeaseExpired,
    /// A person asked for it.
    Asked,
}

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the run to the agent under this fence.
    Offer {
        /// To whom.
        agent: AgentId,
        /// Under which fence.
        fence: Fence,
    },
    /// Tell the agent to stop.
    AskCancel {
        /// Whom.
        agent: AgentId,
        /// Which attempt.
        fence: Fence,
    },
    /// Put the run back into its group's queue.
    Requeue {
        /// Not before this moment.
        due: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Show the run to a person: it may or may not have been done.
    Hold {
        /// Why.
        reason: Reason,
    },
    /// The run is over.
    Settle,
    /// Keep the result beside the run; it changes nothing.
    KeepLate {
        /// The fence it came under.
        fence: Fence,
    },
}

/// A run as the controller decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    terms: Terms,
    state: State,
    fence: Fence,
    failures: u32,
    losses: u32,
    due: Timestamp,
}

/// The part of a run that survives the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it is.
    #[serde(flatten)]
    pub state: State,
    /// The last fence handed out.
    pub fence: Fence,
    /// Failed attempts so far.
    pub failures: u32,
    /// Attempts whose agent was lost.
    pub losses: u32,
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
            due: now,
        }
    }

    /// A run read back after a restart: whatever lease it had counts as granted now.
    pub fn restored(terms: Terms, stored: Stored, now: Timestamp) -> Self {
        let Stored { state, fence, failures, losses } = stored;
        let due = match state {
            State::Leased { .. } => terms.lease.lost_at(now, terms.offline_term),
            State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => now,
        };
        Self { terms, state, fence, failures, losses, due }
    }

    /// What to keep on disk.
    pub fn stored(&self) -> Stored {
        Stored { state: self.state.clone(), fence: self.fence, failures: self.failures, losses: self.losses }
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
            Event::Placed { agent, generation } => self.placed(agent, generation, now),
            Event::Renewed { fence } => self.renewed(fence, now),
            Event::Declined { fence } => self.declined(fence, now),
            Event::Absent { agent } => self.absent(agent, now),
            Event::Interrupted { fence } => self.interrupted(fence, now),
            Event::Reported { fence, outcome, jitter } => self.reported(fence, outcome, jitter, now),
            Event::CancelAsked => self.cancel_asked(),
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
        match self.state {
            State::Leased { cancelling: false, .. } if fence == self.fence => {
                self.requeue(now, false, Reason::AgentDeclined)
            }
            State::Leased { cancelling: true, .. } if fence == self.fence => self.settle(Outcome::Cancelled),
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn absent(&mut self, agent: AgentId, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Leased { agent: holder, cancelling } if holder == agent => {
                if cancelling {
                    self.settle(Outcome::Cancelled)
                } else {
                    self.requeue(now, false, Reason::OfferLost)
                }
            }
            State::Unknown { agent: holder } if holder == agent => self.requeue(now, false, Reason::OfferLost),
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn interrupted(&mut self, fence: Fence, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Leased { agent, cancelling } if fence == self.fence => {
                self.lost(agent, cancelling, false, Reason::AgentRestarted, now)
            }
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn reported(&mut self, fence: Fence, outcome: Outcome, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        if fence != self.fence {
            return vec![Effect::KeepLate { fence }];
        }
        match self.state {
            State::Leased { cancelling, .. } => self.ended(outcome, cancelling, jitter, now),
            State::Queued { open: true } | State::Unknown { .. } => self.ended(outcome, false, jitter, now),
            State::Queued { open: false } | State::Finished { .. } => Vec::new(),
        }
    }

    fn ended(&mut self, outcome: Outcome, cancelling: bool, jitter: Jitter, now: Timestamp) -> Vec<Effect> {
        let failure = match outcome {
            Outcome::Succeeded | Outcome::Cancelled => return self.settle(outcome),
            Outcome::Failed(failure) => failure,
        };
        self.failures = self.failures.saturating_add(1);
        let harmless = self.terms.side_effects.may_repeat() || !failure.effects_begun;
        let again = match failure.class {
            FailureClass::Retry if harmless && !cancelling => self.terms.retry.delay(self.failures, jitter),
            FailureClass::Retry | FailureClass::Permanent => None,
        };
        match again {
            Some(wait) => self.requeue(now.plus(wait), false, Reason::AttemptFailed),
            None => self.settle(Outcome::Failed(failure)),
        }
    }

    fn cancel_asked(&mut self) -> Vec<Effect> {
        match &mut self.state {
            State::Queued { .. } | State::Unknown { .. } => self.settle(Outcome::Cancelled),
            State::Leased { agent, cancelling } => {
                *cancelling = true;
                vec![Effect::AskCancel { agent: *agent, fence: self.fence }]
            }
            State::Finished { .. } => Vec::new(),
        }
    }

    fn retry_asked(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Unknown { .. } => self.requeue(now, true, Reason::Asked),
            State::Queued { .. } | State::Leased { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            State::Leased { agent, cancelling } if now >= self.due => {
                self.lost(agent, cancelling, true, Reason::LeaseExpired, now)
            }
            State::Leased { .. } | State::Queued { .. } | State::Unknown { .. } | State::Finished { .. } => Vec::new(),
        }
    }

    /// The attempt will not be continued. `open`: it may still report.
    fn lost(&mut self, agent: AgentId, cancelling: bool, open: bool, reason: Reason, now: Timestamp) -> Vec<Effect> {
        self.losses = self.losses.saturating_add(1);
        if !self.terms.side_effects.may_repeat() {
            self.state = State::Unknown { agent };
            return vec![Effect::Hold { reason }];
        }
        if cancelling {
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
