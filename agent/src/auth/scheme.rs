//! From the `auth` of a project to a credential.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri, header};
use rustls_pki_types::PrivateKeyDer;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use wherry_daemon::{clock::Clock, tasks::Tasks};
use wherry_domain::{
    connection::ConnectionPath,
    failure::{Code, Failure},
    name::Name,
    project::{
        Auth,
        auth::{ApiKey, Auto, Crowd, KeyPlace, LoginToken, OAuth1, OAuth2, SignatureMethod, SoapHeader},
        template::Scope,
        tls::CertificateStore,
    },
};
use wherry_rsa_sha1::{KeyError, SigningKey};
use zeroize::Zeroizing;

use super::{
    calls::AuthCalls,
    credential::Credential,
    crowd::{self, CrowdLogin},
    keeper::Keeper,
    login::TokenLogin,
    oauth1::{Key, Signer},
    query::QueryKey,
    soap::SoapValues,
    token::{OpenCalls, OpenSecret, Tokens, Wanted},
};
use crate::{
    certificates::{self, FileRules},
    egress::Destination,
    net::proxy,
    secrets::SecretError,
};

/// A text refers to a variable that neither the deployment nor the run has, or that is no text.
const VARIABLE: Code = Code::new("deployment.variable_unknown");
/// The secret cannot stand where it belongs.
const UNUSABLE_SECRET: Code = Code::new("secret.unusable");
/// A field of `auth` leads nowhere.
pub(super) const INVALID: Code = Code::new("auth.settings_invalid");
/// A host that belongs to systems in Atlassian's cloud, which take API tokens and no passwords.
const ATLASSIAN_CLOUD: [&str; 2] = [".atlassian.net", "api.atlassian.com"];

/// How a connection authenticates, with its variables filled in and its secrets by name.
#[derive(Clone)]
pub(crate) struct Scheme {
    auth: Auth,
    secrets: Vec<Name>,
}

/// What a credential is made with.
pub(crate) struct Made<'a> {
    pub(crate) path: &'a ConnectionPath,
    /// The connection's URL, in the spelling of its destination.
    pub(crate) base: &'a str,
    pub(crate) destination: &'a Destination,
    pub(crate) clock: &'a Clock,
    /// Where logins run.
    pub(crate) tasks: &'a Tasks,
    pub(crate) files: &'a FileRules,
    pub(crate) tokens: &'a Arc<dyn Tokens>,
    pub(crate) secret: OpenSecret,
    pub(crate) lookup: certificates::Lookup<'a>,
    pub(crate) calls: OpenCalls,
}

impl Scheme {
    /// Fills in the variables.
    ///
    /// # Errors
    /// If one is not there, or is no text where one is needed.
    pub(crate) fn read(auth: &Auth, scope: &Scope<'_>) -> Result<Self, Failure> {
        let defect = |_| Failure::permanent(VARIABLE, "a variable in auth is not a text");
        let written = serde_json::to_value(auth).map_err(defect)?;
        let filled = scope.resolve(&written).map_err(|error| Failure::permanent(VARIABLE, error.to_string()))?;
        let auth: Auth = serde_json::from_value(filled).map_err(defect)?;
        let mut secrets: Vec<Name> = auth.secrets().into_iter().cloned().collect();
        secrets.sort();
        secrets.dedup();
        Ok(Self { auth, secrets })
    }

