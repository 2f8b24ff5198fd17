//! The words of a session: states, events and effects.

use core::time::Duration;

#[cfg(doc)]
use super::MAX_RECONNECT_AFTER;
use crate::{failure::Code, retry::Jitter, time::Timestamp};

/// Where the session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits before it dials.
    Down {
        /// When to dial.
        until: Timestamp,
    },
    /// Dials.
    Connecting {
        /// When to stop trying.
        until: Timestamp,
    },
    /// Said hello.
    Greeting {
        /// When to stop waiting for the welcome.
        until: Timestamp,
    },
    /// Welcomed.
    Live {
        /// Since when.
        since: Timestamp,
    },
    /// Welcomed, and takes no new work because the agent stops.
    Draining {
        /// Welcomed since when.
        since: Timestamp,
    },
    /// Over, for good.
    Ended {
        /// Why.
        end: End,
    },
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The agent stopped.
    Stopped,
    /// Dialling again would fail the same way until a person acts.
    Final(Code),
}

/// What a failure means for the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Another attempt may succeed.
    Transient,
    /// No other attempt can: locked, unknown, too old.
    Final(Code),
}

/// What happened. Each event that may lead to a wait brings the chance for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection stands.
    Dialled,
    /// The connection or the stream failed.
    Failed {
        /// Whether for good.
        kind: FailureKind,
        /// For the wait.
        jitter: Jitter,
    },
    /// The controller welcomed the agent.
    Welcomed,
    /// The stream ended without a word.
    Lost {
        /// For the wait.
        jitter: Jitter,
    },
    /// The controller asks to come back later.
    GoAway {
        /// How much later; cut to [`MAX_RECONNECT_AFTER`].
        reconnect_after: Duration,
        /// For the wait, if the stream was not good.
        jitter: Jitter,
    },
    /// Another process came with the same identity.
    Superseded {
        /// For the wait.
        jitter: Jitter,
    },
    /// The agent stops: finish runs, begin none.
    Stop,
    /// Nothing is left to say after a stop, or there is no time to say it.
    Drained,
    /// The deadline came.
    Tick {
        /// For the wait.
        jitter: Jitter,
    },
}

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a connection.
    Dial,
    /// Say hello on it.
    SendHello,
    /// Drop the connection or the attempt to open one.
    Close,
    /// Tell the owner of the agent: this needs a person.
    GiveUp {
        /// Why.
        code: Code,
    },
}
