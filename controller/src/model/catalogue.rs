//! The signed documents of change control, as stored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wherry_trust::{chain::Level, dsse::Envelope, keys::PublicKey};

/// A document with who signed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedDocument {
    /// Who signed it.
    pub level: Level,
    /// As it was signed.
    pub envelope: Envelope,
}

/// Publishers' keys that were revoked and are in no list that agents know yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RevokedKeys {
    /// The keys.
    pub keys: BTreeSet<PublicKey>,
}

/// How far the versions of what the controller signs have come.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct CatalogueVersions {
    /// The newest version of the index.
    pub index: u64,
}