    /// The word by which connectors say what they support.
    pub(crate) const fn name(&self) -> &'static str {
        self.auth.scheme()
    }

    /// The whole scheme, without the secrets' values: what tells one endpoint from another.
    pub(crate) fn identity(&self) -> String {
        serde_json::to_string(&self.auth).unwrap_or_default()
    }

    /// Its settings, if it is OAuth 2.0.
    pub(crate) const fn oauth2(&self) -> Option<&OAuth2> {
        match &self.auth {
            Auth::OAuth2(oauth) => Some(oauth),
            Auth::None
            | Auth::Basic { .. }
            | Auth::Bearer { .. }
            | Auth::ApiKey(_)
            | Auth::OAuth1(_)
            | Auth::LoginToken(_)
            | Auth::Crowd(_)
            | Auth::SoapHeader(_)
            | Auth::Auto(_) => None,
        }
    }

    /// The secrets it needs, each once.
    pub(crate) fn secrets(&self) -> &[Name] {
        &self.secrets
    }

    /// Certificate stores whose files may change.
    pub(crate) fn store(&self) -> Option<&CertificateStore> {
        match &self.auth {
            Auth::OAuth1(oauth) => oauth.certificate.as_ref(),
            Auth::OAuth2(oauth) => oauth.certificate.as_ref(),
            Auth::None
            | Auth::Basic { .. }
            | Auth::Bearer { .. }
            | Auth::ApiKey(_)
            | Auth::LoginToken(_)
            | Auth::Crowd(_)
            | Auth::SoapHeader(_)
            | Auth::Auto(_) => None,
        }
    }

    /// Headers that belong to it, beside those that no connector may ever touch.
    pub(crate) fn headers(&self) -> Vec<HeaderName> {
        let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).into_iter().collect();
        match &self.auth {
            Auth::ApiKey(ApiKey { place: KeyPlace::Header, name, .. }) => named(name),
            Auth::LoginToken(login) => named(&login.header),
            Auth::Crowd(_) => vec![header::COOKIE, header::SET_COOKIE],
            Auth::ApiKey(_)
            | Auth::None
            | Auth::Basic { .. }
            | Auth::Bearer { .. }
            | Auth::OAuth1(_)
            | Auth::OAuth2(_)
            | Auth::SoapHeader(_)
            | Auth::Auto(_) => Vec::new(),
        }
    }

    /// The credential, with the secrets as they are now.
    ///
    /// # Errors
    /// If a secret is not there or cannot be used, or a field leads nowhere.
    pub(crate) fn credential(&self, made: &Made<'_>) -> Result<Option<Credential>, Failure> {
        Ok(Some(match &self.auth {
            Auth::None => return Ok(None),
            Auth::Basic { username, password } => made.basic(username, &password.secret)?,
            Auth::Bearer { token } => made.bearer(&token.secret)?,
            Auth::ApiKey(key) => made.api_key(key)?,
            Auth::OAuth1(oauth) => made.oauth1(oauth)?,
            Auth::OAuth2(oauth) => made.oauth2(oauth)?,
            Auth::LoginToken(login) => made.login_token(login)?,
            Auth::Crowd(crowd) => made.crowd(crowd)?,
            Auth::SoapHeader(SoapHeader { username, password, fields }) => {
                let password = made.open(&password.secret)?;
                Credential::Soap(Box::new(SoapValues::new(username.clone(), &password, fields.clone())))
            }
            Auth::Auto(auto) => return made.auto(auto),
        }))
    }
}

