//! What can go wrong, as the host and its people want to hear it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// A result whose error the host understands.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Decides whether the host tries again. The set is closed; what is open is [`Error::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The connection or the activity is configured wrongly.
    Config,
    /// The system refused the credentials.
    Auth,
    /// The system says no to this request.
    Forbidden,
    /// The thing asked for does not exist.
    NotFound,
    /// The system asks for patience: tried again after [`Error::retry_after`].
    Throttled,
    /// Another attempt may succeed.
    Transient,
    /// A record or an answer is unacceptable.
    Data,
    /// The host asked to stop.
    Cancelled,
    /// The connector cannot do this.
    Unsupported,
    /// A defect of the connector or the host.
    Internal,
}

/// A failure with a stable code.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// What kind.
    pub kind: Kind,
    /// Stable, dotted, made for programs, such as `acme.contact_locked`; at most 64 of `[a-z0-9_.-]`.
    pub code: Cow<'static, str>,
    /// One sentence that says what to do next. Never a record, never a secret.
    pub message: String,
    /// How long the system asked to wait.
    pub retry_after: Option<Duration>,
    /// More for the agent owner's eyes, such as the system's own words, at most 8 KiB. It stays on the agent.
    pub details: Option<Value>,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), retry_after: None, details: None }
    }

    /// A wrong configuration.
    pub fn config(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::Config, code, message)
    }

    /// An unacceptable record or answer.
    pub fn data(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::Data, code, message)
    }

    /// A failure that may pass.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, code, message)
    }

    /// The same with another code.
    #[must_use]
    pub fn coded(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// The same as another kind.
    #[must_use]
    pub const fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same with the time to wait.
    #[must_use]
    pub const fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same with more for the agent owner.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Whether it concerns a single record, so that the others may go on. Everything else concerns the system or the
    /// configuration, and ends the run.
    pub const fn is_about_one_record(&self) -> bool {
        match self.kind {
            Kind::Data | Kind::Forbidden | Kind::NotFound => true,
            Kind::Config
            | Kind::Auth
            | Kind::Throttled
            | Kind::Transient
            | Kind::Cancelled
            | Kind::Unsupported
            | Kind::Internal => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}
