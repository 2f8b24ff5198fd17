//! An endpoint with its credential outside of a run: for trials.

use std::sync::Arc;

use secrecy::SecretString;
use wherry_daemon::{clock::Clock, shutdown::Shutdown, tasks::Tasks};
use wherry_domain::{
    connection::ConnectionPath,
    failure::Failure,
    name::Name,
    project::{Auth, ProxyChoice, template::Scope},
};

use super::{
    calls::LIMIT,
    scheme::{Made, Scheme},
    token::{NoTokens, Tokens},
};
use crate::{
    certificates::Seen,
    egress::{Destination, Endpoint, Endpoints, Identity},
    secrets::SecretError,
};

/// Secrets by name.
pub type Lookup = Arc<dyn Fn(&Name) -> Result<Arc<SecretString>, SecretError> + Send + Sync>;

/// The endpoint of `url` with what `auth` makes of the secrets that `lookup` gives. It takes no variables and keeps no
/// tokens of OAuth 2.0.
///
/// # Errors
/// As the plan of a run that uses such a connection.
pub fn endpoint(
    endpoints: &Endpoints,
    path: &ConnectionPath,
    (url, auth): (&str, &Auth),
    lookup: &Lookup,
    clock: &Clock,
) -> Result<Endpoint, Failure> {
    let scheme = Scheme::read(auth, &Scope { vars: &Default::default(), run: "", agent: "" })?;
    let destination = Destination::parse(url).map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
    let base = destination.base(url);
    let identity = Identity {
        connection: path.to_string(),
        destination: destination.clone(),
        proxy: ProxyChoice::Direct,
        auth: scheme.identity(),
        tls: None,
    };
    let opened = endpoints.open(identity);
    let endpoint = opened.map_err(|error| Failure::permanent(super::scheme::INVALID, error.to_string()))?;
    endpoint.protect(scheme.headers());
    let tokens: Arc<dyn Tokens> = Arc::new(NoTokens);
    let tasks = Tasks::new(Shutdown::new(LIMIT));
    let secret = Arc::clone(lookup);
    let credential = || {
        scheme.credential(&Made {
            path,
            base: &base,
            destination: &destination,
            clock,
            tasks: &tasks,
            files: endpoints.files(),
            tokens: &tokens,
            secret: Arc::new(move |name| Ok(secret(name)?)),
            lookup: &|name| lookup(name),
            calls: endpoint.calls(),
        })
    };
    endpoint.use_credential(Seen::default(), credential)?;
    Ok(endpoint)
}
