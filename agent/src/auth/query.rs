//! A key in the query of each request.

use http::{Request, Uri, uri::PathAndQuery};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;
use wherry_host::{Body, EgressError};
use zeroize::Zeroizing;

use super::echo::Needles;

/// A parameter and the key it carries.
pub(crate) struct QueryKey {
    name: String,
    /// `name=key` as it stands in the query.
    pair: SecretString,
    pub(crate) needles: Needles,
}

impl QueryKey {
    pub(super) fn new(name: &str, key: &SecretString) -> Self {
        let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, key.expose_secret()).finish();
        Self { name: name.to_owned(), pair: pair.into(), needles: Needles::of(key.expose_secret()) }
    }

    /// Adds the key behind what the connector asks for.
    ///
    /// # Errors
    /// If the connector sets the parameter itself.
    pub(crate) fn add(&self, mut request: Request<Body>) -> Result<Request<Body>, EgressError> {
        let uri = request.uri();
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == self.name.as_str()) {
            let reason = format!("a connector may not set the query parameter {}", self.name);
            return Err(EgressError::InvalidRequest { reason });
        }
        let joint = if query.is_empty() { "" } else { "&" };
        let target = Zeroizing::new(format!("{path}?{query}{joint}{}", self.pair.expose_secret()));
        let changed = target.parse::<PathAndQuery>().ok().and_then(|target| {
            let mut parts = uri.clone().into_parts();
            parts.path_and_query = Some(target);
            Uri::from_parts(parts).ok()
        });
        let reason = "the query is too long for the key to be added".to_owned();
        *request.uri_mut() = changed.ok_or(EgressError::InvalidRequest { reason })?;
        Needles::prepare(request.headers_mut());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};

    use super::*;

    fn added(uri: &str) -> Result<String, EgressError> {
        let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        let key = QueryKey::new("api key", &"a&b=c d".into());
        key.add(Request::builder().uri(uri).body(body).unwrap()).map(|request| request.uri().to_string())
    }

    #[test]
    fn the_key_stands_encoded_behind_the_connectors_own_query() {
        assert_eq!(added("https://h/p").unwrap(), "https://h/p?api+key=a%26b%3Dc+d");
        assert_eq!(added("https://h/p?x=1").unwrap(), "https://h/p?x=1&api+key=a%26b%3Dc+d");
        assert_eq!(added("https://h").unwrap(), "https://h/?api+key=a%26b%3Dc+d");
    }

    #[test]
    fn a_connector_cannot_set_the_parameter_in_any_spelling() {
        for own in ["?api+key=x", "?api%20key", "?a=1&api%20ke%79=x"] {
            assert!(matches!(added(&format!("https://h/p{own}")), Err(EgressError::InvalidRequest { .. })), "{own}");
        }
    }
}
