//! Why there is no connection to the controller.

use std::{error::Error, io};

use rustls::CertificateError;
use wherry_domain::failure::Code;

use crate::{
    causes,
    net::{ProxyError, TcpError},
};

/// Why there is no connection to the controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The address is no address of a controller.
    #[error("{0} is not the address of a controller, write it as https://host:8444")]
    Address(String),
    /// It cannot be reached.
    #[error("the controller cannot be reached: {0}")]
    Tcp(#[from] TcpError),
    /// The proxy does not let the agent through.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Whoever answers is not the controller this agent knows.
    #[error(
        "whoever answers there is not the controller this agent trusts ({0}): check the address, and that no proxy \
         opens TLS connections on the way"
    )]
    Untrusted(String),
    /// The certificate does not fit this machine's clock.
    #[error("the controller's certificate {0} by this machine's clock, set the clock and try again")]
    Clock(&'static str),
    /// TLS failed otherwise.
    #[error("no TLS session with the controller: {0}")]
    Tls(String),
    /// HTTP/2 failed.
    #[error("no HTTP/2 connection to the controller: {0}")]
    Http(String),
}

impl LinkError {
    /// The stable code, with a page in `docs/errors`.
    pub fn code(&self) -> Code {
        Code::new(match self {
            Self::Address(_) => "link.address_invalid",
            Self::Tcp(_) => "link.unreachable",
            Self::Proxy(ProxyError::Auth { .. } | ProxyError::Refused { .. }) => "link.proxy_refused",
            Self::Proxy(
                ProxyError::Tcp(_)
                | ProxyError::Unreached { .. }
                | ProxyError::Untrusted { .. }
                | ProxyError::Broken { .. },
            ) => "link.proxy_failed",
            Self::Untrusted(_) => "link.untrusted",
            Self::Clock(_) => "link.clock_wrong",
            Self::Tls(_) | Self::Http(_) => "link.tls_failed",
        })
    }

    /// From a handshake.
    pub(super) fn of_tls(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => Self::of_certificate(fault),
            Some(other) => Self::Tls(other.to_string()),
            None => Self::Tls(error.to_string()),
        }
    }

    /// From the first exchange after it.
    pub(super) fn of_http(error: &(dyn Error + 'static)) -> Self {
        Self::Http(causes::root(error).to_string())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list that grows")]
    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Clock("has expired"),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::Clock("is not valid yet")
            }
            CertificateError::UnknownIssuer => Self::Untrusted("its authority is another one".to_owned()),
            other => Self::Untrusted(other.to_string()),
        }
    }
}
