//! Random bytes and key derivation (HKDF-SHA256, RFC 5869), the two places where this crate meets the provider.

use aws_lc_rs::{hkdf, rand};
use wherry_domain::failure::Code;
use zeroize::Zeroizing;

/// A 256-bit secret that is wiped when it goes out of scope.
pub(crate) type Secret32 = Zeroizing<[u8; 32]>;

/// The cryptographic provider could not work: no randomness, or no memory. Never the fault of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic provider failed, check the system's random source and memory, then try again")]
pub struct CryptoUnavailable;

impl CryptoUnavailable {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::new("crypto.unavailable")
    }
}

/// Fills `N` bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CryptoUnavailable> {
    let mut bytes = Zeroizing::new([0u8; N]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| CryptoUnavailable)?;
    Ok(bytes)
}

/// Derives one 256-bit key. Distinct `info` texts give independent keys; they must be constants of fixed text.
pub(crate) fn derive(secret: &[u8], salt: &[u8], info: &'static str) -> Result<Secret32, CryptoUnavailable> {
    let mut out = Zeroizing::new([0u8; 32]);
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    prk.expand(&[info.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .map_err(|_| CryptoUnavailable)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_info_or_salt_gives_distinct_keys() {
        let one = derive(b"secret", b"salt", "a").unwrap();
        assert_eq!(*one, *derive(b"secret", b"salt", "a").unwrap());
        assert_ne!(*one, *derive(b"secret", b"salt", "b").unwrap());
        assert_ne!(*one, *derive(b"secret", b"other", "a").unwrap());
    }

    #[test]
    fn derivation_agrees_with_rfc_5869_test_case_3() {
        // Test case 3 has empty salt and info; a 32-byte output is the prefix of its 42-byte one.
        let key = derive(&[0x0b; 22], b"", "").unwrap();
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, expected);
    }
}
