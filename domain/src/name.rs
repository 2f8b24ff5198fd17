//! Names that people give to environments, groups, projects, connections, operations and variables.

use alloc::{borrow::ToOwned, string::String};
use core::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest name, in bytes.
pub const MAX_NAME: usize = 63;

/// A name: 1 to 63 lower-case letters, digits and hyphens, beginning with a letter or digit.
///
/// The narrow alphabet keeps names usable as file names, URL segments and metric labels, and
/// leaves no room for look-alikes, path tricks or terminal escapes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`MAX_NAME`] bytes.
    #[error("a name has at most {MAX_NAME} characters; this one has {0}")]
    TooLong(usize),
    /// A character outside the alphabet, or a leading hyphen.
    #[error(
        "a name has only lower-case letters, digits and hyphens and begins with a letter or digit; character {position} is {shown}"
    )]
    Character {
        /// Position of the offender, counted from 1.
        position: usize,
        /// The offender, escaped.
        shown: String,
    },
}

impl Name {
    /// A name that sorts before every other: the lower end of a range.
    pub fn lowest() -> Self {
        Self(String::from("-"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(InvalidName::TooLong(text.len()));
        }
        let allowed =
            |(index, c): &(usize, char)| c.is_ascii_lowercase() || c.is_ascii_digit() || (*c == '-' && *index > 0);
        match text.chars().enumerate().find(|pair| !allowed(pair)) {
            None => Ok(Self(text.to_owned())),
            Some((index, c)) => {
                Err(InvalidName::Character { position: index + 1, shown: c.escape_default().collect() })
            }
        }
    }
}

impl TryFrom<&str> for Name {
    type Error = InvalidName;

    fn try_from(text: &str) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for good in ["a", "prod", "service-desk", "9lives", "a--b", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().map(|n| n.as_str().to_owned()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let bad =
            ["", "a/b", "a:b", "../x", "-a", "A", "a b", "a\n", "ä", "\u{202e}a", "{{7*7}}", "${x}", "a_b", "a.b"];
        for name in bad.into_iter().chain(["x".repeat(64).as_str()]) {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
    }
}
