//! What can go wrong, as the host and its people want to hear it.

use serde_json::json;

/// Decides whether another attempt may help; the contract's `error-kind` without what this connector never says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The connection or the activity is configured wrongly.
    Config,
    /// The system refused the credentials.
    Auth,
    /// The system says no to this request.
    Forbidden,
    /// The thing asked for does not exist.
    NotFound,
    /// The system asks for patience.
    Throttled,
    /// Another attempt may succeed.
    Transient,
    /// A record or an answer is unacceptable.
    Data,
    /// The host asked to stop.
    Cancelled,
    /// This connector cannot do that.
    Unsupported,
}

/// A failure with a stable code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// Stable code; each has a page in `docs/errors`.
    pub code: &'static str,
    /// One sentence that says what to do. Never a record.
    pub message: String,
    /// How long the system asked to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The beginning of what the system said, as JSON.
    pub details: Option<String>,
}

impl Failure {
    /// A failure of the given kind.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), retry_after_ms: None, details: None }
    }

    /// The same with the beginning of the system's answer, for the agent owner's eyes.
    #[must_use]
    pub fn with_answer(mut self, status: u16, text: &str) -> Self {
        self.details = Some(json!({ "status": status, "answer": text }).to_string());
        self
    }

    /// The same with the time to wait.
    #[must_use]
    pub const fn after(mut self, retry_after_ms: Option<u64>) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }

    /// Whether it says something about the path that was asked for and nothing about the system.
    pub fn is_about_path(&self) -> bool {
        matches!(self.code, "http.not_found" | "http.refused" | "http.redirected")
    }

    /// Whether it concerns a single record, so that the others may go on.
    pub const fn is_about_one_record(&self) -> bool {
        match self.kind {
            Kind::Data | Kind::Forbidden | Kind::NotFound => true,
            Kind::Config | Kind::Auth | Kind::Throttled | Kind::Transient | Kind::Cancelled | Kind::Unsupported => {
                false
            }
        }
    }
}
