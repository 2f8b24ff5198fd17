//! Policies: an organisation's rules for everything that runs, which an environment may tighten and never loosen.

mod value;

use alloc::{collections::BTreeMap, string::String};
use core::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

pub use value::{Allowed, InvalidValue, Value};

/// Longest time that a run may take unless a policy says less.
pub const LONGEST_RUN: Duration = Duration::from_hours(24);
/// Most publishers that a policy names: as many as an organisation trusts.
pub const MAX_PUBLISHERS: usize = 200;

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// *Test* changes no version; connectors move by `wherry connector upgrade` alone, under an operator's signature.
    DisableAutoConnectorUpdate,
    /// Whose connectors may run.
    AllowedPublishers,
    /// How long a run may take.
    MaxRunTime,
    /// Whether answers of actions may leave the network.
    AllowAnswers,
    /// No connection may accept a certificate that does not check out.
    RefuseInvalidCertificates,
    /// No connection may speak without TLS.
    RefuseNonTls,
    /// Projects are deployed under an operator's signature alone.
    RequireSignedDeployments,
}

/// A text that is no policy's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such policy: see wherry policy list")]
pub struct UnknownPolicy;

/// What is set of them, at one place.
pub type Set = BTreeMap<Policy, Value>;

/// The environment would allow what the organisation does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{policy} is {organisation} for the organisation, so an environment cannot make it {asked}: {policy} {hint}")]
pub struct Looser {
    /// Which rule.
    pub policy: Policy,
    /// What holds everywhere.
    pub organisation: Value,
    /// What was asked for.
    pub asked: Value,
    /// What an environment may do about it.
    pub hint: &'static str,
}

impl Looser {
    /// Stable code.
    pub const CODE: &'static str = "policy.looser";
}

/// Every rule with its value in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policies {
    /// See [`Policy::DisableAutoConnectorUpdate`].
    pub disable_auto_connector_update: bool,
    /// See [`Policy::AllowedPublishers`].
    pub allowed_publishers: Allowed,
    /// See [`Policy::MaxRunTime`].
    pub max_run_time: Duration,
    /// See [`Policy::AllowAnswers`].
    pub allow_answers: bool,
    /// See [`Policy::RefuseInvalidCertificates`].
    pub refuse_invalid_certificates: bool,
    /// See [`Policy::RefuseNonTls`].
    pub refuse_non_tls: bool,
    /// See [`Policy::RequireSignedDeployments`].
    #[serde(default)]
    pub require_signed_deployments: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            disable_auto_connector_update: false,
            allowed_publishers: Allowed::Any,
            max_run_time: LONGEST_RUN,
            allow_answers: false,
            refuse_invalid_certificates: false,
            refuse_non_tls: false,
            require_signed_deployments: false,
        }
    }
}

impl Policies {
    /// What holds in an environment. Of two values the tighter one does, so that an organisation that tightens later
    /// overrules what its environments said before.
    pub fn effective(organisation: &Set, environment: &Set) -> Self {
        let mut policies = Self::default();
        for policy in Policy::ALL {
            let value = match (organisation.get(&policy), environment.get(&policy)) {
                (Some(first), Some(second)) => policy.tighter(first, second),
                (Some(value), None) => value.clone(),
                (None, Some(value)) => policy.tighter(&policy.default(), value),
                (None, None) => continue,
            };
            policies.put(policy, value);
        }
        policies
    }

    /// A rule's value.
    pub fn get(&self, policy: Policy) -> Value {
        match policy {
            Policy::DisableAutoConnectorUpdate => Value::Flag(self.disable_auto_connector_update),
            Policy::AllowedPublishers => Value::Publishers(self.allowed_publishers.clone()),
            Policy::MaxRunTime => Value::Time(self.max_run_time),
            Policy::AllowAnswers => Value::Flag(self.allow_answers),
            Policy::RefuseInvalidCertificates => Value::Flag(self.refuse_invalid_certificates),
            Policy::RefuseNonTls => Value::Flag(self.refuse_non_tls),
            Policy::RequireSignedDeployments => Value::Flag(self.require_signed_deployments),
        }
    }

    /// A value of another kind than the rule's changes nothing: [`Policy::read`] makes none.
    fn put(&mut self, policy: Policy, value: Value) {
        let flag = match policy {
            Policy::DisableAutoConnectorUpdate => &mut self.disable_auto_connector_update,
            Policy::AllowAnswers => &mut self.allow_answers,
            Policy::RefuseInvalidCertificates => &mut self.refuse_invalid_certificates,
            Policy::RefuseNonTls => &mut self.refuse_non_tls,
            Policy::RequireSignedDeployments => &mut self.require_signed_deployments,
            Policy::AllowedPublishers | Policy::MaxRunTime => {
                match value {
                    Value::Publishers(allowed) => self.allowed_publishers = allowed,
                    Value::Time(time) => self.max_run_time = time,
                    Value::Flag(_) => (),
                }
                return;
            }
        };
        if let Value::Flag(value) = value {
            *flag = value;
        }
    }
}

