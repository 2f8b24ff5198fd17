//! What can go wrong with the keys of a group.

use wherry_domain::failure::Code;
use wherry_proto::frame::KeyringTrouble;
use wherry_trust::{
    CryptoUnavailable,
    seal_local::SealError,
    sealing::{SealingError, roster::RosterError},
};

use crate::private_file::FileError;

/// Why keys or sealed secrets cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what it should be.
    #[error("keyring/{0} is damaged, restore it from a backup, or remove keyring/ and enrol the agent again")]
    Damaged(&'static str),
    /// A key at rest does not open.
    #[error(transparent)]
    AtRest(#[from] SealError),
    /// Something sealed does not hold.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The roster does not hold, or is another one than before.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The controller's roster is for another group.
    #[error("the controller showed the roster of another group, the agent goes on with the one it knows")]
    ForeignRoster,
    /// The group has keys, and nobody vouched for this agent.
    #[error(
        "the enrolment token of this agent carried no invitation to the group's keys, \
         enrol it again with a token that `wherry agent token` made with an operator key"
    )]
    NotInvited,
    /// Only members of the roster hand secrets to their group.
    #[error("this agent does not belong to its group's roster, see `wherry-agent status`")]
    NotMember,
    /// Room for secrets is used up.
    #[error("environment {0} has as many sealed secrets as it may, remove some first")]
    TooMany(wherry_domain::name::Name),
}

impl KeyringError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        match self {
            Self::File(_) => Code::new("keyring.file"),
            Self::Damaged(_) => Code::new("keyring.damaged"),
            Self::AtRest(error) => error.code(),
            Self::Sealing(error) => error.code(),
            Self::Roster(error) => error.code(),
            Self::ForeignRoster => Code::new("keyring.roster_foreign"),
            Self::NotInvited => Code::new("keyring.not_invited"),
            Self::NotMember => Code::new("keyring.not_member"),
            Self::TooMany(_) => Code::new("keyring.too_many"),
        }
    }

    /// Whether it puts the roster in doubt, on which everything else rests.
    pub(super) fn is_about_roster(&self) -> bool {
        match self {
            Self::Roster(_)
            | Self::ForeignRoster
            | Self::NotInvited
            | Self::Sealing(SealingError::InviteRefused(_)) => true,
            Self::File(_)
            | Self::Damaged(_)
            | Self::AtRest(_)
            | Self::Sealing(_)
            | Self::NotMember
            | Self::TooMany(_) => false,
        }
    }

    /// In words for the controller.
    pub(super) fn trouble(&self) -> KeyringTrouble {
        KeyringTrouble { code: self.code(), message: self.to_string() }
    }
}

impl From<CryptoUnavailable> for KeyringError {
    fn from(error: CryptoUnavailable) -> Self {
        Self::Sealing(error.into())
    }
}
