//! The agent owner's policy: a file that says what this agent may do at all, and that the controller can never change.
//!
//! It only narrows what the configuration allows; what it does not mention is not restricted by it. It is read again when
//! it changes. A file with faults changes nothing: the policy before stays in force, and its fault is shown.
//!
//! ```text
//! policy.toml ─► raw ─► rules ─► in force ◄─ asked by executor, connectors, egress, files, slots
//! ```

mod check;
mod file;
mod hours;
mod network;
mod raw;
mod refusal;
mod rules;
mod watch;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch as channel;

use self::file::Stamp;
pub use self::{
    file::{PolicyFileError, PolicyPlace},
    raw::RawPolicy,
    refusal::Refusal,
    rules::{DeploymentRules, Rules},
};
use crate::{paths::DataDir, private_file};

/// Largest note of how a policy stands: every fault of a file may be in it.
const MAX_NOTE: u64 = 64 << 10;

/// The policy in force. Clones share it; the default has no file and restricts nothing.
#[derive(Clone, Default)]
pub struct Policy(Arc<Inner>);

#[derive(Default)]
struct Inner {
    place: Option<PolicyPlace>,
    rules: ArcSwap<Rules>,
    known: Mutex<Known>,
    /// Raised before anybody is told.
    number: AtomicU64,
    changes: channel::Sender<u64>,
    hooks: Mutex<Vec<Hook>>,
}

/// Called with every change.
type Hook = Box<dyn Fn() + Send + Sync>;

/// What is known of the file.
#[derive(Default)]
struct Known {
    /// The version that was judged last.
    judged: Option<Stamp>,
    /// A version that was seen once: it may still be being written.
    seen: Option<Stamp>,
    standing: Option<Standing>,
}

/// How the policy stands, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The file.
    pub file: PathBuf,
    /// When what is in force was read, in milliseconds since the Unix epoch.
    pub loaded_ms: u64,
    /// Why the file as it is now is not in force.
    pub fault: Option<String>,
}

impl Standing {
    /// What the agent that runs on this data folder wrote down; none if it has no policy.
    pub fn read(data: &DataDir) -> Option<Self> {
        serde_json::from_slice(&private_file::read(&data.policy_note(), MAX_NOTE).ok()?).ok()
    }
}

impl Policy {
    /// The policy of a file, as it is now.
    ///
    /// # Errors
    /// If the file cannot be taken as it is, or is missing although the configuration names it.
    pub fn open(place: Option<PolicyPlace>, wall_ms: u64) -> Result<Self, PolicyFileError> {
        let Some(place) = place else { return Ok(Self::default()) };
        let (rules, known) = match file::read(&place.path) {
            Ok((rules, stamp)) => {
                let standing = Standing { file: place.path.clone(), loaded_ms: wall_ms, fault: None };
                (rules, Known { judged: Some(stamp), seen: None, standing: Some(standing) })
            }
            Err(error) if error.is_missing() && !place.named => (Rules::default(), Known::default()),
            Err(error) => return Err(error),
        };
        Ok(Self(Arc::new(Inner {
            place: Some(place),
            rules: ArcSwap::from_pointee(rules),
            known: Mutex::new(known),
            number: AtomicU64::new(0),
            changes: channel::Sender::new(0),
            hooks: Mutex::default(),
        })))
    }

    /// A policy of these rules, without a file.
    ///
    /// # Errors
    /// With every fault in them.
    pub fn of(raw: RawPolicy) -> Result<Self, wherry_daemon::config::ConfigFaults> {
        let rules = ArcSwap::from_pointee(Rules::check(raw)?);
        Ok(Self(Arc::new(Inner { rules, ..Inner::default() })))
    }

    /// What is allowed now.
    pub fn rules(&self) -> Arc<Rules> {
        self.0.rules.load_full()
    }

    /// Counts up with every change of what is allowed. Read it before the rules to see later whether they changed.
    pub fn number(&self) -> u64 {
        self.0.number.load(SeqCst)
    }

    /// Moves with every change of what is allowed or shown.
    pub fn changes(&self) -> channel::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Calls `hook` with every change from now on, before anybody waiting for [`Self::changes`] is told. It must not hold
    /// whoever holds the policy.
    pub fn on_change(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// `allowed` is whether the rules are others now; otherwise only what is shown of them is.
    fn moved(&self, allowed: bool) {
        if allowed {
            self.0.number.fetch_add(1, SeqCst);
        }
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|hook| hook());
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// How it stands; nothing where there never was a file.
    pub fn standing(&self) -> Option<Standing> {
        self.known().standing.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> Option<&Path> {
        self.0.place.as_ref().map(|place| place.path.as_path())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({:?}, change {})", self.path(), self.number())
    }
}

#[cfg(test)]
mod tests;
