//! The P-256 keys of certificates, and requests for certificates.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::error::IdentityError;

/// A key that is or will be certified.
pub(super) struct CertificateKey(KeyPair);

impl CertificateKey {
    pub(super) fn generate() -> Result<Self, IdentityError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(|error| IdentityError::Key(error.to_string()))
    }

    /// All keys of a PEM file, in order.
    pub(super) fn all_from_pem(text: &str) -> Result<Vec<Self>, IdentityError> {
        const END: &str = "-----END PRIVATE KEY-----";
        let blocks = text.split_inclusive(END).filter(|block| block.contains(END));
        blocks.map(Self::from_pem).collect()
    }

    fn from_pem(text: &str) -> Result<Self, IdentityError> {
        // The parser's own text could quote the key.
        KeyPair::from_pem(text.trim()).map(Self).map_err(|_| IdentityError::Damaged("key.pem"))
    }

    pub(super) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// A request for a certificate of this key, in DER. Everything but the key is the controller's decision.
    pub(super) fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(request.der().to_vec())
    }

    /// Whether the certificate (DER) is for this key.
    pub(super) fn fits(&self, certificate: &[u8]) -> bool {
        X509Certificate::from_der(certificate)
            .is_ok_and(|(_, parsed)| parsed.public_key().raw == self.0.subject_public_key_info().as_slice())
    }

    pub(super) fn to_private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_in_order_and_a_damaged_file_does_not_quote_them() {
        let (one, two) = (CertificateKey::generate().unwrap(), CertificateKey::generate().unwrap());
        let text = format!("{}\n{}", one.to_pem().as_str(), two.to_pem().as_str());
        let read = CertificateKey::all_from_pem(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].to_pem(), two.to_pem());
        let error = CertificateKey::all_from_pem(&text.replacen("\nM", "\n!", 1)).err().unwrap();
        assert!(error.to_string().contains("key.pem"));
    }
}
