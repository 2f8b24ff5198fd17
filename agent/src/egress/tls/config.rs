//! A TLS client out of the options of a connection and what they name.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::{ResolvesClientCert, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use wherry_daemon::tls;
use wherry_domain::{
    failure::{Code, Failure},
    project::{
        Tls as Options,
        tls::{CertificateStore, Pin},
    },
};

use super::{
    Owner,
    judge::{Judge, Pinned, Trust},
};
use crate::certificates::{self, CertificateError, Lookup, Seen};

/// Why a connection's TLS cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// What its options name cannot be used.
    #[error(transparent)]
    Material(#[from] CertificateError),
    /// The machine's trust store, or a defect of ours.
    #[error("TLS cannot be made ready: {0}")]
    Unready(String),
}

impl TlsFault {
    /// The failure of a run that needed the connection.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Material(error) => error.failure(),
            Self::Unready(_) => Failure::permanent(Code::new("egress.internal"), self.to_string()),
        }
    }
}

impl From<rustls::Error> for TlsFault {
    fn from(error: rustls::Error) -> Self {
        Self::Unready(error.to_string())
    }
}

/// What the options are made of at this moment.
pub(super) fn see(options: &Options, secret: Lookup<'_>) -> Result<Seen, TlsFault> {
    let mut seen = Seen::default();
    if let Some(ca) = &options.ca {
        seen.secret(secret(&ca.secret).map_err(CertificateError::Secret)?);
    }
    if let Some(path) = &options.ca_file {
        seen.file(path);
    }
    if let Some(store) = &options.client_certificate {
        certificates::see(store, &mut seen, secret)?;
    }
    Ok(seen)
}

pub(super) fn build(owner: &Owner, options: &Options, secret: Lookup<'_>) -> Result<Arc<ClientConfig>, TlsFault> {
    let provider = tls::provider();
    let verifier = verifier(owner, options, &provider, secret)?;
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &options.client_certificate {
        None => config.with_no_client_auth(),
        Some(store) => config.with_client_cert_resolver(own_certificate(owner, store, &provider, secret)?),
    };
    Ok(Arc::new(config))
}

fn verifier(
    owner: &Owner,
    options: &Options,
    provider: &Arc<CryptoProvider>,
    secret: Lookup<'_>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsFault> {
    let pin = options.server_certificate.as_deref().map(Pin::parse).transpose();
    let pin = pin.map_err(|_| CertificateError::Malformed("server_certificate is no fingerprint and no PEM"))?;
    let lenient = options.allow_invalid_certificates;
    let (trust, fingerprint) = match pin {
        Some(Pin::Pem(text)) => {
            let pinned = Pinned::new(certificates::certificates(text.as_bytes())?);
            (Trust::Pinned(pinned.map_err(|_| CertificateError::Malformed("server_certificate"))?), None)
        }
        Some(Pin::Sha256(fingerprint)) if lenient => (Trust::Anybody, Some(fingerprint)),
        Some(Pin::Sha256(fingerprint)) => {
            (Trust::Authorities(ordinary(owner, options, provider, secret)?), Some(fingerprint))
        }
        None if lenient => (Trust::Anybody, None),
        None => return Ok(ordinary(owner, options, provider, secret)?),
    };
    let algorithms = provider.signature_verification_algorithms;
    Ok(Arc::new(Judge { trust, fingerprint, lenient, algorithms }))
}

/// The platform's authorities, the owner's and the connection's.
fn ordinary(
    owner: &Owner,
    options: &Options,
    provider: &Arc<CryptoProvider>,
    secret: Lookup<'_>,
) -> Result<Arc<Verifier>, TlsFault> {
    let mut roots: Vec<CertificateDer<'static>> = owner.extra_roots.clone();
    if let Some(ca) = &options.ca {
        roots.extend(certificates::certificates_of(ca, secret)?);
    }
    if let Some(path) = &options.ca_file {
        roots.extend(certificates::certificates(&owner.files.read(path)?)?);
    }
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(provider));
    let unready = |error| TlsFault::Unready(format!("the trust store cannot be read: {error}"));
    verifier.map(Arc::new).map_err(unready)
}

fn own_certificate(
    owner: &Owner,
    store: &CertificateStore,
    provider: &CryptoProvider,
    secret: Lookup<'_>,
) -> Result<Arc<dyn ResolvesClientCert>, TlsFault> {
    let certified = certificates::load(store, &owner.files, secret)?;
    if certified.chain.is_empty() {
        return Err(CertificateError::Malformed("there is a private key in it and no certificate").into());
    }
    let key = provider.key_provider.load_private_key(certified.key.clone_key())?;
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(certified.chain.clone(), key))))
}
