//! Agents with OAuth and nothing else.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use secrecy::SecretString;
use serde_json::{Value, json};
use wherry_agent::{
    auth::{AuthFailure, Source, Tokens, token::Wanted},
    certificates::FileRules,
    egress::{Destination, EgressSettings, Endpoints},
    oauth::{
        self, OAuth,
        copies::{Alone, Copies, GroupKey},
        place::LocationSettings,
    },
    paths::DataDir,
    policy::Policy,
};
use wherry_daemon::{
    clock::{Clock, Hand},
    shutdown::Shutdown,
    tasks::Tasks,
};
use wherry_domain::{connection::ConnectionPath, failure::Code, name::Name, time::Timestamp};
use wherry_trust::seal_local::LocalKey;

use super::hub::Member;

/// When the tests begin: a date that tokens can be younger than.
pub(crate) const START: u64 = 1_800_000_000_000;

/// An agent, as far as tokens go.
pub(crate) struct Agent {
    pub(crate) oauth: OAuth,
    pub(crate) hand: Hand,
    secrets: Arc<Mutex<HashMap<Name, Arc<SecretString>>>>,
}

/// A clock for several agents.
pub(crate) fn clock() -> (Clock, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
    hand.set_wall_unix_millis(START);
    (clock, hand)
}

impl Agent {
    pub(crate) fn alone(data: &Path, (clock, hand): &(Clock, Hand)) -> Self {
        Self::under(data, (clock, hand), Policy::default())
    }

    /// Alone, under an owner's policy.
    pub(crate) fn under(data: &Path, (clock, hand): (&Clock, &Hand), policy: Policy) -> Self {
        Self::with(data, (clock, hand), policy, (Arc::new(Alone), Arc::new(Alone)))
    }

    pub(crate) fn member(data: &Path, (clock, hand): &(Clock, Hand), member: Member) -> Self {
        Self::with(data, (clock, hand), Policy::default(), (Arc::new(member.clone()), Arc::new(member)))
    }

    fn with(
        data: &Path,
        (clock, hand): (&Clock, &Hand),
        policy: Policy,
        (copies, group): (Arc<dyn Copies>, Arc<dyn GroupKey>),
    ) -> Self {
        let oauth = OAuth::open(oauth::Parts {
            data: DataDir::new(data),
            locations: LocationSettings { enabled: true, roots: Vec::new() },
            files: FileRules { policy, ..FileRules::default() },
            key: LocalKey::from_bytes(&[7; 32]).unwrap(),
            clock: clock.clone(),
            tasks: Tasks::new(Shutdown::new(Duration::from_secs(1))),
            copies,
            group,
        });
        Self { oauth: oauth.unwrap(), hand: hand.clone(), secrets: Arc::default() }
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        self.secrets.lock().unwrap().insert(name.parse().unwrap(), Arc::new(value.into()));
    }

    pub(crate) fn wanted(&self, provider: &str, oauth: Value) -> Wanted {
        let secrets = Arc::clone(&self.secrets);
        let destination = Destination::parse(provider).unwrap();
        let endpoint = Endpoints::new(EgressSettings::default()).for_connection("it", destination, false).unwrap();
        Wanted {
            path: path(),
            oauth: serde_json::from_value(oauth).unwrap(),
            base: provider.to_owned(),
            secret: Arc::new(move |name| {
                let missing = || AuthFailure::permanent(Code::new("secret.missing"), format!("no secret {name}"));
                secrets.lock().unwrap().get(name).cloned().ok_or_else(missing)
            }),
            calls: endpoint.calls(),
        }
    }

    pub(crate) fn source(&self, provider: &str, oauth: Value) -> Result<Source, AuthFailure> {
        self.oauth.source(self.wanted(provider, oauth))
    }
}

pub(crate) fn path() -> ConnectionPath {
    "prod/desk/jira".parse().unwrap()
}

/// Settings of a client with a secret.
pub(crate) fn client(provider: &str, grant: &str, more: Value) -> Value {
    let mut settings = json!({
        "grant": grant,
        "client_id": "wherry",
        "client_secret": { "secret": "client" },
        "token_url": format!("{provider}/token"),
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// Settings of the seeds' second scenario.
pub(crate) fn refreshed(provider: &str) -> Value {
    client(provider, "refresh_token", json!({ "initiate": "REFRESH", "refresh_token": { "secret": "refresh" } }))
}

pub(crate) async fn token(source: &Source) -> Result<String, String> {
    let token = source.token().await.map_err(|failure| failure.code.as_str().to_owned())?;
    Ok(text(&token.value))
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}
