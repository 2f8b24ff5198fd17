//! Change control of connectors: the signed documents that say which connector an environment runs, and the rules by
//! which whoever runs them comes from one state of belief to the next.
//!
//! ```text
//! publishers list ─► index ─► lock of each environment ─► release ─► component
//! ```
//!
//! Each document is a DSSE envelope with a version that only grows. A receiver verifies all of them against what it
//! believed before, and takes over everything or nothing. The order of checks follows The Update Framework
//! (<https://theupdateframework.github.io/specification/latest/>), section 5.

mod believed;
mod error;
mod index;
mod lock;
mod proposed;
mod publishers;
mod step;

use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;

use crate::dsse::{Envelope, Limits};
use crate::keys::{PublicKey, sha256};

pub use believed::{Believed, Held};
pub use error::ChainError;
pub use index::{INDEX_LIFE_MS, Index, Listed, MAX_RELEASES, MAX_REVOKED};
pub use lock::{entry, grown, peek_lock, read_lock, reread, sign_lock, speaks_of_auth};
pub use proposed::{Context, Documents, Proposed, Wanted};
pub use publishers::{MAX_LISTED_PUBLISHERS, OPERATOR_LIFE_MS, PublishersList};
pub use step::{StepError, step};

/// The media type of a publishers list inside its envelope.
pub const PUBLISHERS_TYPE: &str = "application/vnd.wherry.publishers+json";
/// The media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.wherry.index+json";
/// The media type of a lock.
pub const LOCK_TYPE: &str = "application/vnd.wherry.lock+json";
/// The version of these documents' form.
pub const FORMAT: u32 = 1;
/// How far a version may rise at once. A document under an absurd version would make every later one look old; a
/// version each second would take eleven days to use this up.
pub const MAX_RISE: u64 = 1_000_000;
/// How far a document's time may lie ahead of the receiver's clock: as much as its certificate's day allows.
pub const MAX_AHEAD_MS: u64 = 86_400_000;

/// Who signed a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The controller, with its catalogue key.
    Controller,
    /// A person, with an operator's key.
    Operator,
}

/// Whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Keys of the controller.
    pub catalogue: Vec<PublicKey>,
    /// Keys of operators.
    pub operators: Vec<PublicKey>,
}

/// One kind of document, for errors and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The organisation's publishers.
    Publishers,
    /// The releases that exist.
    Index,
    /// What an environment runs.
    Lock,
}

impl Document {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Publishers => PUBLISHERS_TYPE,
            Self::Index => INDEX_TYPE,
            Self::Lock => LOCK_TYPE,
        }
    }

    /// What is read at most. All of them travel in one frame of a megabyte, as base64.
    const fn limits(self) -> Limits {
        let payload = match self {
            Self::Publishers => 96 << 10,
            Self::Index => 384 << 10,
            Self::Lock => 160 << 10,
        };
        Limits { payload, signatures: 8, threshold: 1 }
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Publishers => "publishers list",
            Self::Index => "index",
            Self::Lock => "lock",
        })
    }
}

/// A document's envelope, its size checked before anything of it is read.
fn envelope(document: Document, json: &[u8]) -> Result<(Envelope, Vec<u8>), ChainError> {
    let limits = document.limits();
    let envelope = Envelope::from_json(json, &limits).map_err(|error| ChainError::envelope(document, error))?;
    let payload = envelope.decode_payload(limits.payload).map_err(|error| ChainError::envelope(document, error))?;
    Ok((envelope, payload))
}

/// Who of `keys` signed it.
fn level(document: Document, envelope: &Envelope, keys: &Keys) -> Result<Level, ChainError> {
    let all: Vec<_> = keys.operators.iter().chain(&keys.catalogue).copied().collect();
    let verified = envelope
        .verify(document.media_type(), &all, &document.limits())
        .map_err(|error| ChainError::envelope(document, error))?;
    let operator = verified.signers.iter().any(|signer| keys.operators.contains(signer));
    Ok(if operator { Level::Operator } else { Level::Controller })
}

fn parsed<'a, T: Deserialize<'a>>(document: Document, payload: &'a [u8]) -> Result<T, ChainError> {
    serde_json::from_slice(payload).map_err(|_| ChainError::Malformed { document, what: "another form than known" })
}

/// Whether a document under the version `offered` may follow one under `known`: `false` if it is that very document.
fn follows(
    document: Document,
    (known, known_digest): (u64, Digest),
    (offered, payload): (u64, &[u8]),
) -> Result<bool, ChainError> {
    if offered == known {
        let same = sha256(payload) == known_digest;
        return if same { Ok(false) } else { Err(ChainError::VersionReused { document, version: known }) };
    }
    if offered < known {
        return Err(ChainError::RolledBack { document, known, offered });
    }
    if offered - known > MAX_RISE {
        return Err(ChainError::FastForwarded { document, known, offered });
    }
    Ok(true)
}

/// Whether the times of a document are believable now.
fn timely(document: Document, (issued_ms, expires_ms): (u64, u64), now_ms: u64) -> Result<(), ChainError> {
    if issued_ms > now_ms.saturating_add(MAX_AHEAD_MS) {
        return Err(ChainError::FromTheFuture { document });
    }
    if expires_ms <= now_ms {
        return Err(ChainError::Expired { document, expires_ms });
    }
    Ok(())
}
