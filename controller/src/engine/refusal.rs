//! Why the ledger refuses something; nothing has changed then.

use std::time::Duration;

use wherry_domain::{failure::Code, project::check::Fault};

/// What kind of refusal it is; decides the status of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The thing does not exist, or not for this caller.
    NotFound,
    /// It clashes with what is there.
    Conflict,
    /// The request makes no sense.
    Invalid,
    /// The caller may not do it.
    Forbidden,
    /// The caller is nobody.
    Unauthenticated,
    /// The caller is of another version; that may pass with the next upgrade of either side.
    Incompatible,
    /// The disk is nearly full.
    Full,
    /// Come back later.
    Busy,
    /// The caller asks too often.
    Throttled,
}

/// A refusal with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Decides the status.
    pub kind: Kind,
    /// Stable code.
    pub code: Code,
    /// What is wrong and what to do.
    pub message: String,
    /// Faults of a document, if that is what was refused.
    pub faults: Vec<Fault>,
    /// When to come back, if that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code: Code::new(code), message: message.into(), faults: Vec::new(), retry_after: None }
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, code, message)
    }

    pub(crate) fn full() -> Self {
        Self::new(Kind::Full, "store.full", "the controller's disk is nearly full: free some space and try again")
    }

    pub(crate) fn busy() -> Self {
        Self::new(Kind::Busy, "controller.busy", "too many requests wait: try again in a moment")
    }

    pub(crate) fn stopping() -> Self {
        Self::new(Kind::Busy, "controller.stopping", "the controller is stopping: try again in a moment")
    }
}
