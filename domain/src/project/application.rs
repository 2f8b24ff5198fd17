//! App registrations: what an organisation registered with the provider of a system, so that connections need not
//! repeat it.
//!
//! A connection that names no client takes the registration of its connector; where there are several it says which.
//! What is filled in stands in the deployment: a changed registration takes effect with the next one.

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    Auth, Project, SecretRef,
    auth::{ClientAuthentication, Grant, Initiate, OAuth2, TokenFormat},
    check::{Fault, nearest},
    tls::is_local_host,
};
use crate::{failure::Code, name::Name};

/// A connection needs a client and none is registered for its connector.
pub const APPLICATION_MISSING: Code = Code::new("project.application_missing");
/// Several are registered and the connection does not say which.
pub const APPLICATION_NEEDED: Code = Code::new("project.application_needed");
/// The connection names a registration that is not there, or is for another connector.
pub const APPLICATION_UNKNOWN: Code = Code::new("project.application_unknown");
/// Neither the connection nor its registration says where the provider is.
pub const ENDPOINT_MISSING: Code = Code::new("project.endpoint_missing");

/// Longest text of a registration, in bytes: no address or list of scopes comes near.
pub const MAX_TEXT: usize = 2_048;
/// Most further parameters.
pub const MAX_PARAMETERS: usize = 20;

/// An app registration. It holds no secret: the client's secret stands here by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Unique within the organisation.
    pub name: Name,
    /// The connector whose connections may use it.
    pub connector: Name,
    /// Client id.
    pub client_id: String,
    /// The client secret's name; none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// How the client proves itself at the token endpoint.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// Form of requests to the token endpoint. Absent, it follows from its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_format: Option<TokenFormat>,
    /// Issuer (RFC 8414); must equal `iss` in the answer to an authorisation (RFC 9207).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Authorisation endpoint. People are sent to no other origin.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authorization_url: String,
    /// Token endpoint.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token_url: String,
    /// Endpoint for pushed authorisation requests (RFC 9126).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub par_url: String,
    /// Revocation endpoint (RFC 7009).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revocation_url: String,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// More parameters, such as `audience`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The redirect address as it is registered with the provider; the controller's own `/oauth/callback`, if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub redirect_uri: String,
}

impl Application {
    /// What is wrong with it, each with the field.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.client_id.is_empty() {
            faults.push(("client_id", "it is empty".to_owned()));
        }
        for (key, text) in [("client_id", &self.client_id), ("scope", &self.scope)] {
            if text.len() > MAX_TEXT || text.contains(|c: char| c.is_control()) {
                faults.push((key, format!("it has at most {MAX_TEXT} printable characters")));
            }
        }
        for (key, url) in [
            ("issuer", &self.issuer),
            ("authorization_url", &self.authorization_url),
            ("token_url", &self.token_url),
            ("par_url", &self.par_url),
            ("revocation_url", &self.revocation_url),
            ("redirect_uri", &self.redirect_uri),
        ] {
            if !url.is_empty() && origin(url).is_none() {
                faults.push((
                    key,
                    "it begins with https:// (http:// for this machine alone) and names a host".to_owned(),
                ));
            }
        }
        let long = |text: &String| text.len() > MAX_TEXT;
        if self.parameters.len() > MAX_PARAMETERS || self.parameters.iter().any(|(key, text)| long(key) || long(text)) {
            faults.push(("parameters", format!("there are at most {MAX_PARAMETERS}, of {MAX_TEXT} bytes each")));
        }
        if self.client_authentication == ClientAuthentication::None && self.client_secret.is_some() {
            faults.push(("client_secret", "a client that proves itself with nothing has no secret".to_owned()));
        }
        faults
    }
}

