//! Deployments under an operator's signature: work that no controller can make up or change.
//!
//! Signed is a statement that names the deployment's document by digest, in a DSSE envelope. The document itself stays
//! as it is: whoever holds it compares its digest.

use serde::{Deserialize, Serialize};
use wherry_domain::digest::Digest;
use wherry_domain::failure::Code;
use wherry_domain::name::Name;

use crate::dsse::{self, DsseError, Envelope, Limits};
use crate::keys::{PublicKey, SigningKey};

/// The media type of a statement inside its envelope.
pub const DEPLOYMENT_TYPE: &str = "application/vnd.wherry.deployment+json";
/// The version of its form.
const FORMAT: u32 = 1;
/// Largest envelope as JSON, in bytes: two names, a digest and a few signatures.
pub const MAX_ENVELOPE: usize = 8 << 10;
/// Largest statement, in bytes.
const LIMITS: Limits = Limits { payload: 2 << 10, signatures: 8, threshold: 1 };

/// What an operator says of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    v: u32,
    /// Where it is deployed.
    pub environment: Name,
    /// What is deployed.
    pub project: Name,
    /// Its number there.
    pub number: u64,
    /// SHA-256 of its document.
    pub digest: Digest,
}

/// Why a deployment does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The envelope does not hold, or nobody whose word counts signed it.
    #[error("the deployment's signature does not count: {0}")]
    Envelope(#[from] DsseError),
    /// It says something in another form.
    #[error("what is signed is no statement about a deployment: deploy it again with --sign")]
    Malformed,
    /// It is about another deployment.
    #[error("the signature is for {signed}, not for {found}: deploy it again with --sign")]
    Other {
        /// What was signed.
        signed: String,
        /// What is there.
        found: String,
    },
}

impl StatementError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Envelope(error) => error.code(),
            Self::Malformed => Code::new("deployment.signature_malformed"),
            Self::Other { .. } => Code::new("deployment.signature_foreign"),
        }
    }
}

impl Statement {
    /// About the deployment of `project` under `number` in `environment`.
    #[must_use]
    pub const fn new(environment: Name, project: Name, number: u64, digest: Digest) -> Self {
        Self { v: FORMAT, environment, project, number, digest }
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`StatementError::Malformed`] if it cannot be written.
    pub fn sign(&self, key: &SigningKey) -> Result<Envelope, StatementError> {
        let payload = serde_json::to_vec(self).map_err(|_| StatementError::Malformed)?;
        Ok(dsse::sign(DEPLOYMENT_TYPE, &payload, key))
    }

    /// Whether one of `operators` signed exactly this; who did.
    ///
    /// # Errors
    /// If it is too large, not well-formed, about something else, or signed by nobody of them.
    pub fn signed_by(&self, envelope: &[u8], operators: &[PublicKey]) -> Result<PublicKey, StatementError> {
        let envelope = Envelope::from_json(envelope, &LIMITS)?;
        let verified = envelope.verify(DEPLOYMENT_TYPE, operators, &LIMITS)?;
        self.equals(&verified.payload)?;
        verified.signers.first().copied().ok_or(StatementError::Malformed)
    }

    /// Whether an envelope is about exactly this, whoever signed it. It proves nothing.
    ///
    /// # Errors
    /// If it is too large, not well-formed, or about something else.
    pub fn is_in(&self, envelope: &[u8]) -> Result<(), StatementError> {
        let payload = Envelope::from_json(envelope, &LIMITS)?.decode_payload(LIMITS.payload)?;
        self.equals(&payload)
    }

    fn equals(&self, payload: &[u8]) -> Result<(), StatementError> {
        let signed: Self = serde_json::from_slice(payload).map_err(|_| StatementError::Malformed)?;
        if signed == *self {
            return Ok(());
        }
        Err(StatementError::Other { signed: signed.title(), found: self.title() })
    }

    fn title(&self) -> String {
        format!("{} number {} in {} ({})", self.project, self.number, self.environment, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::sha256;

    fn statement() -> Statement {
        Statement::new("prod".parse().unwrap(), "desk".parse().unwrap(), 3, sha256(b"document"))
    }

    fn key() -> SigningKey {
        SigningKey::generate().unwrap()
    }

    #[test]
    fn an_operator_signs_and_is_named() {
        let (operator, other) = (key(), key());
        let envelope = statement().sign(&operator).unwrap().to_json();
        let operators = [other.public(), operator.public()];
        assert_eq!(statement().signed_by(&envelope, &operators), Ok(operator.public()));
    }

    #[test]
    fn a_signature_counts_for_nothing_else() {
        let operator = key();
        let envelope = statement().sign(&operator).unwrap().to_json();
        let others = [
            Statement { environment: "dev".parse().unwrap(), ..statement() },
            Statement { project: "other".parse().unwrap(), ..statement() },
            Statement { number: 4, ..statement() },
            Statement { digest: sha256(b"another document"), ..statement() },
        ];
        for other in others {
            let refused = other.signed_by(&envelope, &[operator.public()]).unwrap_err();
            assert_eq!(refused.code().as_str(), "deployment.signature_foreign", "{refused}");
        }
    }

    #[test]
    fn strangers_other_documents_and_garbage_are_refused() {
        let (operator, stranger) = (key(), key());
        let code = |envelope: &[u8]| {
            statement().signed_by(envelope, &[operator.public()]).unwrap_err().code().as_str().to_owned()
        };
        assert_eq!(code(&statement().sign(&stranger).unwrap().to_json()), "envelope.signer_unknown");
        assert_eq!(code(&dsse::sign("text/plain", b"{}", &operator).to_json()), "envelope.type_unexpected");
        assert_eq!(code(&dsse::sign(DEPLOYMENT_TYPE, b"{}", &operator).to_json()), "deployment.signature_malformed");
        assert_eq!(code(b"{"), "envelope.malformed");
        assert_eq!(code(&vec![b' '; MAX_ENVELOPE]), "envelope.too_large");
    }
}
