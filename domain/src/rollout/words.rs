//! What can happen to a canary, and what follows.

use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::failure::Code;

/// On which version an attempt ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The one that everyone had.
    Old,
    /// The one on trial.
    New,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An attempt ended that used the connector.
    Attempt {
        /// On which version.
        side: Side,
        /// How.
        observed: Observed,
        /// How long it took.
        took: Duration,
    },
    /// An agent cannot have the new version, or put it into quarantine.
    Refused {
        /// The agent's code for it.
        code: Code,
    },
    /// A person decided.
    Asked {
        /// What.
        verdict: Verdict,
    },
    /// The lock moved on by other means: there is nothing left to decide.
    Superseded,
    /// The deadline may have come.
    Tick,
}

/// How a canary ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The new version for everyone.
    Everyone,
    /// The old version for everyone.
    Back,
}

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The lock moves.
    Settle {
        /// Where to.
        verdict: Verdict,
        /// Why.
        reason: Reason,
    },
}

/// Why it ended so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// The new version did as well as the old one.
    Healthy {
        /// Attempts on the new version.
        attempts: u32,
    },
    /// The new version broke its box.
    Broke {
        /// How often.
        new: u32,
        /// How often the old one did.
        old: u32,
        /// Attempts on the new version.
        attempts: u32,
    },
    /// More attempts failed than on the old version.
    Failing {
        /// Failed attempts on the new version.
        failed: u32,
        /// Attempts on the new version.
        attempts: u32,
        /// Failed attempts on the old version.
        old_failed: u32,
        /// Attempts on the old version.
        old_attempts: u32,
    },
    /// Half of the attempts took longer than this.
    Slower {
        /// On the new version, in milliseconds.
        new_ms: u64,
        /// On the old version, in milliseconds.
        old_ms: u64,
    },
    /// There was too little to judge by.
    TooFew {
        /// Attempts on the new version.
        attempts: u32,
        /// As many were asked for.
        least: u32,
    },
    /// An agent cannot have it, or put it into quarantine.
    Refused {
        /// The agent's code.
        code: Code,
    },
    /// A person decided.
    Asked,
    /// The lock moved on by other means.
    Superseded,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy { attempts: 1 } => out.write_str("1 attempt went as well as those on the old version"),
            Self::Healthy { attempts } => write!(out, "{attempts} attempts went as well as those on the old version"),
            Self::Broke { new, old, attempts } => {
                write!(out, "{new} of {attempts} attempts broke the sandbox; on the old version {old} did")
            }
            Self::Failing { failed, attempts, old_failed, old_attempts } => write!(
                out,
                "{failed} of {attempts} attempts failed; on the old version {old_failed} of {old_attempts} did"
            ),
            Self::Slower { new_ms, old_ms } => {
                write!(out, "half of the attempts took more than {new_ms} ms; on the old version {old_ms} ms")
            }
            Self::TooFew { attempts, least } => {
                let s = if *attempts == 1 { "" } else { "s" };
                write!(out, "only {attempts} attempt{s} in three times the time, of the {least} that were asked for")
            }
            Self::Refused { code } => write!(out, "an agent refuses it: {code}"),
            Self::Asked => out.write_str("a person decided"),
            Self::Superseded => out.write_str("the lock moved on"),
        }
    }
}
