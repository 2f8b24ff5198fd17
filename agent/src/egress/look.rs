//! What a system's certificate says, also where it is not trusted: only then a person needs to know who issued it.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::OnceLock;
use tokio::time;
use tokio_rustls::TlsConnector;
use wherry_daemon::tls;
use wherry_domain::path::{Certificate, plain};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::net::Hop;

/// Subject, issuer and end of a certificate; none if it cannot be read.
pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(Certificate {
        subject: plain(&read.subject().to_string()),
        issuer: plain(&read.issuer().to_string()),
        not_after_s: read.validity().not_after.timestamp(),
    })
}

/// The certificate that `host` shows over `stream`. The handshake is broken off as soon as it is seen: nothing is ever
/// sent to a system that was not verified.
pub(super) async fn at(host: &str, stream: Hop, limit: Duration) -> Option<Certificate> {
    let seen = Arc::new(Looking { seen: OnceLock::new() });
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Looking>::clone(&seen))
        .with_no_client_auth();
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).ok()?;
    // It never succeeds.
    drop(time::timeout(limit, TlsConnector::from(Arc::new(config)).connect(name, stream)).await);
    seen.seen.get().and_then(read)
}

/// Keeps the certificate and trusts nobody.
#[derive(Debug)]
struct Looking {
    seen: OnceLock<CertificateDer<'static>>,
}

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.get_or_init(|| end_entity.clone().into_owned());
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
