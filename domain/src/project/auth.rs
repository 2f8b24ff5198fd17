//! How the agent authenticates requests of a connection, outside the connector's sandbox.
//!
//! Texts take variables; secrets stand here by name only. What a scheme does on the wire is the agent's part.

use alloc::{boxed::Box, collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use super::SecretRef;

mod login;
mod names;
mod oauth1;
mod oauth2;

pub use self::{
    login::{Crowd, LoginFormat, LoginToken, TokenPlace},
    oauth1::{OAuth1, SignatureMethod},
    oauth2::{ClientAuthentication, Grant, Initiate, OAuth2, TextOrNumber, TokenFormat},
};

/// The scheme of a connection and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", from = "Shape")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP Basic (RFC 7617); also an API token beside a user name.
    Basic {
        /// User name; takes variables.
        username: String,
        /// The password's or API token's name.
        password: SecretRef,
    },
    /// A bearer or personal access token (RFC 6750).
    Bearer {
        /// The token's name.
        token: SecretRef,
    },
    /// A key in a header or in the query of each request.
    ApiKey(ApiKey),
    /// OAuth 1.0a (RFC 5849).
    #[serde(rename = "oauth1")]
    OAuth1(Box<OAuth1>),
    /// OAuth 2.0 (RFC 6749).
    #[serde(rename = "oauth2")]
    OAuth2(Box<OAuth2>),
    /// A token that a login call gives, such as BMC's `AR-JWT`.
    LoginToken(Box<LoginToken>),
    /// Atlassian Crowd or another single sign-on with an exchange.
    Crowd(Box<Crowd>),
    /// Credentials that the agent puts into a SOAP header where the connector left the place for them.
    SoapHeader(SoapHeader),
    /// Whichever of the others fits the fields that are given.
    Auto(Box<Auto>),
}

/// [`Auth`] as it is read: a unit variant would swallow fields it does not know.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Shape {
    None {},
    Basic {
        username: String,
        password: SecretRef,
    },
    Bearer {
        token: SecretRef,
    },
    ApiKey(ApiKey),
    #[serde(rename = "oauth1")]
    OAuth1(Box<OAuth1>),
    #[serde(rename = "oauth2")]
    OAuth2(Box<OAuth2>),
    LoginToken(Box<LoginToken>),
    Crowd(Box<Crowd>),
    SoapHeader(SoapHeader),
    Auto(Box<Auto>),
}

/// A key that goes with each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Where it stands.
    #[serde(rename = "in", default)]
    pub place: KeyPlace,
    /// Name of the header or query parameter.
    pub name: String,
    /// What stands before the key in a header, such as `Token `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The key's name.
    pub key: SecretRef,
}

/// Where an API key stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    /// In a header.
    #[default]
    Header,
    /// In the query. It then shows in the logs of the system and of proxies.
    Query,
}

/// WS-Security user name token, or the `AuthenticationInfo` of BMC Remedy, inside a SOAP envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoapHeader {
    /// User name; takes variables.
    pub username: String,
    /// The password's name.
    pub password: SecretRef,
    /// Remedy's `authentication` and `locale` and the like, by the name of the placeholder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The seeds' `Auto`: the scheme follows from what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    /// User name; takes variables.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The password's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// The API token's name: with a user it goes as the password, alone as a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_token: Option<SecretRef>,
    /// An OAuth access token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretRef>,
}

impl From<Shape> for Auth {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::None {} => Self::None,
            Shape::Basic { username, password } => Self::Basic { username, password },
            Shape::Bearer { token } => Self::Bearer { token },
            Shape::ApiKey(key) => Self::ApiKey(key),
            Shape::OAuth1(oauth) => Self::OAuth1(oauth),
            Shape::OAuth2(oauth) => Self::OAuth2(oauth),
            Shape::LoginToken(login) => Self::LoginToken(login),
            Shape::Crowd(crowd) => Self::Crowd(crowd),
            Shape::SoapHeader(header) => Self::SoapHeader(header),
            Shape::Auto(auto) => Self::Auto(auto),
        }
    }
}

impl Auth {
    /// Whether it is OAuth of either version: then TLS may not be loosened.
    pub fn is_oauth(&self) -> bool {
        match self {
            Self::OAuth1(_) | Self::OAuth2(_) => true,
            Self::None
            | Self::Basic { .. }
            | Self::Bearer { .. }
            | Self::ApiKey(_)
            | Self::LoginToken(_)
            | Self::Crowd(_)
            | Self::SoapHeader(_) => false,
            Self::Auto(auto) => auto.access_token.is_some(),
        }
    }
}
