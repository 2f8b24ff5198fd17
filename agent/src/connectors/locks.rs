//! The seam to the locks in force: which connectors an environment runs, as far as this agent believes it.

use std::sync::Arc;

use tokio::sync::watch;
use wherry_domain::{
    failure::{Code, Failure},
    lock::{Lock, Locked},
    name::Name,
};
use wherry_trust::release::VerifiedRelease;

/// What is believed of locks.
pub trait Locks: Send + Sync {
    /// Every lock in force.
    fn all(&self) -> Vec<Arc<Lock>>;

    /// The lock of an environment.
    fn lock(&self, environment: &Name) -> Option<Arc<Lock>>;

    /// Whether nothing runs without a lock; until then deployments name their connectors themselves.
    fn must_be_locked(&self) -> bool;

    /// The signed release of what a lock in force names.
    ///
    /// # Errors
    /// If it may not run now.
    fn admit(&self, name: &Name, locked: &Locked) -> Result<VerifiedRelease, Failure>;

    /// As [`Self::admit`] of what a lock named before, with the release as it was kept.
    ///
    /// # Errors
    /// If it may not run now, or is not what that lock said.
    fn judge(&self, name: &Name, locked: &Locked, envelope: &[u8]) -> Result<VerifiedRelease, Failure>;

    /// Moves with everything that is taken over.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Why the newest catalogue was not taken over.
    fn refusal(&self) -> Option<(Code, String)>;
}
