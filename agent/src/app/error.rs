//! Why an agent could not start or go on.

use wherry_daemon::{exit::Exit, store::StoreError};
use wherry_domain::failure::Code;
use wherry_host::HostError;

use crate::{
    connectors::ChainFileError, identity::IdentityError, keyring::KeyringError, link::LinkError,
    oauth::place::PlaceError, policy::PolicyFileError, secrets::SecretError,
};

/// Why an agent could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Its identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The controller's address.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its local key.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The keys of its group.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The folder for tokens.
    #[error(transparent)]
    Tokens(#[from] PlaceError),
    /// What it believes of connectors.
    #[error(transparent)]
    Catalogue(#[from] ChainFileError),
    /// The owner's policy.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The engine for connectors.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The system refuses threads or signals.
    #[error("the system does not let the agent start: {0}")]
    System(#[from] std::io::Error),
}

impl AppError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        match self {
            Self::Identity(error) => error.code(),
            Self::Link(error) => error.code(),
            Self::Store(error) => Code::new(error.code()),
            Self::Secrets(error) => error.code(),
            Self::Keyring(error) => error.code(),
            Self::Tokens(error) => error.code(),
            Self::Catalogue(error) => error.code(),
            Self::Policy(error) => error.code(),
            Self::Host(error) => error.code(),
            Self::System(_) => Code::new("agent.system"),
        }
    }

    /// What the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Identity(error) => error.exit(),
            Self::Link(_) | Self::Policy(_) => Exit::Config,
            Self::Store(_) | Self::Secrets(_) | Self::Keyring(_) | Self::Tokens(_) | Self::Catalogue(_) => Exit::Store,
            Self::Host(_) | Self::System(_) => Exit::Software,
        }
    }
}
