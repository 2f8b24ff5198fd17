//! Published connectors and who may publish them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wherry_domain::{digest::Digest, name::Name};
use wherry_trust::release::{Activity, Publisher as Trusted};

/// A trusted publisher.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Publisher {
    /// Name, key and the connector names it may sign.
    #[serde(flatten)]
    pub trusted: Trusted,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// One version of a connector. The component itself is a file under its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connector {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: semver::Version,
    /// Digest of the component.
    pub digest: Digest,
    /// Length of the component in bytes.
    pub length: u64,
    /// Who signed it.
    pub publisher: String,
    /// Unix milliseconds.
    pub published_ms: u64,
    /// What it offers.
    pub activities: Vec<Activity>,
    /// The ways to authenticate that it names; empty if it names none.
    #[serde(default)]
    pub auth: BTreeSet<String>,
    /// Digest of its descriptor's file; none if it was published without.
    #[serde(default)]
    pub descriptor: Option<Digest>,
    /// When it was revoked, Unix milliseconds.
    #[serde(default)]
    pub revoked_ms: Option<u64>,
    /// Whether it is revoked with the key that signed it, and not by itself.
    #[serde(default)]
    pub key_revoked: bool,
    /// The signed envelope, as published.
    pub envelope: String,
}
