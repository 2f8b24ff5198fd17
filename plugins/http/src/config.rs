//! The connection and the parameters of each activity, as the host hands them in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Kind};
use crate::paging::Paging;

/// A connection; everything that authenticates stays with the host.
#[derive(Debug, Deserialize)]
pub struct Connection {
    /// Where the interface begins, such as `https://host/api`.
    pub url: String,
    /// What the descriptor's `configSchema` describes.
    #[serde(default)]
    pub options: Options,
}

/// Options of a connection.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What the connection test asks for; `/` by default.
    pub test_path: Option<String>,
}

/// The methods on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    Get,
    /// Sends.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// Parameters of `query`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Path below the connection's URL.
    #[serde(default)]
    pub path: String,
    /// `GET`, or `POST` for search interfaces.
    #[serde(default = "get")]
    pub method: Method,
    /// Query parameters: text, numbers, truth values, or lists of them.
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    pub body: Option<Value>,
    /// Where the answer keeps its records: `data.items` or `/data/items`.
    pub records: Option<String>,
    /// How the answer continues.
    #[serde(default)]
    pub paging: Paging,
    /// Stop after so many pages.
    pub max_pages: Option<u64>,
}

/// Parameters of `send`; every text may contain `{{ record.field }}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Path below the connection's URL.
    #[serde(default)]
    pub path: String,
    /// The method.
    #[serde(default = "post")]
    pub method: Method,
    /// Query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body; the record itself, if there is none.
    pub body: Option<Value>,
    /// The header that carries the idempotency key of each record.
    pub idempotency_header: Option<String>,
}

/// Parameters of `execute`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execute {
    /// Path below the connection's URL.
    #[serde(default)]
    pub path: String,
    /// The method.
    #[serde(default = "post")]
    pub method: Method,
    /// Query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Value>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    pub body: Option<Value>,
    /// The header that carries the idempotency key of the run.
    pub idempotency_header: Option<String>,
}

const fn get() -> Method {
    Method::Get
}

const fn post() -> Method {
    Method::Post
}

impl Send {
    /// `send.keyed` promises that repetitions are recognised, so it needs the header that makes it true.
    pub fn check_key(&self, activity: &str) -> Result<(), Failure> {
        if activity == "send.keyed" && self.idempotency_header.is_none() {
            let message =
                "send.keyed needs idempotency_header: the header by which the system recognises a repeated request";
            return Err(Failure::new(Kind::Config, "http.params_invalid", message));
        }
        Ok(())
    }
}

impl Connection {
    /// Reads a connection.
    pub fn parse(json: &str) -> Result<Self, Failure> {
        serde_json::from_str(json).map_err(|error| {
            Failure::new(Kind::Config, "http.connection_invalid", format!("the connection cannot be read: {error}"))
        })
    }
}

/// Reads the parameters of an activity.
pub fn params<P: DeserializeOwned>(json: &str) -> Result<P, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::new(Kind::Config, "http.params_invalid", format!("the activity's parameters cannot be read: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_parameter_is_named() {
        let failure = params::<Query>(r#"{"pth": "/x"}"#).unwrap_err();
        assert_eq!((failure.kind, failure.code), (Kind::Config, "http.params_invalid"));
        assert!(failure.message.contains("`pth`"), "{}", failure.message);
    }

    #[test]
    fn defaults_are_the_harmless_ones() {
        let query: Query = params("{}").unwrap();
        assert_eq!((query.method, query.paging), (Method::Get, Paging::None));
        assert_eq!(params::<Send>("{}").unwrap().method, Method::Post);
    }

    #[test]
    fn fields_of_a_connection_that_belong_to_the_host_are_left_alone() {
        let connection = Connection::parse(r#"{"url": "https://h", "use_proxy": true, "options": {}}"#).unwrap();
        assert_eq!(connection.url, "https://h");
        assert!(Connection::parse(r#"{"url": "https://h", "options": {"tset_path": "/"}}"#).is_err());
    }

    #[test]
    fn the_keyed_activity_needs_the_header_that_makes_its_promise_true() {
        let without: Send = params("{}").unwrap();
        assert_eq!(without.check_key("send.keyed").unwrap_err().code, "http.params_invalid");
        assert!(without.check_key("send").is_ok());
        let with: Send = params(r#"{"idempotency_header": "Idempotency-Key"}"#).unwrap();
        assert!(with.check_key("send.keyed").is_ok());
    }
}
