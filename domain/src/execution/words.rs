//! The words of an execution: states, events and effects.

use serde::{Deserialize, Serialize};

use crate::run::Outcome;

/// Where an attempt is on its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Came in a moment ago.
    New,
    /// Accepted; may begin.
    Accepted,
    /// Accepted by a process that died; may begin once the controller said to keep it.
    Asking,
    /// Is being journalled as started; nothing has begun.
    Starting,
    /// At work.
    Started {
        /// Why it is being stopped, if it is.
        kill: Option<Why>,
    },
    /// Over; the result is reported until it is acknowledged.
    Finished {
        /// How.
        ending: Ending,
    },
    /// Given back before anything began.
    Declined,
    /// The controller has the result, or wants none.
    Acked,
}

/// How an attempt ended, as its agent knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It came to an end.
    Ended(Outcome),
    /// Its process died in the middle: it may or may not have done what it was meant to do.
    Interrupted,
}

/// What the journal says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Known; not begun.
    Accepted,
    /// May have begun.
    Started,
    /// Over.
    Finished,
}

/// An attempt as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// See [`Stage::Accepted`].
    Accepted,
    /// See [`Stage::Started`].
    Started,
    /// See [`Stage::Finished`].
    Finished(Ending),
}

/// Why an attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The controller asked.
    CancelAsked,
    /// The lease is about to end, and the run changes things outside.
    LeaseEnded,
    /// The run went on elsewhere; nobody wants this result.
    Dropped,
}

/// What the controller says about an attempt that the agent named in its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Keep,
    /// Stop and forget.
    Drop,
    /// Send the result, as soon as there is one.
    Report,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The controller offered the attempt.
    Offered,
    /// The journal holds this stage, durably.
    Journalled(Stage),
    /// A slot, the deployment, the connectors and a lease are at hand.
    Begin,
    /// The work came to its own end.
    Exited {
        /// How.
        outcome: Outcome,
    },
    /// The work was stopped.
    Killed {
        /// Whether something outside may already have changed.
        effects_begun: bool,
    },
    /// The controller asks to stop.
    CancelAsked,
    /// The lease ended but for its margin: no new effect may begin.
    EffectsEnd,
    /// The controller answered the hello.
    Verdict(Verdict),
    /// The controller has the result, durably.
    Acked,
    /// The attempt was read back by a new process.
    Restarted,
    /// The deadline came.
    Tick,
}

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this stage; answer with [`Event::Journalled`] once it is durable.
    Journal(Stage),
    /// Begin the work.
    Start,
    /// Stop the work; answer with [`Event::Killed`] or [`Event::Exited`].
    Kill {
        /// Why.
        why: Why,
    },
    /// Tell the controller how it ended.
    Report {
        /// How.
        ending: Ending,
    },
    /// Give the attempt back: nothing began and nothing will.
    Decline,
    /// The journal may forget the attempt.
    Prune,
}
