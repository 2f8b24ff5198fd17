//! Why a certificate store cannot be used.

use wherry_domain::{
    failure::{Code, Failure},
    project::tls::Unread,
};

use crate::{policy::Refusal, secrets::SecretError};

/// Why a certificate store cannot be used. No text tells what is in it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No agent reads this type.
    #[error("the certificate store is of a type that is not read, {0}")]
    Unread(Unread),
    /// The store is of a known type, but of an old or unusual kind.
    #[error("the certificate store cannot be opened: {why}; {instead}")]
    Unsupported {
        /// What it is.
        why: &'static str,
        /// The command that converts it.
        instead: &'static str,
    },
    /// The file is not there, not for the agent, or no file at all. Which of these stands in the agent's own log:
    /// whoever writes a project should not learn what there is on an agent.
    #[error("the agent cannot use the file {0}, its log says why")]
    Unreadable(String),
    /// The owner does not allow the file.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// Wrong or missing password.
    #[error("the password of the certificate store is wrong or missing")]
    Password,
    /// It is not what it should be.
    #[error("the certificate store is not what its type says: {0}")]
    Malformed(&'static str),
    /// Nothing in it is meant.
    #[error("the certificate store has no private key with a certificate of that subject: {0}")]
    NotFound(&'static str),
}

impl CertificateError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        match self {
            Self::Secret(error) => error.code(),
            Self::Unread(_) | Self::Unsupported { .. } => Code::new("certificate.unsupported"),
            Self::Unreadable(_) => Code::new("certificate.unreadable"),
            Self::Policy(refusal) => refusal.code(),
            Self::Password => Code::new("certificate.password_wrong"),
            Self::Malformed(_) => Code::new("certificate.malformed"),
            Self::NotFound(_) => Code::new("certificate.not_found"),
        }
    }

    /// The failure of a run that needed it.
    pub fn failure(&self) -> Failure {
        Failure::permanent(self.code(), self.to_string())
    }
}
