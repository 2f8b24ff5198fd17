//! Signed envelopes: DSSE v1 (<https://github.com/secure-systems-lab/dsse>) with Ed25519.
//!
//! The signature covers the exact bytes of the payload and its type, so that nothing needs a canonical form.
//! Wherry's profile is stricter than the specification in three points, so that an envelope has one spelling
//! only: unknown fields are refused, `keyid` is required and must be the signer's own, and base64 is the standard
//! alphabet with padding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::keys::{KeyId, PublicKey, SIGNATURE_LENGTH, SigningKey};
use wherry_domain::failure::Code;

/// What a receiver is willing to look at, and how many signers it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload in bytes.
    pub payload: usize,
    /// Largest number of signatures in one envelope.
    pub signatures: usize,
    /// How many different keys must have signed; 0 counts as 1.
    pub threshold: usize,
}

impl Default for Limits {
    /// 256 KiB holds a release with hundreds of activities; eight signatures cover any threshold in use.
    fn default() -> Self {
        Self { payload: 256 * 1024, signatures: 8, threshold: 1 }
    }
}

/// A payload with its type and signatures, as it is stored and sent. Worth nothing before `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The payload in standard base64.
    pub payload: String,
    /// The media type of the payload; part of what is signed.
    pub payload_type: String,
    /// One entry per signer.
    pub signatures: Vec<Signature>,
}

/// One signer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The signer's `KeyId`.
    pub keyid: String,
    /// The signature in standard base64.
    pub sig: String,
}

/// A payload whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The exact bytes that were signed.
    pub payload: Vec<u8>,
    /// The keys that signed, in the order of the envelope, each once.
    pub signers: Vec<PublicKey>,
}

impl Verified {
    /// The short names of the signers.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.signers.iter().map(PublicKey::key_id)
    }
}

/// Why an envelope was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not the JSON of an envelope, or not base64 inside.
    #[error("the envelope is not well-formed ({0}), fetch it again from its publisher")]
    Malformed(&'static str),
    /// More bytes or signatures than the limits allow.
    #[error("the envelope is larger than allowed ({what}: at most {limit})")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit, in bytes or signatures.
        limit: usize,
    },
    /// The envelope holds something else.
    #[error("the envelope does not hold {expected}")]
    TypeUnexpected {
        /// The media type that was asked for.
        expected: &'static str,
    },
    /// A signature that names a known key does not hold.
    #[error("the signature of key {0} does not match the payload, which was changed after signing")]
    SignatureInvalid(String),
    /// Too few known keys signed.
    #[error("the envelope is signed by {found} trusted keys but needs {needed}, trust the publisher's key first")]
    TooFewSigners {
        /// How many known keys signed.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
}

impl DsseError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::new("envelope.malformed"),
            Self::TooLarge { .. } => Code::new("envelope.too_large"),
            Self::TypeUnexpected { .. } => Code::new("envelope.type_unexpected"),
            Self::SignatureInvalid(_) => Code::new("envelope.signature_invalid"),
            Self::TooFewSigners { .. } => Code::new("envelope.signer_unknown"),
        }
    }
}

/// Signs `payload` as `payload_type`.
#[must_use]
pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Envelope {
    let mut envelope =
        Envelope { payload: STANDARD.encode(payload), payload_type: payload_type.to_owned(), signatures: Vec::new() };
    envelope.signatures.push(signature(payload_type, payload, key));
    envelope
}

impl Envelope {
    /// Reads an envelope from JSON; the size is checked before anything is parsed.
    pub fn from_json(json: &[u8], limits: &Limits) -> Result<Self, DsseError> {
        // Base64 grows by a third; each signature takes about 130 bytes.
        let most = (limits.payload / 3).saturating_mul(4).saturating_add(limits.signatures.saturating_mul(256));
        let most = most.saturating_add(1024);
        if json.len() > most {
            return Err(DsseError::TooLarge { what: "bytes of JSON", limit: most });
        }
        serde_json::from_slice(json).map_err(|_| DsseError::Malformed("not the JSON of a DSSE envelope"))
    }

    /// The envelope as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Three strings and a list: serialising into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Adds a signature over the same payload, for documents that need several signers.
    pub fn add_signature(&mut self, key: &SigningKey) -> Result<(), DsseError> {
        let payload = self.decode_payload(usize::MAX)?;
        self.signatures.push(signature(&self.payload_type, &payload, key));
        Ok(())
    }

    /// Checks type, limits and signatures against the keys the caller trusts for this type of payload.
    ///
    /// Signatures of unknown keys are skipped; a signature that names a known key and does not hold refuses the
    /// whole envelope. Two signatures of one key count once.
    pub fn verify(
        &self,
        payload_type: &'static str,
        keys: &[PublicKey],
        limits: &Limits,
    ) -> Result<Verified, DsseError> {
        if self.payload_type != payload_type {
            return Err(DsseError::TypeUnexpected { expected: payload_type });
        }
        if self.signatures.len() > limits.signatures {
            return Err(DsseError::TooLarge { what: "signatures", limit: limits.signatures });
        }
        let payload = self.decode_payload(limits.payload)?;
        let signers = self.signers(&pae(payload_type, &payload), keys)?;
        let needed = limits.threshold.max(1);
        if signers.len() < needed {
            return Err(DsseError::TooFewSigners { found: signers.len(), needed });
        }
        Ok(Verified { payload, signers })
    }

    pub(crate) fn decode_payload(&self, limit: usize) -> Result<Vec<u8>, DsseError> {
        let too_large = DsseError::TooLarge { what: "bytes of payload", limit };
        if self.payload.len() / 4 > limit / 3 + 1 {
            return Err(too_large);
        }
        let payload = STANDARD.decode(&self.payload).map_err(|_| DsseError::Malformed("payload is not base64"))?;
        if payload.len() > limit { Err(too_large) } else { Ok(payload) }
    }

    fn signers(&self, message: &[u8], keys: &[PublicKey]) -> Result<Vec<PublicKey>, DsseError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let named: Vec<_> = keys.iter().filter(|key| key.key_id().as_str() == signature.keyid).collect();
            if named.is_empty() {
                continue;
            }
            let mut bytes = [0u8; SIGNATURE_LENGTH];
            let length = STANDARD.decode_slice(&signature.sig, &mut bytes);
            let holds = |key: &&&PublicKey| length == Ok(SIGNATURE_LENGTH) && key.verify(message, &bytes);
            let Some(key) = named.iter().find(holds) else {
                return Err(DsseError::SignatureInvalid(signature.keyid.clone()));
            };
            if !signers.contains(*key) {
                signers.push(**key);
            }
        }
        Ok(signers)
    }
}

fn signature(payload_type: &str, payload: &[u8], key: &SigningKey) -> Signature {
    let sig = STANDARD.encode(key.sign(&pae(payload_type, payload)));
    Signature { keyid: key.public().key_id().to_string(), sig }
}

/// The pre-authentication encoding of the DSSE protocol, section "Signature Definition".
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}
