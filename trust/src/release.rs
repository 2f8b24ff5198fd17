//! Connector releases: the signed statement of what a connector is, which bytes it consists of, and what it may do.

mod check;
mod descriptor;
mod publisher;

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::effects::SideEffects;
use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use crate::dsse::{self, DsseError, Envelope, Limits};
use crate::keys::{PublicKey, SigningKey, sha256};
pub use check::WASM_LIMIT;
pub use descriptor::{
    Contents, DESCRIPTOR_LIMIT, Described, DescribedActivity, DescribedAuth, DescribedConnection, DescriptorDigest,
    one_line,
};
pub use publisher::{Prefix, Publisher};
pub use wherry_domain::project::check::ActivityKind;

/// The media type of a release inside its envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.wherry.release+json";
/// The contract between host and connector that this version of Wherry speaks.
pub const CONTRACT: &str = "wherry:connector@1.0.0";
/// The version of the document itself.
pub const FORMAT: u32 = 1;
/// Before a way to authenticate among what was approved.
pub(crate) const AUTH: &str = "auth ";

/// What a publisher states about one version of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The version of this document, [`FORMAT`].
    pub v: u32,
    /// The connector.
    pub name: Name,
    /// The version of the connector.
    pub version: Version,
    /// The component.
    pub wasm: Wasm,
    /// What the component says of itself. Releases of before there was this field have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<DescriptorDigest>,
    /// The contract the component was built against, [`CONTRACT`].
    pub contract: String,
    /// What the connector asks for beyond its connection's own hosts.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// The oldest agent that can run it.
    pub min_agent: Version,
    /// The activity types it offers.
    pub activities: Vec<Activity>,
    /// The ways to authenticate that it supports, such as `basic`. Empty, it says nothing about them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub auth: BTreeSet<String>,
    /// What changed, for the person who decides about an upgrade.
    #[serde(default)]
    pub notes: String,
}

impl Release {
    /// Everything that people agree to when they let it run, one readable entry each: its capabilities, and the ways to
    /// authenticate that it can make the agent use.
    #[must_use]
    pub fn asks(&self) -> BTreeSet<String> {
        let asks = self.capabilities.beyond(&Capabilities::default()).into_iter();
        asks.chain(self.auth.iter().map(|method| format!("{AUTH}{method}"))).collect()
    }
}

/// The bytes of a component, named so that they can be fetched from anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wasm {
    /// SHA-256 of the component.
    pub sha256: Digest,
    /// Its length in bytes, 1 to [`WASM_LIMIT`].
    pub length: u64,
}

impl Wasm {
    /// Describes the given component.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        Self { sha256: sha256(component), length: component.len() as u64 }
    }

    /// Whether these are the bytes that were signed.
    #[must_use]
    pub fn matches(&self, component: &[u8]) -> bool {
        *self == Self::of(component)
    }
}

/// What a connector asks for. Empty lists ask for nothing, and nothing is granted that was not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Hosts beside the connection's own, such as a provider's sign-in host.
    pub egress: BTreeSet<String>,
    /// OAuth grants it can use, such as `authorization_code`.
    pub oauth: BTreeSet<String>,
    /// Optional interfaces of the contract it imports, such as `net`.
    pub imports: BTreeSet<String>,
}

impl Capabilities {
    /// What this asks for beyond `approved`, one readable entry each; empty means an upgrade needs no approval.
    #[must_use]
    pub fn beyond(&self, approved: &Self) -> Vec<String> {
        let egress = self.egress.difference(&approved.egress).map(|host| format!("egress {host}"));
        let oauth = self.oauth.difference(&approved.oauth).map(|grant| format!("oauth {grant}"));
        let imports = self.imports.difference(&approved.imports).map(|interface| format!("import {interface}"));
        egress.chain(oauth).chain(imports).collect()
    }

    fn entries(&self) -> impl Iterator<Item = &String> {
        self.egress.iter().chain(&self.oauth).chain(&self.imports)
    }
}

