//! The index: which releases exist, and which of them count no more.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::lock::Locked;
use wherry_domain::name::Name;

use super::{ChainError, Document, FORMAT, INDEX_TYPE};
use crate::dsse::{self, Envelope};
use crate::keys::SigningKey;

/// How long an index holds, in milliseconds. It is signed anew each day, so an agent may miss six of them.
pub const INDEX_LIFE_MS: u64 = 7 * 86_400_000;
/// Most releases of an index: five versions of each connector that a lock can hold, and what locks name beside.
pub const MAX_RELEASES: usize = 2_048;
/// Most releases that were ever revoked.
pub const MAX_REVOKED: usize = 2_048;

/// The releases of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The version of the document's form.
    pub v: u32,
    /// Counts up from 1 each time it is signed.
    pub version: u64,
    /// When it was made, Unix milliseconds.
    pub issued_ms: u64,
    /// Until when it may be taken over, Unix milliseconds.
    pub expires_ms: u64,
    /// What may be locked.
    pub releases: Vec<Listed>,
    /// SHA-256 of signed releases that may not run any more. Receivers add what they know already.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<Digest>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The connector.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the signed release.
    pub release: Digest,
    /// SHA-256 of the component.
    pub wasm: Digest,
}

impl Index {
    /// Signs it, after the checks a receiver makes.
    ///
    /// # Errors
    /// [`ChainError::Malformed`].
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, ChainError> {
        self.check()?;
        let payload = serde_json::to_vec(self).map_err(|_| malformed("it cannot be written"))?;
        Ok(dsse::sign(INDEX_TYPE, &payload, key))
    }

    /// Whether the release that a lock names is listed, under the same name, version and component.
    #[must_use]
    pub fn lists(&self, name: &Name, locked: &Locked) -> bool {
        let same = |listed: &Listed| {
            listed.release == locked.release
                && listed.wasm == locked.wasm
                && listed.version == locked.version
                && listed.name == *name
        };
        self.releases.iter().any(same)
    }

    /// Reads one without asking who signed it.
    ///
    /// # Errors
    /// If it is too large or not well-formed.
    pub fn read(json: &[u8]) -> Result<(Self, Envelope), ChainError> {
        let (envelope, payload) = super::envelope(Document::Index, json)?;
        let index: Self = super::parsed(Document::Index, &payload)?;
        index.check()?;
        Ok((index, envelope))
    }

    pub(super) fn check(&self) -> Result<(), ChainError> {
        if self.v != FORMAT {
            return Err(malformed("its form is newer than this program"));
        }
        if self.version == 0 || self.expires_ms <= self.issued_ms {
            return Err(malformed("its version or its times"));
        }
        if self.releases.len() > MAX_RELEASES || self.revoked.len() > MAX_REVOKED {
            return Err(malformed("it has too many releases"));
        }
        Ok(())
    }
}

const fn malformed(what: &'static str) -> ChainError {
    ChainError::Malformed { document: Document::Index, what }
}
