//! OAuth 2.0: the grants, and the fields of the seeds' connection pages.

use alloc::{collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use crate::{name::Name, project::SecretRef, project::tls::CertificateStore};

/// OAuth 2.0 (RFC 6749). Which fields a grant needs is checked with the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// How the first token is got.
    pub grant: Grant,
    /// Whether the agent gets and refreshes tokens. Absent, it follows from the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate: Option<Initiate>,
    /// An app registration of the organisation that gives client and endpoints; needed only where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Name>,
    /// Client id; takes variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// The client secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// How the client proves itself at the token endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_authentication: ClientAuthentication,
    /// Form of the requests to the token endpoint. Absent, it follows from the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_format: Option<TokenFormat>,
    /// The key for `private_key_jwt` (RFC 7523).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStore>,
    /// Issuer (RFC 8414): must equal `iss` in the answer to an authorisation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// BMC Helix single sign-on URL; gives the endpoints that are not named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rsso_host: String,
    /// Authorisation endpoint.
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
    /// Atlassian's cloud id: requests go to `https://api.atlassian.com/ex/jira/<cloud id>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cloud_id: String,
    /// Where the provider lists the sites that a token is good for, as Atlassian's `accessible-resources`: a cloud id that
    /// is not given is looked up there. Absent, it follows from the provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sites_url: String,
    /// Where the provider says whose token it is, for the label of the account; behind the connection's own URL if it
    /// begins with `/`. Absent, it follows from the provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub userinfo_url: String,
    /// User name, for the password grant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password's name, for the password grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Name of an access token that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretRef>,
    /// Name of a refresh token that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<SecretRef>,
    /// When that access token was made, in milliseconds since the Unix epoch; takes variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<TextOrNumber>,
    /// For how many seconds that access token lives, counted from `created_ms`; takes variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<TextOrNumber>,
    /// More parameters of the requests to authorisation and token endpoint, such as `audience`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Another place for the tokens, if the agent's owner allows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub oauth_settings_location: String,
}

/// How the first token is got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person consents in the browser, with PKCE (RFC 7636).
    AuthorizationCode,
    /// The client alone (two-legged).
    ClientCredentials,
    /// A user's name and password.
    Password,
    /// Only a refresh token is given.
    RefreshToken,
    /// Only an access token is given: it works until it expires.
    AccessToken,
}

/// The seeds' `Initiate OAuth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Initiate {
    /// The given access token is used as it is.
    Off,
    /// Tokens are got and refreshed.
    GetAndRefresh,
    /// Given tokens are refreshed.
    Refresh,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// HTTP Basic with id and secret (RFC 6749, section 2.3.1).
    #[default]
    Basic,
    /// Id and secret in the body.
    Post,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
    /// A public client has nothing to prove itself with.
    None,
}

/// Form of a request to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenFormat {
    /// `application/x-www-form-urlencoded` (RFC 6749).
    #[default]
    Form,
    /// `application/json`, which Atlassian's cloud wants.
    Json,
}

/// A number, or a text that becomes one when its variables are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TextOrNumber {
    /// A number.
    Number(u64),
    /// A text with a variable, or digits.
    Text(String),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
