//! What a policy can say.

use alloc::{
    borrow::ToOwned,
    collections::BTreeSet,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize, Serializer};

use super::{LONGEST_RUN, MAX_PUBLISHERS};
use crate::duration;

/// The word for every publisher that the organisation trusts.
const ANY: &str = "any";
/// The word for no publisher: what two lists without a common name allow.
const NONE: &str = "none";
/// Longest name of a publisher, in bytes.
const MAX_PUBLISHER: usize = 63;

/// A rule's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// On or off.
    Flag(bool),
    /// A length of time.
    Time(Duration),
    /// Publishers.
    Publishers(Allowed),
}

/// Whose connectors may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allowed {
    /// Everyone whom the organisation trusts.
    #[default]
    Any,
    /// These, as far as it trusts them.
    Only(BTreeSet<String>),
}

/// Why a text is not a value of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Neither `true` nor `false`.
    #[error("the value is true or false")]
    Flag,
    /// Not a time, or none that a run can have.
    #[error("the value is a time between 1s and 24h, such as 30m")]
    Time,
    /// Not a list of publishers' names.
    #[error("the value is any, or names of publishers with commas between them, {MAX_PUBLISHERS} at most")]
    Publishers,
}

impl Value {
    pub(super) fn flag(text: &str) -> Result<Self, InvalidValue> {
        text.trim().parse().map(Self::Flag).map_err(|_| InvalidValue::Flag)
    }

    pub(super) fn time(text: &str) -> Result<Self, InvalidValue> {
        let time = duration::parse(text.trim()).map_err(|_| InvalidValue::Time)?;
        if (Duration::from_secs(1)..=LONGEST_RUN).contains(&time) {
            Ok(Self::Time(time))
        } else {
            Err(InvalidValue::Time)
        }
    }

    pub(super) fn publishers(text: &str) -> Result<Self, InvalidValue> {
        if text.trim() == ANY {
            return Ok(Self::Publishers(Allowed::Any));
        }
        let names: BTreeSet<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let letters = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let good = |name: &String| (1..=MAX_PUBLISHER).contains(&name.len()) && letters(name);
        if names.len() > MAX_PUBLISHERS || !names.iter().all(good) {
            return Err(InvalidValue::Publishers);
        }
        Ok(Self::Publishers(Allowed::Only(names)))
    }
}

impl Allowed {
    /// Whether this publisher is one of them.
    pub fn has(&self, publisher: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => names.contains(publisher),
        }
    }

    /// Those that both name.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, other) => other.clone(),
            (only @ Self::Only(_), Self::Any) => only.clone(),
            (Self::Only(first), Self::Only(second)) => Self::Only(first.intersection(second).cloned().collect()),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str(ANY),
            Self::Only(names) if names.is_empty() => out.write_str(NONE),
            Self::Only(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                out.write_str(&names.join(","))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(out),
            Self::Time(time) => out.write_str(&duration::format(*time)),
            Self::Publishers(allowed) => allowed.fmt(out),
        }
    }
}

/// As people write it, but flags as flags and lists as lists.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flag(value) => serializer.serialize_bool(*value),
            Self::Publishers(Allowed::Only(names)) => names.serialize(serializer),
            Self::Publishers(Allowed::Any) | Self::Time(_) => serializer.serialize_str(&self.to_string()),
        }
    }
}
