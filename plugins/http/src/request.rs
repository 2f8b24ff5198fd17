//! From parameters to requests.

use std::collections::BTreeMap;

use serde_json::Value;
use wherry_sdk::http::{Client, Method, RequestBuilder};
use wherry_sdk::{Error, Result};

/// Query parameters as texts.
pub(crate) type Pairs = Vec<(String, Vec<String>)>;

/// Reads query parameters.
pub(crate) fn pairs(query: &BTreeMap<String, Value>) -> Result<Pairs> {
    query.iter().map(|(name, value)| Ok((name.clone(), texts(name, value)?))).collect()
}

/// A request without body and headers.
pub(crate) fn begin<'c>(client: &'c Client<'c>, method: Method, path: &str, query: &Pairs) -> RequestBuilder<'c> {
    let request = client.request(method, path);
    query.iter().fold(request, |request, (name, values)| request.query(name, values.as_slice()))
}

/// The values of a query parameter: lists repeat its name, `null` is left out.
fn texts(name: &str, value: &Value) -> Result<Vec<String>> {
    let one = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let message = format!("the query parameter {name} must be text, a number, a truth value or a list of them");
            Err(Error::config("http.params_invalid", message))
        }
    };
    match value {
        Value::Array(elements) => elements.iter().filter_map(|element| one(element).transpose()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Ok(one(value)?.into_iter().collect())
        }
    }
}

/// Adds the JSON body and then the headers, which outrank what a body says of itself; text is sent as text where they
/// say that it is not JSON.
pub(crate) fn finish<'c, 'h>(
    request: RequestBuilder<'c>,
    headers: impl IntoIterator<Item = (&'h str, &'h str)> + Clone,
    body: Option<&Value>,
) -> RequestBuilder<'c> {
    let content_type =
        headers.clone().into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, kind)| kind);
    let request = match (body, content_type) {
        (Some(Value::String(text)), Some(kind)) if !kind.contains("json") => request.bytes(kind, text.as_bytes()),
        (Some(body), _) => request.json(body),
        (None, _) => request,
    };
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
}
