//! What a proxy can say instead of opening a way.

use std::{io, net::SocketAddr};

use super::super::TcpError;

/// Why a proxy did not open a way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself cannot be reached.
    #[error("the proxy cannot be reached: {0}")]
    Tcp(#[from] TcpError),
    /// It does not know the agent.
    #[error("the proxy {proxy} did not let the agent through: {reason}")]
    Auth {
        /// Host and port of the proxy.
        proxy: String,
        /// What it wants, and what to do.
        reason: String,
    },
    /// It does not connect to that destination.
    #[error("the proxy {proxy} refused to connect to {destination} ({reason}), ask its operator to allow it")]
    Refused {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port asked for.
        destination: String,
        /// What it said.
        reason: String,
    },
    /// It tried, and did not get to the destination.
    #[error("the proxy {proxy} did not reach {destination}: {reason}")]
    Unreached {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port asked for.
        destination: String,
        /// What it said.
        reason: String,
    },
    /// Its own certificate is not trusted.
    #[error("the certificate of the proxy {proxy} is not trusted ({reason}), add its issuer to ca_files of the proxy")]
    Untrusted {
        /// Host and port of the proxy.
        proxy: String,
        /// Why, and who issued it.
        reason: String,
    },
    /// It did not answer like a proxy, or not in time.
    #[error("the proxy {proxy} failed: {reason}")]
    Broken {
        /// Host and port of the proxy.
        proxy: String,
        /// What was seen.
        reason: String,
    },
}

/// The same before anyone said which proxy and which destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Auth(String),
    Refused(String),
    Unreached(String),
    Broken(String),
}

impl Fault {
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }

    pub(super) fn at(self, proxy: String, destination: &Target<'_>) -> ProxyError {
        let destination = destination.to_string();
        match self {
            Self::Auth(reason) => ProxyError::Auth { proxy, reason },
            Self::Refused(reason) => ProxyError::Refused { proxy, destination, reason },
            Self::Unreached(reason) => ProxyError::Unreached { proxy, destination, reason },
            Self::Broken(reason) => ProxyError::Broken { proxy, reason },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::broken("it closed the connection before it had answered");
        }
        Self::Broken(error.to_string())
    }
}

/// What a proxy is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A name that the proxy resolves, and a port.
    Name(&'a str, u16),
    /// An address.
    Address(SocketAddr),
}

impl<'a> Target<'a> {
    /// From a host, which may be an address (IPv6 with or without brackets).
    pub fn of(host: &'a str, port: u16) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or(Self::Name(host, port), |address| Self::Address(SocketAddr::new(address, port)))
    }
}

/// As it stands in a CONNECT.
impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}