/// Scheme, host and port of an address that people or agents may be sent to: `https`, or `http` to this machine.
/// Lower case, with the port only where it is not the scheme's own; `None` for everything else.
pub fn origin(url: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '{' | '}');
    if url.len() > MAX_TEXT || !url.chars().all(plain) {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?)),
        Some(_) | None => (authority, None),
    };
    let host = host.to_ascii_lowercase();
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let numbered = bracketed.is_some_and(|host| host.parse::<core::net::Ipv6Addr>().is_ok());
    if !named && !numbered {
        return None;
    }
    let default = match scheme.as_str() {
        "https" => 443,
        "http" if is_local_host(&host) => 80,
        _ => return None,
    };
    Some(match port.filter(|port| *port != default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// Completes the connections of a project that leave their client to a registration; every fault there is.
pub fn fill(project: &mut Project, applications: &[Application]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, connection) in &mut project.connections {
        let Auth::OAuth2(oauth) = &mut connection.auth else { continue };
        let mut fault = |key: &str, code: Code, message: String, suggestion: Option<String>| {
            let path = ["connections", name.as_str(), "auth", key].map(ToOwned::to_owned).to_vec();
            faults.push(Fault { path, code, message, suggestion, at: None });
        };
        if !needs_client(oauth) {
            continue;
        }
        if oauth.client_id.is_empty() || oauth.application.is_some() {
            match choose(oauth.application.as_ref(), &connection.connector, applications) {
                Ok(application) => complete(oauth, application),
                Err((code, message, near)) => {
                    fault("application", code, message, near);
                    continue;
                }
            }
        }
        if oauth.token_url.is_empty() && oauth.rsso_host.is_empty() {
            let message = "say where tokens are given: token_url, or rsso_host for BMC Helix";
            fault("token_url", ENDPOINT_MISSING, message.to_owned(), None);
        }
        let asks = oauth.grant == Grant::AuthorizationCode;
        if asks && oauth.authorization_url.is_empty() && oauth.rsso_host.is_empty() {
            let message = "say where people consent: authorization_url, or rsso_host for BMC Helix";
            fault("authorization_url", ENDPOINT_MISSING, message.to_owned(), None);
        }
    }
    faults
}

/// Whether the agent will ever speak with the provider.
fn needs_client(oauth: &OAuth2) -> bool {
    oauth.grant != Grant::AccessToken && oauth.initiate != Some(Initiate::Off)
}

type Refused = (Code, String, Option<String>);

fn choose<'a>(
    named: Option<&Name>,
    connector: &Name,
    applications: &'a [Application],
) -> Result<&'a Application, Refused> {
    let fitting = || applications.iter().filter(|application| application.connector == *connector);
    let names = || fitting().map(|application| application.name.as_str());
    if let Some(named) = named {
        return fitting().find(|application| application.name == *named).ok_or_else(|| {
            let message = format!("no application {named} is registered for {connector}: see wherry app list");
            (APPLICATION_UNKNOWN, message, nearest(named.as_str(), names()))
        });
    }
    let mut all = fitting();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            let message = format!("give a client_id, or register an application for {connector}: wherry app add");
            Err((APPLICATION_MISSING, message, None))
        }
        (Some(_), Some(_)) => {
            let known: Vec<&str> = names().collect();
            let message =
                format!("several applications are registered for {connector}: name one of {}", known.join(", "));
            Err((APPLICATION_NEEDED, message, None))
        }
    }
}

