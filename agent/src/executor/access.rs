//! A connection of a deployment made ready: its connector loaded, its texts filled in, its way out opened.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure},
    name::Name,
    policy::{Allowed, Policies},
    project::{Connection, Snapshot, template::Scope},
};
use wherry_host::{ConnectorFault, Descriptor, Egress};
use wherry_proto::frame::Ran;
use wherry_trust::release::Activity;
use wherry_worker::Runner;

use super::{
    plan::{Workshop, invalid},
    words,
};
use crate::{
    auth::{AuthFailure, Made, Scheme, token::Wanted},
    certificates::{self, Seen},
    connectors::{Asked, Blame, Loaded, Taken},
    egress::{Destination, Endpoint, Identity, TlsChoice},
    net::Trace,
    oauth::sites,
    policy::Refusal,
};

/// A text refers to a variable that neither the deployment nor the run has.
const VARIABLE: Code = Code::new("deployment.variable_unknown");
/// The connection asks for a proxy that the agent does not have.
const NO_PROXY: Code = Code::new("connection.no_proxy");
/// The release offers no such activity.
const ACTIVITY: Code = Code::new("connector.activity_unknown");
/// The organisation's rules do not name who signed it.
const PUBLISHER: Code = Code::new("policy.publisher_refused");
/// The connector does not support the way to authenticate.
const SCHEME: Code = Code::new("connector.auth_unsupported");

/// Instances of a target at most: for more of them the host keeps no room.
const MOST_INSTANCES: usize = 16;

/// What a connection is made from.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Connectors of which the version on trial is wanted.
    pub(super) trial: &'a [Name],
    /// Whether it may run on the version before, while a connector that was moved is still being made ready.
    pub(super) at_once: bool,
}

/// A connection that can be used.
pub(super) struct Access {
    pub(super) connector: Runner,
    /// Keeps what it needs on disk.
    _loaded: Loaded,
    /// To count its failures against its version.
    blame: Blame,
    /// The connector, if this is its version on trial.
    pub(super) on_trial: Option<Name>,
    /// Which version of the connector it is.
    pub(super) ran: Ran,
    /// Name and version of the connector.
    title: String,
    /// What its release offers.
    activities: Arc<[Activity]>,
    /// What it says of itself.
    descriptor: Arc<Descriptor>,
    /// The connection as the connector sees it, without credentials.
    pub(super) connection: String,
    endpoint: Arc<Endpoint>,
    path: ConnectionPath,
    /// Its URL in the spelling of requests.
    base: String,
    scheme: Scheme,
    /// What the log of every run has to say.
    pub(super) warnings: Vec<String>,
}

impl Access {
    /// Makes the connection ready. Its credential is not looked at before [`Self::refresh`], except where it has to be
    /// asked which of the provider's sites is meant.
    pub(super) async fn make(
        workshop: &Workshop,
        ground: Ground<'_>,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Result<Self, Failure> {
        let access = Self::at(workshop, (ground, name), scope, None).await?;
        let listed = access.scheme.oauth2().and_then(|oauth| sites::listed(oauth, &access.base));
        let Some(wanted) = access.wanted(workshop).filter(|_| listed.is_some()) else { return Ok(access) };
        let site = workshop.tokens.site(wanted).await.map_err(|failure| failure.failure())?;
        match site {
            Some(site) => Self::at(workshop, (ground, name), scope, Some(site)).await,
            None => Ok(access),
        }
    }

