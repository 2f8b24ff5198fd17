//! Whether the certificate that a system shows is good enough for a connection.

use std::{fmt::Write, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use wherry_trust::keys::sha256;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// Who vouches for a system.
#[derive(Debug)]
pub(super) enum Trust {
    /// The platform's authorities and those of owner and connection.
    Authorities(Arc<dyn ServerCertVerifier>),
    /// The certificates of a pin alone.
    Pinned(Pinned),
    /// Nobody has to.
    Anybody,
}

/// Certificates of a pin.
#[derive(Debug)]
pub(super) struct Pinned {
    certificates: Vec<CertificateDer<'static>>,
    /// Those of them that may issue others.
    authorities: RootCertStore,
}

/// A verifier with the options of a connection.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) trust: Trust,
    /// SHA-256 of the certificate or of the public key in it.
    pub(super) fingerprint: Option<[u8; 32]>,
    /// Dates and names do not matter.
    pub(super) lenient: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// A system showed another certificate than the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("it is not what server_certificate names, its SHA-256 is {0}")]
struct NotPinned(String);

impl Pinned {
    /// # Errors
    /// If one of them is no certificate.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut authorities = RootCertStore::empty();
        for certificate in &certificates {
            let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
            if parsed.is_ca() {
                authorities.add(certificate.clone())?;
            }
        }
        Ok(Self { certificates, authorities })
    }
}

impl Judge {
    fn by_pin(
        &self,
        pinned: &Pinned,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let is_itself = pinned.certificates.iter().any(|certificate| certificate.as_ref() == leaf.as_ref());
        let (from, until) = validity(leaf)?;
        if !is_itself {
            // Its dates do not matter then, but that an authority of the pin has signed it does.
            let at = if self.lenient { UnixTime::since_unix_epoch(clamp(now, from, until)) } else { now };
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &pinned.authorities,
                intermediates,
                at,
                self.algorithms.all,
            )
            .map_err(|error| {
                let unknown = error == Error::InvalidCertificate(CertificateError::UnknownIssuer);
                if unknown { not_pinned(leaf) } else { error }
            })?;
        }
        if self.lenient {
            return Ok(());
        }
        if is_itself && now.as_secs() < from {
            return Err(CertificateError::NotValidYet.into());
        }
        if is_itself && now.as_secs() > until {
            return Err(CertificateError::Expired.into());
        }
        verify_server_name(&parsed, name)
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(fingerprint) = &self.fingerprint {
            let spki = ParsedCertificate::try_from(leaf)?.subject_public_key_info();
            if ![leaf.as_ref(), spki.as_ref()].iter().any(|der| sha256(der).as_bytes() == fingerprint) {
                return Err(not_pinned(leaf));
            }
        }
        match &self.trust {
            Trust::Authorities(ordinary) => ordinary.verify_server_cert(leaf, intermediates, name, ocsp, now),
            Trust::Pinned(pinned) => {
                self.by_pin(pinned, leaf, intermediates, name, now).map(|()| ServerCertVerified::assertion())
            }
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What is wrong, if it is one of our own reasons.
pub(super) fn own_reason(fault: &CertificateError) -> Option<String> {
    let CertificateError::Other(OtherError(inner)) = fault else { return None };
    inner.downcast_ref::<NotPinned>().map(ToString::to_string)
}

fn not_pinned(leaf: &CertificateDer<'_>) -> Error {
    let mut seen = String::new();
    for (at, byte) in sha256(leaf).as_bytes().iter().enumerate() {
        // Writing to a text cannot fail.
        _ = write!(seen, "{}{byte:02X}", if at == 0 { "" } else { ":" });
    }
    CertificateError::Other(OtherError(Arc::new(NotPinned(seen)))).into()
}

/// First and last second, since the Unix epoch.
fn validity(leaf: &CertificateDer<'_>) -> Result<(u64, u64), Error> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
    Ok((seconds(parsed.validity().not_before), seconds(parsed.validity().not_after)))
}

fn clamp(now: UnixTime, from: u64, until: u64) -> Duration {
    Duration::from_secs(now.as_secs().min(until).max(from))
}
