//! Secrets and cache files at rest on one machine: AES-256-GCM and HMAC-SHA256 under one local key.
//!
//! A sealed secret is `nonce (12 bytes) || ciphertext || tag (16 bytes)`. Nonces are random, so one key may seal at
//! most 2^32 times (NIST SP 800-38D, section 8.3), far more than an agent writes in its life.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

use crate::derive::{CryptoUnavailable, Secret32, derive, random};

/// Bytes a sealed secret is longer than its content.
pub const SEAL_OVERHEAD: usize = NONCE_LEN + TAG_LENGTH;
/// Bytes of a MAC.
pub const MAC_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
/// A sealed secret has at most 64 KiB; the rest is room for what an agent puts around it.
const SEALED_LIMIT: usize = 1024 * 1024;
const SEAL_INFO: &str = "wherry/local/seal/v1";
const MAC_INFO: &str = "wherry/local/mac/v1";

/// Why a secret could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Another key, another associated text, or changed bytes: these cannot be told apart.
    #[error("the sealed file was changed, or belongs to another key or place, restore it or set the secret again")]
    Unreadable,
    /// The content is larger than anything this machine should keep sealed.
    #[error("a sealed file holds at most {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The provider failed.
    #[error(transparent)]
    Unavailable(#[from] CryptoUnavailable),
}

impl SealError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable => Code::new("sealed.unreadable"),
            Self::TooLarge { .. } => Code::new("sealed.too_large"),
            Self::Unavailable(error) => error.code(),
        }
    }
}

/// The key of one machine. Sealing and MACs use keys derived from it, so neither weakens the other.
pub struct LocalKey {
    root: Secret32,
    seal: Secret32,
    mac: Secret32,
}

impl LocalKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, CryptoUnavailable> {
        Self::from_secret(random::<32>()?)
    }

    /// Takes a key that was stored; the caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoUnavailable> {
        Self::from_secret(Zeroizing::new(*bytes))
    }

    /// The raw key, to be written to a file of mode 0600 and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &[u8; 32] {
        &self.root
    }

    /// Seals `content`. `associated` names the place it belongs to and must be given again to open it.
    pub fn seal(&self, associated: &[u8], content: &[u8]) -> Result<Vec<u8>, SealError> {
        if content.len() > SEALED_LIMIT {
            return Err(SealError::TooLarge { limit: SEALED_LIMIT });
        }
        // Reserved at once: growing would leave a copy of the content behind.
        let mut body = Zeroizing::new(Vec::with_capacity(content.len() + TAG_LENGTH));
        body.extend_from_slice(content);
        let nonce = self.cipher()?.seal_in_place_append_tag(Aad::from(associated), &mut *body);
        let nonce = nonce.map_err(|_| CryptoUnavailable)?;
        let mut sealed = Vec::with_capacity(content.len() + SEAL_OVERHEAD);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what `seal` made with the same key and the same `associated` bytes.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.len() > SEALED_LIMIT + SEAL_OVERHEAD {
            return Err(SealError::TooLarge { limit: SEALED_LIMIT });
        }
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Unreadable)?;
        let mut content = Zeroizing::new(body.to_vec());
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(associated), &mut content);
        let length = opened.map_err(|_| SealError::Unreadable)?.len();
        content.truncate(length);
        Ok(content)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, CryptoUnavailable> {
        RandomizedNonceKey::new(&AES_256_GCM, self.seal.as_slice()).map_err(|_| CryptoUnavailable)
    }

    fn from_secret(root: Secret32) -> Result<Self, CryptoUnavailable> {
        let seal = derive(root.as_slice(), b"", SEAL_INFO)?;
        let mac = derive(root.as_slice(), b"", MAC_INFO)?;
        Ok(Self { root, seal, mac })
    }
}

/// Authenticates `parts` in order. Each is preceded by its length, so that bytes cannot move between parts.
#[must_use]
pub fn mac(key: &LocalKey, parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
    let mut tag = [0u8; MAC_LENGTH];
    tag.copy_from_slice(compute(key, parts).as_ref());
    tag
}

/// Whether `tag` is the MAC of `parts` under `key`, compared in constant time.
#[must_use]
pub fn verify(key: &LocalKey, parts: &[&[u8]], tag: &[u8]) -> bool {
    crate::keys::equal_in_constant_time(compute(key, parts).as_ref(), tag)
}

fn compute(key: &LocalKey, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.mac.as_slice()));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}
