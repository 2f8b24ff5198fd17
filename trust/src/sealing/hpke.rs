//! HPKE of RFC 9180, base mode, one shot, from the provider that also does TLS.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use super::key::{SealingKey, SealingPublic};
use crate::derive::CryptoUnavailable;

/// Bytes of the sender's one-time public key.
pub(super) const ENC_LENGTH: usize = 32;
/// Bytes a ciphertext is longer than its content.
pub(super) const TAG_LENGTH: usize = 16;

/// What one use of HPKE gives.
pub(super) struct Boxed {
    pub(super) enc: [u8; ENC_LENGTH],
    pub(super) ct: Vec<u8>,
}

/// Seals `content` to `to`. `info` says for what, `aad` for which place.
pub(super) fn seal(to: &SealingPublic, info: &str, aad: &[u8], content: &[u8]) -> Result<Boxed, CryptoUnavailable> {
    let to = HpkePublicKey(to.as_bytes().to_vec());
    let (enc, ct) = SUITE.seal(info.as_bytes(), aad, content, &to).map_err(|_| CryptoUnavailable)?;
    let enc = enc.0.try_into().map_err(|_| CryptoUnavailable)?;
    Ok(Boxed { enc, ct })
}

/// Opens what `seal` made with the same `info` and `aad`; nothing tells why it did not open.
pub(super) fn open(
    key: &SealingKey,
    info: &str,
    aad: &[u8],
    enc: &[u8; ENC_LENGTH],
    ct: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let key = HpkePrivateKey::from(key.reveal().to_vec());
    let enc = EncapsulatedSecret(enc.to_vec());
    SUITE.open(&enc, info.as_bytes(), aad, ct, &key).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "wherry/seal/v1";

    /// Sealed to the key 01 02 .. 20 by `cryptography` 48.0.0 for Python (its `hpke.Suite`, on OpenSSL), info as
    /// above, no associated data. RFC 9180 prints no vector of this suite.
    const ELSEWHERE: &str = "a261b50529af0d483d30c4c6f89004d0e2caa1849cbc15897464476dd292861912d2a7c90680e7be6ec1a6f83f02d23844504e30e11b62224e73c3ec1a6283e21af9e4e9267d8b";

    #[test]
    fn what_another_implementation_sealed_opens() {
        let key = SealingKey::from_bytes(&std::array::from_fn(|index| index as u8 + 1)).unwrap();
        let bytes: Vec<u8> =
            (0..ELSEWHERE.len()).step_by(2).map(|at| u8::from_str_radix(&ELSEWHERE[at..at + 2], 16).unwrap()).collect();
        let (enc, ct) = bytes.split_first_chunk::<ENC_LENGTH>().unwrap();
        let opened = open(&key, INFO, b"", enc, ct).unwrap();
        assert_eq!(opened.as_slice(), b"a secret from elsewhere");
        assert!(open(&key, INFO, b"x", enc, ct).is_none());
        assert!(open(&key, "wherry/wrap/v1", b"", enc, ct).is_none());
    }

    #[test]
    fn a_key_of_zeros_seals_and_opens_nothing() {
        let key = SealingKey::generate().unwrap();
        assert!(seal(&SealingPublic::from_bytes([0; 32]), INFO, b"", b"x").is_err());
        let sealed = seal(&key.public(), INFO, b"", b"x").unwrap();
        assert!(open(&key, INFO, b"", &[0; ENC_LENGTH], &sealed.ct).is_none());
        assert!(open(&key, INFO, b"", &sealed.enc, &sealed.ct).is_some());
    }
}
