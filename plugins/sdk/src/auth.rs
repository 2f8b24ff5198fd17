//! The ways to authenticate that a system knows.

use serde_json::{Map, Value};

/// One way to authenticate. The host carries it out; the connector never sees credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth(pub(crate) Map<String, Value>);

impl Auth {
    /// A scheme under a name of its own. `method` is one the host knows, such as `basic` or `oauth2`.
    pub fn new(id: &str, method: &str) -> Self {
        Self(Map::from_iter([("id".to_owned(), id.into()), ("type".to_owned(), method.into())]))
    }

    /// No credentials.
    pub fn none() -> Self {
        Self::new("none", "none")
    }

    /// User name and password.
    pub fn basic() -> Self {
        Self::new("basic", "basic")
    }

    /// A token in the header `Authorization`.
    pub fn bearer() -> Self {
        Self::new("bearer", "bearer")
    }

    /// A key in a header or in the query; the connection says in which, and under which name.
    pub fn api_key() -> Self {
        Self::new("api_key", "api_key")
    }

    /// OAuth 1.0a: each request is signed.
    pub fn oauth1() -> Self {
        Self::new("oauth1", "oauth1")
    }

    /// OAuth 2.0 in all its ways; the connection names the one.
    pub fn oauth2() -> Self {
        Self::new("oauth2", "oauth2")
    }

    /// A login with user name and password, whose answer is a token.
    pub fn login_token() -> Self {
        Self::new("login_token", "login_token")
    }

    /// Single sign-on with Atlassian Crowd.
    pub fn crowd() -> Self {
        Self::new("crowd", "crowd")
    }

    /// User name and password in the header of a SOAP envelope. The connector leaves gaps for them.
    pub fn soap_header() -> Self {
        Self::new("soap_header", "soap_header")
    }

    /// Whichever of basic and bearer fits the secrets that the connection names.
    pub fn auto() -> Self {
        Self::new("auto", "auto")
    }

    /// The same with a setting of the method, such as the name of a header or the scopes of OAuth.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_of_the_host_has_a_constructor_that_names_it() {
        let made = [
            Auth::none(),
            Auth::basic(),
            Auth::bearer(),
            Auth::api_key(),
            Auth::oauth1(),
            Auth::oauth2(),
            Auth::login_token(),
            Auth::crowd(),
            Auth::soap_header(),
            Auth::auto(),
        ];
        let names =
            ["none", "basic", "bearer", "api_key", "oauth1", "oauth2", "login_token", "crowd", "soap_header", "auto"];
        assert_eq!(made, names.map(|name| Auth::new(name, name)));
        assert_eq!(Auth::api_key().with("header", "x-api-key").0["header"], "x-api-key");
    }
}
