//! Stores of PKCS#12 (RFC 7292), as OpenSSL, Windows and Java write them.

use p12_keystore::{Pkcs12Archive, error::Error};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{CertificateError, Content};

/// Java's old format.
pub(super) const JKS: CertificateError = CertificateError::Unsupported {
    why: "it is in Java's old format (JKS)",
    instead: "`keytool -importkeystore -srckeystore OLD.jks -destkeystore client.p12 -deststoretype PKCS12` converts it, \
              then use PFXFILE or PFXBLOB",
};
/// Another old format of Java.
pub(super) const JCEKS: CertificateError = CertificateError::Unsupported {
    why: "it is in Java's old format (JCEKS)",
    instead: "`keytool -importkeystore -srckeystore OLD.jceks -srcstoretype JCEKS -destkeystore client.p12 -deststoretype \
              PKCS12` converts it, then use PFXFILE or PFXBLOB",
};
const OLD_CIPHER: CertificateError = CertificateError::Unsupported {
    why: "it is encrypted with an old or unusual cipher",
    instead: "`openssl pkcs12 -in OLD.p12 -legacy -nodes | openssl pkcs12 -export -out client.p12` writes it anew",
};

/// Every key and certificate. Work factors beyond 1,000,000 rounds are refused by the library.
pub(super) fn open(der: &[u8], password: &str) -> Result<Content, CertificateError> {
    let archive = Pkcs12Archive::from_pkcs12(der, password).map_err(|error| translate(&error))?;
    let keys: Vec<_> =
        archive.keys.iter().map(|bag| PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into()).collect();
    let certificates = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    match keys.is_empty() {
        true => Err(CertificateError::Malformed("there is no private key in it, perhaps it is a list of authorities")),
        false => Ok(Content { keys, certificates }),
    }
}

fn translate(error: &Error) -> CertificateError {
    match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => CertificateError::Password,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm | Error::InvalidParameters => OLD_CIPHER,
        Error::IoError(_)
        | Error::DerError(_)
        | Error::InvalidVersion
        | Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::X509Error(_)
        | Error::InvalidLength
        | Error::InvalidData
        | Error::InvalidPrivateKey => CertificateError::Malformed("it is no PKCS#12 store, or a broken one"),
    }
}
