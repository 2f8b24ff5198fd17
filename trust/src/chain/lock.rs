//! Signing and reading locks, and what a lock says of a release.

use std::collections::BTreeSet;

use wherry_domain::digest::Digest;
use wherry_domain::lock::{self, Lock, Locked, MAX_CONNECTORS};

use super::{ChainError, Document, Keys, LOCK_TYPE, Level};
use crate::dsse::{self, Envelope, Limits};
use crate::keys::{SigningKey, sha256};
use crate::release::{AUTH, Release};

/// Most capabilities that can be approved for one connector: as many as a release may ask for, its ways to authenticate
/// included.
const MAX_APPROVED: usize = 96;

/// Signs a lock, after the checks a receiver makes of its form.
///
/// # Errors
/// [`ChainError::Malformed`].
pub fn sign_lock(lock: &Lock, key: &SigningKey) -> Result<Envelope, ChainError> {
    check(lock)?;
    let payload = serde_json::to_vec(lock).map_err(|_| malformed("it cannot be written"))?;
    Ok(dsse::sign(LOCK_TYPE, &payload, key))
}

/// Reads a lock that one of `keys` signed, and says who. Whether it may follow the lock before says
/// [`step`](super::step()).
///
/// # Errors
/// If it is too large, not well-formed, or signed by nobody of them.
pub fn read_lock(json: &[u8], keys: &Keys) -> Result<(Lock, Level), ChainError> {
    let (envelope, payload) = super::envelope(Document::Lock, json)?;
    let level = super::level(Document::Lock, &envelope, keys)?;
    Ok((parse(&payload)?, level))
}

/// What a lock says, whoever signed it: to see whether it is the one that was asked for. It proves nothing.
///
/// # Errors
/// If it is too large or not well-formed.
pub fn peek_lock(json: &[u8]) -> Result<Lock, ChainError> {
    let (_, payload) = super::envelope(Document::Lock, json)?;
    parse(&payload)
}

/// What is asked for beyond what was approved. Approvals of before ways to authenticate counted speak of none of them,
/// and agree to any.
#[must_use]
pub fn grown(asked: &BTreeSet<String>, approved: &BTreeSet<String>) -> Vec<String> {
    let counts = |entry: &&String| speaks_of_auth(approved) || !entry.starts_with(AUTH);
    asked.difference(approved).filter(counts).cloned().collect()
}

/// Whether an approval names ways to authenticate. One that names none agrees to any.
#[must_use]
pub fn speaks_of_auth(approved: &BTreeSet<String>) -> bool {
    approved.iter().any(|entry| entry.starts_with(AUTH))
}

/// Reads a release that was verified when it was published, with the digest that locks name it by.
///
/// # Errors
/// If it cannot be read.
pub fn reread(json: &[u8]) -> Result<(Digest, Release), ChainError> {
    let limits = Limits::default();
    let envelope = Envelope::from_json(json, &limits).map_err(|_| ChainError::Damaged)?;
    let payload = envelope.decode_payload(limits.payload).map_err(|_| ChainError::Damaged)?;
    let release = serde_json::from_slice(&payload).map_err(|_| ChainError::Damaged)?;
    Ok((sha256(&payload), release))
}

/// What a lock says of a release.
#[must_use]
pub fn entry(digest: Digest, release: &Release, approved: BTreeSet<String>) -> Locked {
    Locked {
        version: release.version.clone(),
        release: digest,
        wasm: release.wasm.sha256,
        length: release.wasm.length,
        pinned: false,
        approved,
    }
}

pub(super) fn parse(payload: &[u8]) -> Result<Lock, ChainError> {
    let lock: Lock = super::parsed(Document::Lock, payload)?;
    check(&lock)?;
    Ok(lock)
}

fn check(lock: &Lock) -> Result<(), ChainError> {
    if lock.v != lock::FORMAT {
        return Err(malformed("its form is newer than this program"));
    }
    if lock.version == 0 {
        return Err(malformed("its version"));
    }
    if lock.connectors.len() > MAX_CONNECTORS {
        return Err(malformed("it has too many connectors"));
    }
    if lock.trials.keys().any(|name| !lock.connectors.contains_key(name)) {
        return Err(malformed("a trial of a connector that it does not name"));
    }
    let entries = lock.connectors.values().chain(lock.trials.values());
    if entries.clone().any(|locked| locked.approved.len() > MAX_APPROVED) {
        return Err(malformed("too many capabilities"));
    }
    Ok(())
}

const fn malformed(what: &'static str) -> ChainError {
    ChainError::Malformed { document: Document::Lock, what }
}
