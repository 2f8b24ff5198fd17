//! Ed25519 keys of people, publishers and agents, and the hashes that name them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

use crate::derive::CryptoUnavailable;
pub use crate::hash::{Hasher, equal_in_constant_time, sha256};

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LENGTH: usize = 64;
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";
/// An Ed25519 key in PEM has about 120 characters; anything much longer is another kind of file.
const PEM_LIMIT: usize = 1024;
const PUBLIC_PREFIX: &str = "ed25519:";

/// Why a key could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not a PKCS#8 Ed25519 private key.
    #[error("this is not an ed25519 private key in PEM form, make one with `wherry key new`")]
    PrivateMalformed,
    /// The text is not `ed25519:` and 43 base64url characters.
    #[error("a public key looks like `ed25519:` and 43 base64url characters, copy it from `wherry key show FILE`")]
    PublicMalformed,
    /// The provider failed.
    #[error(transparent)]
    Unavailable(#[from] CryptoUnavailable),
}

impl KeyError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::PrivateMalformed => Code::new("key.private_malformed"),
            Self::PublicMalformed => Code::new("key.public_malformed"),
            Self::Unavailable(error) => error.code(),
        }
    }
}

/// An Ed25519 private key. Has no `Debug`; the provider wipes its memory when it is dropped.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, CryptoUnavailable> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| CryptoUnavailable)
    }

    /// The key that belongs to 32 secret bytes, RFC 8032, section 5.1.5.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Result<Self, CryptoUnavailable> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| CryptoUnavailable)
    }

    /// Reads a key from the text `to_pem` made, or `openssl genpkey -algorithm ed25519`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.len() > PEM_LIMIT {
            return Err(KeyError::PrivateMalformed);
        }
        let body = text.trim().strip_prefix(PEM_HEAD).and_then(|rest| rest.strip_suffix(PEM_FOOT));
        let body = body.ok_or(KeyError::PrivateMalformed)?;
        let mut packed = Zeroizing::new(String::with_capacity(body.len()));
        packed.extend(body.split_ascii_whitespace());
        let der = STANDARD.decode(packed.as_bytes()).map(Zeroizing::new);
        let der = der.map_err(|_| KeyError::PrivateMalformed)?;
        Ed25519KeyPair::from_pkcs8(&der).map(Self).map_err(|_| KeyError::PrivateMalformed)
    }

    /// The key as PKCS#8 in PEM form (version 1, which every OpenSSL reads). Belongs in a file of mode 0600.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, CryptoUnavailable> {
        let der = self.0.to_pkcs8v1().map_err(|_| CryptoUnavailable)?;
        let body = Zeroizing::new(STANDARD.encode(der.as_ref()));
        // Reserved at once: a growing string would leave copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(PEM_LIMIT));
        for line in [PEM_HEAD, &body, PEM_FOOT] {
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0u8; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs `message`; the result is deterministic.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        let mut bytes = [0u8; SIGNATURE_LENGTH];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        bytes
    }
}

/// An Ed25519 public key; its text form is `ed25519:` and 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Wraps the 32 raw bytes of RFC 8032.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The short name of the key: a hint for people and for look-ups, never proof of anything.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(sha256(&self.0).as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether `signature` over `message` was made with the private half.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let body = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::PublicMalformed)?;
        let mut bytes = [0u8; 32];
        match URL_SAFE_NO_PAD.decode_slice(body, &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(KeyError::PublicMalformed),
        }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of a raw public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// The 16 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
