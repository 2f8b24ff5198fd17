//! The words of a run: states, events and effects.

use serde::{Deserialize, Serialize};

use crate::{effects::SideEffects, failure::Failure, fence::Fence, id::AgentId, retry::Jitter, time::Timestamp};

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
    /// What the run would run on from here on is of this class. It counts where it is stricter than what was known, and
    /// for good: where an attempt may have acted that counted on being repeated as something milder, a queued run waits
    /// for a person.
    Judged {
        /// The class.
        side_effects: SideEffects,
        /// Who had the last attempt.
        last: Option<AgentId>,
    },
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
    /// The agent was locked out: whatever it holds is taken from it.
    Revoked {
        /// The agent.
        agent: AgentId,
    },
    /// An agent has an attempt that this controller knows nothing of, because it was restored from a copy that was
    /// taken before. Whether that may be so is for the caller to say.
    Recalled {
        /// The agent.
        agent: AgentId,
        /// The attempt's fence; one that is not newer than the known one changes nothing.
        fence: Fence,
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
    /// Nobody wants the run any more, and whoever asked for it has to know whether it was done. It is cancelled if it
    /// was certainly never begun; where an agent that was lost may have begun it, it fails and says so. An agent that
    /// has it is asked to stop, and the same holds if that one is lost.
    GivenUp,
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
    /// The process that ran a connector's code died in the middle.
    WorkerDied,
    /// The lease ran out.
    LeaseExpired,
    /// The agent was locked out.
    AgentLocked,
    /// An attempt may have acted, and what the next one would run on may not be repeated as that one might have been.
    ClassRaised,
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
    /// Whether a person asked to cancel it and did not take that back by asking for a retry.
    #[serde(default)]
    pub cancel_asked: bool,
    /// Whether nobody wants it any more who would take a lost agent's work for undone.
    #[serde(default)]
    pub given_up: bool,
    /// Whether the agent said that the last attempt had begun.
    #[serde(default)]
    pub begun: bool,
    /// Whether an attempt that failed may have had effects.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acted: bool,
    /// The class, where it is stricter by now than the terms say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<SideEffects>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
