//! Schemes that trade credentials for a token in a call of their own.

use alloc::{collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use crate::project::SecretRef;

/// A token that a login call gives and that goes with each request. It is fetched again once when a request is
/// answered with 401. The defaults are those of BMC's AR System REST API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginToken {
    /// Path below the connection's URL, or a whole URL on the connection's host.
    #[serde(default = "login_path")]
    pub login_url: String,
    /// Where the session ends, called when the token is used no more: as `login_url`. Empty for systems without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logout_url: String,
    /// Body of the login call.
    #[serde(default)]
    pub format: LoginFormat,
    /// User name; takes variables.
    pub username: String,
    /// The password's name.
    pub password: SecretRef,
    /// Field of the user name.
    #[serde(default = "username_field")]
    pub username_field: String,
    /// Field of the password.
    #[serde(default = "password_field")]
    pub password_field: String,
    /// More fields, such as `authString`; take variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Where the token stands in the answer.
    #[serde(default)]
    pub token: TokenPlace,
    /// Header that carries it.
    #[serde(default = "header")]
    pub header: String,
    /// What stands before it in the header.
    #[serde(default = "prefix")]
    pub prefix: String,
}

/// Body of a login call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginFormat {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// `application/json`.
    Json,
}

/// Where a token stands in the answer to a login call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// The whole answer is the token.
    #[default]
    Text,
    /// At a JSON pointer (RFC 6901), such as `/data/token`.
    Json(String),
}

/// Single sign-on in front of the system: Atlassian Crowd, or another with an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// User name; takes variables.
    pub user: String,
    /// The password's name.
    pub password: SecretRef,
    /// The seed's SSO Login URL.
    pub sso_login_url: String,
    /// The seed's SSO Exchange Url: where the assertion or token becomes a session of the system.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sso_exchange_url: String,
    /// The seed's SSO App Name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sso_app_name: String,
    /// The seed's SSO App Password, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sso_app_password: Option<SecretRef>,
    /// The seed's SSO Properties; take variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sso_properties: BTreeMap<String, String>,
}

fn login_path() -> String {
    "/api/jwt/login".into()
}

fn username_field() -> String {
    "username".into()
}

fn password_field() -> String {
    "password".into()
}

fn header() -> String {
    "Authorization".into()
}

fn prefix() -> String {
    "AR-JWT ".into()
}
