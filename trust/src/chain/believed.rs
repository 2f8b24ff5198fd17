//! What a receiver believes: the documents in force, as they were signed, and the releases that their locks name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::lock::{Lock, Locked};
use wherry_domain::name::Name;

use super::{ChainError, Document, FORMAT, Index, Level, PublishersList, lock};
use crate::dsse::{Envelope, Limits};
use crate::keys::{PublicKey, sha256};
use crate::release::{VerifiedRelease, verify_release};

/// A document in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    /// What it says.
    pub document: Arc<T>,
    /// Who signed it.
    pub level: Level,
    pub(super) envelope: Envelope,
    pub(super) digest: Digest,
}

impl<T> Held<T> {
    pub(super) fn new(document: T, level: Level, envelope: Envelope, payload: &[u8]) -> Self {
        Self { document: Arc::new(document), level, envelope, digest: sha256(payload) }
    }

    /// The envelope as JSON, as it travels.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        self.envelope.to_json()
    }
}

/// What is believed of connectors. Changes only through [`Believed::propose`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Believed {
    pub(super) publishers: Option<Held<PublishersList>>,
    pub(super) index: Option<Held<Index>>,
    pub(super) locks: BTreeMap<Name, Held<Lock>>,
    pub(super) releases: BTreeMap<Digest, Envelope>,
    /// The newest time that was signed: a clock that was set back does not make old documents fresh.
    pub(super) newest_ms: u64,
}

impl Believed {
    /// Puts together what was kept in parts: the publishers list, locks, and releases that were believed before. The
    /// index comes with the next proposal.
    ///
    /// # Errors
    /// [`ChainError::Damaged`] if one cannot be read.
    pub fn restore(
        publishers: Option<(Level, Envelope)>,
        locks: Vec<(Level, Envelope)>,
        releases: Vec<Envelope>,
    ) -> Result<Self, ChainError> {
        let signed = |(level, envelope)| Signed { level, envelope };
        let publishers = publishers.map(signed);
        let locks = locks.into_iter().map(signed).collect();
        let kept = Kept { v: FORMAT, publishers, locks, releases, ..Kept::default() };
        kept.read()
    }

    /// Whether nothing was ever taken over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers.is_none()
    }

    /// The publishers list in force.
    #[must_use]
    pub fn publishers(&self) -> Option<&Held<PublishersList>> {
        self.publishers.as_ref()
    }

    /// The index in force.
    #[must_use]
    pub fn index(&self) -> Option<&Held<Index>> {
        self.index.as_ref()
    }

    /// The lock of an environment.
    #[must_use]
    pub fn lock(&self, environment: &Name) -> Option<&Held<Lock>> {
        self.locks.get(environment)
    }

    /// Every lock in force.
    pub fn locks(&self) -> impl Iterator<Item = &Held<Lock>> {
        self.locks.values()
    }

    /// The operators whom the list in force names.
    #[must_use]
    pub fn operators(&self) -> &[PublicKey] {
        self.publishers.as_ref().map_or(&[], |held| held.document.operators.as_slice())
    }

    /// Whether what a lock names may run now: known, not revoked, signed by a publisher whom the list still trusts,
    /// exactly what the lock says, and asking for nothing beyond what was approved.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admit(&self, name: &Name, locked: &Locked) -> Result<VerifiedRelease, ChainError> {
        let missing = || ChainError::ReleaseMissing(name.clone());
        let (Some(publishers), Some(index)) = (&self.publishers, &self.index) else { return Err(missing()) };
        let envelope = self.releases.get(&locked.release).ok_or_else(missing)?;
        judge(&publishers.document, &index.document, (name, locked), envelope)
    }

    /// As [`Believed::admit`], of a release that the caller has kept: what a lock before named.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, name: &Name, locked: &Locked, envelope: &Envelope) -> Result<VerifiedRelease, ChainError> {
        let missing = || ChainError::ReleaseMissing(name.clone());
        let publishers = self.publishers.as_ref().ok_or_else(missing)?;
        let index = self.index.as_ref().ok_or_else(missing)?;
        judge(&publishers.document, &index.document, (name, locked), envelope)
    }

    /// The signed release that a lock in force names, as published.
    #[must_use]
    pub fn release(&self, locked: &Locked) -> Option<&Envelope> {
        self.releases.get(&locked.release)
    }

    /// Everything in one document, for the disk.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let kept = Kept {
            v: FORMAT,
            publishers: self.publishers.as_ref().map(Signed::of),
            index: self.index.as_ref().map(Signed::of),
            locks: self.locks.values().map(Signed::of).collect(),
            releases: self.releases.values().cloned().collect(),
            newest_ms: self.newest_ms,
            revoked_keys: self.publishers.as_ref().map(|held| held.document.revoked_keys.clone()).unwrap_or_default(),
            revoked: self.index.as_ref().map(|held| held.document.revoked.clone()).unwrap_or_default(),
        };
        // Texts and numbers: serialising into memory cannot fail.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Reads back what [`Believed::to_json`] wrote. Nothing is verified again: it was before it was written.
    ///
    /// # Errors
    /// [`ChainError::Damaged`].
    pub fn from_json(json: &[u8]) -> Result<Self, ChainError> {
        serde_json::from_slice::<Kept>(json).map_err(|_| ChainError::Damaged)?.read()
    }
}

