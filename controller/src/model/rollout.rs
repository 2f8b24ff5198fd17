//! Canaries, and what became of locks.

use serde::{Deserialize, Serialize};
use wherry_domain::{
    lock::Mode,
    name::Name,
    rollout::{Stored, Verdict},
};
use wherry_trust::chain::Level;

/// The newest canary of a connector in an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// Where.
    pub environment: Name,
    /// Which connector.
    pub connector: Name,
    /// What everyone had.
    pub from: semver::Version,
    /// What is tried.
    pub to: semver::Version,
    /// Name of the token that began it.
    pub started_by: String,
    /// Unix milliseconds.
    pub started_ms: u64,
    /// Unix milliseconds when it was decided.
    #[serde(default)]
    pub settled_ms: Option<u64>,
    /// The machine.
    pub stored: Stored,
}

/// One version of a lock, for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockChange {
    /// The lock's environment.
    pub environment: Name,
    /// The lock's version.
    pub version: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// Name of the token that asked for it, or `controller`.
    pub who: String,
    /// Why.
    pub why: String,
    /// Who signed it.
    pub level: Level,
    /// Who may move it from then on.
    pub mode: Mode,
    /// What it changed.
    pub changes: Vec<Moved>,
}

/// What a version of a lock changed of one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The connector.
    pub connector: Name,
    /// What everyone had; none if it is new.
    pub from: Option<semver::Version>,
    /// What everyone has; none if it is gone.
    pub to: Option<semver::Version>,
    /// What a share of the attempts tries from then on.
    pub trial: Option<semver::Version>,
    /// Whether it is pinned from then on.
    pub pinned: bool,
}

/// A canary's end in one word.
pub const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Everyone => "everyone",
        Verdict::Back => "back",
    }
}
