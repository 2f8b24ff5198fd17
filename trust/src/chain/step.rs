//! Which lock may follow which, by who signed it.
//!
//! A person may decide anything. The controller may follow publishers within bounds: it adds connectors, raises them
//! within their major version and what was approved, tries what it could raise to, and settles trials. So whoever
//! takes the controller over gains no connector that asks for more than people agreed to, and no old one with known
//! holes.

use wherry_domain::failure::Code;
use wherry_domain::lock::{Lock, Locked, Mode};
use wherry_domain::name::Name;

use super::Level;
use super::lock::{grown, speaks_of_auth};

/// Why the controller may not sign this change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Only operators move this lock.
    #[error("the environment is held, and only an operator's key moves its lock")]
    Held,
    /// A connector is gone.
    #[error("connector {0} is dropped, which takes an operator's signature")]
    Dropped(Name),
    /// An older version.
    #[error("connector {name} is lowered from {from} to {to}, which takes an operator's signature")]
    Lowered {
        /// The connector.
        name: Name,
        /// What runs.
        from: semver::Version,
        /// What should.
        to: semver::Version,
    },
    /// Another major version.
    #[error("connector {name} jumps from {from} to {to}, another major version, which takes an operator's signature")]
    MajorJump {
        /// The connector.
        name: Name,
        /// What runs.
        from: semver::Version,
        /// What should.
        to: semver::Version,
    },
    /// More was approved than before.
    #[error("connector {0} gets other capabilities, which takes an operator's signature")]
    Approved(Name),
    /// It is pinned.
    #[error("connector {0} is pinned, and only who unpins it moves it")]
    Pinned(Name),
    /// Other bytes under the same version.
    #[error("connector {0} keeps its version but has other contents: publish it under a higher version")]
    Altered(Name),
}

impl StepError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Held => Code::new("lock.held"),
            Self::Dropped(_) => Code::new("lock.connector_dropped"),
            Self::Lowered { .. } => Code::new("lock.lowered"),
            Self::MajorJump { .. } => Code::new("lock.major_jump"),
            Self::Approved(_) => Code::new("lock.capabilities_grown"),
            Self::Pinned(_) => Code::new("lock.pinned"),
            Self::Altered(_) => Code::new("lock.altered"),
        }
    }
}

/// Whether `after`, signed at `level`, may follow `before`. Versions are compared elsewhere.
///
/// # Errors
/// The first thing that its signer may not decide.
pub fn step(before: &Lock, after: &Lock, level: Level) -> Result<(), StepError> {
    match level {
        Level::Operator => Ok(()),
        Level::Controller => by_controller(before, after),
    }
}

fn by_controller(before: &Lock, after: &Lock) -> Result<(), StepError> {
    match before.mode {
        Mode::Held => return settles_only(before, after),
        Mode::Automatic => (),
    }
    for (name, old) in &before.connectors {
        let new = after.connectors.get(name).ok_or_else(|| StepError::Dropped(name.clone()))?;
        let promoted = before.trials.get(name).is_some_and(|trial| same_release(trial, new));
        if !promoted {
            raise(name, old, new)?;
        }
    }
    for (name, trial) in &after.trials {
        if before.trials.get(name) == Some(trial) {
            continue;
        }
        // One that is added together with its trial was tried by nobody; it has nothing to be compared with.
        let base = before.connectors.get(name).ok_or_else(|| StepError::Altered(name.clone()))?;
        raise(name, base, trial)?;
    }
    Ok(())
}

/// In a held environment the controller ends trials, and nothing else: the operator who began one signed what it may
/// become.
fn settles_only(before: &Lock, after: &Lock) -> Result<(), StepError> {
    let stays = |name: &Name, locked: &Locked| {
        let promoted = || !after.trials.contains_key(name) && before.trials.get(name) == Some(locked);
        before.connectors.get(name) == Some(locked) || promoted()
    };
    let same = before.connectors.len() == after.connectors.len()
        && after.connectors.iter().all(|(name, locked)| stays(name, locked))
        && after.trials.iter().all(|(name, trial)| before.trials.get(name) == Some(trial));
    if after.mode == Mode::Held && same { Ok(()) } else { Err(StepError::Held) }
}

/// Whether the two are one release with the same approval; a pin may differ.
fn same_release(one: &Locked, other: &Locked) -> bool {
    Locked { pinned: other.pinned, ..one.clone() } == *other
}

fn raise(name: &Name, old: &Locked, new: &Locked) -> Result<(), StepError> {
    if same_release(old, new) {
        return Ok(());
    }
    let (from, to) = (old.version.clone(), new.version.clone());
    if old.pinned {
        return Err(StepError::Pinned(name.clone()));
    }
    if to < from {
        return Err(StepError::Lowered { name: name.clone(), from, to });
    }
    if to.major != from.major {
        return Err(StepError::MajorJump { name: name.clone(), from, to });
    }
    // To leave out all ways to authenticate would be to agree to any.
    let any_auth = speaks_of_auth(&old.approved) && !speaks_of_auth(&new.approved);
    if any_auth || !grown(&new.approved, &old.approved).is_empty() {
        return Err(StepError::Approved(name.clone()));
    }
    // Approval alone may shrink under one version; anything else would be two releases of it.
    let approval = Locked { approved: new.approved.clone(), ..old.clone() };
    if to == from && !same_release(&approval, new) {
        return Err(StepError::Altered(name.clone()));
    }
    Ok(())
}
