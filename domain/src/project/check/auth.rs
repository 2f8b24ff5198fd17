//! The rules for the `auth` of a connection: what each scheme needs, and what cannot stand beside what.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use super::{Check, Fault, is_web_url};
use crate::{
    failure::Code,
    name::Name,
    project::{
        Auth, Connection, Project,
        auth::{
            ApiKey, Auto, ClientAuthentication, Crowd, Grant, Initiate, KeyPlace, LoginToken, OAuth1, OAuth2,
            SignatureMethod, SoapHeader, TextOrNumber, TokenPlace,
        },
    },
};

/// A field of `auth` is missing, or contradicts another one.
pub const AUTH_INVALID: Code = Code::new("project.auth_invalid");

/// The connector does not support the way to authenticate.
pub const AUTH_UNSUPPORTED: Code = Code::new("project.auth_unsupported");

/// The ways to authenticate that each connector names.
pub type Schemes = BTreeMap<Name, BTreeSet<String>>;

/// Every connection whose connector does not support its way to authenticate. A connector that names none says nothing
/// about it, and a connection without credentials is every connector's.
pub fn unsupported(project: &Project, schemes: &Schemes) -> Vec<Fault> {
    let refused = project.connections.iter().filter_map(|(name, connection)| {
        let (scheme, known) = (connection.auth.scheme(), schemes.get(&connection.connector)?);
        if known.is_empty() || known.contains(scheme) || connection.auth == Auth::None {
            return None;
        }
        let all: Vec<&str> = known.iter().map(String::as_str).collect();
        let path = ["connections", name.as_str(), "auth", "type"].map(ToOwned::to_owned).to_vec();
        let connector = &connection.connector;
        let message =
            format!("connector {connector} does not support auth of type {scheme}; it has {}", all.join(", "));
        Some(Fault { path, code: AUTH_UNSUPPORTED, message, suggestion: None, at: None })
    });
    refused.collect()
}

/// Most further fields, parameters or properties of a scheme; the systems we know want five.
const MAX_FIELDS: usize = 32;
/// Headers that decide where a message goes or where it ends, and those of the way there.
const NOT_FOR_KEYS: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "cookie",
    "expect",
];
/// Parameters of OAuth requests that follow from other fields.
const OAUTH_OWN: [&str; 16] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "scope",
    "state",
    "username",
    "password",
];

impl Check<'_> {
    /// Faults of `connections.NAME.auth`.
    pub(super) fn auth(&mut self, name: &str, connection: &Connection) {
        let fields = serde_json::to_value(&connection.auth).unwrap_or_default();
        for (key, value) in fields.as_object().into_iter().flatten() {
            self.references(&["connections", name, "auth", key], value);
        }
        let mut rules = Rules { check: self, name, proxied: connection.through_proxy() };
        match &connection.auth {
            Auth::None => {}
            Auth::Basic { username, .. } => rules.user("username", username),
            Auth::Bearer { .. } => {}
            Auth::ApiKey(key) => rules.api_key(key),
            Auth::OAuth1(oauth) => rules.oauth1(oauth),
            Auth::OAuth2(oauth) => rules.oauth2(oauth),
            Auth::LoginToken(login) => rules.login_token(login),
            Auth::Crowd(crowd) => rules.crowd(crowd),
            Auth::SoapHeader(header) => rules.soap_header(header),
            Auth::Auto(auto) => rules.auto(auto),
        }
    }
}

struct Rules<'c, 'p> {
    check: &'c mut Check<'p>,
    name: &'c str,
    /// Whether its calls cross the network to a proxy, wherever they go then.
    proxied: bool,
}

impl Rules<'_, '_> {
    fn fault(&mut self, key: &str, message: &str) {
        self.check.fault(&["connections", self.name, "auth", key], AUTH_INVALID, message.to_owned());
    }

    fn must(&mut self, holds: bool, key: &str, message: &str) {
        if !holds {
            self.fault(key, message);
        }
    }

    /// HTTP Basic ends the user name at the first colon.
    fn user(&mut self, key: &str, user: &str) {
        self.must(!user.is_empty(), key, "a user name is needed");
        let literal = !user.contains("{{");
        self.must(!literal || !user.contains(':'), key, "a user name for HTTP Basic contains no colon");
    }

