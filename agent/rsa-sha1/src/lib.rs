//! RSA signatures over SHA-1 (RSASSA-PKCS1-v1_5), which OAuth 1.0a asks for and our cryptographic library verifies but does
//! not make. Nothing else of Wherry may use the crate `rsa`; ADR 16 says why it may be used here.

use aws_lc_rs::{digest, rand as random};
use rsa::{
    Pkcs1v15Sign, RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey,
    pkcs8::DecodePrivateKey,
    rand_core::{CryptoRng, Error, RngCore},
    traits::PublicKeyParts,
};

/// Atlassian's own instructions made keys of 1,024 bits for years.
const LEAST_BITS: usize = 1_024;
/// Beyond this a signature takes longer than the request it is for.
const MOST_BITS: usize = 8_192;

/// `DigestInfo` of SHA-1 up to the digest (RFC 8017, section 9.2, note 1).
const SHA1_INFO: [u8; 15] = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// A private key; forgotten without a trace when dropped.
pub struct SigningKey(RsaPrivateKey);

/// Why a key cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no RSA key, or none that holds together.
    #[error("the private key is not an RSA key")]
    NotRsa,
    /// Too small or too large.
    #[error("the RSA key has fewer than {LEAST_BITS} or more than {MOST_BITS} bits")]
    Size,
    /// No chance to be had, or a defect.
    #[error("the RSA signature could not be made")]
    Failed,
}

impl SigningKey {
    /// Reads a `PrivateKeyInfo` (RFC 5208, DER).
    ///
    /// # Errors
    /// If it is no RSA key of a usable size.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::NotRsa).and_then(Self::checked)
    }

    /// Reads an `RSAPrivateKey` (RFC 8017, appendix A.1.2, DER).
    ///
    /// # Errors
    /// If it is none of a usable size.
    pub fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::NotRsa).and_then(Self::checked)
    }

    fn checked(key: RsaPrivateKey) -> Result<Self, KeyError> {
        key.validate().map_err(|_| KeyError::NotRsa)?;
        let bits = key.n().bits();
        if (LEAST_BITS..=MOST_BITS).contains(&bits) { Ok(Self(key)) } else { Err(KeyError::Size) }
    }

    /// Signs `message`. The private operation is blinded with fresh chance each time.
    ///
    /// # Errors
    /// If the system gives no chance, or the signature does not verify.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        // Asked for first, because the arithmetic cannot say that there is no chance.
        random::fill(&mut [0; 32]).map_err(|_| KeyError::Failed)?;
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message);
        let info = [&SHA1_INFO, digest.as_ref()].concat();
        self.0.sign_with_rng(&mut Chance, Pkcs1v15Sign::new_unprefixed(), &info).map_err(|_| KeyError::Failed)
    }
}

/// Chance from our own cryptographic library.
struct Chance;

impl CryptoRng for Chance {}

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_ne_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // `sign` has made sure that there is chance. Without it only the blinding would be lost: the signature itself
        // takes no chance.
        let _ = random::fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        random::fill(bytes).map_err(|_| Error::from(NO_CHANCE))
    }
}

/// The first code that `rand_core` leaves to others.
const NO_CHANCE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(Error::CUSTOM_START);

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        encoding::AsDer,
        rsa::KeySize,
        signature::{KeyPair, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RsaKeyPair, UnparsedPublicKey},
    };

    #[test]
    fn another_library_verifies_what_is_signed() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let key = SigningKey::from_pkcs8(der.as_ref()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, pair.public_key().as_ref());
        for message in [&b""[..], b"GET&https%3A%2F%2Fh&", &[0xff; 10_000]] {
            let signature = key.sign(message).unwrap();
            assert!(public.verify(message, &signature).is_ok());
            assert!(public.verify(b"another", &signature).is_err());
            assert_eq!(signature, key.sign(message).unwrap(), "blinding leaves no trace in the signature");
        }
    }

    #[test]
    fn what_is_no_rsa_key_is_refused() {
        for bad in [&b""[..], b"-----BEGIN", &[0x30, 0x03, 0x02, 0x01, 0x00]] {
            assert_eq!(SigningKey::from_pkcs8(bad).map(drop), Err(KeyError::NotRsa));
            assert_eq!(SigningKey::from_pkcs1(bad).map(drop), Err(KeyError::NotRsa));
        }
    }
}
