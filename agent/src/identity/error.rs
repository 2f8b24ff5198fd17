//! What can go wrong with an identity.

use wherry_daemon::exit::Exit;
use wherry_domain::failure::Code;
use wherry_trust::{CryptoUnavailable, token::MalformedToken};

use crate::{keyring::KeyringError, link::LinkError, peer::Refused, private_file::FileError, secrets::SecretError};

/// Why an identity could not be made, read, renewed or recovered.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is one already.
    #[error("this data folder belongs to agent {0} already, use another folder or remove identity/ to start anew")]
    AlreadyEnrolled(String),
    /// There is none.
    #[error("this agent has no identity yet, run `wherry-agent enrol` with a token from `wherry agent token`")]
    Missing,
    /// A file is not what it should be.
    #[error("identity/{0} is damaged, restore it from a backup or enrol again with a new token")]
    Damaged(&'static str),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The token is not one.
    #[error(transparent)]
    Token(#[from] MalformedToken),
    /// The controller does not take the token.
    #[error("the controller refused the token: it was used before, has expired or is unknown, make a new one")]
    TokenRefused,
    /// The controller refuses for another reason.
    #[error("the controller refused: {0}")]
    Refused(Refused),
    /// The controller cannot be reached, or is not the one of the token.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The controller's answer cannot be used.
    #[error("the controller sent an unusable certificate: {0}")]
    Answer(&'static str),
    /// What the controller passed on about the group's keys does not hold.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The key that seals what is kept here.
    #[error(transparent)]
    LocalKey(#[from] SecretError),
    /// A key could not be made.
    #[error("no key could be made: {0}")]
    Key(String),
    /// The provider failed.
    #[error(transparent)]
    Crypto(#[from] CryptoUnavailable),
}

impl IdentityError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        match self {
            Self::AlreadyEnrolled(_) => Code::new("enrolment.already_enrolled"),
            Self::Missing => Code::new("identity.missing"),
            Self::Damaged(_) => Code::new("identity.damaged"),
            Self::File(_) => Code::new("identity.file"),
            Self::Token(error) => error.code(),
            Self::TokenRefused => Code::new("enrolment.token_refused"),
            Self::Refused(refused) => refused.code.clone(),
            Self::Link(error) => error.code(),
            Self::Answer(_) => Code::new("identity.answer_invalid"),
            Self::Keyring(error) => error.code(),
            Self::LocalKey(error) => error.code(),
            Self::Key(_) => Code::new("identity.key"),
            Self::Crypto(error) => error.code(),
        }
    }

    /// What the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::AlreadyEnrolled(_) | Self::Token(_) => Exit::Usage,
            Self::Missing | Self::Damaged(_) => Exit::Config,
            Self::TokenRefused => Exit::Permission,
            Self::Refused(refused) => refused.exit(),
            Self::Link(_) | Self::Answer(_) => Exit::Unavailable,
            Self::Keyring(KeyringError::File(_)) | Self::LocalKey(_) | Self::File(_) => Exit::Store,
            Self::Keyring(_) => Exit::Permission,
            Self::Key(_) | Self::Crypto(_) => Exit::Software,
        }
    }
}