    fn url(&mut self, key: &str, url: &str) {
        let private = is_to_this_machine(url) && !self.proxied;
        let secure = url.starts_with("https://") || url.contains("{{") || private;
        let web = url.contains("{{") || is_web_url(url);
        self.must(web && secure, key, "this is a whole URL that begins with https://, without user or password");
    }

    fn few(&mut self, key: &str, fields: &BTreeMap<String, String>) {
        self.must(fields.len() <= MAX_FIELDS, key, &format!("at most {MAX_FIELDS} entries are accepted"));
    }

    fn header(&mut self, key: &str, name: &str) {
        let reserved = NOT_FOR_KEYS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
            || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"));
        self.must(is_header(name), key, "this is the name of a header: letters, digits and hyphens");
        self.must(!reserved, key, "this header frames the message or belongs to proxies, no key can stand in it");
    }

    fn api_key(&mut self, key: &ApiKey) {
        match key.place {
            KeyPlace::Header => self.header("name", &key.name),
            KeyPlace::Query => {
                let printable = key.name.bytes().all(|byte| byte.is_ascii_graphic());
                self.must(printable && !key.name.is_empty(), "name", "this is the name of a query parameter");
                self.must(key.prefix.is_empty(), "prefix", "a key in the query has no prefix");
            }
        }
        self.must(key.prefix.chars().all(is_visible), "prefix", "a prefix is printable ASCII");
    }

    fn oauth1(&mut self, oauth: &OAuth1) {
        let rsa = oauth.signature_method == SignatureMethod::RsaSha1;
        self.must(!oauth.consumer_key.is_empty(), "consumer_key", "the consumer key is needed");
        let (secret, certificate) = (oauth.consumer_secret.is_some(), oauth.certificate.is_some());
        self.must(rsa || secret, "consumer_secret", "HMAC signs with the consumer's secret: name it");
        self.must(!rsa || certificate, "certificate", "RSA-SHA1 signs with a private key: name its store");
        self.must(rsa || !certificate, "certificate", "HMAC signs without a certificate: remove it, or use RSA-SHA1");
        let quoted = |c: char| is_visible(c) && c != '"' && c != '\\';
        self.must(
            oauth.realm.chars().all(quoted),
            "realm",
            "a realm is printable ASCII without quotes and backslashes",
        );
        if let Some(store) = &oauth.certificate {
            self.check.store(&["connections", self.name, "auth", "certificate"], store);
        }
    }

    fn login_token(&mut self, login: &LoginToken) {
        let LoginToken { login_url, logout_url, username_field, password_field, fields, header, prefix, .. } = login;
        self.must(!login.username.is_empty(), "username", "a user name is needed");
        let fits = |url: &str| url.contains("{{") || url.starts_with('/') || is_web_url(url);
        let message = "this is a path that begins with /, or a URL on the connection's host";
        self.must(fits(login_url), "login_url", message);
        self.must(logout_url.is_empty() || fits(logout_url), "logout_url", message);
        self.must(!username_field.is_empty(), "username_field", "the field of the user name needs a name");
        self.must(!password_field.is_empty(), "password_field", "the field of the password needs a name");
        let twice = username_field == password_field || fields.contains_key(username_field);
        self.must(!twice && !fields.contains_key(password_field), "fields", "two fields have the same name");
        self.few("fields", fields);
        self.header("header", header);
        self.must(prefix.chars().all(is_visible), "prefix", "a prefix is printable ASCII");
        if let TokenPlace::Json(pointer) = &login.token {
            self.must(pointer.starts_with('/'), "token", "a JSON pointer begins with /, such as /data/token");
        }
    }

    fn crowd(&mut self, crowd: &Crowd) {
        self.must(!crowd.user.is_empty(), "user", "a user name is needed");
        self.url("sso_login_url", &crowd.sso_login_url);
        if !crowd.sso_exchange_url.is_empty() {
            self.url("sso_exchange_url", &crowd.sso_exchange_url);
        }
        self.must(!crowd.sso_app_name.is_empty(), "sso_app_name", "Crowd wants the name of an application");
        let password = crowd.sso_app_password.is_some();
        self.must(password, "sso_app_password", "Crowd wants the application's password");
        self.must(!crowd.sso_app_name.contains(':'), "sso_app_name", "an application's name contains no colon");
        self.few("sso_properties", &crowd.sso_properties);
    }