    /// The same at `site`, or else at the address that the connection itself names: for a connection that may have no
    /// token yet.
    pub(super) async fn at(
        workshop: &Workshop,
        (Ground { snapshot, trial, at_once }, name): (Ground<'_>, &Name),
        scope: &Scope<'_>,
        site: Option<String>,
    ) -> Result<Self, Failure> {
        let connection = snapshot.project.connections.get(name);
        let connection = connection.ok_or_else(|| invalid(format!("the deployment has no connection {name}")))?;
        let (uses, rules) = (&connection.connector, workshop.policy.rules());
        // Before anything of it is fetched or compiled.
        rules.connector(uses).map_err(|refusal| refused(name, &refusal))?;
        let (deployed, on_trial) = (snapshot.connectors.get(uses), trial.contains(uses));
        let asked = Asked { environment: &snapshot.environment, name: uses, deployed, on_trial, at_once };
        let taken = workshop.connectors.take(asked).await?;
        let Taken { loaded, version, on_trial, warning, blame } = taken;
        let (title, policies) = (format!("{uses} {version}"), workshop.policies(&snapshot.environment));
        published(&policies.allowed_publishers, &title, &loaded.publisher)?;
        let (activities, descriptor) = (Arc::clone(&loaded.activities), Arc::clone(&loaded.descriptor));
        let scheme = Scheme::read(&connection.auth, scope)?;
        // Atlassian takes OAuth's tokens at one address for all sites.
        let site = site.or_else(|| scheme.oauth2().and_then(sites::site));
        let url = site.map_or_else(|| fill_text(scope, &connection.url), Ok)?;
        let destination = Destination::parse(&url)
            .map_err(|error| Failure::permanent(error.code(), format!("connection {name}: {error}")))?;
        rules.host(destination.host(), destination.port()).map_err(|refusal| refused(name, &refusal))?;
        let url = destination.base(&url);
        let mut warnings = admit(workshop, (name, connection), &destination, &policies)?;
        warnings.extend(warning);
        supported(&scheme, &descriptor)?;
        let path = ConnectionPath {
            environment: snapshot.environment.clone(),
            project: snapshot.project.name.clone(),
            connection: name.clone(),
        };
        let endpoint = open(workshop, &path, connection, destination, &scheme)?;
        let options = fill(scope, &Value::Object(connection.options.clone()))?;
        Ok(Self {
            connector: loaded.connector.of(&path.to_string()),
            _loaded: loaded,
            blame,
            on_trial: on_trial.then(|| uses.clone()),
            ran: Ran { connector: uses.clone(), version },
            title,
            activities,
            descriptor,
            connection: json!({ "url": url, "options": options }).to_string(),
            endpoint: Arc::new(endpoint),
            path,
            base: url,
            scheme,
            warnings,
        })
    }

    /// The activity that fits, as the release declares it.
    pub(super) fn activity(&self, name: &str, fits: impl Fn(&Activity) -> bool) -> Result<&Activity, Failure> {
        self.activities.iter().find(|activity| activity.name == name && fits(activity)).ok_or_else(|| {
            let message = format!("{} has no such activity in that place: {name}", self.title);
            Failure::permanent(ACTIVITY, message)
        })
    }

    /// How many instances may share the input of this target.
    pub(super) fn instances(&self, activity: &str) -> usize {
        let most = self.descriptor.activity(activity).map_or(1, |activity| activity.max_parallel);
        usize::try_from(most).unwrap_or(1).clamp(1, MOST_INSTANCES)
    }

    /// Whether the activity declares a counter of that name.
    pub(super) fn declares_counter(&self, activity: &str, name: &str) -> bool {
        let activity = self.descriptor.activity(activity);
        activity.is_some_and(|activity| activity.counters.iter().any(|known| known == name))
    }

    /// Which connection it is.
    pub(super) const fn path(&self) -> &ConnectionPath {
        &self.path
    }

    pub(super) fn egress(&self) -> Arc<dyn Egress> {
        Arc::<Endpoint>::clone(&self.endpoint)
    }

    /// A way out of its own with no connection open, noted in `trace`.
    pub(super) fn traced_egress(&self, trace: &Trace) -> Arc<dyn Egress> {
        Arc::new(self.endpoint.traced(trace))
    }

    /// A failure of its connector, in words and under a code that may leave.
    pub(super) fn failure(&self, fault: &ConnectorFault, out: bool) -> Failure {
        words::failure(&self.descriptor, fault, out)
    }

    /// The code of an error that its connector reported, as it may leave.
    pub(super) fn error_code(&self, code: &str) -> Code {
        words::code(&self.descriptor, code)
    }

    /// Its connector failed: some failures are counted against the version.
    pub(super) fn judge(&self, fault: &ConnectorFault) {
        self.blame.judge(fault);
    }

    /// What it needs to have tokens of OAuth 2.0; nothing if it has another scheme.
    pub(super) fn wanted(&self, workshop: &Workshop) -> Option<Wanted> {
        let (secrets, environment) = (Arc::clone(&workshop.secrets), self.path.environment.clone());
        Some(Wanted {
            path: self.path.clone(),
            oauth: self.scheme.oauth2()?.clone(),
            base: self.base.clone(),
            secret: Arc::new(move |name| secrets.get(&environment, name).map_err(AuthFailure::from)),
            calls: self.endpoint.calls(),
        })
    }

    /// Makes sure that the endpoint carries the credential as it is now.
    pub(super) fn refresh(&self, workshop: &Workshop) -> Result<(), Failure> {
        self.endpoint.renew_tls().map_err(|fault| fault.failure())?;
        let (secrets, environment) = (Arc::clone(&workshop.secrets), self.path.environment.clone());
        let lookup = |name: &Name| workshop.secrets.get(&self.path.environment, name);
        let mut seen = Seen::default();
        for name in self.scheme.secrets() {
            seen.secret(lookup(name).map_err(|error| error.failure())?);
        }
        if let Some(store) = self.scheme.store() {
            let noticed = certificates::see(store, &mut seen, &lookup);
            noticed.map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        }
        self.endpoint.use_credential(seen, || {
            self.scheme.credential(&Made {
                path: &self.path,
                base: &self.base,
                destination: self.endpoint.destination(),
                clock: &workshop.clock,
                tasks: &workshop.tasks,
                files: workshop.endpoints.files(),
                tokens: &workshop.tokens,
                secret: Arc::new(move |name| secrets.get(&environment, name).map_err(AuthFailure::from)),
                lookup: &lookup,
                calls: self.endpoint.calls(),
            })
        })
    }
}

/// Whether the connection may be used with the TLS it asks for, and what of that has to be said.
fn admit(
    workshop: &Workshop,
    (name, connection): (&Name, &Connection),
    destination: &Destination,
    policies: &Policies,
) -> Result<Vec<String>, Failure> {
    let (proxied, oauth) = (connection.through_proxy(), connection.auth.is_oauth());
    let admitted = workshop.endpoints.tls_rules().admit(&connection.tls, destination, proxied, oauth, policies);
    let warnings =
        admitted.map_err(|refusal| Failure::permanent(refusal.code(), format!("connection {name}: {refusal}")))?;
    Ok(warnings.iter().map(|warning| format!("connection {name}: {warning}")).collect())
}

/// What the owner's policy refuses of a connection.
fn refused(connection: &Name, refusal: &Refusal) -> Failure {
    let failure = refusal.failure();
    Failure { message: format!("connection {connection}: {}", failure.message), ..failure }
}

/// Whether the organisation's rules let a connector of this publisher run.
fn published(allowed: &Allowed, title: &str, publisher: &str) -> Result<(), Failure> {
    if allowed.has(publisher) {
        return Ok(());
    }
    let message = format!(
        "connector {title} is signed by {publisher}, and this environment allows {allowed} (policy allowed_publishers)"
    );
    Err(Failure::permanent(PUBLISHER, message))
}

fn open(
    workshop: &Workshop,
    path: &ConnectionPath,
    connection: &Connection,
    destination: Destination,
    scheme: &Scheme,
) -> Result<Endpoint, Failure> {
    let identity = Identity {
        connection: path.to_string(),
        destination,
        proxy: connection.proxy_choice(),
        tls: (!connection.tls.is_default())
            .then(|| TlsChoice { environment: path.environment.clone(), options: connection.tls.clone() }),
        auth: scheme.identity(),
    };
    let opened = workshop.endpoints.open(identity);
    let endpoint =
        opened.map_err(|error| Failure::permanent(NO_PROXY, format!("connection {}: {error}", path.connection)))?;
    endpoint.protect(scheme.headers());
    Ok(endpoint)
}

/// Whether the connector names the scheme. One that names none says nothing about it.
fn supported(scheme: &Scheme, descriptor: &Descriptor) -> Result<(), Failure> {
    let known: BTreeSet<&str> = descriptor.connection.auth.iter().map(|scheme| scheme.method.as_str()).collect();
    if known.is_empty() || known.contains(scheme.name()) || scheme.name() == "none" {
        return Ok(());
    }
    let known: Vec<&str> = known.into_iter().collect();
    let message = format!(
        "connector {} does not support auth of type {}; it has {}",
        descriptor.name,
        scheme.name(),
        known.join(", ")
    );
    Err(Failure::permanent(SCHEME, message))
}

pub(super) fn fill(scope: &Scope<'_>, value: &Value) -> Result<Value, Failure> {
    scope.resolve(value).map_err(|error| Failure::permanent(VARIABLE, error.to_string()))
}

fn fill_text(scope: &Scope<'_>, text: &str) -> Result<String, Failure> {
    match fill(scope, &Value::from(text))? {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Failure::permanent(VARIABLE, "a variable in a url is not a text".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connectors_of_publishers_that_the_policy_names_may_run() {
        let only = Allowed::Only(["acme".to_owned()].into());
        assert_eq!(published(&Allowed::Any, "http 1.0.0", "initech"), Ok(()));
        assert_eq!(published(&only, "http 1.0.0", "acme"), Ok(()));
        assert_eq!(published(&only, "http 1.0.0", "initech").unwrap_err().code, PUBLISHER);
    }
}
