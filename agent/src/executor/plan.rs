//! An operation made ready to run: variables filled in, connectors loaded, ways out opened.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use wherry_domain::{
    effects::SideEffects,
    failure::{Code, Failure},
    name::Name,
    project::{Auth, Connection, Operation, Snapshot, Step as ProjectStep, template::Scope},
};
use wherry_host::{Connector, Egress};
use wherry_trust::release::ActivityKind;

use crate::{
    connectors::{Connectors, Loaded},
    egress::{Destination, Endpoint, Endpoints, Identity},
    net::proxy,
    secrets::Secrets,
};

/// The deployment does not hold together.
const INVALID: Code = Code::new("deployment.invalid");
/// A text refers to a variable that neither the deployment nor the run has.
const VARIABLE: Code = Code::new("deployment.variable_unknown");
/// The connection asks for a proxy that the agent does not have.
const NO_PROXY: Code = Code::new("connection.no_proxy");
/// The release offers no such activity.
const ACTIVITY: Code = Code::new("connector.activity_unknown");
/// The secret cannot stand in a header.
const UNUSABLE_SECRET: Code = Code::new("secret.unusable");
/// Names that differ for every run; whoever uses them is planned anew each time.
const PER_RUN: &str = "run.id";

/// What a plan is made with.
pub(super) struct Workshop {
    pub(super) connectors: Connectors,
    pub(super) endpoints: Endpoints,
    pub(super) secrets: Arc<Secrets>,
}

/// An operation, ready to run as often as its deployment lasts.
pub(super) struct Plan {
    pub(super) class: SideEffects,
    pub(super) timeout: Duration,
    pub(super) offline_term: Duration,
    pub(super) source: Step,
    pub(super) target: Option<Step>,
    /// Whether it holds for other runs too.
    pub(super) reusable: bool,
}

/// One activity, ready to be invoked.
pub(super) struct Step {
    /// For logs and failures: `query of helix`.
    pub(super) label: String,
    pub(super) connector: Connector,
    pub(super) activity: String,
    pub(super) class: SideEffects,
    /// The connection as the connector sees it, without credentials.
    pub(super) connection: String,
    pub(super) params: String,
    endpoint: Arc<Endpoint>,
    environment: Name,
    credential: Credential,
}

enum Credential {
    None,
    Basic { username: String, password: Name },
    Bearer { token: Name },
}

impl Step {
    pub(super) fn egress(&self) -> Arc<dyn Egress> {
        Arc::<Endpoint>::clone(&self.endpoint)
    }

    /// Makes sure that the endpoint carries the credential as it is now.
    pub(super) fn refresh(&self, secrets: &Secrets) -> Result<(), Failure> {
        let open = |name| secrets.get(&self.environment, name).map_err(|error| error.failure());
        match &self.credential {
            Credential::None => Ok(()),
            Credential::Basic { username, password } => self.endpoint.use_credential(&open(password)?, |secret| {
                proxy::basic(username, secret).ok_or_else(|| unusable(password))
            }),
            Credential::Bearer { token } => {
                self.endpoint.use_credential(&open(token)?, |secret| bearer(secret).ok_or_else(|| unusable(token)))
            }
        }
    }
}

impl Plan {
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        std::iter::once(&self.source).chain(&self.target)
    }

    /// Makes the operation ready. `vars` are the deployment's variables with those of the run over them.
    pub(super) async fn make(
        workshop: &Workshop,
        snapshot: &Snapshot,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Result<Self, Failure> {
        let operation = snapshot.project.operations.get(name);
        let operation = operation.ok_or_else(|| invalid(format!("the deployment has no operation {name}")))?;
        let source = step(workshop, snapshot, &operation.source, ActivityKind::Source, scope).await?;
        let target = match &operation.target {
            None => None,
            Some(target) => Some(step(workshop, snapshot, target, ActivityKind::Target, scope).await?),
        };
        Ok(Self {
            class: snapshot.side_effects.get(name).copied().unwrap_or(SideEffects::Unsafe),
            timeout: operation.timeout,
            offline_term: operation.offline_term,
            source,
            target,
            reusable: !depends_on_run(snapshot, operation),
        })
    }
}