    fn soap_header(&mut self, header: &SoapHeader) {
        self.must(!header.username.is_empty(), "username", "a user name is needed");
        self.few("fields", &header.fields);
        let proper = |name: &String| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            !name.is_empty() && name.bytes().all(allowed) && name != "username" && name != "password"
        };
        let message = "a field is called by letters, digits, _ and -, and not username or password";
        self.must(header.fields.keys().all(proper), "fields", message);
    }

    fn auto(&mut self, auto: &Auto) {
        let Auto { user, password, api_token, access_token } = auto;
        let (password, api_token) = (password.is_some(), api_token.is_some());
        let alone = user.is_empty() && !password && !api_token;
        self.must(access_token.is_none() || alone, "access_token", "an access token stands alone");
        self.must(!password || !user.is_empty(), "user", "a password needs a user");
        let given = password || api_token;
        self.must(user.is_empty() || given, "password", "a user needs a password or an api_token");
        if !user.is_empty() {
            self.user("user", user);
        }
    }

    /// What only the fields together show. Client and endpoints may be missing: the organisation's registration of the
    /// application gives them when the project is deployed.
    fn oauth2(&mut self, oauth: &OAuth2) {
        self.tokens(oauth);
        self.client(oauth);
        for (key, url) in [
            ("issuer", &oauth.issuer),
            ("rsso_host", &oauth.rsso_host),
            ("authorization_url", &oauth.authorization_url),
            ("token_url", &oauth.token_url),
            ("par_url", &oauth.par_url),
            ("revocation_url", &oauth.revocation_url),
            ("sites_url", &oauth.sites_url),
        ] {
            if !url.is_empty() {
                self.url(key, url);
            }
        }
        if !oauth.userinfo_url.is_empty() && !oauth.userinfo_url.starts_with('/') {
            self.url("userinfo_url", &oauth.userinfo_url);
        }
        let own = |name: &String| !OAUTH_OWN.contains(&name.as_str());
        let message = "a parameter that follows from another field cannot stand here";
        self.must(oauth.parameters.keys().all(own), "parameters", message);
        self.few("parameters", &oauth.parameters);
        let id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let cloud = oauth.cloud_id.contains("{{") || oauth.cloud_id.chars().all(id);
        self.must(cloud, "cloud_id", "a cloud id consists of letters, digits and hyphens");
    }

    fn tokens(&mut self, oauth: &OAuth2) {
        let (access, refresh) = (oauth.access_token.is_some(), oauth.refresh_token.is_some());
        match oauth.grant {
            Grant::AuthorizationCode | Grant::ClientCredentials => {}
            Grant::Password => {
                self.must(!oauth.username.is_empty(), "username", "the password grant needs a user name");
                self.must(oauth.password.is_some(), "password", "the password grant needs a password");
            }
            Grant::RefreshToken => self.must(refresh, "refresh_token", "this grant needs a refresh token"),
            Grant::AccessToken => self.must(access, "access_token", "this grant needs an access token"),
        }
        match oauth.initiate {
            None | Some(Initiate::GetAndRefresh) => {}
            Some(Initiate::Refresh) => self.must(refresh, "refresh_token", "REFRESH needs a refresh token"),
            Some(Initiate::Off) => self.must(access, "access_token", "OFF needs an access token"),
        }
        for (key, number) in [("created_ms", &oauth.created_ms), ("expires_in", &oauth.expires_in)] {
            let Some(number) = number else { continue };
            self.must(access, key, "this says something of an access_token, which is not given");
            if let TextOrNumber::Text(text) = number {
                let digits = text.contains("{{") || text.parse::<u64>().is_ok();
                self.must(digits, key, "this is a number, or a variable that holds one");
            }
        }
    }

    fn client(&mut self, oauth: &OAuth2) {
        match oauth.client_authentication {
            ClientAuthentication::Basic | ClientAuthentication::Post => {}
            ClientAuthentication::PrivateKeyJwt => {
                self.must(
                    oauth.certificate.is_some(),
                    "certificate",
                    "private_key_jwt needs a private key: name its store",
                );
            }
            ClientAuthentication::None => {
                let message = "a client that authenticates by none has no secret";
                self.must(oauth.client_secret.is_none(), "client_secret", message);
            }
        }
        if let Some(store) = &oauth.certificate {
            self.check.store(&["connections", self.name, "auth", "certificate"], store);
        }
    }
}

fn is_header(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

const fn is_visible(c: char) -> bool {
    matches!(c, ' '..='~')
}

/// Whether no network is crossed.
fn is_to_this_machine(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        Some(_) | None => authority,
    };
    crate::project::tls::is_local_host(host)
}
