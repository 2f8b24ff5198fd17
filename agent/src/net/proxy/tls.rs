//! TLS with an HTTPS proxy: the platform's trust store plus the authorities that the owner names for that proxy.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use wherry_daemon::tls;

/// What makes TLS sessions with one proxy. The trust store is read when the first one is asked for.
pub(super) struct ProxyTls {
    extra_roots: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// Why there is no session.
pub(super) enum TlsFault {
    /// The certificate is not trusted.
    Untrusted(String),
    /// Anything else.
    Other(String),
}

impl ProxyTls {
    pub(super) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots, config: OnceLock::new() }
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, TlsFault> {
        let config = self.config.get_or_init(|| build(&self.extra_roots)).as_ref();
        let config = config.map_err(|reason| TlsFault::Other(reason.clone()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare)
            .map_err(|_| TlsFault::Other("its host name cannot stand in a certificate".to_owned()))?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|error| translate(&error))
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

fn translate(error: &io::Error) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => TlsFault::Untrusted(fault.to_string()),
        Some(other) => TlsFault::Other(format!("no TLS session: {other}")),
        None => TlsFault::Other(format!("no TLS session: {error}")),
    }
}
