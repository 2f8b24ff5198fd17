//! The endpoints of recent runs, kept so that the next run finds its connections open.

use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;

use super::{
    address::AddressRules, client::Limits, connector::Route, destination::Destination, endpoint::Endpoint, tls::Tls,
};
use crate::{net::Proxy, recent::Recent};

/// More connections than a busy agent uses at a time.
const KEPT: usize = 64;

/// The agent owner's settings for traffic to customers' systems.
#[derive(Clone, Debug, Default)]
pub struct EgressSettings {
    /// Exceptions from the address rules.
    pub rules: AddressRules,
    /// For connections with `use_proxy`.
    pub proxy: Option<Proxy>,
    /// Authorities trusted beside the platform's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Sizes and times.
    pub limits: Limits,
}

/// What tells one endpoint from another. Two connections never share one, even to the same host: they may carry
/// different credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Environment, project and connection.
    pub(crate) connection: String,
    /// Where it leads.
    pub(crate) destination: Destination,
    /// Through the proxy.
    pub(crate) use_proxy: bool,
    /// How it authenticates, without the secret.
    pub(crate) auth: String,
}

/// Makes and keeps endpoints.
pub struct Endpoints {
    rules: Arc<AddressRules>,
    proxy: Option<Proxy>,
    tls: Arc<Tls>,
    limits: Limits,
    kept: Mutex<Recent<Identity, Endpoint>>,
}

/// A connection asks for the proxy and the agent has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection says use_proxy, but this agent has no proxy: set [proxy] in its configuration")]
pub struct NoProxy;

impl Endpoints {
    /// With the owner's settings.
    pub fn new(settings: EgressSettings) -> Self {
        Self {
            rules: Arc::new(settings.rules),
            proxy: settings.proxy,
            tls: Arc::new(Tls::new(settings.extra_roots)),
            limits: settings.limits,
            kept: Mutex::new(Recent::new(KEPT)),
        }
    }

    /// The endpoint of a connection that needs no credential.
    ///
    /// # Errors
    /// If it needs a proxy and there is none.
    pub fn for_connection(
        &self,
        connection: &str,
        destination: Destination,
        use_proxy: bool,
    ) -> Result<Endpoint, NoProxy> {
        self.open(Identity { connection: connection.to_owned(), destination, use_proxy, auth: String::new() })
    }

    /// The endpoint of that identity, with the connections it has open.
    ///
    /// # Errors
    /// If it needs a proxy and there is none.
    pub(crate) fn open(&self, identity: Identity) -> Result<Endpoint, NoProxy> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = kept.get(&identity) {
            return Ok(endpoint);
        }
        let proxy = if identity.use_proxy { Some(self.proxy.clone().ok_or(NoProxy)?) } else { None };
        let route = Route {
            destination: identity.destination.clone(),
            proxy,
            rules: Arc::clone(&self.rules),
            tls: Arc::clone(&self.tls),
            limit: self.limits.connect,
        };
        let endpoint = Endpoint::new(route, self.limits);
        kept.insert(identity, endpoint.clone());
        Ok(endpoint)
    }
}
