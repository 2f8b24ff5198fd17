//! TLS towards customers' systems: the platform's trust store, the owner's own authorities, and what a connection says
//! under `tls`. Versions 1.2 and 1.3.

mod config;
mod judge;
mod rules;

use std::{
    error::Error as _,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{AlertDescription, CertificateError, ClientConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use secrecy::SecretString;
use tokio_rustls::{TlsConnector, client::TlsStream};
use wherry_domain::{name::Name, project::Tls as Options};
use wherry_host::EgressError;

pub use self::{
    config::TlsFault,
    rules::{TlsRefusal, TlsRules},
};
use self::{
    config::{build, see},
    judge::own_reason,
};
use crate::{
    certificates::{FileRules, Seen},
    net::Hop,
    secrets::{SecretError, Secrets},
};

/// TLS towards one connection's system. The trust store is read when the first session is asked for: an idle agent does
/// not carry it. Secrets and files that a connection names are looked at anew before each session.
pub(super) struct Tls {
    owner: Arc<Owner>,
    /// A connection's own options; none for most.
    choice: Option<TlsChoice>,
    secrets: Option<Arc<Secrets>>,
    current: Mutex<Option<Current>>,
}

/// What the agent's owner decides for all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Owner {
    /// Authorities trusted beside the platform's.
    pub(super) extra_roots: Vec<CertificateDer<'static>>,
    /// Which files connections may name.
    pub(super) files: FileRules,
}

/// The options of a connection, and whose secrets they name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsChoice {
    /// The environment whose secrets are meant.
    pub environment: Name,
    /// The options.
    pub options: Options,
}

/// Sessions as they are made until a secret or file changes.
struct Current {
    seen: Seen,
    config: Arc<ClientConfig>,
    /// Counts what was replaced so far.
    generation: u64,
}

impl Tls {
    /// Without options of a connection.
    pub(super) fn new(owner: Arc<Owner>) -> Self {
        Self { owner, choice: None, secrets: None, current: Mutex::new(None) }
    }

    /// With the options of a connection.
    pub(super) fn chosen(owner: Arc<Owner>, choice: TlsChoice, secrets: Option<Arc<Secrets>>) -> Self {
        Self { owner, choice: Some(choice), secrets, current: Mutex::new(None) }
    }

    /// Whether the connection says that it may go without TLS.
    pub(super) fn allows_plain(&self) -> bool {
        self.choice.as_ref().is_some_and(|choice| choice.options.use_non_tls_connections)
    }

    /// A session with `host` (IPv6 in brackets) over `stream`.
    pub(super) async fn connect(&self, host: &str, stream: Hop) -> Result<TlsStream<Hop>, EgressError> {
        let (config, _) = self.current().map_err(|error| match error {
            TlsFault::Material(error) => EgressError::Credentials { reason: error.to_string() },
            TlsFault::Unready(reason) => EgressError::Internal { reason },
        })?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let failed = |reason: &str| EgressError::TlsFailed { host: host.to_owned(), reason: reason.to_owned() };
        let name = ServerName::try_from(bare).map_err(|_| failed("the host name cannot stand in a certificate"))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| translate(host, &error))
    }

    /// Looks at what the options name. Sessions that were opened under a smaller number may be made of something else.
    ///
    /// # Errors
    /// If a secret or file is missing or not what it should be.
    pub(super) fn refresh(&self) -> Result<u64, TlsFault> {
        match &self.choice {
            None => Ok(0),
            Some(_) => self.current().map(|(_, generation)| generation),
        }
    }

    fn current(&self) -> Result<(Arc<ClientConfig>, u64), TlsFault> {
        let secret = |name: &Name| self.secret(name);
        let seen = self.choice.as_ref().map(|choice| see(&choice.options, &secret)).transpose()?.unwrap_or_default();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| current.seen.is_same(&seen)) {
            return Ok((Arc::clone(&current.config), current.generation));
        }
        let options = self.choice.as_ref().map(|choice| choice.options.clone()).unwrap_or_default();
        let config = build(&self.owner, &options, &secret)?;
        let generation = current.as_ref().map_or(0, |current| current.generation + 1);
        *current = Some(Current { seen, config: Arc::clone(&config), generation });
        Ok((config, generation))
    }

    fn secret(&self, name: &Name) -> Result<Arc<SecretString>, SecretError> {
        match (&self.choice, &self.secrets) {
            (Some(choice), Some(secrets)) => secrets.get(&choice.environment, name),
            (Some(choice), None) => {
                Err(SecretError::Missing { environment: choice.environment.clone(), name: name.clone() })
            }
            (None, _) => Err(SecretError::Unacceptable("no connection names it".to_owned())),
        }
    }
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

/// The same for an alert that comes after the handshake, where TLS 1.3 says what it thinks of our certificate.
pub(super) fn refused_certificate(host: &str, error: &io::Error) -> Option<EgressError> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) if about_our_certificate(*alert) => {
            Some(EgressError::ClientCertificate { host: host.to_owned(), reason: format!("{alert:?}") })
        }
        Some(_) | None => None,
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
    if let Some(reason) = own_reason(fault) {
        return reason;
    }
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
