//! X25519 keys: what is sealed to the public half opens with the private half only.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::SealingError;
use crate::derive::{CryptoUnavailable, Secret32, random};

const PREFIX: &str = "x25519:";

/// A private X25519 key. Has no `Debug`, and is wiped when it is dropped.
pub struct SealingKey {
    private: Secret32,
    public: SealingPublic,
}

impl SealingKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, CryptoUnavailable> {
        Self::from_secret(random::<32>()?)
    }

    /// Takes a key that was stored; the caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoUnavailable> {
        Self::from_secret(Secret32::new(*bytes))
    }

    /// The raw key, to be kept sealed or in a file of mode 0600 and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &[u8; 32] {
        &self.private
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SealingPublic {
        self.public
    }

    fn from_secret(private: Secret32) -> Result<Self, CryptoUnavailable> {
        let key = PrivateKey::from_private_key(&X25519, private.as_slice()).map_err(|_| CryptoUnavailable)?;
        let public = key.compute_public_key().map_err(|_| CryptoUnavailable)?;
        let public = public.as_ref().try_into().map_err(|_| CryptoUnavailable)?;
        Ok(Self { private, public: SealingPublic(public) })
    }
}

/// A public X25519 key; its text form is `x25519:` and 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingPublic([u8; 32]);

impl SealingPublic {
    /// Wraps the 32 raw bytes of RFC 7748.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes of RFC 7748.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SealingPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SealingPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SealingPublic {
    type Err = SealingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = SealingError::Malformed("a sealing key is x25519: and 43 base64url characters");
        let body = text.strip_prefix(PREFIX).ok_or(malformed)?;
        let mut bytes = [0u8; 32];
        match URL_SAFE_NO_PAD.decode_slice(body, &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(malformed),
        }
    }
}

impl TryFrom<String> for SealingPublic {
    type Error = SealingError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SealingPublic> for String {
    fn from(key: SealingPublic) -> Self {
        key.to_string()
    }
}
