//! The one cryptography provider of the process, and certificates and keys from PEM files.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Largest PEM file read; a chain takes a few kilobytes.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// A certificate or key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{path} holds no usable {wanted}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong; never content of the file.
        reason: String,
    },
}

impl TlsFileError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "tls.file_unreadable",
            Self::Invalid { .. } => "tls.file_invalid",
        }
    }
}

/// The provider everything uses; the first call makes it the process's default.
pub fn provider() -> Arc<CryptoProvider> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Arc::clone(installed);
    }
    let provider = aws_lc_rs::default_provider();
    // Two first calls at the same time install the same provider; the later one learns it here.
    drop(provider.clone().install_default());
    CryptoProvider::get_default().map_or_else(|| Arc::new(provider), Arc::clone)
}

/// All certificates of a PEM file, in its order: leaf first. At least one.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    certificates_from_pem(&read(path)?).map_err(|reason| invalid(path, "certificate", reason))
}

/// The private key of a PEM file (PKCS#8, PKCS#1 or SEC1).
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    key_from_pem(&read(path)?).map_err(|reason| invalid(path, "private key", reason))
}

/// All certificates of a PEM text; at least one.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err("its PEM is malformed".to_owned()),
    }
}

/// The private key of a PEM text.
pub fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no unencrypted private key in it".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let unreadable = |source| TlsFileError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(invalid(path, "PEM", format!("it is larger than {MAX_PEM_BYTES} bytes")));
    }
    Ok(bytes)
}

fn invalid(path: &Path, wanted: &'static str, reason: String) -> TlsFileError {
    TlsFileError::Invalid { path: path.to_owned(), wanted, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";

    #[test]
    fn the_provider_is_installed_once() {
        assert!(Arc::ptr_eq(&provider(), &provider()));
    }

    #[test]
    fn certificates_come_in_the_order_of_the_file_and_keys_are_told_apart() {
        let both = format!("{CERTIFICATE}{KEY}{CERTIFICATE}");
        assert_eq!(certificates_from_pem(both.as_bytes()).unwrap().len(), 2);
        assert!(matches!(key_from_pem(both.as_bytes()), Ok(PrivateKeyDer::Pkcs8(_))));
        assert!(certificates_from_pem(KEY.as_bytes()).is_err());
        assert!(key_from_pem(CERTIFICATE.as_bytes()).is_err());
    }

    #[test]
    fn a_bad_file_is_named_and_its_content_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaf.pem");
        assert_eq!(load_key(&path).unwrap_err().code(), "tls.file_unreadable");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n").unwrap();
        let error = load_key(&path).unwrap_err();
        assert!(error.to_string().contains("leaf.pem") && !error.to_string().contains("hunter2"), "{error}");
    }
}
