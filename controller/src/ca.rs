//! The certificate authority of the organisation.
//!
//! A root for ten years, an issuing certificate for one, leaves for a day. The keys live as files
//! beside the store, readable by the controller alone, so that a copy of the store is no copy of
//! the authority.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use wherry_domain::digest::Digest;
use wherry_trust::{keys::sha256, names::AgentIdentity, token::SpkiPin};
use x509_parser::prelude::{FromDer, X509Certificate};

mod catalogue;
mod files;

pub use catalogue::CatalogueKey;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// How far a clock may be behind when it first sees a certificate.
const SKEW: Duration = Duration::from_secs(300);
/// Life of the server's own certificate; a new one is made at each start and at half of it.
pub const SERVER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Names of the two certificates' files.
const ROOT: &str = "root.pem";
const ISSUING: &str = "issuing.pem";
/// Largest certificate request, in bytes.
const MAX_CSR: usize = 8 << 10;

/// Why the authority refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The request is malformed, badly signed, or has a key of a kind that is not accepted.
    #[error("the certificate request was refused: {0}")]
    Request(String),
    /// Making or reading a certificate failed.
    #[error("the certificate authority failed: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate and a key do not belong together, or a certificate cannot be read.
    #[error("the certificate authority's {0} does not fit its key: restore the whole folder from one backup")]
    Mismatch(&'static str),
    /// A file of the authority cannot be read or written.
    #[error("the certificate authority's file {path}: {error}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// A certificate for an agent.
pub struct Issued {
    /// Leaf first, then the issuing certificate.
    pub chain: Vec<CertificateDer<'static>>,
    /// Unix milliseconds.
    pub ends_ms: u64,
    /// Renew after this long.
    pub renew_after: Duration,
}

/// The authority.
pub struct Authority {
    dir: PathBuf,
    root: CertificateDer<'static>,
    issuing: ArcSwap<Issuing>,
    pin: SpkiPin,
}

/// The issuing certificate, ready to sign.
struct Issuing {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// Unix milliseconds.
    ends_ms: u64,
}

impl Issuing {
    fn new(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, CaError> {
        let ends_ms = fitting(ISSUING, &certificate, &key)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, ends_ms })
    }
}

/// The public key of a checked request.
pub struct Request {
    params: CertificateSigningRequestParams,
    /// SHA-256 of the public key.
    pub key: Digest,
}

impl Request {
    /// Checks a request: its size, its signature, the kind of its key. Whatever else it asks for
    /// is ignored.
    ///
    /// # Errors
    /// [`CaError::Request`].
    pub fn read(der: &[u8]) -> Result<Self, CaError> {
        if der.len() > MAX_CSR {
            return Err(CaError::Request(format!("it has more than {MAX_CSR} bytes")));
        }
        let params = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map_err(|error| CaError::Request(error.to_string()))?;
        let algorithm = params.public_key.algorithm();
        if *algorithm != PKCS_ECDSA_P256_SHA256 && *algorithm != PKCS_ED25519 {
            return Err(CaError::Request("its key is neither P-256 nor Ed25519".to_owned()));
        }
        let key = sha256(rcgen::PublicKeyData::der_bytes(&params.public_key));
        Ok(Self { params, key })
    }
}

