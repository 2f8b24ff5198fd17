//! What attempts ran on.

use super::{Invalid, MAX_NAMES, parse};
use crate::{frame::Ran, wire};

/// Longest version.
const MAX_VERSION: usize = 128;

pub(super) fn ran(wire: wire::Ran) -> Result<Vec<Ran>, Invalid> {
    if wire.versions.len() > MAX_NAMES {
        return Err(Invalid::new("ran", format!("it names {}, more than {MAX_NAMES}", wire.versions.len())));
    }
    let version = |wire: wire::ran::Version| {
        super::bounded("ran", wire.version.len(), MAX_VERSION)?;
        Ok(Ran { connector: parse("ran", &wire.connector)?, version: parse("ran", &wire.version)? })
    };
    wire.versions.into_iter().map(version).collect()
}

pub(super) fn wire_ran(ran: Vec<Ran>) -> wire::Ran {
    let version = |Ran { connector, version }| wire::ran::Version {
        connector: connector.to_string(),
        version: version.to_string(),
    };
    wire::Ran { versions: ran.into_iter().map(version).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_through_as_they_were_and_what_is_none_means_nothing() {
        let said = vec![Ran { connector: "http".parse().unwrap(), version: "1.2.3-beta.1".parse().unwrap() }];
        assert_eq!(ran(wire_ran(said.clone())), Ok(said.clone()));
        assert_eq!(ran(wire_ran(Vec::new())), Ok(Vec::new()));
        let version = wire::ran::Version { connector: "http".to_owned(), version: "newest".to_owned() };
        assert!(ran(wire::Ran { versions: vec![version] }).is_err());
        let many = said.into_iter().cycle().take(MAX_NAMES + 1).collect();
        assert!(ran(wire_ran(many)).is_err());
    }
}