/// One activity type of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Its name, such as `query` or `incident.create`.
    pub name: String,
    /// Which way records flow.
    pub kind: ActivityKind,
    /// What happens outside when it runs; an operation may tighten this, never widen it.
    pub side_effects: SideEffects,
}

/// A release whose signature and content hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    /// What the publisher stated.
    pub release: Release,
    /// The publisher whose key signed it and whose prefix covers it.
    pub publisher: String,
    /// The key that signed it.
    pub key: PublicKey,
    /// SHA-256 of the exact signed bytes: what a lock or an index names.
    pub digest: Digest,
}

/// Why a release was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The envelope does not hold.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// The payload is not the JSON of a release.
    #[error("the signed release is not well-formed: {0}")]
    Malformed(String),
    /// A field is outside its limits.
    #[error("the release has an unacceptable {field}: {why}")]
    Unacceptable {
        /// The field.
        field: &'static str,
        /// What is wrong and what is accepted.
        why: String,
    },
    /// What came with the release is not what was signed.
    #[error("the {0} is not the one that was signed: package it again")]
    Altered(&'static str),
    /// The signer may not publish under this name.
    #[error("publisher {publisher} may not publish connector {name}, its prefix is {prefix}")]
    PrefixForeign {
        /// The publisher whose key signed.
        publisher: String,
        /// The connector's name.
        name: Name,
        /// What the publisher may publish.
        prefix: Prefix,
    },
}

impl ReleaseError {
    fn malformed(error: &serde_json::Error) -> Self {
        // The parser quotes the document, which a stranger may have made very long.
        Self::Malformed(shown(&error.to_string()))
    }

    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Envelope(error) => error.code(),
            Self::Malformed(_) => Code::new("release.malformed"),
            Self::Unacceptable { .. } => Code::new("release.unacceptable"),
            Self::Altered(_) => Code::new("connector.altered"),
            Self::PrefixForeign { .. } => Code::new("release.prefix_foreign"),
        }
    }
}

/// Signs a release, after the same checks a receiver makes.
pub fn sign_release(release: &Release, key: &SigningKey) -> Result<Envelope, ReleaseError> {
    release.check()?;
    let payload = serde_json::to_vec(release).map_err(|error| ReleaseError::malformed(&error))?;
    Ok(dsse::sign(PAYLOAD_TYPE, &payload, key))
}

/// Accepts a release only if a publisher whose prefix covers the connector's name signed exactly these bytes.
pub fn verify_release(envelope: &Envelope, publishers: &[Publisher]) -> Result<VerifiedRelease, ReleaseError> {
    let keys: Vec<_> = publishers.iter().map(|publisher| publisher.key).collect();
    let verified = envelope.verify(PAYLOAD_TYPE, &keys, &Limits::default())?;
    let release: Release =
        serde_json::from_slice(&verified.payload).map_err(|error| ReleaseError::malformed(&error))?;
    release.check()?;
    let publisher = responsible(&release.name, &verified.signers, publishers)?;
    let digest = sha256(&verified.payload);
    Ok(VerifiedRelease { release, publisher: publisher.name.clone(), key: publisher.key, digest })
}

fn responsible<'a>(
    name: &Name,
    signers: &[PublicKey],
    publishers: &'a [Publisher],
) -> Result<&'a Publisher, ReleaseError> {
    let mut signed = publishers.iter().filter(|publisher| signers.contains(&publisher.key));
    if let Some(publisher) = signed.clone().find(|publisher| publisher.prefix.covers(name)) {
        return Ok(publisher);
    }
    match signed.next() {
        Some(Publisher { name: publisher, prefix, .. }) => Err(ReleaseError::PrefixForeign {
            publisher: publisher.clone(),
            name: name.clone(),
            prefix: prefix.clone(),
        }),
        None => Err(DsseError::TooFewSigners { found: 0, needed: 1 }.into()),
    }
}

/// A publisher's text, safe to print and not longer than a line.
fn shown(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_default).collect()
}
