//! Certificate stores: a private key and its certificates out of PEM or PKCS#12, from a secret or a file of the agent.
//!
//! What they are used for is not decided here: mutual TLS shows the chain, a signature only needs the key.

mod choose;
mod error;
mod files;
mod pem;
mod pkcs12;
mod seen;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use wherry_domain::{
    name::Name,
    project::{
        SecretRef,
        tls::{CertificateStore, StoreFormat, StorePlace},
    },
};
use zeroize::{Zeroize, Zeroizing};

pub use self::{error::CertificateError, files::FileRules, seen::Seen};
use crate::secrets::SecretError;

/// Opens a secret of the connection's environment.
pub type Lookup<'a> = &'a dyn Fn(&Name) -> Result<Arc<SecretString>, SecretError>;

/// A private key with the certificates that say whose it is. Wiped when it is dropped.
pub struct Certified {
    /// The certificate of the key, then those of its issuers as far as the store has them. Empty if a PEM text holds
    /// only a key.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
}

impl Drop for Certified {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// What a store holds, in its own order.
struct Content {
    keys: Vec<PrivateKeyDer<'static>>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// Reads a store and picks the key that is meant: the one whose certificate has the wanted subject, or the first.
///
/// # Errors
/// If a secret or file is missing, the store cannot be opened, or nothing in it is meant.
pub fn load(store: &CertificateStore, files: &FileRules, secret: Lookup<'_>) -> Result<Certified, CertificateError> {
    let (format, _) = store.kind.read().map_err(CertificateError::Unread)?;
    let password = store.password.as_ref().map(|password| secret(&password.secret)).transpose()?;
    let password = password.as_deref().map(ExposeSecret::expose_secret);
    let bytes = match &store.store {
        StorePlace::File(path) => files.read(path)?,
        StorePlace::Secret(name) => blob(format, secret(name)?.expose_secret())?,
    };
    choose::choose(open(format, &bytes, password)?, store.wanted())
}

/// Notes what a store is made of now, to see later whether it changed.
///
/// # Errors
/// If a secret is missing.
pub fn see(store: &CertificateStore, seen: &mut Seen, secret: Lookup<'_>) -> Result<(), CertificateError> {
    for name in store.secrets() {
        seen.secret(secret(name)?);
    }
    if let StorePlace::File(path) = &store.store {
        seen.file(path);
    }
    Ok(())
}

/// The certificates of a PEM text, such as a list of authorities; at least one.
///
/// # Errors
/// If there is none, or it is malformed.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    wherry_daemon::tls::certificates_from_pem(text).map_err(|_| CertificateError::Malformed("no certificates as PEM"))
}

/// The certificates of a secret.
///
/// # Errors
/// If the secret is missing or holds none.
pub fn certificates_of(
    secret: &SecretRef,
    lookup: Lookup<'_>,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    certificates(lookup(&secret.secret)?.expose_secret().as_bytes())
}

fn open(format: StoreFormat, bytes: &[u8], password: Option<&str>) -> Result<Content, CertificateError> {
    match (format, bytes) {
        (StoreFormat::Pkcs12 | StoreFormat::Java, [0xfe, 0xed, 0xfe, 0xed, ..]) => Err(pkcs12::JKS),
        (StoreFormat::Pkcs12 | StoreFormat::Java, [0xce, 0xce, 0xce, 0xce, ..]) => Err(pkcs12::JCEKS),
        // Since version 9 Java writes PKCS#12 under the same file names.
        (StoreFormat::Pkcs12 | StoreFormat::Java, _) => pkcs12::open(bytes, password.unwrap_or_default()),
        (StoreFormat::Pem, _) => pem::open(bytes, password),
    }
}

/// The bytes of a store that is kept as a secret.
fn blob(format: StoreFormat, text: &str) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    match format {
        StoreFormat::Pem => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        StoreFormat::Pkcs12 | StoreFormat::Java => {
            let dense: Zeroizing<Vec<u8>> =
                Zeroizing::new(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
            STANDARD.decode(dense.as_slice()).map(Zeroizing::new).map_err(|_| {
                CertificateError::Malformed("no base64; a binary store becomes a secret with `base64 -w0 FILE`")
            })
        }
    }
}
