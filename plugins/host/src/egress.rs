//! The only way out: the trait an agent implements, and every way in which an exchange can fail.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use serde::{Deserialize, Serialize};
use wherry_domain::failure::Code;

use crate::fault::ErrorKind;

/// A streaming body of a request or an answer.
pub type Body = UnsyncBoxBody<Bytes, EgressError>;

/// The exchange that [`Egress::send`] begins.
pub type EgressFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, EgressError>> + Send>>;

/// Sends a connector's requests: checks the destination, chooses proxy and TLS, adds credentials.
///
/// The host has already refused `CONNECT`, `TRACE`, relative targets and user names in the authority. The request has
/// no `Host` header. Redirects are answers like any other: the connector sees them, nobody follows them here.
pub trait Egress: Send + Sync + 'static {
    /// Sends one request and gives the head of the answer; the body streams, and fails with the same error type.
    /// Dropping the future or the body ends the exchange.
    fn send(&self, request: Request<Body>) -> EgressFuture;

    /// Headers that a connector may neither set nor see, because they carry credentials. Asked once per invocation.
    fn protected_headers(&self) -> &[HeaderName];
}

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum EgressError {
    /// The destination is not on the connection's list.
    #[error("the connection does not allow {host}:{port}; add it to the connection if it belongs there")]
    Denied {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// The host name leads to an address that is never allowed, such as a metadata service.
    #[error("{host} leads to the address {address}, which is not allowed")]
    AddressDenied {
        /// Host name.
        host: String,
        /// Address.
        address: String,
    },
    /// The agent owner's policy forbids it.
    #[error("the agent's policy forbids this request: {reason}")]
    PolicyDenied {
        /// Which rule.
        reason: String,
    },
    /// The agent owner's policy does not name the destination.
    #[error("{message}")]
    OwnerDenied {
        /// The agent's words.
        message: String,
    },
    /// The request is malformed or uses a forbidden method or header.
    #[error("the connector made a request that is not allowed: {reason}")]
    InvalidRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// Too many exchanges at the same time.
    #[error("the connector has {limit} exchanges in flight, more are not allowed")]
    TooManyRequests {
        /// The limit.
        limit: usize,
    },
    /// The host name is unknown.
    #[error("the host name {host} cannot be resolved: {reason}")]
    DnsFailed {
        /// Host name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody listens there.
    #[error("{host}:{port} refused the connection; is the system running?")]
    ConnectRefused {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
    /// No answer to the attempt to connect.
    #[error("{host}:{port} did not accept a connection within {limit_ms} ms; a firewall may be in the way")]
    ConnectTimeout {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// The limit.
        limit_ms: u64,
    },
    /// No way to the host.
    #[error("{host}:{port} cannot be reached: {reason}")]
    Unreachable {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
        /// What the system said.
        reason: String,
    },
    /// The proxy failed.
    #[error("the proxy {proxy} failed: {reason}")]
    ProxyFailed {
        /// Which proxy, without credentials.
        proxy: String,
        /// What it said.
        reason: String,
    },
    /// The proxy does not know the agent.
    #[error("the proxy {proxy} did not let the agent through: {reason}")]
    ProxyAuth {
        /// Which proxy, without credentials.
        proxy: String,
        /// What it wants, and what to do.
        reason: String,
    },
    /// The proxy does not connect to that destination.
    #[error("the proxy {proxy} refused to connect to {destination} ({reason}); ask its operator to allow it")]
    ProxyRefused {
        /// Which proxy, without credentials.
        proxy: String,
        /// Host and port that it was asked for.
        destination: String,
        /// What it said.
        reason: String,
    },
    /// The system's certificate is not trusted.
    #[error("the certificate of {host} is not trusted: {reason}; add its issuer to the connection or correct the host")]
    TlsUntrusted {
        /// Host name.
        host: String,
        /// Why, such as "unknown issuer" or "expired".
        reason: String,
    },
    /// TLS failed otherwise.
    #[error("no TLS session with {host}: {reason}")]
    TlsFailed {
        /// Host name.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The system refused or missed our client certificate.
    #[error("{host} did not accept the client certificate: {reason}")]
    ClientCertificate {
        /// Host name.
        host: String,
        /// What it said.
        reason: String,
    },
    /// The agent has no usable credentials for the connection.
    #[error("no credentials for the connection: {reason}")]
    Credentials {
        /// Why, without secrets.
        reason: String,
    },
    /// A call that had to come first, such as a login, gave no credential. Nothing of the request was sent.
    #[error("{message}")]
    Auth {
        /// The agent's own code, such as `auth.login_refused`.
        code: Code,
        /// Why, in the agent's words and without secrets.
        message: String,
        /// Whether another attempt may succeed.
        retry: bool,
    },
    /// The answer contains a credential that the connector must not see.
    #[error("the answer of {host} contains the connection's own password or key, which no connector may see")]
    Echoed {
        /// Host name.
        host: String,
    },
    /// The system did not answer in time.
    #[error("{host} did not answer within {limit_ms} ms")]
    ResponseTimeout {
        /// Host name.
        host: String,
        /// The limit.
        limit_ms: u64,
    },
    /// The answer is too large.
    #[error("the answer of {host} exceeds {limit} bytes")]
    ResponseTooLarge {
        /// Host name.
        host: String,
        /// The limit.
        limit: u64,
    },
    /// The answer broke off.
    #[error("the answer of {host} broke off: {reason}")]
    ResponseIncomplete {
        /// Host name.
        host: String,
        /// What was seen.
        reason: String,
    },
    /// The answer is not HTTP as it should be.
    #[error("{host} does not speak HTTP correctly: {reason}")]
    Protocol {
        /// Host name.
        host: String,
        /// What was seen.
        reason: String,
    },
    /// The connector gave up its request before it was complete.
    #[error("the connector gave up its request before it was complete")]
    RequestAborted,
    /// A defect of the agent.
    #[error("the agent could not send the request: {reason}")]
    Internal {
        /// What failed.
        reason: String,
    },
}

impl EgressError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::new(match self {
            Self::Auth { code, .. } => return code.clone(),
            Self::Denied { .. } => "egress.denied",
            Self::AddressDenied { .. } => "egress.address_denied",
            Self::PolicyDenied { .. } => "egress.policy_denied",
            Self::OwnerDenied { .. } => "agent_policy.host",
            Self::InvalidRequest { .. } => "egress.invalid_request",
            Self::TooManyRequests { .. } => "egress.too_many_requests",
            Self::DnsFailed { .. } => "egress.dns_failed",
            Self::ConnectRefused { .. } => "egress.connect_refused",
            Self::ConnectTimeout { .. } => "egress.connect_timeout",
            Self::Unreachable { .. } => "egress.unreachable",
            Self::ProxyFailed { .. } => "egress.proxy_failed",
            Self::ProxyAuth { .. } => "egress.proxy_auth",
            Self::ProxyRefused { .. } => "egress.proxy_refused",
            Self::TlsUntrusted { .. } => "connection.tls_untrusted",
            Self::TlsFailed { .. } => "connection.tls_failed",
            Self::ClientCertificate { .. } => "connection.client_certificate",
            Self::Credentials { .. } => "connection.credentials",
            Self::ResponseTimeout { .. } => "egress.response_timeout",
            Self::ResponseTooLarge { .. } => "egress.response_too_large",
            Self::ResponseIncomplete { .. } => "egress.response_incomplete",
            Self::Protocol { .. } => "egress.protocol",
            Self::RequestAborted => "egress.request_aborted",
            Self::Echoed { .. } => "auth.echoed",
            Self::Internal { .. } => "egress.internal",
        })
    }

    /// What kind of failure this is for the run.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied { .. } | Self::AddressDenied { .. } | Self::PolicyDenied { .. } | Self::OwnerDenied { .. } => {
                ErrorKind::Forbidden
            }
            Self::InvalidRequest { .. }
            | Self::TooManyRequests { .. }
            | Self::RequestAborted
            | Self::Internal { .. } => ErrorKind::Internal,
            Self::TlsUntrusted { .. } | Self::TlsFailed { .. } | Self::ClientCertificate { .. } => ErrorKind::Config,
            Self::ProxyAuth { .. } | Self::ProxyRefused { .. } => ErrorKind::Config,
            Self::Credentials { .. } => ErrorKind::Auth,
            Self::Auth { retry: false, .. } => ErrorKind::Auth,
            Self::Auth { retry: true, .. } => ErrorKind::Transient,
            Self::ResponseTooLarge { .. } | Self::Echoed { .. } => ErrorKind::Data,
            Self::DnsFailed { .. }
            | Self::ConnectRefused { .. }
            | Self::ConnectTimeout { .. }
            | Self::Unreachable { .. }
            | Self::ProxyFailed { .. }
            | Self::ResponseTimeout { .. }
            | Self::ResponseIncomplete { .. }
            | Self::Protocol { .. } => ErrorKind::Transient,
        }
    }

    /// Whether the request may have reached the system, so that repeating it may do something twice.
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::ResponseTimeout { .. }
            | Self::ResponseTooLarge { .. }
            | Self::ResponseIncomplete { .. }
            | Self::Protocol { .. }
            | Self::RequestAborted
            | Self::Echoed { .. }
            | Self::Internal { .. } => true,
            Self::Denied { .. }
            | Self::AddressDenied { .. }
            | Self::PolicyDenied { .. }
            | Self::OwnerDenied { .. }
            | Self::InvalidRequest { .. }
            | Self::TooManyRequests { .. }
            | Self::DnsFailed { .. }
            | Self::ConnectRefused { .. }
            | Self::ConnectTimeout { .. }
            | Self::Unreachable { .. }
            | Self::ProxyFailed { .. }
            | Self::ProxyAuth { .. }
            | Self::ProxyRefused { .. }
            | Self::TlsUntrusted { .. }
            | Self::TlsFailed { .. }
            | Self::ClientCertificate { .. }
            | Self::Auth { .. }
            | Self::Credentials { .. } => false,
        }
    }
}
