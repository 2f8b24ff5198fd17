//! Why a catalogue was not taken over.

use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use super::{Document, MAX_RISE, step::StepError};
use crate::dsse::DsseError;
use crate::release::ReleaseError;

/// Why a document, a lock or a release is not believed. Whoever meets one keeps what it believed before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The envelope does not hold.
    #[error("the {document} is not acceptable: {error}")]
    Envelope {
        /// Which document.
        document: Document,
        /// Why.
        error: DsseError,
    },
    /// Nobody whose word counts for it signed it.
    #[error("the {0} is signed by no key that may sign it: have an operator of this group sign it")]
    SignerUnknown(Document),
    /// It has another form, or a field outside its limits.
    #[error("the {document} is not well-formed ({what}): update this program, or ask who runs the controller")]
    Malformed {
        /// Which document.
        document: Document,
        /// What is wrong.
        what: &'static str,
    },
    /// It is for another organisation.
    #[error("the {0} belongs to another organisation: ask who runs the controller")]
    Foreign(Document),
    /// A version lower than one that was believed.
    #[error("the {document} has version {offered}, {known} was there already: someone offers an old one")]
    RolledBack {
        /// Which document.
        document: Document,
        /// The version believed.
        known: u64,
        /// The version offered.
        offered: u64,
    },
    /// A version far higher than the one before.
    #[error("the {document} jumps from version {known} to {offered}, at most {MAX_RISE} at once are accepted")]
    FastForwarded {
        /// Which document.
        document: Document,
        /// The version believed.
        known: u64,
        /// The version offered.
        offered: u64,
    },
    /// Two documents under one version.
    #[error("the {document} of version {version} has other contents than the one known: raise its version")]
    VersionReused {
        /// Which document.
        document: Document,
        /// The version.
        version: u64,
    },
    /// Too old to be believed.
    #[error(
        "the {document} expired at {expires_ms} (Unix milliseconds): nothing new is taken over until a fresh one comes"
    )]
    Expired {
        /// Which document.
        document: Document,
        /// When, Unix milliseconds.
        expires_ms: u64,
    },
    /// Made later than now.
    #[error("the {document} was made more than a day ahead of this machine's clock: set the clock")]
    FromTheFuture {
        /// Which document.
        document: Document,
    },
    /// Signed by the controller after operators had taken it over.
    #[error(
        "the publishers list is signed by the controller, but an operator signed the one before: have an operator sign it"
    )]
    Downgraded,
    /// Something that was revoked is not any more.
    #[error("the {0} leaves out a revocation: make it from the one in force, and publish a new version or a new key")]
    RevocationWithdrawn(Document),
    /// The lock needs a newer index than the one that came with it.
    #[error(
        "the lock of {environment} needs index version {needed}, the index has {found}: they do not belong together"
    )]
    IndexOlder {
        /// The environment.
        environment: Name,
        /// What the lock needs.
        needed: u64,
        /// What the index is.
        found: u64,
    },
    /// The lock does what its signer may not decide.
    #[error("the lock of {environment} is refused: {error}")]
    Step {
        /// The environment.
        environment: Name,
        /// Why.
        error: Box<StepError>,
    },
    /// A release that is not in the index.
    #[error("the release of connector {name} {version} is not in the index: publish it first")]
    Unlisted {
        /// The connector.
        name: Name,
        /// Its version.
        version: semver::Version,
    },
    /// A release that was revoked.
    #[error("connector {name} {version} is revoked: upgrade the connector or roll it back")]
    Revoked {
        /// The connector.
        name: Name,
        /// Its version.
        version: semver::Version,
    },
    /// The release is not what lock and index say of it.
    #[error("the release of connector {name} differs from what the lock says in its {what}: publish it again")]
    Differs {
        /// The connector.
        name: Name,
        /// In what.
        what: &'static str,
    },
    /// It asks for more than was approved.
    #[error(
        "connector {name} {version} asks for {grown}, which nobody approved: upgrade it with --approve-capabilities"
    )]
    CapabilitiesGrown {
        /// The connector.
        name: Name,
        /// Its version.
        version: semver::Version,
        /// What for, readable.
        grown: String,
    },
    /// Its publisher is not trusted, may not sign it, or signed something unacceptable.
    #[error("the release of connector {name} is not believed: {error}")]
    Release {
        /// The connector.
        name: Name,
        /// Why.
        error: Box<ReleaseError>,
    },
    /// The release is not at hand.
    #[error("the release of connector {0} was not fetched: try again")]
    ReleaseMissing(Name),
    /// More than any honest catalogue has.
    #[error("the catalogue is larger than this program keeps: ask who runs the controller")]
    TooLarge,
    /// What was believed cannot be read back.
    #[error(
        "what this machine believed of connectors is damaged: restore it from a backup, or move it away to believe the controller anew"
    )]
    Damaged,
}

impl ChainError {
    pub(super) fn envelope(document: Document, error: DsseError) -> Self {
        match error {
            DsseError::TooFewSigners { .. } => Self::SignerUnknown(document),
            DsseError::Malformed(_)
            | DsseError::TooLarge { .. }
            | DsseError::TypeUnexpected { .. }
            | DsseError::SignatureInvalid(_) => Self::Envelope { document, error },
        }
    }

    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Envelope { error, .. } => error.code(),
            Self::SignerUnknown(_) => Code::new("catalogue.signer_unknown"),
            Self::Malformed { .. } => Code::new("catalogue.malformed"),
            Self::Foreign(_) => Code::new("catalogue.foreign"),
            Self::RolledBack { .. } => Code::new("catalogue.rolled_back"),
            Self::FastForwarded { .. } => Code::new("catalogue.fast_forwarded"),
            Self::VersionReused { .. } => Code::new("catalogue.version_reused"),
            Self::Expired { .. } => Code::new("catalogue.expired"),
            Self::FromTheFuture { .. } => Code::new("catalogue.from_the_future"),
            Self::Downgraded => Code::new("catalogue.downgraded"),
            Self::RevocationWithdrawn(_) => Code::new("catalogue.revocation_withdrawn"),
            Self::IndexOlder { .. } => Code::new("lock.index_older"),
            Self::Step { error, .. } => error.code(),
            Self::Unlisted { .. } => Code::new("release.unlisted"),
            Self::Revoked { .. } => Code::new("release.revoked"),
            Self::Differs { .. } => Code::new("release.differs"),
            Self::CapabilitiesGrown { .. } => Code::new("lock.capabilities_grown"),
            Self::Release { error, .. } => error.code(),
            Self::ReleaseMissing(_) => Code::new("release.missing"),
            Self::TooLarge => Code::new("catalogue.too_large"),
            Self::Damaged => Code::new("catalogue.damaged"),
        }
    }
}