impl Made<'_> {
    fn open(&self, name: &Name) -> Result<Arc<SecretString>, Failure> {
        (self.secret)(name).map_err(|failure| failure.failure())
    }

    fn basic(&self, username: &str, password: &Name) -> Result<Credential, Failure> {
        let value = proxy::basic(username, &*self.open(password)?).ok_or_else(|| unusable(password))?;
        Ok(Credential::Header(header::AUTHORIZATION, value))
    }

    fn bearer(&self, token: &Name) -> Result<Credential, Failure> {
        let value = value("Bearer ", &*self.open(token)?).ok_or_else(|| unusable(token))?;
        Ok(Credential::Header(header::AUTHORIZATION, value))
    }

    fn api_key(&self, ApiKey { place, name, prefix, key }: &ApiKey) -> Result<Credential, Failure> {
        let secret = self.open(&key.secret)?;
        Ok(match place {
            KeyPlace::Query => Credential::Query(QueryKey::new(name, &secret)),
            KeyPlace::Header => {
                let value = value(prefix, &secret).ok_or_else(|| unusable(&key.secret))?;
                Credential::Header(header_name(name)?, value)
            }
        })
    }

    fn oauth1(&self, oauth: &OAuth1) -> Result<Credential, Failure> {
        let open = |secret: &wherry_domain::project::SecretRef| self.open(&secret.secret);
        let key = match (oauth.signature_method, &oauth.certificate, &oauth.consumer_secret) {
            (SignatureMethod::RsaSha1, Some(store), _) => Key::Rsa(Box::new(self.rsa_key(store)?)),
            (SignatureMethod::RsaSha1, None, _) => return Err(invalid("RSA-SHA1 needs a certificate".to_owned())),
            (_, _, None) => return Err(invalid("HMAC needs the consumer's secret".to_owned())),
            (method, _, Some(consumer)) => {
                let token = oauth.token_secret.as_ref().map(open).transpose()?;
                Key::hmac(method, &*open(consumer)?, token.as_deref())
            }
        };
        Ok(Credential::OAuth1(Box::new(Signer {
            key,
            consumer: oauth.consumer_key.clone(),
            token: SecretString::clone(&*open(&oauth.token)?),
            verifier: oauth.verifier.clone(),
            realm: oauth.realm.clone(),
            clock: self.clock.clone(),
        })))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list that grows")]
    fn rsa_key(&self, store: &CertificateStore) -> Result<SigningKey, Failure> {
        let certified = certificates::load(store, self.files, self.lookup);
        let certified = certified.map_err(|error| Failure::permanent(error.code(), error.to_string()))?;
        let key = match &certified.key {
            PrivateKeyDer::Pkcs1(der) => SigningKey::from_pkcs1(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => SigningKey::from_pkcs8(der.secret_pkcs8_der()),
            _ => Err(KeyError::NotRsa),
        };
        key.map_err(|error| invalid(format!("certificate: {error}")))
    }

    fn oauth2(&self, oauth: &wherry_domain::project::auth::OAuth2) -> Result<Credential, Failure> {
        let source = self.tokens.source(Wanted {
            path: self.path.clone(),
            oauth: oauth.clone(),
            base: self.base.to_owned(),
            secret: Arc::clone(&self.secret),
            calls: Arc::clone(&self.calls),
        });
        source.map(Credential::Token).map_err(|failure| failure.failure())
    }

    fn login_token(&self, login: &LoginToken) -> Result<Credential, Failure> {
        let (calls, uri) = self.own("login_url", &login.login_url)?;
        let (password, header) = (self.open(&login.password.secret)?, header_name(&login.header)?);
        let logout = match login.logout_url.as_str() {
            "" => None,
            url => Some(self.own("logout_url", url)?),
        };
        let login = TokenLogin { calls, uri, scheme: login.clone(), password, header, logout };
        Ok(Credential::Token(Keeper::shared(login, self.clock.clone(), self.tasks.clone())))
    }

    fn crowd(&self, crowd: &Crowd) -> Result<Credential, Failure> {
        let named = crowd.sso_app_password.as_ref();
        let named = named.ok_or_else(|| invalid("Crowd needs the application's password".to_owned()))?;
        let application = proxy::basic(&crowd.sso_app_name, &*self.open(&named.secret)?);
        let (calls, session) = self.elsewhere("sso_login_url", &sessions(&crowd.sso_login_url))?;
        // The connection's own host was judged with the connection.
        let may = calls.is_private() || calls.allows_plain() || calls.destination() == self.destination;
        if !may {
            return Err(invalid("sso_login_url does not begin with https://, and passwords go there".to_owned()));
        }
        let exchange = match crowd.sso_exchange_url.as_str() {
            "" => None,
            url => Some(self.own("sso_exchange_url", url)?),
        };
        let mut factors = crowd.sso_properties.clone();
        let cookie = factors.remove(crowd::COOKIE_PROPERTY).unwrap_or_else(|| crowd::COOKIE.to_owned());
        let login = CrowdLogin {
            calls,
            session,
            application: application.ok_or_else(|| unusable(&named.secret))?,
            user: crowd.user.clone(),
            password: self.open(&crowd.password.secret)?,
            cookie,
            factors,
            exchange,
        };
        Ok(Credential::Token(Keeper::shared(login, self.clock.clone(), self.tasks.clone())))
    }

    /// The seeds' `Auto`. Systems in Atlassian's cloud take no passwords, others know no API tokens of that kind.
    fn auto(&self, Auto { user, password, api_token, access_token }: &Auto) -> Result<Option<Credential>, Failure> {
        let host = self.destination.host();
        let cloud = ATLASSIAN_CLOUD.iter().any(|cloud| host.ends_with(cloud));
        let key =
            if cloud { api_token.as_ref().or(password.as_ref()) } else { password.as_ref().or(api_token.as_ref()) };
        match (access_token, key) {
            (Some(token), _) => self.bearer(&token.secret).map(Some),
            (None, Some(key)) if user.is_empty() => self.bearer(&key.secret).map(Some),
            (None, Some(key)) => self.basic(user, &key.secret).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A call to the connection's own host: a path below its URL, or a whole URL there.
    fn own(&self, field: &str, url: &str) -> Result<(AuthCalls, Uri), Failure> {
        let whole = match url.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.base.trim_end_matches('/')),
            None => url.to_owned(),
        };
        let (calls, uri) = self.elsewhere(field, &whole)?;
        if calls.destination() != self.destination {
            let message = format!("{field} leads to {}, and belongs on the connection's own host", calls.destination());
            return Err(invalid(message));
        }
        Ok((calls, uri))
    }

    fn elsewhere(&self, field: &str, url: &str) -> Result<(AuthCalls, Uri), Failure> {
        let destination = Destination::parse(url).map_err(|error| invalid(format!("{field}: {error}")))?;
        let uri = Url::parse(url).ok().and_then(|url| url.as_str().parse().ok());
        let uri = uri.ok_or_else(|| invalid(format!("{field} cannot be called")))?;
        Ok(((self.calls)(destination), uri))
    }
}

/// The place where Crowd opens sessions, from its own address or from the whole one.
fn sessions(url: &str) -> String {
    if url.contains("/rest/usermanagement/") {
        url.to_owned()
    } else {
        format!("{}{}", url.trim_end_matches('/'), crowd::SESSIONS)
    }
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(format!("{name:?} is not the name of a header")))
}

fn value(prefix: &str, secret: &SecretString) -> Option<HeaderValue> {
    proxy::sensitive(&Zeroizing::new(format!("{prefix}{}", secret.expose_secret())))
}

fn invalid(message: String) -> Failure {
    Failure::permanent(INVALID, message)
}

fn unusable(name: &Name) -> Failure {
    let message = format!("the secret {name} cannot stand in a header: it has line breaks or other control characters");
    Failure::permanent(UNUSABLE_SECRET, message)
}

/// The failure of a secret, as a scheme passes it on.
impl From<SecretError> for super::AuthFailure {
    fn from(error: SecretError) -> Self {
        Self::permanent(error.code(), error.to_string())
    }
}
