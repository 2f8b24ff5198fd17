//! Tokens of connections, sealed to the agent's group: by the same key, and with the same proofs, as secrets.

use std::sync::Arc;

use wherry_domain::{
    connection::ConnectionPath,
    failure::Failure,
    id::{ConnectionId, FlowId},
};
use wherry_trust::{
    keys::{SigningKey, sha256},
    sealing::{SealingError, left::Matter},
};
use zeroize::Zeroizing;

use super::copies::{Copy, GroupKey};
use crate::keyring::Keys;

/// What the ids of connections are made from.
const CONTEXT: &str = "wherry/connection/v1";

/// The key of the agent's group, as soon as the agent has it.
pub struct Shared {
    keys: Keys,
    /// This agent's: the others believe what members of the roster signed.
    identity: Arc<SigningKey>,
}

impl Shared {
    /// With the keys of the group, signing as this agent.
    pub const fn new(keys: Keys, identity: Arc<SigningKey>) -> Self {
        Self { keys, identity }
    }
}

impl GroupKey for Shared {
    fn seal(&self, connection: &ConnectionPath, generation: u64, plain: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let place = (&connection.environment, id_of(connection));
        self.keys.seal_tokens(place, generation, plain, &self.identity).map_err(|error| failure(&error))
    }

    fn open(&self, connection: &ConnectionPath, copy: &Copy) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let place = (&connection.environment, id_of(connection));
        self.keys.open_tokens(place, copy.generation, &copy.sealed).map_err(|error| failure(&error))
    }

    fn open_code(&self, flow: FlowId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let opened = self.keys.open_given(Matter::Code, &flow.to_string(), sealed);
        opened.map_err(|error| Failure::permanent(error.code(), format!("the sealed code cannot be opened: {error}")))
    }
}

/// The same on every agent, and for no two connections.
fn id_of(connection: &ConnectionPath) -> ConnectionId {
    let digest = sha256(format!("{CONTEXT}/{connection}").as_bytes());
    let (first, _) = digest.as_bytes().split_at(16);
    ConnectionId::from_bytes(<[u8; 16]>::try_from(first).unwrap_or_default())
}

/// Another copy, or the key that is on its way, may do.
fn failure(error: &SealingError) -> Failure {
    Failure::retry(error.code(), format!("the copy of the tokens cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_differ_in_one_name_have_different_ids() {
        let paths = ["prod/desk/jira", "prod/desk/helix", "prod/other/jira", "test/desk/jira"];
        let ids: std::collections::BTreeSet<_> = paths.iter().map(|path| id_of(&path.parse().unwrap())).collect();
        assert_eq!(ids.len(), paths.len());
    }
}
