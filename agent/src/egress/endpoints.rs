//! The endpoints of recent runs, kept so that the next run finds its connections open.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls_pki_types::CertificateDer;
use wherry_domain::{name::Name, project::ProxyChoice};

use super::{
    address::AddressRules,
    client::Limits,
    connector::Route,
    destination::Destination,
    endpoint::Endpoint,
    resolver::Resolver,
    tls::{Owner, Tls, TlsChoice, TlsRules},
};
use crate::{
    certificates::FileRules,
    net::{Proxy, Trace},
    policy::Policy,
    recent::Recent,
    secrets::Secrets,
};

/// More connections than a busy agent uses at a time.
const KEPT: usize = 64;

/// The agent owner's settings for traffic to customers' systems.
#[derive(Clone, Debug, Default)]
pub struct EgressSettings {
    /// Exceptions from the address rules.
    pub rules: AddressRules,
    /// Where names become addresses.
    pub resolver: Resolver,
    /// For connections with `use_proxy`.
    pub proxy: Option<Proxy>,
    /// For connections that name one.
    pub proxies: BTreeMap<Name, Proxy>,
    /// Authorities trusted beside the platform's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Which files connections may name.
    pub files: FileRules,
    /// What connections may say about TLS.
    pub tls: TlsRules,
    /// Sizes and times.
    pub limits: Limits,
    /// What the owner allows.
    pub policy: Policy,
}

/// What tells one endpoint from another. Two connections never share one, even to the same host: they may carry
/// different credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Environment, project and connection.
    pub(crate) connection: String,
    /// Where it leads.
    pub(crate) destination: Destination,
    /// Through which proxy.
    pub(crate) proxy: ProxyChoice,
    /// How it authenticates, without the secret.
    pub(crate) auth: String,
    /// Its options for TLS, if it has any.
    pub(crate) tls: Option<TlsChoice>,
}

impl Identity {
    /// Whether a request without a credential would be a mistake.
    fn needs_credential(&self) -> bool {
        !self.auth.is_empty()
    }
}

/// Makes and keeps endpoints.
pub struct Endpoints {
    rules: Arc<AddressRules>,
    resolver: Resolver,
    proxy: Option<Proxy>,
    proxies: BTreeMap<Name, Proxy>,
    owner: Arc<Owner>,
    tls: Arc<Tls>,
    tls_rules: TlsRules,
    secrets: Option<Arc<Secrets>>,
    limits: Limits,
    policy: Policy,
    kept: Arc<Mutex<Kept>>,
}

/// Ends the sessions of every endpoint.
pub(crate) struct Farewell(Arc<Mutex<Kept>>);

impl Farewell {
    /// Says it. What still wants to go out fails.
    pub(crate) fn say(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.endpoints.retain(|identity, endpoint| {
            if identity.needs_credential() {
                endpoint.leave();
            }
            false
        });
    }
}

/// Endpoints, and under which policy they were opened: under another one, none of their connections counts.
struct Kept {
    under: u64,
    endpoints: Recent<Identity, Endpoint>,
}

/// A connection asks for a proxy that the agent does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoProxy {
    /// The name it asks for; none for the default proxy.
    wanted: Option<Name>,
    /// Whether the agent has a default proxy.
    default: bool,
    /// Those it has by name.
    known: Vec<Name>,
}

/// More names than this say nothing more to a person.
const SHOWN: usize = 10;

impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = match &self.wanted {
            None => {
                f.write_str("the connection says use_proxy, but this agent has no default proxy: ")?;
                "[proxy]".to_owned()
            }
            Some(name) => {
                write!(f, "the connection says proxy: {name}, but this agent has no proxy of that name: ")?;
                format!("[proxies.{name}]")
            }
        };
        let default = self.default.then_some("the default one");
        let known: Vec<&str> = default.into_iter().chain(self.known.iter().take(SHOWN).map(Name::as_str)).collect();
        let more = if self.known.len() > SHOWN { " and more" } else { "" };
        match known.is_empty() {
            true => write!(f, "it has none, set {section} in its configuration"),
            false => write!(f, "it has {}{more}, set {section} in its configuration", known.join(", ")),
        }
    }
}

