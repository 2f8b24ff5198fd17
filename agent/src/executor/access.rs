//! A connection of a deployment made ready: its connector loaded, its texts filled in, its way out opened.

use std::sync::Arc;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wherry_domain::{
    failure::{Code, Failure},
    name::Name,
    project::{Auth, Connection, Snapshot, template::Scope},
};
use wherry_host::{Connector, Descriptor, Egress};
use wherry_trust::release::Activity;

use super::plan::{Workshop, invalid};
use crate::{
    connectors::Loaded,
    egress::{Destination, Endpoint, Identity},
    net::proxy,
    secrets::Secrets,
};

/// A text refers to a variable that neither the deployment nor the run has.
const VARIABLE: Code = Code::new("deployment.variable_unknown");
/// The connection asks for a proxy that the agent does not have.
const NO_PROXY: Code = Code::new("connection.no_proxy");
/// The release offers no such activity.
const ACTIVITY: Code = Code::new("connector.activity_unknown");
/// The secret cannot stand in a header.
const UNUSABLE_SECRET: Code = Code::new("secret.unusable");

/// Instances of a target at most: for more of them the host keeps no room.
const MOST_INSTANCES: usize = 16;

/// A connection that can be used.
pub(super) struct Access {
    pub(super) connector: Connector,
    /// Name and version of the connector.
    title: String,
    /// What its release offers.
    activities: Arc<[Activity]>,
    /// What it says of itself.
    descriptor: Arc<Descriptor>,
    /// The connection as the connector sees it, without credentials.
    pub(super) connection: String,
    endpoint: Arc<Endpoint>,
    environment: Name,
    credential: Credential,
}

enum Credential {
    None,
    Basic { username: String, password: Name },
    Bearer { token: Name },
}

impl Access {
    /// Makes the connection ready. Its credential is not looked at before [`Self::refresh`].
    pub(super) async fn make(
        workshop: &Workshop,
        snapshot: &Snapshot,
        name: &Name,
        scope: &Scope<'_>,
    ) -> Result<Self, Failure> {
        let connection = snapshot.project.connections.get(name);
        let connection = connection.ok_or_else(|| invalid(format!("the deployment has no connection {name}")))?;
        let pin = snapshot.connectors.get(&connection.connector);
        let pin = pin.ok_or_else(|| invalid(format!("the deployment pins no connector {}", connection.connector)))?;
        let Loaded { connector, activities, descriptor } = workshop.connectors.load(&connection.connector, pin).await?;
        let url = fill_text(scope, &connection.url)?;
        let destination = Destination::parse(&url)
            .map_err(|error| Failure::permanent(error.code(), format!("connection {name}: {error}")))?;
        let url = destination.base(&url);
        let credential = credential(&connection.auth, scope)?;
        let endpoint = open(workshop, snapshot, (name, connection), destination, &credential)?;
        let options = fill(scope, &Value::Object(connection.options.clone()))?;
        Ok(Self {
            connector,
            title: format!("{} {}", connection.connector, pin.version),
            activities,
            descriptor,
            connection: json!({ "url": url, "options": options }).to_string(),
            endpoint: Arc::new(endpoint),
            environment: snapshot.environment.clone(),
            credential,
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

pub(super) fn fill(scope: &Scope<'_>, value: &Value) -> Result<Value, Failure> {
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

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    proxy::sensitive(&text)
}

fn unusable(name: &Name) -> Failure {
    let message = format!("the secret {name} cannot stand in a header: it has line breaks or other control characters");
    Failure::permanent(UNUSABLE_SECRET, message)
}
