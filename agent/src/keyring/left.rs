//! What this agent leaves with the controller for whichever agent of its group comes next.

use std::sync::Arc;

use wherry_trust::{
    keys::SigningKey,
    sealing::{SealingError, left::Matter},
};
use zeroize::Zeroizing;

use super::Keys;

/// Seals it with the group's key as soon as the agent has it, and opens what others left. Clones share the keys.
#[derive(Clone)]
pub struct Left {
    keys: Keys,
    /// This agent's: the others believe what members of the roster signed.
    identity: Arc<SigningKey>,
}

impl Left {
    /// With the keys of the group, signing as this agent.
    pub const fn new(keys: Keys, identity: Arc<SigningKey>) -> Self {
        Self { keys, identity }
    }

    /// Seals; `None` if the keys are not here.
    ///
    /// # Errors
    /// If it is too long, or the key is not one.
    pub(crate) fn seal(&self, matter: Matter, name: &str, content: &[u8]) -> Result<Option<Vec<u8>>, SealingError> {
        self.keys.seal_left(matter, name, content, &self.identity)
    }

    /// Opens what a member of the group sealed.
    ///
    /// # Errors
    /// [`SealingError::EpochUnknown`] if the key is not here yet.
    pub(crate) fn open(&self, matter: Matter, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        self.keys.open_left(matter, name, sealed)
    }
}
