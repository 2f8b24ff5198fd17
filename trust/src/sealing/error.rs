//! Why something sealed was refused.

use wherry_domain::failure::Code;

use crate::derive::CryptoUnavailable;

/// Why a sealed secret, a wrapped key or an invitation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// Not what it claims to be, or of a version that this program does not know.
    #[error("the sealed object is malformed ({0}), seal it again")]
    Malformed(&'static str),
    /// The content is empty or too large.
    #[error("a secret has 1 to {limit} bytes")]
    Size {
        /// The limit in bytes.
        limit: usize,
    },
    /// Sealed under a key that the group never had.
    #[error("it is sealed to epoch {epoch} of the group's key, which the roster does not know, seal it again")]
    EpochUnknown {
        /// The epoch it names.
        epoch: u32,
    },
    /// Older than what was seen before.
    #[error("it has version {found}, but version {floor} or newer is needed, set the secret again")]
    VersionOld {
        /// Its version.
        found: u64,
        /// The lowest that is accepted.
        floor: u64,
    },
    /// It belongs to another organisation, group, environment, name or kind.
    #[error("it was sealed for another place, set the secret again where it belongs")]
    Misplaced,
    /// Signed by a key that the group does not trust.
    #[error("it is signed by a key that the group does not trust, set the secret again with an operator's key")]
    SignerUnknown,
    /// The signature does not hold.
    #[error("its signature does not hold, it was changed after signing, set the secret again")]
    SignatureInvalid,
    /// Another key, another place or changed bytes: these cannot be told apart.
    #[error("it cannot be opened with the group's key, set the secret again")]
    Unreadable,
    /// The invitation has no use: not by an operator of this group, too old, or for someone else.
    #[error("the invitation does not hold ({0}), make a new one with `wherry agent token`")]
    InviteRefused(&'static str),
    /// The provider failed.
    #[error(transparent)]
    Unavailable(#[from] CryptoUnavailable),
}

impl SealingError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::new("seal.malformed"),
            Self::Size { .. } => Code::new("seal.size"),
            Self::EpochUnknown { .. } => Code::new("seal.epoch_unknown"),
            Self::VersionOld { .. } => Code::new("seal.version_old"),
            Self::Misplaced => Code::new("seal.misplaced"),
            Self::SignerUnknown => Code::new("seal.signer_unknown"),
            Self::SignatureInvalid => Code::new("seal.signature_invalid"),
            Self::Unreadable => Code::new("seal.unreadable"),
            Self::InviteRefused(_) => Code::new("invite.refused"),
            Self::Unavailable(error) => error.code(),
        }
    }
}