/// What the connection says itself stands; a secret comes only with the client that it belongs to.
fn complete(oauth: &mut OAuth2, application: &Application) {
    oauth.application = Some(application.name.clone());
    if oauth.client_id.is_empty() || oauth.client_id == application.client_id {
        oauth.client_id.clone_from(&application.client_id);
        if oauth.client_secret.is_none() {
            oauth.client_secret.clone_from(&application.client_secret);
        }
        if oauth.client_authentication == ClientAuthentication::default() {
            oauth.client_authentication = application.client_authentication;
        }
    }
    oauth.token_format = oauth.token_format.or(application.token_format);
    for (own, registered) in [
        (&mut oauth.issuer, &application.issuer),
        (&mut oauth.authorization_url, &application.authorization_url),
        (&mut oauth.token_url, &application.token_url),
        (&mut oauth.par_url, &application.par_url),
        (&mut oauth.revocation_url, &application.revocation_url),
        (&mut oauth.scope, &application.scope),
    ] {
        if own.is_empty() {
            own.clone_from(registered);
        }
    }
    for (key, value) in &application.parameters {
        oauth.parameters.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::vec;

    fn application(name: &str, connector: &str) -> Application {
        serde_json::from_value(json!({
            "name": name,
            "connector": connector,
            "client_id": "id-of-ours",
            "client_secret": { "secret": "ours" },
            "client_authentication": "post",
            "authorization_url": "https://auth.example/authorize",
            "token_url": "https://auth.example/token",
            "scope": "read offline_access",
            "parameters": { "audience": "api" },
        }))
        .unwrap()
    }

    fn project(auth: &serde_json::Value) -> Project {
        let connection = json!({ "connector": "jira", "url": "https://jira.example", "auth": auth });
        serde_json::from_value(json!({ "name": "desk", "connections": { "jira": connection } })).unwrap()
    }

    fn oauth(project: &Project) -> OAuth2 {
        let Auth::OAuth2(oauth) = &project.connections.values().next().unwrap().auth else { panic!("not OAuth") };
        (**oauth).clone()
    }

    fn codes(auth: &serde_json::Value, applications: &[Application]) -> Vec<Code> {
        fill(&mut project(auth), applications).into_iter().map(|fault| fault.code).collect()
    }

    #[test]
    fn the_only_registration_of_a_connector_fills_what_the_connection_leaves_open() {
        let mut project = project(&json!({ "type": "oauth2", "grant": "authorization_code", "scope": "read" }));
        assert_eq!(fill(&mut project, &[application("ours", "jira"), application("other", "helix")]), []);
        let filled = oauth(&project);
        assert_eq!((filled.client_id.as_str(), filled.scope.as_str()), ("id-of-ours", "read"));
        assert_eq!(filled.client_secret.unwrap().secret.as_str(), "ours");
        assert_eq!(filled.client_authentication, ClientAuthentication::Post);
        assert_eq!(
            (filled.token_url.as_str(), filled.application.unwrap().as_str()),
            ("https://auth.example/token", "ours")
        );
        assert_eq!(filled.parameters["audience"], "api");
    }

    #[test]
    fn a_choice_is_asked_for_only_where_there_is_one() {
        let open = json!({ "type": "oauth2", "grant": "authorization_code" });
        let two = [application("a", "jira"), application("b", "jira")];
        assert_eq!(codes(&open, &two), [APPLICATION_NEEDED]);
        assert_eq!(codes(&open, &[]), [APPLICATION_MISSING]);
        let named = |name: &str| json!({ "type": "oauth2", "grant": "authorization_code", "application": name });
        assert_eq!(codes(&named("b"), &two), []);
        let faults = fill(&mut project(&named("bb")), &two);
        assert_eq!((faults[0].code.clone(), faults[0].suggestion.as_deref()), (APPLICATION_UNKNOWN, Some("b")));
        assert_eq!(codes(&named("c"), &[application("c", "helix")]), [APPLICATION_UNKNOWN]);
    }

    #[test]
    fn a_connection_with_its_own_client_gets_nobody_elses_secret() {
        let own = json!({ "type": "oauth2", "grant": "client_credentials", "client_id": "mine", "token_url": "https://x.example/t" });
        let mut project = project(&own);
        assert_eq!(fill(&mut project, &[application("ours", "jira")]), []);
        let filled = oauth(&project);
        assert_eq!((filled.client_id.as_str(), filled.client_secret, filled.application), ("mine", None, None));
        let named =
            json!({ "type": "oauth2", "grant": "client_credentials", "client_id": "mine", "application": "ours" });
        let mut project = self::project(&named);
        assert_eq!(fill(&mut project, &[application("ours", "jira")]), []);
        assert_eq!(oauth(&project).client_secret, None);
    }

    #[test]
    fn endpoints_are_needed_unless_a_given_token_is_all_there_is() {
        let own = |extra: serde_json::Value| {
            let mut auth = json!({ "type": "oauth2", "client_id": "mine" });
            auth.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            codes(&auth, &[])
        };
        assert_eq!(own(json!({ "grant": "authorization_code" })), [ENDPOINT_MISSING, ENDPOINT_MISSING]);
        assert_eq!(own(json!({ "grant": "client_credentials", "rsso_host": "https://rsso.example" })), []);
        assert_eq!(own(json!({ "grant": "access_token", "access_token": { "secret": "t" } })), []);
    }

    #[test]
    fn an_origin_is_one_only_if_it_is_https_or_this_machine() {
        for (url, expected) in [
            ("https://Auth.Example/authorize?x=1", Some("https://auth.example")),
            ("https://auth.example:443/", Some("https://auth.example")),
            ("https://auth.example:8443", Some("https://auth.example:8443")),
            ("http://127.0.0.1:9000/authorize", Some("http://127.0.0.1:9000")),
            ("https://[::1]:9000/a", Some("https://[::1]:9000")),
            ("http://auth.example/authorize", None),
            ("https://auth.example@evil.example/", None),
            ("https://auth.example\\@evil.example/", None),
            ("https://auth.example:0/", None),
            ("https:///authorize", None),
            ("javascript://auth.example/%0aalert(1)", None),
            ("https://{{ vars.host }}/", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_registration_is_checked_field_by_field() {
        assert_eq!(application("ours", "jira").faults(), []);
        let wrong = Application {
            client_id: String::new(),
            token_url: "http://auth.example/token".into(),
            client_authentication: ClientAuthentication::None,
            ..application("ours", "jira")
        };
        let keys: Vec<&str> = wrong.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, vec!["client_id", "token_url", "client_secret"]);
    }
}
