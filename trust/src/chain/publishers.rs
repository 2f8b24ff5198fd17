//! The publishers list: whose releases, whose index and whose locks count.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wherry_domain::id::OrganisationId;

use super::{ChainError, Document, FORMAT, PUBLISHERS_TYPE};
use crate::dsse::{self, Envelope};
use crate::keys::{PublicKey, SigningKey};
use crate::release::Publisher;

/// Most publishers of a list.
pub const MAX_LISTED_PUBLISHERS: usize = 200;
/// Most keys of each kind: people who sign, and controllers' keys during a change.
const MAX_SIGNERS: usize = 32;
/// Most keys that were ever revoked.
const MAX_REVOKED_KEYS: usize = 500;
/// Longest name of a publisher.
const MAX_NAME: usize = 63;
/// How long a list that a person signed holds: nobody signs each day.
pub const OPERATOR_LIFE_MS: u64 = 365 * 86_400_000;

/// Whom an organisation trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishersList {
    /// The version of the document's form.
    pub v: u32,
    /// For whom it holds.
    pub organisation: OrganisationId,
    /// Counts up from 1 with each change.
    pub version: u64,
    /// When it was made, Unix milliseconds.
    pub issued_ms: u64,
    /// Until when it may be taken over, Unix milliseconds.
    pub expires_ms: u64,
    /// Who may sign which releases.
    pub publishers: Vec<Publisher>,
    /// Keys of the controller: they sign the index and, in automatic mode, locks.
    pub catalogue_keys: Vec<PublicKey>,
    /// Keys of people: they sign locks and this list. Empty while the controller signs the list itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<PublicKey>,
    /// Publishers' keys whose releases count no more. Receivers add what they know already.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked_keys: BTreeSet<PublicKey>,
}

impl PublishersList {
    /// Signs it, after the checks a receiver makes.
    ///
    /// # Errors
    /// [`ChainError::Malformed`].
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, ChainError> {
        self.check()?;
        let payload = serde_json::to_vec(self).map_err(|_| malformed("it cannot be written"))?;
        Ok(dsse::sign(PUBLISHERS_TYPE, &payload, key))
    }

    /// Reads one without asking who signed it: for whoever shows or changes it.
    ///
    /// # Errors
    /// If it is too large or not well-formed.
    pub fn read(json: &[u8]) -> Result<(Self, Envelope), ChainError> {
        let (envelope, payload) = super::envelope(Document::Publishers, json)?;
        let list: Self = super::parsed(Document::Publishers, &payload)?;
        list.check()?;
        Ok((list, envelope))
    }

    /// The publishers whose keys are not revoked.
    #[must_use]
    pub fn trusted(&self) -> Vec<Publisher> {
        let good = |publisher: &&Publisher| !self.revoked_keys.contains(&publisher.key);
        self.publishers.iter().filter(good).cloned().collect()
    }

    pub(super) fn check(&self) -> Result<(), ChainError> {
        if self.v != FORMAT {
            return Err(malformed("its form is newer than this program"));
        }
        if self.version == 0 || self.expires_ms <= self.issued_ms {
            return Err(malformed("its version or its times"));
        }
        if self.publishers.len() > MAX_LISTED_PUBLISHERS || self.revoked_keys.len() > MAX_REVOKED_KEYS {
            return Err(malformed("it has too many publishers"));
        }
        if self.publishers.iter().any(|publisher| publisher.name.is_empty() || publisher.name.len() > MAX_NAME) {
            return Err(malformed("the name of a publisher"));
        }
        let signers = self.catalogue_keys.len().max(self.operators.len());
        if self.catalogue_keys.is_empty() || signers > MAX_SIGNERS {
            return Err(malformed("the number of its keys"));
        }
        Ok(())
    }
}

const fn malformed(what: &'static str) -> ChainError {
    ChainError::Malformed { document: Document::Publishers, what }
}