impl Authority {
    /// Reads the authority from `dir`, or makes it there.
    ///
    /// # Errors
    /// If the files cannot be read or written, or do not fit together.
    pub fn open(dir: &Path, wall_ms: u64) -> Result<Self, CaError> {
        let stored = files::read_or_make(dir, || make(wall_ms))?;
        let root_key = KeyPair::from_pem(&stored.root_key)?;
        let root = files::certificate(dir, ROOT, &stored.root)?;
        fitting(ROOT, &root, &root_key)?;
        let pin = SpkiPin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&root_key));
        let issuing = files::certificate(dir, ISSUING, &stored.issuing)?;
        let issuing = Issuing::new(issuing, KeyPair::from_pem(&stored.issuing_key)?)?;
        let authority = Self { dir: dir.to_owned(), root, issuing: ArcSwap::from_pointee(issuing), pin };
        authority.renew(wall_ms)?;
        Ok(authority)
    }

    /// Replaces the issuing certificate once half of its life is over. Certificates that the one
    /// before signed carry it with them and stay good.
    ///
    /// # Errors
    /// If the files cannot be read or written.
    pub fn renew(&self, wall_ms: u64) -> Result<(), CaError> {
        let left = Duration::from_millis(self.issuing.load().ends_ms.saturating_sub(wall_ms));
        if left > YEAR / 2 {
            return Ok(());
        }
        let stored = files::read(&self.dir)?;
        let issuing_key = KeyPair::from_pem(&stored.issuing_key)?;
        let root = Issuer::from_ca_cert_der(&self.root, KeyPair::from_pem(&stored.root_key)?)?;
        let certificate = issuing_params(wall_ms).signed_by(&issuing_key, &root)?;
        files::replace(&self.dir, ISSUING, &certificate.pem())?;
        self.issuing.store(Issuing::new(certificate.der().clone(), issuing_key)?.into());
        tracing::info!("renewed the issuing certificate");
        Ok(())
    }

    /// Pin of the root's key, as it goes into enrolment tokens.
    pub const fn pin(&self) -> &SpkiPin {
        &self.pin
    }

    /// The root certificate.
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Signs a certificate for an agent. Names and usages are ours, only the key is the agent's.
    ///
    /// # Errors
    /// If the certificate cannot be made.
    pub fn issue(
        &self,
        request: &Request,
        identity: &AgentIdentity,
        life: Duration,
        wall_ms: u64,
    ) -> Result<Issued, CaError> {
        let mut params = params(&identity.agent().to_string(), wall_ms, life);
        let uri = identity.to_uri();
        params.subject_alt_names = vec![SanType::URI(
            uri.try_into().map_err(|_| CaError::Request("the agent's name is not ASCII".to_owned()))?,
        )];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuing = self.issuing.load();
        let leaf = params.signed_by(&request.params.public_key, &issuing.issuer)?;
        Ok(Issued {
            chain: vec![leaf.der().clone(), issuing.certificate.clone()],
            ends_ms: wall_ms.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)),
            renew_after: life / 2,
        })
    }

    /// A fresh certificate for the port for agents, with the root in its chain so that a newcomer
    /// can compare the pin.
    ///
    /// # Errors
    /// If the certificate cannot be made.
    pub fn server(
        &self,
        host: &str,
        wall_ms: u64,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let names = CertificateParams::new(vec![host.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let mut params = params(host, wall_ms, SERVER_LIFE);
        params.subject_alt_names = names.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuing = self.issuing.load();
        let leaf = params.signed_by(&key, &issuing.issuer)?;
        let chain = vec![leaf.der().clone(), issuing.certificate.clone(), self.root.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|reason| CaError::Request(reason.to_owned()))?;
        Ok((chain, key))
    }
}

fn params(common_name: &str, wall_ms: u64, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(wall_ms);
    params.not_before = now - SKEW;
    params.not_after = now + life;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn issuing_params(wall_ms: u64) -> CertificateParams {
    let mut params = params("Wherry issuing", wall_ms, YEAR);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// When the certificate ends, in Unix milliseconds, if it is one for this key.
fn fitting(name: &'static str, certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<u64, CaError> {
    let (_, read) = X509Certificate::from_der(certificate).map_err(|_| CaError::Mismatch(name))?;
    if read.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(key) {
        return Err(CaError::Mismatch(name));
    }
    Ok(u64::try_from(read.validity().not_after.timestamp()).unwrap_or_default().saturating_mul(1_000))
}

fn make(wall_ms: u64) -> Result<files::Stored, CaError> {
    let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut root = params("Wherry root", wall_ms, YEAR * 10);
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root_certificate = root.self_signed(&root_key)?;
    let issuing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let issuing = issuing_params(wall_ms).signed_by(&issuing_key, &Issuer::from_params(&root, &root_key))?;
    Ok(files::Stored {
        root: root_certificate.pem(),
        root_key: root_key.serialize_pem(),
        issuing: issuing.pem(),
        issuing_key: issuing_key.serialize_pem(),
    })
}
