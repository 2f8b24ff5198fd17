//! TLS towards customers' systems: the platform's trust store plus the owner's own authorities.

use std::{
    error::Error as _,
    io,
    sync::{Arc, OnceLock},
};

use rustls::{AlertDescription, CertificateError, ClientConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use wherry_daemon::tls;
use wherry_host::EgressError;

/// Makes TLS sessions. The trust store is read when the first one is asked for: an idle agent does not carry it.
pub(super) struct Tls {
    extra_roots: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    pub(super) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots, config: OnceLock::new() }
    }

    /// A session with `host` (IPv6 in brackets) over `stream`.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, EgressError> {
        let config = self.config.get_or_init(|| build(&self.extra_roots)).as_ref();
        let config = config.map_err(|reason| EgressError::Internal { reason: reason.clone() })?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let failed = |reason: &str| EgressError::TlsFailed { host: host.to_owned(), reason: reason.to_owned() };
        let name = ServerName::try_from(bare).map_err(|_| failed("the host name cannot stand in a certificate"))?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| translate(host, &error))
    }
}

fn build(extra_roots: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let provider = tls::provider();
    let verifier = Verifier::new_with_extra_roots(extra_roots.iter().cloned(), Arc::clone(&provider));
    let verifier = verifier.map_err(|error| format!("the trust store cannot be read: {error}"))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// An operator must be able to tell a bad certificate from an unreachable host.
fn translate(host: &str, error: &io::Error) -> EgressError {
    let host = host.to_owned();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => EgressError::TlsUntrusted { host, reason: phrase(fault) },
        Some(rustls::Error::AlertReceived(alert)) if about_our_certificate(*alert) => {
            EgressError::ClientCertificate { host, reason: format!("{alert:?}") }
        }
        Some(other) => EgressError::TlsFailed { host, reason: other.to_string() },
        None => {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            EgressError::TlsFailed { host, reason }
        }
    }
}

fn about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list that grows")]
fn phrase(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, check the clocks".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    }
}