/// [`Believed`] on disk.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    v: u32,
    publishers: Option<Signed>,
    index: Option<Signed>,
    locks: Vec<Signed>,
    releases: Vec<Envelope>,
    newest_ms: u64,
    /// All that was ever revoked: a later document may have left some of it out.
    #[serde(default)]
    revoked_keys: BTreeSet<PublicKey>,
    #[serde(default)]
    revoked: BTreeSet<Digest>,
}

impl Kept {
    fn read(self) -> Result<Believed, ChainError> {
        if self.v != FORMAT {
            return Err(ChainError::Damaged);
        }
        let mut believed = Believed { newest_ms: self.newest_ms, ..Believed::default() };
        believed.publishers = self.publishers.map(|signed| signed.read(Document::Publishers)).transpose()?;
        if let Some(held) = &mut believed.publishers {
            Arc::make_mut(&mut held.document).revoked_keys.extend(self.revoked_keys);
        }
        believed.index = self.index.map(|signed| signed.read(Document::Index)).transpose()?;
        if let Some(held) = &mut believed.index {
            Arc::make_mut(&mut held.document).revoked.extend(self.revoked);
        }
        for signed in self.locks {
            let held: Held<Lock> = signed.read(Document::Lock)?;
            believed.locks.insert(held.document.environment.clone(), held);
        }
        for envelope in self.releases {
            let payload = envelope.decode_payload(Limits::default().payload).map_err(|_| ChainError::Damaged)?;
            believed.releases.insert(sha256(&payload), envelope);
        }
        Ok(believed)
    }
}

#[derive(Serialize, Deserialize)]
struct Signed {
    level: Level,
    envelope: Envelope,
}

impl Signed {
    fn of<T>(held: &Held<T>) -> Self {
        Self { level: held.level, envelope: held.envelope.clone() }
    }

    fn read<T: for<'a> Deserialize<'a>>(self, document: Document) -> Result<Held<T>, ChainError> {
        let payload = self.envelope.decode_payload(document.limits().payload).map_err(|_| ChainError::Damaged)?;
        let read = serde_json::from_slice(&payload).map_err(|_| ChainError::Damaged)?;
        Ok(Held::new(read, self.level, self.envelope, &payload))
    }
}

/// Judges one release as a lock names it.
pub(super) fn judge(
    publishers: &PublishersList,
    index: &Index,
    (name, locked): (&Name, &Locked),
    envelope: &Envelope,
) -> Result<VerifiedRelease, ChainError> {
    let version = &locked.version;
    if index.revoked.contains(&locked.release) {
        return Err(ChainError::Revoked { name: name.clone(), version: version.clone() });
    }
    let verified = verify_release(envelope, &publishers.trusted())
        .map_err(|error| ChainError::Release { name: name.clone(), error: Box::new(error) })?;
    let release = &verified.release;
    let differs = [
        (verified.digest != locked.release, "digest"),
        (release.name != *name, "name"),
        (release.version != *version, "version"),
        (release.wasm.sha256 != locked.wasm, "component"),
        (release.wasm.length != locked.length, "length"),
    ];
    if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
        return Err(ChainError::Differs { name: name.clone(), what });
    }
    let grown = lock::grown(&release.asks(), &locked.approved);
    if !grown.is_empty() {
        let grown = grown.join(", ");
        return Err(ChainError::CapabilitiesGrown { name: name.clone(), version: version.clone(), grown });
    }
    Ok(verified)
}

pub(super) fn held_lock(payload: &[u8], level: Level, envelope: Envelope) -> Result<Held<Lock>, ChainError> {
    Ok(Held::new(lock::parse(payload)?, level, envelope, payload))
}