async fn step(
    workshop: &Workshop,
    snapshot: &Snapshot,
    step: &ProjectStep,
    kind: ActivityKind,
    scope: &Scope<'_>,
) -> Result<Step, Failure> {
    let name = &step.connection;
    let connection = snapshot.project.connections.get(name);
    let connection = connection.ok_or_else(|| invalid(format!("the deployment has no connection {name}")))?;
    let pin = snapshot.connectors.get(&connection.connector);
    let pin = pin.ok_or_else(|| invalid(format!("the deployment pins no connector {}", connection.connector)))?;
    let Loaded { connector, activities } = workshop.connectors.load(&connection.connector, pin).await?;
    let activity = activities.iter().find(|activity| activity.name == step.activity && activity.kind == kind);
    let class = activity.map(|activity| activity.side_effects).ok_or_else(|| {
        let message =
            format!("{} {} has no such activity in that place: {}", connection.connector, pin.version, step.activity);
        Failure::permanent(ACTIVITY, message)
    })?;
    let url = fill_text(scope, &connection.url)?;
    let destination = Destination::parse(&url)
        .map_err(|error| Failure::permanent(error.code(), format!("connection {name}: {error}")))?;
    let url = destination.base(&url);
    let credential = credential(&connection.auth, scope)?;
    let endpoint = open(workshop, snapshot, (name, connection), destination, &credential)?;
    let options = fill(scope, &Value::Object(connection.options.clone()))?;
    Ok(Step {
        label: format!("{} of {name}", step.activity),
        connector,
        activity: step.activity.clone(),
        class,
        connection: json!({ "url": url, "options": options }).to_string(),
        params: fill(scope, &Value::Object(step.with.clone()))?.to_string(),
        endpoint: Arc::new(endpoint),
        environment: snapshot.environment.clone(),
        credential,
    })
}

fn open(
    workshop: &Workshop,
    snapshot: &Snapshot,
    (name, connection): (&Name, &Connection),
    destination: Destination,
    credential: &Credential,
) -> Result<Endpoint, Failure> {
    let identity = Identity {
        connection: format!("{}/{}/{name}", snapshot.environment, snapshot.project.name),
        destination,
        use_proxy: connection.use_proxy,
        auth: match credential {
            Credential::None => String::new(),
            Credential::Basic { username, password } => format!("basic {password} {username}"),
            Credential::Bearer { token } => format!("bearer {token}"),
        },
    };
    let opened = workshop.endpoints.open(identity);
    opened.map_err(|error| Failure::permanent(NO_PROXY, format!("connection {name}: {error}")))
}

fn credential(auth: &Auth, scope: &Scope<'_>) -> Result<Credential, Failure> {
    Ok(match auth {
        Auth::None => Credential::None,
        Auth::Basic { username, password } => {
            Credential::Basic { username: fill_text(scope, username)?, password: password.secret.clone() }
        }
        Auth::Bearer { token } => Credential::Bearer { token: token.secret.clone() },
    })
}

fn fill(scope: &Scope<'_>, value: &Value) -> Result<Value, Failure> {
    scope.resolve(value).map_err(|error| Failure::permanent(VARIABLE, error.to_string()))
}

fn fill_text(scope: &Scope<'_>, text: &str) -> Result<String, Failure> {
    match fill(scope, &Value::from(text))? {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Failure::permanent(VARIABLE, "a variable in a url or user name is not a text".to_owned()))
        }
    }
}

/// Whether anything that the operation uses differs from run to run.
fn depends_on_run(snapshot: &Snapshot, operation: &Operation) -> bool {
    operation.steps().any(|step| {
        let connection = snapshot.project.connections.get(&step.connection);
        mentions_run_in(&step.with)
            || connection.is_some_and(|connection| {
                let username = match &connection.auth {
                    Auth::Basic { username, .. } => username.contains(PER_RUN),
                    Auth::None | Auth::Bearer { .. } => false,
                };
                username || connection.url.contains(PER_RUN) || mentions_run_in(&connection.options)
            })
    })
}

fn mentions_run_in(fields: &Map<String, Value>) -> bool {
    fields.values().any(mentions_run)
}

fn mentions_run(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(PER_RUN),
        Value::Array(items) => items.iter().any(mentions_run),
        Value::Object(fields) => mentions_run_in(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The run's own variables over the deployment's.
pub(super) fn variables(snapshot: &Snapshot, overrides: &[u8]) -> Result<BTreeMap<Name, Value>, Failure> {
    let mut variables = snapshot.project.variables.clone();
    if !overrides.is_empty() {
        let overrides: BTreeMap<Name, Value> = serde_json::from_slice(overrides)
            .map_err(|_| invalid("the run's variables are not a JSON object with proper names".to_owned()))?;
        variables.extend(overrides);
    }
    Ok(variables)
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    proxy::sensitive(&text)
}

fn unusable(name: &Name) -> Failure {
    let message = format!("the secret {name} cannot stand in a header: it has line breaks or other control characters");
    Failure::permanent(UNUSABLE_SECRET, message)
}

fn invalid(message: String) -> Failure {
    Failure::permanent(INVALID, message)
}
