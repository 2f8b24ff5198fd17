//! Failures: the one language in which agents, controller and people talk about what went wrong.

use alloc::{borrow::Cow, string::String};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Longest message that a failure carries, in bytes.
pub const MAX_MESSAGE: usize = 2_048;

/// A stable, dotted code such as `connection.tls_untrusted`; each has a page in `docs/errors`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// A code known when this was compiled.
    pub const fn new(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// A code that came from outside, cut to 64 characters of `[a-z0-9_.-]`.
    pub fn received(text: &str) -> Self {
        let kept: String = text
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-'))
            .take(64)
            .collect();
        Self(Cow::Owned(kept))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// Another attempt may succeed: the network, a throttled or restarting system.
    Retry,
    /// Another attempt fails the same way: configuration, data, permission.
    Permanent,
}

/// Why an attempt or a run failed, in words that may leave the customer's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What may be done about it.
    pub class: FailureClass,
    /// Stable code.
    pub code: Code,
    /// One sentence from the host's own templates; never a record, never a secret.
    pub message: String,
    /// Whether something outside may already have changed.
    #[serde(default)]
    pub effects_begun: bool,
    /// How long the system asked to wait before another attempt, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that another attempt may cure, before anything outside changed.
    pub fn retry(code: Code, message: impl Into<String>) -> Self {
        Self::make(FailureClass::Retry, code, message.into())
    }

    /// A failure that another attempt cannot cure, before anything outside changed.
    pub fn permanent(code: Code, message: impl Into<String>) -> Self {
        Self::make(FailureClass::Permanent, code, message.into())
    }

    /// The same failure, with something outside perhaps already changed.
    #[must_use]
    pub fn after_effects(mut self, begun: bool) -> Self {
        self.effects_begun |= begun;
        self
    }

    /// The same failure, after which the system wants to be left alone for a while.
    #[must_use]
    pub fn asked_to_wait(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    fn make(class: FailureClass, code: Code, mut message: String) -> Self {
        if message.len() > MAX_MESSAGE {
            let cut = (0..=MAX_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(cut);
        }
        Self { class, code, message, effects_begun: false, retry_after: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
