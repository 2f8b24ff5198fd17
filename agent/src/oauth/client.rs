//! Requests to the endpoints of a provider: what the client sends, and how it proves itself.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};
use wherry_domain::project::auth::{ClientAuthentication, TokenFormat};
use wherry_host::EgressError;
use zeroize::{Zeroize, Zeroizing};

use super::{
    answer::{self, Granted},
    assertion,
    settings::Settings,
    state::Answer,
    trouble::Trouble,
};
use crate::{auth::AuthFailure, certificates::FileRules, egress::Destination, net::proxy};

/// Parameters of a request, wiped afterwards.
#[derive(Default)]
pub(super) struct Parameters(BTreeMap<String, Zeroizing<String>>);

impl Parameters {
    /// The connection's own further parameters.
    pub(super) fn further(settings: &Settings) -> Self {
        let further = settings.oauth().parameters.iter();
        Self(further.map(|(name, value)| (name.clone(), Zeroizing::new(value.clone()))).collect())
    }

    /// The same, and the grant.
    pub(super) fn new(settings: &Settings, grant: &str) -> Self {
        let mut parameters = Self::further(settings);
        parameters.set("grant_type", grant);
        parameters
    }

    /// As the query of an address, behind what it has.
    pub(super) fn query(&self, address: &Url) -> Url {
        let mut url = address.clone();
        url.query_pairs_mut().extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
        url
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
    }

    pub(super) fn set_secret(&mut self, name: &str, value: &SecretString) {
        self.set(name, value.expose_secret());
    }

    /// The same, if there is something.
    pub(super) fn set_if(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    fn body(&self, format: TokenFormat) -> Bytes {
        match format {
            TokenFormat::Form => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(self.0.iter().map(|(name, value)| (name, value.as_str())));
                Bytes::from(form.finish())
            }
            TokenFormat::Json => {
                let map: BTreeMap<&str, &str> =
                    self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                Bytes::from(serde_json::to_vec(&map).unwrap_or_default())
            }
        }
    }
}

/// Asks the token endpoint. `asked` are the scopes that limit the answer.
pub(super) async fn token(
    settings: &Settings,
    files: &FileRules,
    mut parameters: Parameters,
    asked: &str,
    limit: Duration,
) -> Result<Granted, Answer> {
    let setting = |failure| Answer::Refused(Trouble::Setting(failure));
    let url = settings.token_url().map_err(setting)?.clone();
    let headers = prove(settings, files, &url, &mut parameters).map_err(setting)?;
    let exchange = post(settings, &url, settings.format, headers, &parameters);
    let response = match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(response)) => response,
        Ok(Err(Sent::Setting(failure))) => return Err(setting(failure)),
        Ok(Err(Sent::Egress(error))) => return Err(unsent(error)),
        Err(_) => {
            let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(Answer::Unknown(Trouble::Egress(EgressError::ResponseTimeout { host, limit_ms })));
        }
    };
    answer::judge(response.status(), response.headers(), response.body(), asked)
}

/// Why a request did not come to an answer.
pub(super) enum Sent {
    /// It could not be made.
    Setting(AuthFailure),
    /// It failed on its way.
    Egress(EgressError),
}

impl Sent {
    pub(super) fn failure(self) -> AuthFailure {
        match self {
            Self::Setting(failure) => failure,
            Self::Egress(error) => error.into(),
        }
    }
}

fn unsent(error: EgressError) -> Answer {
    if let EgressError::ResponseTooLarge { .. } = error {
        return Answer::Unknown(Trouble::Invalid("it is larger than 1 MiB".to_owned()));
    }
    if error.may_have_arrived() {
        Answer::Unknown(Trouble::Egress(error))
    } else {
        Answer::Unread(Trouble::Egress(error), None)
    }
}

/// How the client proves itself, as a header or among the parameters.
pub(super) fn prove(
    settings: &Settings,
    files: &FileRules,
    audience: &Url,
    parameters: &mut Parameters,
) -> Result<HeaderMap, AuthFailure> {
    let oauth = settings.oauth();
    let mut headers = HeaderMap::new();
    let secret = || {
        let name = oauth.client_secret.as_ref().ok_or_else(|| settings.invalid("it needs a client_secret"))?;
        settings.open(&name.secret)
    };
    match oauth.client_authentication {
        ClientAuthentication::Basic => {
            let value = basic(&oauth.client_id, &*secret()?)
                .ok_or_else(|| settings.invalid("its client_secret is not usable"))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        ClientAuthentication::Post => {
            parameters.set("client_id", &oauth.client_id);
            parameters.set_secret("client_secret", &*secret()?);
        }
        ClientAuthentication::PrivateKeyJwt => {
            parameters.set("client_id", &oauth.client_id);
            parameters.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            parameters.set_secret("client_assertion", &assertion::make(settings, files, audience)?);
        }
        ClientAuthentication::None => parameters.set("client_id", &oauth.client_id),
    }
    Ok(headers)
}

/// RFC 6749, section 2.3.1: both are encoded as a form first.
fn basic(client: &str, secret: &SecretString) -> Option<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut pair = Zeroizing::new(encode(client));
    pair.push(':');
    let mut encoded = encode(secret.expose_secret());
    pair.push_str(&encoded);
    encoded.zeroize();
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    proxy::sensitive(&value)
}

/// Sends parameters to one of the provider's endpoints.
pub(super) async fn post(
    settings: &Settings,
    url: &Url,
    format: TokenFormat,
    mut headers: HeaderMap,
    parameters: &Parameters,
) -> Result<Response<Bytes>, Sent> {
    let content = match format {
        TokenFormat::Form => "application/x-www-form-urlencoded",
        TokenFormat::Json => "application/json",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    send(settings, url, Method::POST, headers, parameters.body(format)).await
}

/// Asks for a JSON document with an access token; nothing if it does not come.
pub(super) async fn ask(settings: &Settings, url: &Url, access: &SecretString) -> Option<Bytes> {
    let bearer = Zeroizing::new(format!("Bearer {}", access.expose_secret()));
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, proxy::sensitive(&bearer)?);
    let response = send(settings, url, Method::GET, headers, Bytes::new()).await.ok()?;
    (response.status() == StatusCode::OK).then(|| response.into_body())
}

async fn send(
    settings: &Settings,
    url: &Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Bytes>, Sent> {
    let defect = |what: &str| Sent::Setting(settings.invalid(what));
    let destination = Destination::parse(url.as_str()).map_err(|error| defect(&error.to_string()))?;
    let mut request = Request::builder().method(method).uri(url.as_str()).body(body);
    if let Ok(request) = &mut request {
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    }
    let request = request.map_err(|_| defect("one of its endpoints is not a URL"))?;
    (settings.wanted.calls)(destination).call(request).await.map_err(Sent::Egress)
}
