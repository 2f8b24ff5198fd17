//! Who may publish which connectors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use crate::keys::PublicKey;

/// A publisher an organisation trusts, and the part of the names that is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// The name people know the publisher by.
    pub name: String,
    /// The key that signs the publisher's releases.
    pub key: PublicKey,
    /// The connectors the key may sign.
    pub prefix: Prefix,
}

/// A set of connector names: `*` for all, `acme-*` for all that begin with `acme-`, or one exact name.
///
/// The part before `*` ends with `-`, so that the owner of `acme` can never sign for `acmebank`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    All,
    Below(String),
    One(Name),
}

/// The text is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a publisher's prefix is `*`, a word that ends with `-*` such as `acme-*`, or one connector's name")]
pub struct MalformedPrefix;

impl MalformedPrefix {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::new("publisher.prefix_malformed")
    }
}

impl Prefix {
    /// Every connector. For the key of the organisation itself.
    #[must_use]
    pub fn all() -> Self {
        Self(Pattern::All)
    }

    /// Whether the connector belongs to this set.
    #[must_use]
    pub fn covers(&self, name: &Name) -> bool {
        match &self.0 {
            Pattern::All => true,
            Pattern::Below(stem) => name.as_str().len() > stem.len() && name.as_str().starts_with(stem.as_str()),
            Pattern::One(one) => one == name,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::All => f.write_str("*"),
            Pattern::Below(stem) => write!(f, "{stem}*"),
            Pattern::One(name) => fmt::Display::fmt(name, f),
        }
    }
}

impl FromStr for Prefix {
    type Err = MalformedPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::all());
        }
        let Some(stem) = text.strip_suffix('*') else {
            return text.parse().map(|name| Self(Pattern::One(name))).map_err(|_| MalformedPrefix);
        };
        let fits = stem.ends_with('-') && stem.parse::<Name>().is_ok();
        if fits { Ok(Self(Pattern::Below(stem.to_owned()))) } else { Err(MalformedPrefix) }
    }
}

impl TryFrom<String> for Prefix {
    type Error = MalformedPrefix;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, name: &str) -> bool {
        prefix.parse::<Prefix>().unwrap().covers(&name.parse().unwrap())
    }

    #[test]
    fn a_prefix_covers_its_own_names_only() {
        assert!(covers("*", "anything"));
        assert!(covers("acme-*", "acme-crm"));
        assert!(covers("http", "http"));
        assert!(!covers("acme-*", "acmebank"));
        assert!(!covers("acme-*", "other"));
        assert!(!covers("acme-*", "acme-"));
        assert!(!covers("http", "http-2"));
    }

    #[test]
    fn a_prefix_reads_back_and_a_loose_one_is_refused() {
        for good in ["*", "acme-*", "http"] {
            assert_eq!(good.parse::<Prefix>().unwrap().to_string(), good);
        }
        for bad in ["", "**", "acme*", "-*", "a*b", "Acme-*", "acme-*-x", "a/*"] {
            assert_eq!(bad.parse::<Prefix>(), Err(MalformedPrefix), "{bad}");
        }
    }
}
