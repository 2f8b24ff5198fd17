//! Where a connection is: its name within an organisation.

use alloc::{borrow::ToOwned, format, string::String};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// A connection of a deployed project. Two connections never share one, so that whatever is kept for a connection
/// under this path is kept for no other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionPath {
    /// The environment.
    pub environment: Name,
    /// The project.
    pub project: Name,
    /// The connection's name, unique within the project.
    pub connection: Name,
}

impl fmt::Display for ConnectionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.environment, self.project, self.connection)
    }
}

/// The text is not a connection's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a connection's path is written environment/project/connection: {0}")]
pub struct InvalidPath(String);

impl FromStr for ConnectionPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let wrong = |why: &str| InvalidPath(why.to_owned());
        let mut names = text.split('/');
        let mut next = || {
            let name = names.next().ok_or_else(|| wrong("it has three names"))?;
            name.parse::<Name>().map_err(|error| InvalidPath(format!("{error}")))
        };
        let path = Self { environment: next()?, project: next()?, connection: next()? };
        if names.next().is_some() { Err(wrong("it has three names")) } else { Ok(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_path_reads_back_what_it_wrote_and_nothing_else_is_one() {
        let path: ConnectionPath = "prod/desk/helix".parse().unwrap();
        assert_eq!((path.connection.as_str(), path.to_string()), ("helix", "prod/desk/helix".to_string()));
        for wrong in ["", "prod", "prod/desk", "prod/desk/helix/x", "prod//helix", "prod/../helix", "prod/desk/"] {
            assert!(wrong.parse::<ConnectionPath>().is_err(), "{wrong}");
        }
    }
}
