//! Stores of PEM: keys and certificates in any order, one of them perhaps encrypted.

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use super::{CertificateError, Content};

/// More than this in one text is no store of a connection.
const MAX_SECTIONS: usize = 100;
/// OpenSSL's default is 2,048, careful people take some hundred thousand: more only keeps the agent busy.
const MAX_ITERATIONS: u32 = 1_000_000;

const TRADITIONAL: CertificateError = CertificateError::Unsupported {
    why: "its private key is encrypted in OpenSSL's old way",
    instead: "`openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out KEY.pem` writes the key anew, put it before the \
              certificates",
};
const OLD_CIPHER: CertificateError = CertificateError::Unsupported {
    why: "its private key is encrypted with an old or unusual cipher",
    instead: "`openssl pkcs8 -in OLD.pem | openssl pkcs8 -topk8 -v2 aes-256-cbc -out KEY.pem` writes the key anew, put it \
              before the certificates",
};

pub(super) fn open(bytes: &[u8], password: Option<&str>) -> Result<Content, CertificateError> {
    if contains(bytes, b"Proc-Type: 4,ENCRYPTED") {
        return Err(TRADITIONAL);
    }
    let mut content = Content { keys: Vec::new(), certificates: Vec::new() };
    for section in Pem::iter_from_buffer(bytes).take(MAX_SECTIONS) {
        let Pem { label, contents } = section.map_err(|_| CertificateError::Malformed("its PEM is broken"))?;
        match label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => content.certificates.push(CertificateDer::from(contents)),
            "PRIVATE KEY" => content.keys.push(PrivatePkcs8KeyDer::from(contents).into()),
            "RSA PRIVATE KEY" => content.keys.push(PrivatePkcs1KeyDer::from(contents).into()),
            "EC PRIVATE KEY" => content.keys.push(PrivateSec1KeyDer::from(contents).into()),
            "ENCRYPTED PRIVATE KEY" => content.keys.push(decrypt(&contents, password)?),
            // Parameters of curves, authorities' lists and the like.
            _ => {}
        }
    }
    match content.keys.is_empty() {
        true => Err(CertificateError::Malformed("there is no private key in it")),
        false => Ok(content),
    }
}

fn decrypt(der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der);
    // The old ciphers (PBES1) are not even parsed.
    let sequence = der.first() == Some(&0x30);
    let broken = CertificateError::Malformed("its encrypted private key is broken");
    let info = info.map_err(|_| if sequence { OLD_CIPHER } else { broken })?;
    let derived = info.encryption_algorithm.pbes2().and_then(|parameters| parameters.kdf.pbkdf2());
    if derived.is_none_or(|derived| derived.iteration_count > MAX_ITERATIONS) {
        return Err(OLD_CIPHER);
    }
    let plain = info.decrypt(password.ok_or(CertificateError::Password)?).map_err(|_| CertificateError::Password)?;
    let plain = Zeroizing::new(plain.as_bytes().to_vec());
    Ok(PrivatePkcs8KeyDer::from(plain.to_vec()).into())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