impl Policy {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::DisableAutoConnectorUpdate,
        Self::AllowedPublishers,
        Self::MaxRunTime,
        Self::AllowAnswers,
        Self::RefuseInvalidCertificates,
        Self::RefuseNonTls,
        Self::RequireSignedDeployments,
    ];

    /// Its name.
    pub const fn key(self) -> &'static str {
        match self {
            Self::DisableAutoConnectorUpdate => "disable_auto_connector_update",
            Self::AllowedPublishers => "allowed_publishers",
            Self::MaxRunTime => "max_run_time",
            Self::AllowAnswers => "allow_answers",
            Self::RefuseInvalidCertificates => "refuse_invalid_certificates",
            Self::RefuseNonTls => "refuse_non_tls",
            Self::RequireSignedDeployments => "require_signed_deployments",
        }
    }

    /// What it does, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::DisableAutoConnectorUpdate => {
                "testing a connection changes no connector; versions move by wherry connector upgrade alone"
            }
            Self::AllowedPublishers => "whose connectors may run; any: everyone whom the organisation trusts",
            Self::MaxRunTime => "the longest time limit that an operation may have",
            Self::AllowAnswers => "answers of actions may leave the customer's network",
            Self::RefuseInvalidCertificates => "no connection may accept a certificate that does not check out",
            Self::RefuseNonTls => "no connection may speak without TLS",
            Self::RequireSignedDeployments => "projects are deployed under an operator's signature alone",
        }
    }

    /// Its value where nobody set one.
    pub fn default(self) -> Value {
        Policies::default().get(self)
    }

    /// Reads a value as people write it: `true`, `6h`, `acme,initech`, `any`.
    ///
    /// # Errors
    /// If it is not a value of this rule.
    pub fn read(self, text: &str) -> Result<Value, InvalidValue> {
        match self {
            Self::AllowedPublishers => Value::publishers(text),
            Self::MaxRunTime => Value::time(text),
            Self::DisableAutoConnectorUpdate
            | Self::AllowAnswers
            | Self::RefuseInvalidCertificates
            | Self::RefuseNonTls
            | Self::RequireSignedDeployments => Value::flag(text),
        }
    }

    /// Whether an environment may have this value under the organisation's.
    ///
    /// # Errors
    /// [`Looser`] if it would allow more.
    pub fn tighten(self, organisation: &Value, asked: &Value) -> Result<(), Looser> {
        if self.tighter(organisation, asked) == *asked {
            return Ok(());
        }
        let hint = match self {
            Self::AllowedPublishers => "may only name some of the same publishers",
            Self::MaxRunTime => "may only be shorter",
            Self::AllowAnswers => "may only be turned off",
            Self::DisableAutoConnectorUpdate
            | Self::RefuseInvalidCertificates
            | Self::RefuseNonTls
            | Self::RequireSignedDeployments => "may only be turned on",
        };
        Err(Looser { policy: self, organisation: organisation.clone(), asked: asked.clone(), hint })
    }

    /// What both allow.
    fn tighter(self, first: &Value, second: &Value) -> Value {
        match (first, second) {
            (Value::Flag(first), Value::Flag(second)) if self.restricts() => Value::Flag(*first || *second),
            (Value::Flag(first), Value::Flag(second)) => Value::Flag(*first && *second),
            (Value::Time(first), Value::Time(second)) => Value::Time(*first.min(second)),
            (Value::Publishers(first), Value::Publishers(second)) => Value::Publishers(first.and(second)),
            // Values of two kinds cannot both be of one rule.
            (Value::Flag(_) | Value::Time(_) | Value::Publishers(_), _) => first.clone(),
        }
    }

    /// Whether `true` is the tighter one.
    const fn restricts(self) -> bool {
        match self {
            Self::AllowAnswers | Self::AllowedPublishers | Self::MaxRunTime => false,
            Self::DisableAutoConnectorUpdate
            | Self::RefuseInvalidCertificates
            | Self::RefuseNonTls
            | Self::RequireSignedDeployments => true,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.key())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        // Hyphens as on the command line, underscores as in documents.
        let wanted: String = text.chars().map(|c| if c == '-' { '_' } else { c }).collect();
        Self::ALL.into_iter().find(|policy| policy.key() == wanted).ok_or(UnknownPolicy)
    }
}

#[cfg(test)]
mod tests;