impl Endpoints {
    /// With the owner's settings.
    pub fn new(settings: EgressSettings) -> Self {
        let owner = Arc::new(Owner { extra_roots: settings.extra_roots, files: settings.files });
        Self {
            rules: Arc::new(settings.rules),
            resolver: settings.resolver,
            proxy: settings.proxy,
            proxies: settings.proxies,
            tls: Arc::new(Tls::new(Arc::clone(&owner))),
            owner,
            tls_rules: settings.tls,
            secrets: None,
            limits: settings.limits,
            kept: Arc::new(Mutex::new(Kept { under: settings.policy.number(), endpoints: Recent::new(KEPT) })),
            policy: settings.policy,
        }
    }

    /// The same, with the secrets that connections name under `tls`.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<Secrets>) -> Self {
        Self { secrets: Some(secrets), ..self }
    }

    /// For the end of the agent.
    pub(crate) fn farewell(&self) -> Farewell {
        Farewell(Arc::clone(&self.kept))
    }

    /// Which files connections may name.
    pub(crate) fn files(&self) -> &FileRules {
        &self.owner.files
    }

    /// What connections may say about TLS.
    pub const fn tls_rules(&self) -> TlsRules {
        self.tls_rules
    }

    /// The endpoint of a connection that needs no credential and goes no way but the direct one.
    ///
    /// # Errors
    /// Never: it needs no proxy.
    pub fn secured(&self, connection: &str, destination: Destination, tls: TlsChoice) -> Result<Endpoint, NoProxy> {
        let (connection, auth) = (connection.to_owned(), String::new());
        self.open(Identity { connection, destination, proxy: ProxyChoice::Direct, auth, tls: Some(tls) })
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
        let proxy = if use_proxy { ProxyChoice::Default } else { ProxyChoice::Direct };
        self.open(Identity { connection: connection.to_owned(), destination, proxy, auth: String::new(), tls: None })
    }

    /// The endpoint of that identity, with the connections it has open.
    ///
    /// # Errors
    /// If it needs a proxy and there is none.
    pub(crate) fn open(&self, identity: Identity) -> Result<Endpoint, NoProxy> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.policy.number();
        if kept.under != now {
            kept.under = now;
            kept.endpoints.clear();
        }
        if let Some(endpoint) = kept.endpoints.get(&identity) {
            return Ok(endpoint);
        }
        let proxy = self.proxy(&identity.proxy)?;
        let route = Route {
            destination: identity.destination.clone(),
            proxy,
            rules: Arc::clone(&self.rules),
            policy: self.policy.clone(),
            resolver: self.resolver.clone(),
            tls: self.tls(identity.tls.as_ref()),
            owners_tls: Arc::clone(&self.tls),
            limit: self.limits.connect,
            trace: Trace::default(),
        };
        let endpoint = match identity.needs_credential() {
            true => Endpoint::closed(route, self.limits),
            false => Endpoint::open(route, self.limits),
        };
        kept.endpoints.insert(identity, endpoint.clone());
        Ok(endpoint)
    }

    fn tls(&self, choice: Option<&TlsChoice>) -> Arc<Tls> {
        match choice {
            None => Arc::clone(&self.tls),
            Some(choice) => Arc::new(Tls::chosen(Arc::clone(&self.owner), choice.clone(), self.secrets.clone())),
        }
    }

    fn proxy(&self, choice: &ProxyChoice) -> Result<Option<Proxy>, NoProxy> {
        let (proxy, wanted) = match choice {
            ProxyChoice::Direct => return Ok(None),
            ProxyChoice::Default => (self.proxy.as_ref(), None),
            ProxyChoice::Named(name) => (self.proxies.get(name), Some(name.clone())),
        };
        let known = || self.proxies.keys().cloned().collect();
        let missing = || NoProxy { wanted, default: self.proxy.is_some(), known: known() };
        proxy.cloned().map(Some).ok_or_else(missing)
    }
}
